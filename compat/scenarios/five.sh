#!/usr/bin/env bash
# Five people talk in turn, and all hear all the others.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

people=(Alice Bob Carol Dave Erin)

# What somebody hears who came after the first few, and until everybody has said their line.
everything_after() { # NAME [EARLIER...]
    local name=$1 person
    welcome "$@"
    for person in "${people[@]:$#}"; do
        echo "* $person has joined"
    done
    for person in "${people[@]}"; do
        [[ $person == "$name" ]] || echo "$person: I am $person"
    done
}

for person in "${people[@]}"; do
    join "$person"
done
for person in "${people[@]}"; do
    say "$person" "I am $person"
    for listener in "${people[@]}"; do
        [[ $listener == "$person" ]] || expect_line "$listener" "$person: I am $person"
    done
done

for i in "${!people[@]}"; do
    expect_transcript "${people[i]}" < <(everything_after "${people[i]}" "${people[@]:0:i}")
done
