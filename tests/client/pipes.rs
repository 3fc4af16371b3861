//! The client in scripts, with all kinds of standard streams.

#[cfg(unix)]
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
#[cfg(unix)]
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::OwnedFd;
#[cfg(unix)]
use std::os::unix::net::UnixStream;
use std::process::{ChildStdout, Command, Stdio};
#[cfg(unix)]
use std::thread;
use std::time::Instant;

#[cfg(unix)]
use super::plain::terminal;
use crate::support::harness::{DEADLINE, Peer, Server, within};
use crate::support::lines::{assert_all_like, without_history};
#[cfg(unix)]
use crate::support::process_stats::ProcessStats;
use crate::support::program::{CLIENT, Finished, Program};

fn client(server: &Server, name: &str, more: &[&str]) -> Program {
    let arguments = Program::client_arguments(server.address, name);
    Program::start(CLIENT, arguments.iter().map(String::as_str).chain(more.iter().copied()))
}

/// The client under `sh`, as `"$@"` in `script`.
#[cfg(unix)]
fn shell(script: &str, server: &Server, name: &str) -> Program {
    let arguments = Program::client_arguments(server.address, name);
    let all = ["-c", script, "sh", CLIENT].into_iter().chain(arguments.iter().map(String::as_str));
    Program::start("sh", all)
}

fn finished(code: i32, stdout: &str, stderr: &str) -> Finished {
    Finished { code: Some(code), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

fn bye(name: &str, lines: &str) -> String {
    format!("* Welcome, {name}. You are the first here. /help lists the commands.\n* Bye, {name}: {lines}.\n")
}

/// cron mails everything on standard error.
#[test]
fn standard_error_is_empty_on_success_unless_verbose() {
    let server = Server::start();
    let said = bye("cron", "1 line accepted, 0 refused");
    for (options, stderr) in [
        (&[][..], ""),
        (&["-q"], ""),
        (&["--quiet"], ""),
        (&["-v"], "Connected to server.\n"),
        (&["--verbose"], "Connected to server.\n"),
    ] {
        let done = client(&server, "cron", options).finish_with("backup done\n");
        assert_eq!(done, finished(0, &said, stderr), "{options:?}");
    }
    // Errors are shown even with `-q`.
    let done = client(&server, "cron", &["-q"]).finish_with("/nope\n");
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.starts_with("client: 1 refused, the last: unknown-command: "), "{}", done.stderr);
    let done = client(&server, "cron", &["-q", "-v"]).finish();
    assert_eq!(done.code, Some(2));
    assert!(done.stderr.contains("'--quiet' cannot be used with '--verbose'"), "{}", done.stderr);
}

#[test]
fn lines_only_prints_only_messages() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut client = client(&server, "Bob", &["--lines-only"]);
    alice.expect("* Bob has joined");
    alice.send("hi\n/msg Bob * psst\n");
    client.stdout.expect("Alice: hi");
    client.stdout.expect("Alice (privately): * psst");
    client.write("/nope\nhello\n");
    client.end_input();
    let done = client.finish();
    assert_eq!((done.code, &*done.stdout), (Some(1), ""));
    let said = ["! unknown-command", "client: 1 refused, the last: unknown-command: …"];
    assert_all_like(&Vec::from_iter(done.stderr.lines()), &said);
    alice.expect("Bob: hello");
}

#[test]
fn wait_stays_for_messages_after_the_end_of_the_input() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let since = Instant::now();
    let mut client = client(&server, "poll", &["--wait", "1.5", "--lines-only"]);
    client.write("anybody here?");
    client.end_input();
    alice.expect("* poll has joined");
    // The connection is still open in both directions, so the end of the input has not ended the line.
    alice.send("me\n");
    client.stdout.expect("Alice: me");
    assert_eq!(client.finish(), finished(0, "", ""));
    assert!(since.elapsed().as_secs_f64() >= 1.5, "it left after {:?}", since.elapsed());
    alice.expect("poll: anybody here?");
    alice.expect("* poll has left");
}

/// `client --wait 3600 | head -1`. No further line arrives whose write would fail.
#[cfg_attr(windows, ignore = "Windows tells only at the next write that nobody reads")]
#[test]
fn after_the_end_of_input_the_client_leaves_when_its_output_is_closed() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (mut client, stdout) = unread_client(&server, "poll", &["--wait", "3600", "--lines-only"]);
    alice.expect("* poll has joined");
    client.write("anybody here?\n");
    client.end_input();
    alice.expect("poll: anybody here?");
    alice.send("me\n");
    within(move || {
        let mut answer = String::new();
        BufReader::new(stdout).read_line(&mut answer).unwrap();
        assert_eq!(answer, "Alice: me\n");
    });
    assert_eq!(client.finish(), finished(0, "", ""));
    alice.expect("* poll has left");
}

/// A log is sent to its end, although `| head -1` has exited.
#[cfg_attr(windows, ignore = "Windows tells only at the next write that nobody reads")]
#[test]
fn all_input_is_sent_although_the_output_is_closed() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (mut client, stdout) = unread_client(&server, "log", &["--wait", "3600"]);
    drop(stdout);
    alice.expect("* log has joined");
    for number in 0..3 {
        alice.send("this cannot be printed\n");
        alice.expect_nothing_new();
        client.write(&format!("{number}\n"));
        alice.expect(&format!("log: {number}"));
    }
    client.end_input();
    assert_eq!(client.finish(), finished(0, "", ""));
    alice.expect("* log has left");
}

/// `client | head -1` at a terminal, where the input never ends.
#[cfg(unix)]
#[test]
fn with_terminal_input_the_client_leaves_when_its_output_is_closed() {
    let server = Server::start();
    let (mut screen, side) = terminal();
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, "Bob")).stdin(side).stdout(writer);
    let mut client = Program::spawn(command);
    let mut alice = server.join("Alice");
    screen.write_all(b"hello\n").unwrap();
    while alice.line() != "Bob: hello" {}
    drop(reader);
    assert_eq!(client.finish(), finished(0, "", ""));
    alice.expect("* Bob has left");
}

#[cfg(unix)]
#[test]
fn a_bot_leaves_when_its_output_is_closed() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (mut client, stdout) = unread_client(&server, "bot", &["--exec", "true"]);
    alice.expect("* bot has joined");
    within(move || {
        let mut welcome = String::new();
        BufReader::new(stdout).read_line(&mut welcome).unwrap();
        assert!(welcome.starts_with("* Welcome, bot."), "{welcome}");
    });
    assert_eq!(client.finish(), finished(3, "", ""));
}

fn unread_client(server: &Server, name: &str, more: &[&str]) -> (Program, ChildStdout) {
    let arguments = Program::client_arguments(server.address, name);
    Program::start_unread(CLIENT, arguments.iter().map(String::as_str).chain(more.iter().copied()))
}

#[test]
fn wait_ends_when_the_server_stops() {
    let mut server = Server::start();
    let mut client = client(&server, "poll", &["--wait", "3600"]);
    client.end_input();
    client.stdout.expect("* Welcome, poll. You are the first here. /help lists the commands.");
    server.begin_stop();
    assert_eq!(client.finish().code, Some(3));
}

#[test]
fn an_invalid_wait_is_a_usage_error() {
    for wait in ["nan", "inf", "-1", "soon", "86401", ""] {
        let done = Program::start(CLIENT, ["--name", "Bob", &format!("--wait={wait}")]).finish();
        let why = format!("error: invalid value '{wait}' for '--wait <SECONDS>': must be from 0 to 86400 seconds\n");
        // clap has its own message for an empty value.
        assert!(done.stderr.starts_with(&why) || wait.is_empty(), "{}", done.stderr);
        assert_eq!(done.code, Some(2));
    }
}

#[cfg(unix)]
#[test]
fn the_client_works_with_closed_standard_streams() {
    let server = Server::start();
    let done = shell("exec \"$@\" <&-", &server, "cron").finish();
    assert_eq!(done, finished(0, &bye("cron", "0 lines accepted, 0 refused"), ""));
    let done = shell("exec \"$@\" >&-", &server, "cron").finish_with("hi\n");
    assert_eq!(done, finished(0, "", ""));
    let done = shell("exec \"$@\" 2>&-", &server, "cron").finish_with("/nope\nhi\n");
    assert_eq!((done.code, done.stderr.as_str()), (Some(1), ""));
    assert!(done.stdout.ends_with("* Bye, cron: 1 line accepted, 1 refused.\n"), "{}", done.stdout);
    let done = shell("exec \"$@\" <&- >&- 2>&-", &server, "cron").finish();
    assert_eq!(done, finished(0, "", ""));
}

/// The reader of standard error exits before the client starts, so every write there fails.
#[test]
fn the_client_works_when_nobody_reads_standard_error() {
    let server = Server::start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, "cron")).arg("--lines-only");
    let mut child = command.stdin(Stdio::piped()).stderr(writer).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"/nope\n").unwrap();
    assert_eq!(within(move || child.wait().unwrap()).code(), Some(1));
}

#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_with_code_3() {
    let server = Server::start();
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, "cron")).stdin(Stdio::null());
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let why = "client: cannot write to standard output: No space left on device\n";
    assert_eq!(Program::spawn(command).finish(), finished(3, "", why));
}

/// Everything was sent, but the replies were lost.
#[cfg(unix)]
#[test]
fn a_full_disk_is_reported_even_after_the_end_of_the_input() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, "poll")).args(["--lines-only", "--wait", "3600"]);
    command.stdin(Stdio::piped()).stdout(File::options().write(true).open("/dev/full").unwrap());
    let mut client = Program::spawn(command);
    client.write("anybody here?\n");
    client.end_input();
    alice.expect("* poll has joined");
    alice.expect("poll: anybody here?");
    alice.send("me\n");
    let why = "client: cannot write to standard output: No space left on device\n";
    assert_eq!(client.finish(), finished(3, "", why));
    alice.expect("* poll has left");
}

#[cfg(unix)]
#[test]
fn unreadable_input_is_reported_with_code_3() {
    let server = Server::start();
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, "cron")).stdout(Stdio::piped());
    command.stdin(File::open("/").unwrap());
    let why = "client: cannot read standard input: Is a directory\n";
    let said = bye("cron", "0 lines accepted, 0 refused");
    assert_eq!(Program::spawn(command).finish(), finished(3, &said, why));
}

#[cfg(unix)]
#[test]
fn the_client_needs_neither_a_terminal_nor_an_environment() {
    let server = Server::start();
    let mut command = Command::new("setsid");
    command.args(["--wait", CLIENT]).args(Program::client_arguments(server.address, "cron")).env_clear();
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let done = Program::spawn(command).finish_with("hi\n");
    assert_eq!(done, finished(0, &bye("cron", "1 line accepted, 0 refused"), ""));
}

/// Some versions of sshd, and inetd, use one socket for both.
#[cfg(unix)]
#[test]
fn standard_input_and_output_may_be_a_socket() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (mut ours, mut client) = client_at_a_socket(&server);
    alice.expect("* Bob has joined");
    ours.write_all("hé\r\nlast words".as_bytes()).unwrap();
    alice.expect("Bob: hé");
    alice.send("tab\t\n");
    alice.expect_nothing_new();
    ours.shutdown(Shutdown::Write).unwrap();
    let said = within(move || {
        let mut said = String::new();
        ours.read_to_string(&mut said).unwrap();
        said
    });
    let welcome = "* Welcome, Bob. 1 other here: Alice. /help lists the commands.\n";
    assert_eq!(without_history(&said), format!("{welcome}Alice: tab\t\n* Bye, Bob: 2 lines accepted, 0 refused.\n"));
    assert_eq!(client.finish(), finished(0, "", ""));
    alice.expect("Bob: last words");
    alice.expect("* Bob has left");
}

/// This happens when ssh is killed: the other end neither reads nor writes.
#[cfg(unix)]
#[test]
fn a_closed_socket_for_standard_streams_ends_the_session() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (mut ours, mut client) = client_at_a_socket(&server);
    alice.expect("* Bob has joined");
    ours.write_all(b"last words\n").unwrap();
    alice.expect("Bob: last words");
    // The welcome is unread, so closing sends a reset instead of the end of the input.
    drop(ours);
    alice.expect("* Bob has left");
    let why = "client: cannot read standard input: Connection reset by peer\n";
    assert_eq!(client.finish(), finished(3, "", why));
}

#[cfg(unix)]
fn client_at_a_socket(server: &Server) -> (UnixStream, Program) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, "Bob"));
    command.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
    (ours, Program::spawn(command))
}

#[cfg(unix)]
#[test]
fn a_line_is_shown_at_once_to_the_next_program_in_a_pipe() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut client = shell("\"$@\" --lines-only | while read -r line; do echo \"got $line\"; done", &server, "Bob");
    alice.expect("* Bob has joined");
    for turn in 0..3 {
        alice.send(&format!("{turn}\n"));
        client.stdout.expect(&format!("got Alice: {turn}"));
    }
}

/// By how many bytes the memory of a client may grow after its start.
#[cfg(unix)]
const GROWTH: u64 = 2 << 20;

#[cfg(unix)]
#[track_caller]
fn assert_flat(client: &Program, before: u64, what: &str) {
    let after = ProcessStats(client.pid()).peak_resident();
    assert!(after <= before + GROWTH, "{what} made {before} bytes {after}");
}

/// `client --name log < access.log`. LINECHAT_LONG_TESTS=1 sends a million lines.
#[cfg(unix)]
#[test]
fn a_long_input_uses_bounded_memory() {
    let is_long = std::env::var_os("LINECHAT_LONG_TESTS").is_some_and(|value| value == "1");
    let (lines, limit) = if is_long { (1_000_000, 30 * DEADLINE) } else { (100_000, 3 * DEADLINE) };
    let server = Server::start();
    let mut client = client(&server, "log", &[]);
    client.stdout.expect("* Welcome, log. You are the first here. /help lists the commands.");
    let before = ProcessStats(client.pid()).peak_resident();
    let since = Instant::now();
    for first in (0..lines).step_by(1000) {
        let some: String =
            (first..first + 1000).map(|line| format!("{line} GET /index.html 200 {line:064}\n")).collect();
        client.write(&some);
        assert!(since.elapsed() < limit, "{first} lines in {limit:?}");
    }
    // The reply arrives when the server has read all lines.
    client.write("/who\n");
    client.stdout.expect("* 1 here: log");
    assert_flat(&client, before, "a long input");
    client.end_input();
    let said = format!("* Bye, log: {lines} lines accepted, 0 refused.\n");
    assert_eq!(client.finish(), finished(0, &said, ""));
}

/// The server buffers what the client cannot write, up to a limit, and then says how much was missed.
#[cfg(unix)]
#[test]
fn a_slow_reader_uses_bounded_memory_and_learns_what_it_missed() {
    const LINES: usize = 10_000;
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (client, stdout) = Program::start_unread(CLIENT, Program::client_arguments(server.address, "Bob"));
    alice.expect("* Bob has joined");
    let mut stdout = BufReader::new(stdout);
    let mut next = move || {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        line
    };
    assert!(next().starts_with("* Welcome, Bob. "));
    let before = ProcessStats(client.pid()).peak_resident();
    say_numbers(&mut alice, LINES);
    assert_flat(&client, before, "a reader that does not read");
    let reading = thread::spawn(move || {
        let (mut heard, mut missed, mut line) = (0, 0, next());
        while line != "Alice: the end\n" {
            match line.strip_prefix("* You missed ") {
                Some(count) => missed += count.split_once(' ').unwrap().0.parse::<usize>().unwrap(),
                None => heard += usize::from(line.starts_with("Alice: ")),
            }
            line = next();
        }
        (heard, missed)
    });
    let (heard, missed) = within(move || reading.join().unwrap());
    assert_eq!(heard + missed, LINES);
    assert!(missed > 0, "the feed held everything");
    assert_flat(&client, before, "a slow reader");
}

/// Sends more than the room can buffer for a reader, and a last line. Returns when the server has read it.
#[cfg(unix)]
fn say_numbers(peer: &mut Peer, lines: usize) {
    let padding = "x".repeat(4000);
    (0..lines).for_each(|number| peer.send(&format!("{number} {padding}\n")));
    peer.send("the end\n");
    peer.expect_nothing_new();
}
