#!/usr/bin/env bash
# Two people talk, both ways, and neither hears an echo of their own words.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join Bob
join Alice
say Alice 'hello Bob'
expect_line Bob 'Alice: hello Bob'
say Bob 'hello Alice'
expect_line Alice 'Bob: hello Alice'
say Alice 'bye'

expect_transcript Bob <<END
$(welcome Bob)
* Alice has joined
Alice: hello Bob
Alice: bye
END
expect_transcript Alice <<END
$(welcome Alice Bob)
Bob: hello Alice
END
