//! The client as process 1, as in a container.

use std::fs;
use std::process::Command;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, geteuid, kill_process};

use crate::support::harness::{DEADLINE, Server, skipped};
use crate::support::program::{CLIENT, Program};

/// A command that runs another one as process 1. `None` if this machine does not allow it.
fn container() -> Option<Command> {
    let new = || {
        let mut command = Command::new("unshare");
        if !geteuid().is_root() {
            command.args(["--user", "--map-root-user"]);
        }
        command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]);
        command
    };
    let works = new().arg("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    if !works {
        skipped("unshare cannot make a new PID namespace here");
    }
    works.then(new)
}

/// A client that has joined as process 1, and its process id outside.
fn start(mut command: Command, server: &Server, more: &[&str]) -> (Program, Pid) {
    command.arg(CLIENT).args(Program::client_arguments(server.address, "Bob")).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = Program::spawn(command);
    assert!(program.stdout.line().starts_with("* Welcome, Bob. "));
    let [client] = children(program.pid())[..] else { panic!("unshare has one child") };
    (program, client)
}

/// The children of all threads of a process, including zombies.
fn children(process: Pid) -> Vec<Pid> {
    let tasks = fs::read_dir(format!("/proc/{}/task", process.as_raw_pid())).unwrap();
    tasks
        .flat_map(|task| {
            let children = fs::read_to_string(task.unwrap().path().join("children")).unwrap_or_default();
            children.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn a_signal_ends_the_client() {
    let server = Server::start();
    for more in [&[][..], &["--exec", "true"]] {
        for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT] {
            let Some(command) = container() else { return };
            let (mut program, client) = start(command, &server, more);
            kill_process(client, signal).unwrap();
            assert_eq!(program.finish().code, Some(128 + signal.as_raw()), "{more:?}");
        }
    }
}

/// Each program leaves two background processes. One ends before the program and one after it.
#[test]
fn no_zombies_remain_and_failed_programs_are_reported() {
    let Some(command) = container() else { return };
    let server = Server::start();
    let mut alice = server.join("Alice");
    let script = "(exit 0) & sleep 0.05 & echo said; exit 7";
    let (mut bot, client) = start(command, &server, &["--reply", "--exec", "sh", "--", "-c", script]);
    alice.expect("* Bob has joined");
    for _ in 0..20 {
        alice.send("hi\n");
        alice.expect("Bob: said");
        bot.stderr.expect("client: sh failed for a message of Alice: exit status: 7");
    }
    let since = Instant::now();
    while !children(client).is_empty() {
        assert!(since.elapsed() < DEADLINE, "zombies: {:?}", children(client));
        sleep(Duration::from_millis(1));
    }
}

/// Without `--reply`, the client only waits for the end of the program.
#[test]
fn a_failed_program_without_reply_is_reported() {
    let Some(command) = container() else { return };
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (mut bot, _) = start(command, &server, &["--exec", "sh", "--", "-c", "kill -KILL $$"]);
    alice.expect("* Bob has joined");
    for _ in 0..20 {
        alice.send("hi\n");
        bot.stderr.expect("client: sh failed for a message of Alice: signal: 9 (SIGKILL)");
    }
}
