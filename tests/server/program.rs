//! The server program: its first line, its log and its listeners.

#[cfg(unix)]
use std::io::{BufRead, BufReader};
#[cfg(unix)]
use std::process::ChildStdout;
#[cfg(target_os = "linux")]
use std::time::Instant;

#[cfg(target_os = "linux")]
use linechat::limits::{LOG_PERIOD, RECORDS_LOGGED};
#[cfg(unix)]
use rustix::process::Signal;

#[cfg(unix)]
use super::password::password_file;
#[cfg(target_os = "linux")]
use crate::support::harness::DEADLINE;
#[cfg(unix)]
use crate::support::harness::within;
use crate::support::harness::{Peer, has_ipv6};
#[cfg(target_os = "linux")]
use crate::support::process_stats::ProcessStats;
#[cfg(unix)]
use crate::support::program::ServerProgram;
use crate::support::program::{Program, SERVER, listening_on};

#[test]
fn the_first_line_names_the_address_that_answers() {
    let mut server = Program::start(SERVER, ["--host", "127.0.0.1", "--port", "0"]);
    let line = server.stdout.line();
    let address = listening_on(&line);
    assert_eq!(line, format!("Server listening on 127.0.0.1:{}", address.port()));
    assert_ne!(address.port(), 0);
    Peer::connect(address).join("Alice");
}

#[test]
fn without_a_host_it_listens_on_all_addresses() {
    let mut server = Program::start(SERVER, ["--port", "0"]);
    let address = listening_on(&server.stdout.line());
    assert_eq!(address.ip().to_string(), "0.0.0.0");
    Peer::connect(([127, 0, 0, 1], address.port()).into()).join("Alice");
}

#[test]
fn it_listens_on_ipv6() {
    if !has_ipv6() {
        return;
    }
    for host in ["::1", "[::1]"] {
        let mut server = Program::start(SERVER, ["--host", host, "--port", "0"]);
        let line = server.stdout.line();
        let address = listening_on(&line);
        assert_eq!(line, format!("Server listening on [::1]:{}", address.port()));
        Peer::connect(address).join("Alice");
    }
}

#[test]
fn listening_on_ipv6_wildcard_also_accepts_ipv4() {
    if !has_ipv6() {
        return;
    }
    let mut server = Program::start(SERVER, ["--host", "::", "--port", "0"]);
    let address = listening_on(&server.stdout.line());
    assert_eq!(address.ip().to_string(), "::");
    let mut alice = Peer::connect(([127, 0, 0, 1], address.port()).into()).join("Alice");
    let mut bob = Peer::connect(format!("[::1]:{}", address.port()).parse().unwrap()).join("Bob");
    alice.expect("* Bob has joined");
    bob.send("hi\n");
    alice.expect("Bob: hi");
}

/// Causes a log record of every kind, and returns the output of the server.
#[cfg(unix)]
fn log_of_a_visit(arguments: &[&str]) -> String {
    let mut server = ServerProgram::start(arguments);
    let mut alice = server.join("Alice");
    alice.send("hush-hush\n/msg Bob hush-hush\n/nick Alicia\n/quit gone \x1b[2J\u{2028}fishing\n");
    alice.rest();
    drop(alice);
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    finished.stdout
}

/// The log contains these words in this order, whatever its format.
#[cfg(unix)]
#[track_caller]
fn assert_in_order(log: &str, words: &[&str]) {
    let mut rest = log;
    for word in words {
        rest = rest.split_once(word).unwrap_or_else(|| panic!("{word:?} is not where it should be in\n{log}")).1;
    }
}

#[cfg(unix)]
#[test]
fn start_join_refusal_leave_and_stop_are_logged() {
    let log = log_of_a_visit(&[]);
    let words =
        ["started", "127.0.0.1:", "joined", "Alice", "refused", "no-such-user", "renamed", "Alicia", "left", "Alicia"];
    assert_in_order(&log, &words);
    assert_in_order(&log, &["left", "stopping", "stopped"]);
    assert!(!log.contains("connected"), "that belongs to debug:\n{log}");
}

#[cfg(unix)]
#[test]
fn debug_also_logs_connections() {
    assert_in_order(&log_of_a_visit(&["--log-level", "debug"]), &["started", "connected", "joined"]);
}

#[cfg(unix)]
#[test]
fn messages_are_not_logged() {
    let log = log_of_a_visit(&["--log-level", "debug"]);
    assert!(!log.contains("hush"), "{log}");
}

#[cfg(unix)]
#[test]
fn users_cannot_forge_log_lines() {
    let log = log_of_a_visit(&[]);
    assert!(log.contains("gone ^[[2J<U+2028>fishing"), "{log}");
    assert!(!log.contains("\x1b[2J") && !log.contains('\u{2028}'), "{log:?}");
}

#[cfg(unix)]
#[test]
fn the_first_line_appears_even_if_the_log_is_off() {
    assert_eq!(log_of_a_visit(&["--log-level", "off"]), "");
}

/// A server whose standard output the test reads after the first line.
#[cfg(unix)]
fn server_with_its_stdout(arguments: &[&str]) -> (ServerProgram, BufReader<ChildStdout>) {
    let arguments = ["--host", "127.0.0.1", "--port", "0"].iter().chain(arguments);
    let (program, stdout) = Program::start_unread(SERVER, arguments);
    let (stdout, line) = within(move || {
        let (mut stdout, mut line) = (BufReader::new(stdout), String::new());
        stdout.read_line(&mut line).unwrap();
        (stdout, line)
    });
    (ServerProgram { program, address: listening_on(line.trim_end()) }, stdout)
}

/// The server still works and stops as it should, after writing much to the log.
#[cfg(unix)]
#[track_caller]
fn assert_serves_without_a_log(mut server: ServerProgram) {
    let mut alice = server.join("Alice");
    let mut bob = server.join("Bob");
    alice.expect("* Bob has joined");
    for _ in 0..3000 {
        bob.send("/nick\n");
        bob.expect("! bad-arguments: …/nick NEWNAME");
    }
    bob.send("hi\n");
    alice.expect("Bob: hi");
    drop((alice, bob));
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn it_keeps_serving_when_stdout_is_closed_after_the_first_line() {
    let (server, stdout) = server_with_its_stdout(&["--log-level", "debug", "--pace", "off"]);
    drop(stdout);
    assert_serves_without_a_log(server);
}

#[cfg(unix)]
#[test]
fn it_keeps_serving_when_nobody_reads_stdout() {
    let (server, _unread) = server_with_its_stdout(&["--log-level", "debug", "--pace", "off"]);
    assert_serves_without_a_log(server);
}

/// The addresses of a server with these arguments, and its log.
#[cfg(unix)]
fn addresses_and_log(arguments: &[&str]) -> (Vec<String>, String) {
    let mut server = Program::start(SERVER, ["--port", "0"].iter().chain(arguments));
    // After it has logged its addresses, it has also logged the warning, if there is one.
    let (mut addresses, mut log) = (Vec::new(), String::new());
    while !log.contains("started") {
        let line = server.stdout.line();
        match line.strip_prefix("Server listening on ") {
            Some(address) => addresses.push(address.to_owned()),
            None => log += &line,
        }
    }
    server.signal(Signal::TERM);
    log += &server.finish().stdout;
    (addresses, log)
}

#[cfg(unix)]
#[test]
fn a_reachable_room_without_a_password_causes_one_warning() {
    const WARNING: &str = "no password required";
    for (arguments, expected) in [
        (&[][..], 1),
        (&["--host", "::1"], 0),
        (&["--host", "127.0.0.1", "--tls-self-signed", "--tls-port", "0", "--tls-host", "0.0.0.0"], 1),
        (&["--tls-self-signed", "--tls-port", "0"], 2),
    ] {
        if arguments.contains(&"::1") && !has_ipv6() {
            continue;
        }
        let (addresses, log) = addresses_and_log(arguments);
        assert_eq!(log.matches(WARNING).count(), expected.min(1), "{log}");
        let reachable: Vec<_> = addresses.iter().filter(|address| address.starts_with("0.0.0.0:")).cloned().collect();
        assert_eq!(reachable.len(), expected);
        assert!(log.contains(&reachable.join(", ")), "{log}");
    }
    let file = password_file("no-warning", "open sesame\n");
    let (_, log) = addresses_and_log(&["--password-file", file.to_str().unwrap()]);
    assert!(!log.contains(WARNING), "{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn the_log_thread_of_an_idle_server_sleeps_and_still_reports_a_flood() {
    let mut server = ServerProgram::start(&["--pace", "off"]);
    // Now the thread is there.
    server.wait_for_record("started");
    let stats = ProcessStats(server.program.pid());
    let sleeps = || {
        let since = Instant::now();
        let (mut waits, mut quiet) = (stats.waits_of_thread("log"), Instant::now());
        while quiet.elapsed() < 2 * LOG_PERIOD {
            assert!(since.elapsed() < DEADLINE, "it still wakes up");
            std::thread::sleep(LOG_PERIOD / 20);
            let now = stats.waits_of_thread("log");
            if now != waits {
                (waits, quiet) = (now, Instant::now());
            }
        }
    };
    sleeps();
    let mut alice = server.join("Alice");
    for _ in 0..2 {
        alice.send(&"/nick\n".repeat(RECORDS_LOGGED as usize + 1));
        server.wait_for_record("log records suppressed");
        sleeps();
    }
}
