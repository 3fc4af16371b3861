#!/usr/bin/env bash
# Who ends lines with CR LF is answered in CR LF; the others get the text in plain LF lines, without a CR.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

# What somebody hears who gets lines that end in CR LF, if the client shows it.
in_crlf() {
    case $client in
        telnet | plink-telnet | client*) cat ;;
        *) sed 's/$/\r/' ;;
    esac
}

# Ends a line as somebody does who wants CR LF. Telnet makes CR LF of a plain LF.
crlf=$'\r\n'
case $client in
    telnet)
        remark 'makes CR LF of every LF typed, and shows CR LF as LF'
        crlf=$'\n'
        ;;
    plink-telnet) remark 'begins with telnet commands, so it is answered in CR LF, whatever ends its lines' ;;
    client*) remark 'ends its lines with LF, whatever its input has, so it is answered in LF' ;;
esac

join_as_witness Bob
if sends_its_name "$client"; then
    join Alice
else
    connect_with "$client" Alice Alice "Alice$crlf"
fi
expect_transcript Alice < <(welcome Alice Bob | in_crlf)
expect_line Bob '* Alice has joined'
type_text Alice "hello$crlf"
type_text Alice "again$crlf"
expect_line Bob 'Alice: again'
say Bob 'hello Alice'

expect_transcript Alice < <({ welcome Alice Bob && echo 'Bob: hello Alice'; } | in_crlf)
expect_transcript Bob <<END
$(welcome Bob)
* Alice has joined
Alice: hello
Alice: again
END
