//! The client with few resources.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::geteuid;

use super::plain::terminal;
use crate::support::harness::{Server, skipped};
use crate::support::program::{CLIENT, Finished, Program, ServerProgram, install};

const MODES: [&[&str]; 4] = [&[], &["--exec", "true"], &["at a terminal"], &["at a terminal", "--plain"]];

/// Runs the client in one mode, with this command as a prefix.
fn run(mut command: Command, server: &Server, mode: &[&str]) -> Finished {
    command.args(Program::client_arguments(server.address, "Bob"));
    let Some(options) = mode.strip_prefix(&["at a terminal"]) else {
        command.args(mode).stdin(Stdio::null()).stdout(Stdio::piped());
        return Program::spawn(command).finish();
    };
    let (_screen, side) = terminal();
    command.args(options).env("TERM", "xterm").stdin(side.try_clone().unwrap()).stdout(side);
    Program::spawn(command).finish()
}

fn with_descriptors(limit: u32) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n {limit} && exec \"$@\""), "sh", CLIENT]);
    command
}

#[test]
fn too_few_descriptors_are_reported_in_one_line() {
    let server = Server::start();
    let why = "client: cannot start: not enough file descriptors (ulimit -n): Too many open files\n";
    for limit in [5, 6, 7, 8, 9, 10, 12, 16, 26] {
        for mode in MODES {
            let done = run(with_descriptors(limit), &server, mode);
            let expected = Finished { code: Some(3), stdout: String::new(), stderr: why.to_owned() };
            assert_eq!(done, expected, "{limit} descriptors, {mode:?}");
        }
    }
    assert_eq!(run(with_descriptors(64), &server, MODES[0]).code, Some(0));
}

/// The client for a user with a limited number of threads. The limit does not apply to root.
struct Limited {
    client: PathBuf,
    /// A user id for one test, which need not exist.
    user: u32,
}

impl Limited {
    fn new() -> Option<Self> {
        static USERS: AtomicU32 = AtomicU32::new(0);
        let works = |program| Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok();
        if !works("prlimit") || !works("setpriv") {
            skipped("there is no prlimit or no setpriv");
            return None;
        }
        let user = 1_000_000 + 10 * std::process::id() + USERS.fetch_add(1, Ordering::Relaxed);
        let client = std::env::temp_dir().join(format!("linechat-limited-{user}"));
        install(CLIENT, &client);
        Some(Self { client, user })
    }

    /// A command that runs its arguments as this user.
    fn command(&self) -> Command {
        if !geteuid().is_root() {
            return Command::new("env");
        }
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={}", self.user), &format!("--regid={}", self.user), "--clear-groups"]);
        command
    }

    fn with_threads(&self, limit: u32) -> Command {
        let mut command = self.command();
        command.args(["prlimit", &format!("--nproc={limit}:1000")]).arg(&self.client).env_remove("HOME");
        command
    }

    /// Changes the limit of a running client.
    fn limit(&self, client: &Program, limit: u32) {
        let pid = client.pid().as_raw_pid();
        let mut command = self.command();
        command.args(["prlimit", &format!("--pid={pid}"), &format!("--nproc={limit}:1000")]);
        assert!(command.status().unwrap().success());
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.client);
    }
}

#[test]
fn too_few_threads_are_reported_in_one_line() {
    let Some(limited) = Limited::new() else { return };
    let server = Server::start();
    let program = limited.client.file_name().unwrap().to_str().unwrap();
    let why = format!("{program}: cannot start: not enough threads (ulimit -u): Resource temporarily unavailable\n");
    for limit in 1..=8 {
        for mode in MODES {
            let done = run(limited.with_threads(limit), &server, mode);
            let expected = Finished { code: Some(3), stdout: String::new(), stderr: why.clone() };
            assert_eq!(done, expected, "{limit} threads, {mode:?}");
        }
    }
    if geteuid().is_root() {
        assert_eq!(run(limited.with_threads(9), &server, MODES[0]).code, Some(0));
    }
}

/// The limit is reached after the start, as when other programs use the last threads.
#[test]
fn a_bot_without_threads_reports_that_and_continues() {
    let Some(limited) = Limited::new() else { return };
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut command = limited.with_threads(1000);
    command.args(Program::client_arguments(server.address, "Bob")).args(["--reply", "--exec", "echo", "yes"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut bot = Program::spawn(command);
    alice.expect("* Bob has joined");
    alice.send("hi\n");
    alice.expect("Bob: yes");
    limited.limit(&bot, 1);
    alice.send("hi\n");
    // Its messages start with its file name.
    let said = bot.stderr.line();
    assert!(said.ends_with(": cannot run echo: Resource temporarily unavailable"), "{said}");
    limited.limit(&bot, 1000);
    alice.send("hi\n");
    alice.expect("Bob: yes");
}

#[test]
fn tls_works_with_a_clock_before_1970() {
    if Command::new("faketime").arg("--version").stdout(Stdio::null()).status().is_err() {
        return skipped("there is no faketime");
    }
    let mut server = ServerProgram::start(&["--tls-self-signed", "--tls-port", "0"]);
    let tls = server.program.stdout.line();
    let port = tls.strip_suffix(" with TLS").unwrap().rsplit_once(':').unwrap().1.to_owned();
    let fingerprint = server.program.stdout.line();
    let fingerprint = fingerprint.strip_prefix("Certificate fingerprint (SHA-256): ").unwrap();
    let mut command = Command::new("faketime");
    command.args(["1960-01-01 00:00:00", CLIENT, "--name", "Bob", "--port", &port, "--tls-fingerprint", fingerprint]);
    command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").stdin(Stdio::piped()).stdout(Stdio::piped());
    let done = Program::spawn(command).finish_with("hi\n");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
}
