#!/usr/bin/env bash
# A line that arrives in two parts, with somebody else's message between them, is one line.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join_as_witness Bob
join Alice
type_text Alice 'hel'
say Bob 'Alice, are you typing?'
expect_line Alice 'Bob: Alice, are you typing?'
type_text Alice $'lo\n'

expect_transcript Bob <<END
$(welcome Bob)
* Alice has joined
Alice: hello
END
