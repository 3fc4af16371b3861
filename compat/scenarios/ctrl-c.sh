#!/usr/bin/env bash
# Ctrl-C at a terminal, in the middle of a word: the word is never said, and whoever thereby leaves is gone for all.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

# Telnet sends a command and goes on, but shows nothing more until the server has answered it: what comes before the
# answer is lost, so Bob asks until he is heard. Ctrl-Z and Ctrl-\ are no different. Ctrl-D makes telnet send what is
# half typed, so that it is up to the server to take it back.
interrupt_telnet() { # KEY
    type_text Alice 'I must te'
    press Alice C-d
    expect_line_starting Alice 'I must te'
    press Alice "C-$1"
    eventually hears_again "I must te^${1^^}Bob: was that $1?" ||
        fail "Alice hears Bob within $deadline s of Ctrl-$1" 'nothing'
    say Bob "go on after $1"
    expect_line Alice "Bob: go on after $1" # By then all of Bob's questions are on the screen, too.
    say Alice 'hello'
    expect_line Bob 'Alice: hello'
}

hears_again() { # LINE
    say Bob "${1#*Bob: }"
    has_heard Alice "$1"
}

join_as_witness Bob
join_at_terminal Alice
if [[ $client == telnet ]]; then
    remark "Ctrl-C does not end it, but takes back what is half typed; so do Ctrl-Z and Ctrl-\\"
    for key in c z "\\"; do
        interrupt_telnet "$key"
        said+=$'\nAlice: hello'
    done
else
    type_text Alice 'I must te'
    if sends_its_name "$client"; then
        remark 'Ctrl-C takes back what is typed; on an empty line it asks, and then leaves'
        expect_line Alice '> I must te'
        press Alice C-c
        press Alice C-c
        expect_line Alice '-- Press Ctrl-C again or Ctrl-D to leave.'
    else
        expect_line_starting Alice 'I must te'
    fi
    press Alice C-c
    expect_end_at_terminal Alice
    said=$'\n* Alice has left'
    if [[ $client == openssl || $client == ncat-tls ]]; then
        remark 'hangs up without the end of TLS, so the others read that the connection was lost'
        said+=': connection lost'
    fi
fi
expect_transcript Bob <<END
$(welcome Bob)
* Alice has joined${said}
END
