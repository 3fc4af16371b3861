#!/usr/bin/env bash
# Two rooms: what is said in one is not heard in the other, unless somebody asks to hear it.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
server_options=(--replay 0)
open_room "$@"

join_as_witness Bob
join Alice
expect_line Bob '* Alice has joined'
say Bob '/join dev'
expect_line Alice '* Bob has gone to dev'
say Alice '/hear dev'
expect_line Alice '* You also hear dev now.'
say Bob 'in dev'
expect_line Alice '#dev Bob: in dev'
say Alice '/say dev looking into it'
expect_line Bob 'Alice: looking into it'
say Alice '/deaf dev'
expect_line Alice '* You no longer hear dev.'
say Bob 'not for Alice'
say Bob '/ping said'
expect_line Bob '* Pong said'
say Alice '/join #dev'
expect_line Alice '* You are now in dev. 1 other here: Bob.'
expect_line Bob '* Alice has joined'
say Bob 'now for Alice'
expect_line Alice 'Bob: now for Alice'
say Alice '/leave'
expect_line Alice '* You are now in lobby. Nobody else is here.'

expect_transcript Alice < <(
    welcome Alice Bob
    cat <<END
* Bob has gone to dev
* You also hear dev now.
#dev Bob: in dev
* You no longer hear dev.
* You are now in dev. 1 other here: Bob.
Bob: now for Alice
* You are now in lobby. Nobody else is here.
END
)

# Somebody enters a room with the first line.
if sends_its_name "$client"; then
    remark 'gives its name by --name, so it says /join after the welcome, or gives --room'
else
    connect_with "$client" Carol Carol $'Carol #dev\n'
    expect_line_starting Carol '* Welcome to dev, Carol. 1 other here: Bob.'
fi
