#!/usr/bin/env bash
# A stopped process (SIGSTOP) holds up nobody; when it goes on it is told exactly how many lines it missed.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
server_options=(--pace off)
open_room "$@"
((deadline < 60)) && deadline=60 # So much takes its time where many scenarios run at once.

# 20 MB are more than the feed's 16 MiB and all that the kernel keeps for a client. The control character U+0080 is shown
# as <U+0080>, so only a quarter of that has to be sent.
count=1250
flood() {
    local filling
    printf -v filling '%2000s' ''
    seq -f "%.0f ${filling// /$'\xc2\x80'}" "$count"
}

# Where there is so much to hear, only the end of it is looked at time and again.
expect_at_last() { # PARTY BEGINNING
    eventually is_at_last "$@" || fail "the last line that $1 hears within $deadline s: $2..." 'another'
}

is_at_last() { # PARTY BEGINNING
    [[ $(tail -n 1 "$room/$1.heard") == "$2"* ]]
}

hears_more() {
    say Bob 'Are you there?'
    is_at_last Alice 'Bob: '
}

# Accounts for every line of the flood: it was heard in its place, or counted as missed in its place.
account_for() { # PARTY
    heard "$1" | awk -v name=Carol '
        $1 == name ":" && $2 == heard + missed + 1 && length($3) == 16000 { heard++; next }
        /^\* You missed [0-9]+ lines?\.$/ { missed += $4; next }
        $1 == name ":" && !stray { stray = ", and out of place is " substr($0, 1, 20) "..." }
        END { print (missed ? "some" : "none") " missed, " heard + missed " in all" stray }'
}

join_as_witness Bob
join_as_witness Carol
join Alice
expect_line Carol '* Alice has joined'
kill -STOP -- "-${process[Alice]}"
start_in_group flood >&"${keyboard[Carol]}"
expect_at_last Bob "Carol: $count "
say Bob 'What was that?'
expect_line Carol 'Bob: What was that?'

kill -CONT -- "-${process[Alice]}"
if [[ $client == ncat-tls ]]; then
    remark 'may keep the end of a flood to itself until somebody says more'
    eventually hears_more || fail "Alice hears Bob within $deadline s" 'nothing'
else
    expect_at_last Alice 'Bob: What was that?'
fi
accounts=$(account_for Alice)
[[ $accounts == "some missed, $count in all" ]] || fail "of Carol's lines: some missed, $count in all" "$accounts"
say Alice 'I am back'
expect_at_last Bob 'Alice: I am back'
