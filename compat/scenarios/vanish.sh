#!/usr/bin/env bash
# One vanishes in the middle of a word, without a goodbye; the others are told and go on.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join Alice
join Bob
join Carol
type_text Carol 'I must te'
vanish Carol
expect_line_starting Alice '* Carol has left'
expect_line_starting Bob '* Carol has left'

say Alice 'Bob, are you there?'
expect_line Bob 'Alice: Bob, are you there?'
say Bob 'I am'
expect_line Alice 'Bob: I am'
