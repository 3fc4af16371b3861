#!/usr/bin/env bash
# 2000 lines are pasted at a terminal: the others hear each of them, in order, and the farewell counts them.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
server_options=(--pace off) # At the default pace it would take 18 s.
open_room "$@"

lines() {
    seq -f 'This is line %04g of what was pasted.' 2000
}

join_as_witness Bob
join_at_terminal Alice
paste Alice < <(lines)
if sends_its_name "$client"; then
    remark 'asks before it sends many lines: press Enter'
    # On a busy machine, the first lines may come so slowly that they look typed, and are sent at once.
    expect_line_starting Alice '-- Send '
    press Alice Enter
fi
expect_line Bob 'Alice: This is line 2000 of what was pasted.'
expect_transcript Bob <<END
$(welcome Bob)
* Alice has joined
$(lines | sed 's/^/Alice: /')
END
say Alice '/quit'
expect_line Alice "$(farewell Alice 2000)"
