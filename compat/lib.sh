# shellcheck shell=bash
#
# What every scenario shares: the clients, the room, the people in it, and what is expected of them.
#
# A scenario is a script of its own, started as `compat/scenarios/NAME.sh CLIENT`. It has its own server, folder and
# processes, so that scenarios can run side by side and one can be run alone. It exits with 0 (passed), 1 (failed: the
# report is on stderr), $cannot_status (the client cannot do this) or $missing_status (something is not installed). On
# stdout it may print one remark: the reason why it did not run, or the recipe that the client needed to pass.
#
# Nothing here sleeps for "long enough": every wait is for a condition, and has a deadline.

CDPATH='' cd "${BASH_SOURCE[0]%/*}/.." || exit 1 # The root of the repository: paths are relative to it.

deadline=${COMPAT_DEADLINE:-10} # seconds
cannot_status=77
missing_status=78
host=127.0.0.1
# A scenario may set these before it opens the room.
server_options=()
room_password=

# ---- The clients -----------------------------------------------------------------------------------------------------

# shellcheck disable=SC2034  # compat/run reads it.
all_clients=(
    nc.openbsd nc.traditional ncat busybox socat telnet plink-telnet plink-raw bash client
    openssl ncat-tls socat-tls client-tls nc-unix socat-unix client-unix
)

# How the client gets to the server.
way_of() { # CLIENT
    case $1 in
        openssl | *-tls) echo tls ;;
        *-unix) echo unix ;;
        *) echo tcp ;;
    esac
}

package_of() { # CLIENT
    case $1 in
        nc.openbsd | nc-unix) echo netcat-openbsd ;;
        nc.traditional) echo netcat-traditional ;;
        telnet) echo inetutils-telnet ;;
        plink-*) echo putty-tools ;;
        *) echo "${1%%-*}" ;;
    esac
}

# Sets `program` to the words that start the client, or fails: it is not installed.
find_program() { # CLIENT
    case $1 in
        nc.openbsd | nc-unix) find_netcat nc.openbsd '^OpenBSD netcat' ;;
        nc.traditional) find_netcat nc.traditional '^\[v1\.' ;;
        busybox) program=(busybox nc) && grep -qx nc < <(busybox --list 2>&1) ;;
        client*) program=("$LINECHAT_CLIENT") ;;
        plink-*) program=(plink "-${1#*-}") && command -v plink >/dev/null ;;
        *) program=("${1%%-*}") && command -v "${program[0]}" >/dev/null ;;
    esac
}

# Debian has both netcats under a name of their own; elsewhere plain `nc` may be one of them, and its help says which.
find_netcat() { # PROGRAM PATTERN
    local name
    for name in "$1" nc; do
        program=("$name")
        grep -q -- "$2" < <("${program[@]}" -h 2>&1) && return
    done
    return 1
}

# Bash cannot half-close a socket, so the end of the input has to be said with /quit. The newline before it ends a line
# that was left without one; if none was, it is an empty line, and those are ignored. Ctrl-C does not reach what runs in
# the background, hence the trap.
# shellcheck disable=SC2016  # bash -c expands it.
bash_chat='exec 3<>"/dev/tcp/$1/$2"; cat - <(printf "\n/quit\n") <&0 >&3 & trap "kill $! 2>&-" EXIT; cat <&3'
# shellcheck disable=SC2016
bash_no_wait='cat >"/dev/tcp/$1/$2"'

# Sets `command` to the line that somebody types to chat. docs/compat.md explains the flags.
set_chat_command() { # CLIENT NAME
    find_program "$1"
    case $1 in
        nc.openbsd) command=("${program[@]}" -N "$host" "$port") ;;
        nc.traditional) command=("${program[@]}" -q 5 "$host" "$port") ;;
        socat*) command=("${program[@]}" - "$(socat_address "$1")") ;;
        plink-*) command=("${program[@]}" -P "$port" "$host") ;;
        bash) command=("${program[@]}" -c "$bash_chat" bash "$host" "$port") ;;
        openssl) command=("${program[@]}" "${s_client[@]}" -CAfile "$trusted" -verify_ip "$host" -connect "$host:$tls_port") ;;
        # It looks for names only in a certificate, not for addresses.
        ncat-tls) command=("${program[@]}" --ssl-verify --ssl-trustfile "$trusted" localhost "$tls_port") ;;
        nc-unix) command=("${program[@]}" -N -U "$socket_file") ;;
        client*) set_client_command "$@" ;;
        *) command=("${program[@]}" "$host" "$port") ;;
    esac
}

# Without -verify_return_error, and -verify_ip or -verify_hostname, any certificate would do.
s_client=(s_client -quiet -verify_quiet -verify_return_error)

socat_address() { # CLIENT
    case $1 in
        socat) echo "TCP:$host:$port" ;;
        socat-tls) echo "OPENSSL:$host:$tls_port,cafile=$trusted" ;;
        socat-unix) echo "UNIX-CONNECT:$socket_file" ;;
    esac
}

set_client_command() { # CLIENT NAME
    command=("${program[@]}" --name "$2" --if-taken fail)
    case $1 in
        client) command+=(--host "$host" --port "$port") ;;
        client-tls) command+=(--tls --tls-ca "$trusted" --host "$host" --port "$tls_port") ;;
        client-unix) command+=(--unix "$socket_file") ;;
    esac
    # In a pipe, it does not ask for earlier messages by itself.
    [[ -n ${replay-} ]] && command+=(--replay "$replay")
    [[ -e $room/given ]] && command+=(--password-file "$room/given")
}

# Sets `command` to the line that a script pipes into.
set_script_command() { # CLIENT NAME
    set_chat_command "$@"
    case $1 in
        # By default, socat waits only half a second for the answers. In a chat that is the better choice: it is also
        # the time that socat stays after the server has closed.
        socat*) command=("${program[@]}" -t 5 - "$(socat_address "$1")") ;;
    esac
}

# Sets `command` to the line that a script pipes into if it does not care for the answers. Not every client has one.
set_no_wait_command() { # CLIENT
    find_program "$1"
    case $1 in
        nc.openbsd | nc.traditional) command=("${program[@]}" -q 0 "$host" "$port") ;;
        ncat) command=("${program[@]}" --send-only "$host" "$port") ;;
        socat*) command=("${program[@]}" -u - "$(socat_address "$1")") ;;
        bash) command=("${program[@]}" -c "$bash_no_wait" bash "$host" "$port") ;;
        # From then on lines that begin with Q, R, K or B would be commands, but for -nocommands.
        openssl) set_chat_command "$@" && command+=(-no_ign_eof -nocommands) ;;
        ncat-tls) set_chat_command "$@" && command+=(--send-only) ;;
        nc-unix) command=("${program[@]}" -q 0 -U "$socket_file") ;;
    esac
}

# Our own client is told the name on its command line and sends it itself; everybody else types it.
sends_its_name() { # CLIENT
    [[ $1 == client* ]]
}

# The server closes after the farewell, and most clients end with it. These go on until their input ends as well.
waits_for_end_of_input() { # CLIENT
    case $1 in
        nc.openbsd | nc-unix | ncat | ncat-tls | plink-raw) true ;;
        *) false ;;
    esac
}

# ---- The room --------------------------------------------------------------------------------------------------------

set_binaries() {
    local folder=${CARGO_TARGET_DIR:-target}/debug
    export LINECHAT_SERVER=${LINECHAT_SERVER:-$folder/server}
    export LINECHAT_CLIENT=${LINECHAT_CLIENT:-$folder/client}
}

# Begins a scenario: a folder that goes when the scenario ends, however it ends, and a server.
open_room() { # CLIENT
    client=${1:?usage: $0 CLIENT}
    parties=() present=()
    set_binaries
    declare -gA flavour=() process=() keyboard=() command_line=()
    trap close_room EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    room=$(mktemp -d "${TMPDIR:-/tmp}/linechat-compat.XXXXXX") || exit 1
    export XDG_STATE_HOME=$room # Our own client would keep what is typed here.
    start_server
}

close_room() {
    trap '' INT TERM HUP # A second signal must not cut this short.
    local pid IFS=$'\n' # A trap also strikes in the midst of `IFS= read`.
    for pid in $(jobs -pr); do
        kill_group "$pid"
    done
    rm -rf "${room-}"
}

# Every process gets a process group of its own, for some clients are more than one process.
start_in_group() { # COMMAND...
    set -m
    "$@" &
    set +m
}

# `wait` takes the shell's message "Killed" about the process.
kill_group() { # PID
    { kill -KILL -- "-$1" && wait "$1"; } 2>/dev/null
}

is_running() { # PID
    kill -0 "$1" 2>/dev/null
}

# It always listens to plain TCP, for the witnesses, and besides to what the client under test needs.
start_server() {
    local private=()
    case $(way_of "$client") in
        tls) set_tls_options ;;
        unix) socket_file=$room/socket && private=(--unix "$socket_file") ;;
    esac
    [[ $room_password ]] && write_secret password "$room_password" && private+=(--password-file "$room/password")
    start_in_group "$LINECHAT_SERVER" --host "$host" --port 0 "${private[@]}" "${server_options[@]}" \
        </dev/null >"$room/server.out" 2>"$room/server.err"
    server=$!
    expect_listening port "$host:([0-9]+)"
    case $(way_of "$client") in
        tls) expect_listening tls_port "$host:([0-9]+) with TLS" ;;
        unix) expect_listening socket_file "($socket_file)" ;;
    esac
}

# Waits for the server's line about one of its places, and keeps the part of it that is in brackets.
expect_listening() { # VARIABLE PATTERN
    eventually server_listens "^Server listening on $2\$" ||
        fail "within $deadline s: Server listening on $2" "$(<"$room/server.out")"
    printf -v "$1" '%s' "${BASH_REMATCH[1]}"
}

server_listens() { # PATTERN
    local line
    while read -r line; do # Fails at a line that has no end yet.
        [[ $line =~ $1 ]] && return
    done <"$room/server.out"
    return 1
}

# Adds the options for TLS to `private`.
set_tls_options() {
    make_certificate server DNS:localhost,IP:127.0.0.1
    trusted=$room/server.pem
    private=(--tls-port 0 --tls-cert "$room/server.pem" --tls-key "$room/server.key")
}

# Makes FILE.pem, which signs itself, and FILE.key.
make_certificate() { # FILE NAMES
    need_program openssl openssl
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=linechat \
        -addext "subjectAltName=$2" -addext basicConstraints=critical,CA:FALSE -keyout "$room/$1.key" -out "$room/$1.pem" 2>"$room/openssl.errors" ||
        fail 'openssl makes a certificate' "$(<"$room/openssl.errors")"
}

# Writes a file that nobody else may read, as is asked of those that hold a password.
write_secret() { # FILE TEXT
    (umask 077 && echo "$2" >"$room/$1")
}

# Stops the server as a supervisor does, and expects it to end well.
stop_server() {
    kill -TERM "$server"
    eventually server_has_ended || fail "the server ends within $deadline s of SIGTERM" 'it is still running'
    wait "$server"
    local status=$?
    ((status == 0)) || fail 'the server ends with status 0' "status $status"
}

server_has_ended() {
    ! is_running "$server"
}

# ---- The people ------------------------------------------------------------------------------------------------------

# A party is a person in the room, or one who tries to get in: a client process, what it is typed and what it shows.

# Somebody enters with the client under test.
join() { # NAME
    join_with "$client" "$1"
}

# Somebody enters whose transcript shows every byte as the server sent it. (Telnet, for one, hides carriage returns.)
join_as_witness() { # NAME
    join_with bash "$1"
}

join_with() { # CLIENT NAME
    enter_with "$1" "$2" "$2"
    expect_line_starting "$2" "* Welcome, $2. "
    expect_announcement "$2"
}

# All who are here hear, half a second later, that NAME has joined. From then on NAME is one of them.
expect_announcement() { # NAME
    local other
    for other in "${present[@]}"; do
        expect_line "$other" "* $1 has joined"
    done
    present+=("$1")
}

# Starts a client, in which the name and perhaps MORE are already typed.
enter_with() { # CLIENT PARTY NAME [MORE]
    local text=$3$'\n'${4-}
    sends_its_name "$1" && text=${4-}
    connect_with "$1" "$2" "$3" "$text"
}

# Starts a client, in which exactly TEXT is already typed. NAME is for the client that is told it by an argument.
connect_with() { # CLIENT PARTY NAME TEXT
    mkfifo "$room/$2.keyboard"
    local fd
    exec {fd}<>"$room/$2.keyboard"
    keyboard[$2]=$fd
    type_text "$2" "$4"
    set_chat_command "$1" "$3"
    start_party "$1" "$2" run_apart <"$room/$2.keyboard"
}

# Pipes TEXT into the client under test, as a script does: the input ends with the text.
pipe_into_client() { # NAME TEXT
    local text=$1$'\n'$2
    sends_its_name "$client" && text=$2
    set_script_command "$client" "$1"
    pipe_into_command "$1" "$text"
}

# Pipes TEXT into `command`.
pipe_into_command() { # PARTY TEXT
    printf '%s' "$2" >"$room/$1.typed"
    start_party "$client" "$1" run_in_pipe "$room/$1.typed"
}

start_party() { # CLIENT PARTY FUNCTION ARGUMENT...
    parties+=("$2")
    flavour[$2]=$1
    command_line[$2]=${command[*]}
    start_in_group "${@:3}" >"$room/$2.heard" 2>"$room/$2.errors"
    process[$2]=$!
}

# A client must not hold the keyboards of the others open, or theirs would never end.
run_apart() {
    local fd
    for fd in "${keyboard[@]}"; do
        exec {fd}>&-
    done
    exec "${command[@]}"
}

run_in_pipe() { # FILE
    # shellcheck disable=SC2002  # A pipe is the point here: it is what scripts use.
    cat "$1" | run_apart
}

# Types TEXT as it is, in one write. (The builtin printf makes one write of each line.)
type_text() { # PARTY TEXT
    printf '%s' "$2" >>"$room/$1.typed"
    if [[ ${flavour[$1]-} == terminal ]]; then
        in_terminals send-keys -t "$1" -l "${2//$'\n'/$'\r'}" # Enter is CR.
        return
    fi
    env printf '%s' "$2" >&"${keyboard[$1]}"
}

# Types a line.
say() { # PARTY LINE
    type_text "$1" "$2"$'\n'
}

end_input() { # PARTY
    local fd=${keyboard[$1]}
    exec {fd}>&-
    unset "keyboard[$1]"
}

vanish() { # PARTY
    kill_group "${process[$1]}"
}

# ---- At a terminal ---------------------------------------------------------------------------------------------------

# An interactive shell, as everybody has: the client is its job, and has the terminal until it ends. Then the screen says
# so, and stays until cat finds the terminal gone.
# shellcheck disable=SC2016
terminal_shell='trap "" INT; (trap - INT; exec "$@"); printf "\n[ended with status %s]\n" $?; exec cat'

# Somebody enters with the client under test at a real terminal, where keys can be pressed: type_text() and say() press
# them too. What such a person hears is what is on the screen.
join_at_terminal() { # NAME
    enter_at_terminal "$1"
    expect_line_starting "$1" "* Welcome, $1. "
    expect_announcement "$1"
}

enter_at_terminal() { # NAME
    [[ ${terminals-} ]] || start_terminals
    parties+=("$1")
    flavour[$1]=terminal
    process[$1]=$terminals
    set_chat_command "$client" "$1"
    command_line[$1]=${command[*]}
    in_terminals new-session -d -s "$1" -x 120 -y 50 bash --norc -ic "$terminal_shell" bash "${command[@]}" ||
        fail "a terminal for $1" 'none'
    sends_its_name "$client" && return
    # What is typed before the client has set up its terminal may be lost.
    expect_line "$1" '* Send your name as the first line.'
    say "$1" "$1"
}

# It does not become a daemon, so it ends with the other processes of the scenario, and all terminals with it.
start_terminals() {
    need_program tmux tmux
    start_in_group tmux -u -f /dev/null -S "$room/tmux" -D </dev/null >/dev/null 2>"$room/tmux.errors"
    terminals=$!
    eventually in_terminals set-option -g history-limit 5000 2>/dev/null ||
        fail "tmux starts within $deadline s" "$(<"$room/tmux.errors")"
}

in_terminals() { # TMUX-COMMAND...
    tmux -N -S "$room/tmux" "$@"
}

press() { # PARTY KEY
    echo "<$2>" >>"$room/$1.typed"
    in_terminals send-keys -t "$1" "$2"
}

# Pastes stdin.
paste() { # PARTY
    tee -a "$room/$1.typed" | in_terminals load-buffer -
    in_terminals paste-buffer -t "$1"
}

# The lines above the top of the screen belong to it, and the empty ones at its end do not, nor do the times that our own
# client shows.
screen() { # PARTY
    # shellcheck disable=SC2005  # This takes the empty lines away.
    echo "$(in_terminals capture-pane -p -J -S - -t "$1" | sed -E 's/^[0-9]{2}:[0-9]{2} //')" | tee "$room/$1.heard"
}

expect_end_at_terminal() { # PARTY
    expect_line_starting "$1" '[ended with status '
}

# ---- What is expected ------------------------------------------------------------------------------------------------

# The server's greeting for NAME, when the OTHERS are there already.
welcome() { # NAME [OTHER...]
    local name=$1 list
    shift
    printf -v list ', %s' "$@"
    case $# in
        0) list='You are the first here.' ;;
        1) list="1 other here: ${list:2}." ;;
        *) list="$# others here: ${list:2}." ;;
    esac
    echo "* Welcome, $name. $list /help lists the commands. The newest 10000 messages are recorded."
}

# The newest message is number NEWEST; without it, only NAME has said anything.
farewell() { # NAME LINES [NEWEST]
    local lines=lines
    (($2 != 1)) || lines=line
    echo "* Bye, $1: $2 $lines accepted, 0 refused. since=${3:-$2} brings you back here."
}

# What the party's client has shown. Telnet begins with three lines of its own. Plink speaks telnet, so each line must
# come in CR LF; what it does not end so is marked, and is then not what is expected.
heard() { # PARTY
    case ${flavour[$1]} in
        terminal) screen "$1" ;;
        telnet) tail -n +4 "$room/$1.heard" ;;
        plink-telnet) sed -e $'s/\r$//; t' -e 's/$/ (without CR)/' "$room/$1.heard" ;;
        *) cat "$room/$1.heard" ;;
    esac
}

expect_line() { # PARTY LINE
    eventually has_heard "$1" "$2" || fail "$1 hears within $deadline s: $2" 'no such line'
}

# For the lines of which the protocol fixes only the beginning.
expect_line_starting() { # PARTY BEGINNING
    eventually has_heard "$1" "$2" '*' || fail "$1 hears within $deadline s: $2..." 'no such line'
}

has_heard() { # PARTY LINE [PATTERN of its rest]
    local line
    while IFS= read -r line; do
        # shellcheck disable=SC2053  # The rest is not quoted, for it is a pattern.
        [[ $line == "$2"${3-} ]] && return
    done < <(heard "$1")
    return 1
}

# Stdin is all that the party hears, from the beginning to this moment: nothing is missing, doubled or out of order.
expect_transcript() { # PARTY
    local expected
    expected=$(cat; echo .) # The dot keeps the newline at the end.
    eventually has_heard_all "$1" "$expected" ||
        fail "$1 hears within $deadline s exactly:"$'\n'"${expected%$'\n'.}" "$(heard "$1")"
}

has_heard_all() { # PARTY TRANSCRIPT
    [[ $(heard "$1"; echo .) == "$2" ]]
}

# The same, but for joins and leaves: how busy the machine is decides whether those of a short session are announced.
expect_transcript_of_short_visit() { # PARTY
    local expected
    expected=$(cat; echo .)
    eventually has_heard_of_short_visit "$1" "$expected" ||
        fail "$1 hears within $deadline s exactly, besides joins and leaves:"$'\n'"${expected%$'\n'.}" "$(heard "$1")"
}

has_heard_of_short_visit() { # PARTY TRANSCRIPT
    [[ $(heard "$1" | sed -E '/^\* [^ ]+ has (joined|left)/d'; echo .) == "$2" ]]
}

# The party's process ends by itself.
expect_end() { # PARTY [STATUS]
    eventually has_ended "$1" || fail "$1's process ends within $deadline s" 'it is still running'
    [[ ${2-} ]] || return 0
    wait "${process[$1]}"
    local status=$?
    ((status == $2)) || fail "$1's process ends with status $2" "status $status"
}

has_ended() { # PARTY
    ! is_running "${process[$1]}"
}

eventually() { # COMMAND...
    local end=$((SECONDS + deadline))
    until "$@"; do
        ((SECONDS < end)) || return 1
        sleep 0.02
    done
}

# ---- What is reported ------------------------------------------------------------------------------------------------

# The client under test cannot do this, for that REASON.
cannot() { # REASON
    echo "$*"
    exit "$cannot_status"
}

# The scenario cannot do without this program.
need_program() { # PROGRAM PACKAGE
    command -v "$1" >/dev/null && return
    [[ ${COMPAT_REQUIRE-} ]] && fail "$1 is installed (Debian package $2), for COMPAT_REQUIRE is set" 'it is not'
    echo "needs $1, which is not installed (Debian package $2)"
    exit "$missing_status"
}

# It can, but there is something that one has to know.
remark() { # TEXT
    echo "$*"
}

# Ends the scenario with what was expected, what was got instead, and what every party typed and saw.
fail() { # EXPECTED GOT
    local party
    {
        report expected <<<"$1"
        report got <<<"$2"
        for party in "${parties[@]}"; do
            report_party "$party"
        done
        echo "server: $LINECHAT_SERVER"
        report_file stdout "$room/server.out"
        report_file stderr "$room/server.err"
    } >&2
    exit 1
}

report_party() { # PARTY
    local state=running
    if has_ended "$1"; then
        wait "${process[$1]}" 2>/dev/null
        state="ended with status $?"
    fi
    echo "$1: ${command_line[$1]} ($state)"
    report_file typed "$room/$1.typed"
    report_file heard "$room/$1.heard"
    report_file stderr "$room/$1.errors"
}

report_file() { # TITLE FILE
    [[ -s $2 ]] && report "  $1" <"$2"
}

# Shows stdin without its colours, and with what is not seen otherwise. Of what is long it shows the beginning and the end.
report() { # TITLE
    local lines i line ends=20
    echo "$1:"
    readarray lines < <(sed -e $'s/\e\\[[0-9;]*m//g' -e 's/\r/\\r/g')
    for i in "${!lines[@]}"; do
        line=${lines[i]}
        ((i == ends && i < ${#lines[@]} - ends)) && echo "    ... $((${#lines[@]} - 2 * ends)) more lines"
        ((i >= ends && i < ${#lines[@]} - ends)) && continue
        ((${#line} > 300)) && line="${line:0:300}..."$'\n'
        [[ $line == *$'\n' ]] && echo "    | ${line%$'\n'}" || echo "    | $line (no newline)"
    done
}
