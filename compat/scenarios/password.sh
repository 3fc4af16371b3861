#!/usr/bin/env bash
# The room has a password: it is asked for, a wrong one is refused, and with the right one people talk as ever.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
room_password='correct horse'
open_room "$@"

asked='! password-required: send the password as the next line'
refused='! wrong-password: incorrect password'

# Our own client is told the password by a file.
give() { # PARTY PASSWORD
    write_secret given "$2"
    enter_with "$client" "$1" Alice
}

# Telnet, which is told to show nothing of the password, does not show its line end either, so the server sends one.
new_line() {
    [[ $client != *telnet ]] || echo
}

enter_with bash Bob Bob "$room_password"$'\n'
expect_line Bob "$(welcome Bob)"

if sends_its_name "$client"; then
    remark 'takes the password from --password-file, so it shows that it is wrong and exits with status 1'
    give Stranger 'open sesame'
    expect_end Stranger 1
    expect_transcript Stranger < <(printf '%s\n' "$asked" "$refused")
    give Alice "$room_password"
    expect_transcript Alice < <(echo "$asked" && welcome Alice Bob)
else
    enter_with "$client" Alice Alice
    expect_transcript Alice <<<"$asked"
    say Alice 'open sesame'
    expect_transcript Alice < <(echo "$asked" && new_line && printf '%s\n' "$refused" "$asked")
    say Alice "$room_password"
    expect_line Alice "$(welcome Alice Bob)"
fi
expect_line Bob '* Alice has joined'
say Alice 'hello Bob'
expect_line Bob 'Alice: hello Bob'
say Bob 'hello Alice'
expect_line Alice 'Bob: hello Alice'
expect_transcript Bob <<END
$asked
$(welcome Bob)
* Alice has joined
Alice: hello Bob
END
