#!/usr/bin/env bash
# Who comes late is shown what was said; /since, /last and /grep show it again, and /ids shows its numbers.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
replay=10
open_room "$@"

# Times and dates differ from run to run.
without_times() {
    sed -E 's/^\* ([0-9-]{10} )?[0-9]{2}:[0-9]{2} /* /; s/^\[([0-9]+) [0-9TZ:-]+\] /[\1] /'
}

has_heard_in_order() { # TRANSCRIPT
    [[ $(heard Alice | without_times) == "$1" ]]
}

join_as_witness Bob
say Bob 'one'
say Bob 'two'
say Bob '/ping said'
expect_line Bob '* Pong said'
join Alice
expect_line Alice '* That was 1 to 2, 2 lines.'
say Alice '/since 1'
expect_line Alice '* That was 2 to 2, 1 line.'
say Alice '/last 1'
say Alice '/grep ONE'
expect_line Alice '* Found 1 line.'
say Alice '/since 3'
expect_line Alice '! bad-since: the newest is 2'
say Alice '/ids on'
expect_line Alice '* Messages now have numbers, and you get your own.'
say Alice 'three'
expect_line Bob 'Alice: three'
say Bob 'four'

expected=$(
    welcome Alice Bob
    cat <<END
* Earlier messages:
* Bob: one
* Bob: two
* That was 1 to 2, 2 lines.
* Bob: two
* That was 2 to 2, 1 line.
* Bob: two
* That was 2 to 2, 1 line.
* Bob: one
* Found 1 line.
! bad-since: the newest is 2
* Messages now have numbers, and you get your own.
[3] Alice: three
[4] Bob: four
END
)
eventually has_heard_in_order "$expected" ||
    fail "Alice hears within $deadline s, apart from the times:"$'\n'"$expected" "$(heard Alice)"

# Somebody comes back and reads only what is new.
if sends_its_name "$client"; then
    remark 'gives its name by --name, so it says /since after the welcome'
else
    connect_with "$client" Carol Carol $'Carol since=3\n'
    expect_line_starting Carol '* Welcome, Carol. '
    expect_line Carol '* That was 4 to 4, 1 line.'
fi
