#!/usr/bin/env bash
# /quit gets a farewell, then the server closes and the client's process ends by itself.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join_as_witness Bob
join Alice
say Alice 'hello'
say Alice '/quit time for tea'
expect_transcript Alice <<END
$(welcome Alice Bob)
$(farewell Alice 1)
END
expect_transcript Bob <<END
$(welcome Bob)
* Alice has joined
Alice: hello
* Alice has left ("time for tea")
END

if waits_for_end_of_input "$client"; then
    remark 'goes on until its own input ends as well: press Ctrl-D after the farewell'
    end_input Alice
fi
expect_end Alice 0
