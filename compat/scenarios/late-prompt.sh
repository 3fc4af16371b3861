#!/usr/bin/env bash
# Who connects and stays silent is told what to do, and the name that follows is as good as any.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"
sends_its_name "$client" && cannot 'sends its name at once'

join_as_witness Bob
connect_with "$client" Alice Alice ''
expect_transcript Alice <<<'* Send your name as the first line.'
say Alice 'Alice'
say Alice 'hello'
expect_transcript Alice <<END
* Send your name as the first line.
$(welcome Alice Bob)
END
expect_line Bob 'Alice: hello'
