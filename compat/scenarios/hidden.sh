#!/usr/bin/env bash
# A password that is typed at a terminal is not on the screen; what is typed after it is, and can be corrected.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
room_password='correct horse'
open_room "$@"
case $client in
    telnet | plink-telnet | client*) ;;
    *) cannot 'shows what is typed, so the password too' ;;
esac

case $client in
    client*) question='-- Password of ' ;;
    *) question='! password-required: ' ;;
esac

expect_on_screen() { # PATTERN
    eventually is_on_screen "$1" || fail "on Alice's screen within $deadline s: $1" "$(screen Alice)"
}

is_on_screen() { # PATTERN
    # shellcheck disable=SC2053
    [[ $(screen Alice) == $1 ]]
}

enter_with bash Bob Bob "$room_password"$'\n'
expect_line Bob "$(welcome Bob)"
enter_at_terminal Alice
expect_line_starting Alice "$question"
say Alice 'open sesame'
expect_line_starting Alice '! wrong-password: '
expect_on_screen "*$question*$question*"
say Alice "$room_password"
expect_line Alice "$(welcome Alice Bob)"
type_text Alice 'helo'
press Alice BSpace
say Alice 'lo'
expect_line Bob 'Alice: hello'
say Bob 'hello Alice'
expect_line Alice 'Bob: hello Alice'
expect_on_screen '*hello*Bob: hello Alice*'
if is_on_screen '*sesame*' || is_on_screen '*horse*'; then
    fail 'no password on the screen' "$(screen Alice)"
fi
