#!/usr/bin/env bash
# printf 'NAME\nhello\n' | CLIENT, where the client hangs up at once and reads no answer: the line still arrives.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

case $client in
    telnet) cannot 'stops when its input ends, before it has sent anything' ;;
    busybox | plink-* | client*) cannot 'always waits for the answers' ;;
esac

has_gone() {
    say Bob '/who'
    has_heard Bob '* 1 here: Bob'
}

join_as_witness Bob
set_no_wait_command "$client"
pipe_into_command Alice $'Alice\nhello\n'
expect_end Alice 0
expect_line Bob 'Alice: hello'
eventually has_gone || fail "Alice is gone within $deadline s" "$(heard Bob)"
