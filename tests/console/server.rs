//! Events of the console stop the server gently.

use std::process::{Command, Stdio};

use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, CTRL_CLOSE_EVENT, CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT,
};

use crate::api;
use crate::console::Console;
use crate::support::harness::Peer;
use crate::support::lines::bye;
use crate::support::program::{Program, SERVER, listening_on};

/// A server in the console of this process, with Alice in its room.
fn start(_: &Console) -> (Program, Peer) {
    let mut command = Command::new(SERVER);
    command.args(["--host", "127.0.0.1", "--port", "0"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut server = Program::spawn(command);
    let alice = Peer::connect(listening_on(&server.stdout.line())).join("Alice");
    (server, alice)
}

/// The server says goodbye, logs that it stops and has stopped, and exits with code 0.
#[track_caller]
fn stops_gently(mut server: Program, mut alice: Peer) {
    alice.expect("* The server is shutting down");
    alice.expect_rest(&[&bye("Alice", 0, 0)]);
    let done = server.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let events: Vec<_> = done
        .stdout
        .lines()
        .filter_map(|line| line.rsplit("\x1b[0m ").next())
        .filter(|it| it.starts_with("stop"))
        .collect();
    assert_eq!(events, ["stopping", "stopped"], "{}", done.stdout);
}

#[test]
fn ctrl_c_and_ctrl_break_stop_the_server_gently() {
    each_stops_it([CTRL_C_EVENT, CTRL_BREAK_EVENT]);
}

#[test]
fn closing_the_console_stops_the_server_gently() {
    each_stops_it([CTRL_CLOSE_EVENT]);
}

#[test]
fn logging_off_and_shutting_down_stop_the_server_gently() {
    each_stops_it([CTRL_LOGOFF_EVENT, CTRL_SHUTDOWN_EVENT]);
}

#[track_caller]
fn each_stops_it<const N: usize>(events: [u32; N]) {
    let console = Console::open();
    for event in events {
        let (server, alice) = start(&console);
        api::handle_event(server.child(), event).unwrap();
        stops_gently(server, alice);
    }
}
