#!/usr/bin/env bash
# printf 'NAME\nhello' | CLIENT: the last line counts although nothing ends it, and the process ends by itself.
set -u
# shellcheck source-path=SCRIPTDIR source=../lib.sh
. "$(dirname "$0")/../lib.sh"
open_room "$@"

join_as_witness Bob
case $client in
    telnet)
        remark 'likewise, and without /quit it hangs up before the farewell:' \
            "(printf 'NAME\nhello'; sleep 1) | telnet HOST PORT"
        enter_with telnet Alice Alice 'hello'
        expect_line Alice "$(welcome Alice Bob)"
        end_input Alice
        ;;
    bash)
        remark 'cannot half-close, so its recipe ends the last line itself and says /quit'
        pipe_into_client Alice 'hello'
        ;;
    openssl | ncat-tls)
        remark "likewise, and the last line has to be ended, too: (printf 'NAME\nhello'; printf '\n/quit\n') | CLIENT"
        pipe_into_client Alice $'hello\n/quit\n'
        ;;
    *) pipe_into_client Alice 'hello' ;;
esac

expect_end Alice 0
[[ $client == telnet ]] || expect_transcript Alice <<END
$(welcome Alice Bob)
$(farewell Alice 1)
END
expect_transcript_of_short_visit Bob <<END
$(welcome Bob)
Alice: hello
END
