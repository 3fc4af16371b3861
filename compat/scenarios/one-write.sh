#!/usr/bin/env bash
# The name and a message arrive in one write, as when both are pasted or come out of a file.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

sends_its_name "$client" && remark 'sends its name itself, so only the message waits in its input'

join_as_witness Bob
enter_with "$client" Alice Alice $'hello\n'
expect_line Bob '* Alice has joined'
expect_transcript_of_short_visit Bob <<END
$(welcome Bob)
Alice: hello
END
expect_transcript Alice < <(welcome Alice Bob)
