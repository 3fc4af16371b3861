#!/usr/bin/env bash
# printf 'NAME\nhello\n' | CLIENT: the line is delivered, the answers come back, and the process ends by itself.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join_as_witness Bob
if [[ $client == telnet ]]; then
    remark 'stops when its input ends, so that has to stay open:' \
        "(printf 'NAME\nhello\n/quit\n'; sleep 1) | telnet HOST PORT"
    enter_with telnet Alice Alice $'hello\n/quit\n'
elif [[ $client == openssl || $client == ncat-tls ]]; then
    remark "cannot half-close TLS, so say /quit: printf 'NAME\nhello\n/quit\n' | CLIENT"
    pipe_into_client Alice $'hello\n/quit\n'
else
    pipe_into_client Alice $'hello\n'
fi

expect_end Alice 0
expect_transcript Alice <<END
$(welcome Alice Bob)
$(farewell Alice 1)
END
expect_transcript_of_short_visit Bob <<END
$(welcome Bob)
Alice: hello
END
