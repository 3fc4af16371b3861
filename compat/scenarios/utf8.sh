#!/usr/bin/env bash
# Names and text of any script arrive as they were typed.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join_as_witness Bob
join Zoë
say Zoë 'Grüße, 世界 🎉'
expect_line Bob 'Zoë: Grüße, 世界 🎉'
say Bob 'Привет ☕'
expect_transcript Zoë <<END
$(welcome Zoë Bob)
Bob: Привет ☕
END
