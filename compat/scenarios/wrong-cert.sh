#!/usr/bin/env bash
# A certificate that is not trusted, or holds another name, ends the client with an error, before it has sent a word.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"
[[ $(way_of "$client") == tls ]] || cannot 'has no part in TLS'

expect_refusal() { # PARTY
    enter_with "$client" "$1" Alice $'hello\n'
    eventually has_ended "$1" || fail "$1's process ends within $deadline s" 'it is still running'
    wait "${process[$1]}" && fail "$1's process ends with an error" 'status 0'
    expect_transcript "$1" </dev/null
}

# The server has another certificate from now on.
change_certificate() { # NAMES
    make_certificate server "$1"
    kill -HUP "$server"
    changes=$((changes + 1))
    eventually has_changed_certificate || fail "the server reads its certificate within $deadline s" 'no record'
}

has_changed_certificate() {
    (($(grep -c 'reloaded$' "$room/server.out") == changes))
}

changes=0
join_as_witness Bob
make_certificate other DNS:localhost,IP:127.0.0.1
trusted=$room/other.pem
expect_refusal Mallory

trusted=$room/server.pem
change_certificate DNS:elsewhere.example,IP:192.0.2.7
expect_refusal Elsewhere

change_certificate DNS:localhost,IP:127.0.0.1
join Alice
expect_transcript Bob <<END
$(welcome Bob)
* Alice has joined
END
