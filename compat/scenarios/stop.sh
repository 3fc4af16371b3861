#!/usr/bin/env bash
# The server is stopped: it says so, takes leave, closes, and the client's process ends by itself.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join Alice
stop_server
expect_transcript Alice <<END
$(welcome Alice)
* The server is shutting down
$(farewell Alice 0)
END
if waits_for_end_of_input "$client"; then
    remark 'goes on until its own input ends as well: press Ctrl-D after the farewell'
    end_input Alice
fi
expect_end Alice
