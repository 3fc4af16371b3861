#!/usr/bin/env bash
# Lines that are commands elsewhere, such as Q, R and K in openssl, are said like all others.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

lines=(Q R K k B '~.' . '+++' Quit)

join_as_witness Bob
join Alice
for line in "${lines[@]}"; do
    say Alice "$line"
    expect_line Bob "Alice: $line" # One by one: openssl looks only at the first byte of what it reads.
done
expect_transcript Bob <<END
$(welcome Bob)
* Alice has joined
$(printf 'Alice: %s\n' "${lines[@]}")
END
