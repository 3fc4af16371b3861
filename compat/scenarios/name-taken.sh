#!/usr/bin/env bash
# A taken name is refused, its holder keeps it, and another name is accepted on the same connection.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join_as_witness Alice
enter_with "$client" Newcomer Alice
expect_line_starting Newcomer '! name-taken: '

if sends_its_name "$client"; then
    remark 'takes its name from the command line only, so it shows the refusal and exits with status 1'
    expect_end Newcomer 1
    exit
fi

say Newcomer 'Bob'
expect_line Newcomer "$(welcome Bob Alice)"
expect_line Alice '* Bob has joined'
say Newcomer 'hello Alice'
expect_transcript Alice <<END
$(welcome Alice)
* Bob has joined
Bob: hello Alice
END
