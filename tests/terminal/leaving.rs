//! Leaving: the exit code says whether everything was said.

use rustix::process::Signal;

use super::desk::Desk;
use crate::support::harness::{FakeServer, Server};
use crate::support::program::ServerProgram;

/// Says something to a server that does not answer any more, and leaves.
fn leave_a_stopped_server() -> Option<(ServerProgram, Desk)> {
    let server = ServerProgram::start(&[]);
    let desk = Desk::sit_down(server.address, &[])?;
    server.program.signal(Signal::STOP);
    desk.keys("last words\n");
    desk.sees("Bob: last words");
    desk.press("C-d");
    Some((server, desk))
}

#[test]
fn a_server_that_dies_before_its_goodbye_is_code_3_and_the_lines_are_told() {
    let Some((server, desk)) = leave_a_stopped_server() else { return };
    server.program.signal(Signal::KILL);
    desk.sees("-- A line that you sent may not have arrived: last words");
    desk.sees("client: the connection was lost");
    desk.sees("ended with 3");
    desk.is_sane();
}

#[test]
fn who_does_not_wait_for_the_goodbye_gets_code_3_and_is_told() {
    let Some((server, desk)) = leave_a_stopped_server() else { return };
    desk.press("C-d");
    desk.sees("-- A line that you sent may not have arrived: last words");
    desk.sees("client: left before the server said goodbye");
    desk.sees("ended with 3");
    server.program.signal(Signal::CONT);
}

#[test]
fn who_leaves_while_the_connection_is_lost_gets_code_3_and_is_told_what_was_not_sent() {
    for line in ["", "unsent\n"] {
        let server = ServerProgram::start(&[]);
        let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
        drop(server);
        desk.sees("-- The connection is lost");
        desk.keys(&format!("{line}\x04"));
        if !line.is_empty() {
            desk.sees("-- Not sent: 1 line.");
        }
        desk.sees("client: the connection was lost");
        desk.sees("ended with 3");
    }
}

#[test]
fn at_a_plain_terminal_the_half_of_a_password_is_not_left_for_the_shell() {
    let server = FakeServer::start();
    let Some((desk, _peer)) = Desk::asked_for_a_password(&server, &["--plain"]) else { return };
    desk.keys("hunter2");
    // Whoever has answered that has passed the keys on.
    desk.sees("-- New password?");
    desk.signal("TERM");
    desk.sees("ended with");
    desk.keys("echo behind it\n");
    let screen = desk.sees("behind it");
    assert!(!screen.iter().any(|line| line.contains("hunter2")), "{screen:#?}");
}

#[test]
fn lines_behind_a_quit_are_not_sent_and_told() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    desk.keys("one\n/Quit tea\ntwo\nthree\n");
    alice.expect("Bob: one");
    alice.expect("* Bob has left (\"tea\")");
    desk.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    desk.sees("-- Not sent: 2 lines.");
    desk.sees("client: not said: 2 lines");
    desk.sees("ended with 3");
}

#[test]
fn without_reconnecting_the_lines_that_may_be_lost_are_told_too() {
    let server = ServerProgram::start(&[]);
    let Some(desk) = Desk::sit_down(server.address, &["--no-reconnect"]) else { return };
    server.program.signal(Signal::STOP);
    desk.keys("last words\n");
    desk.sees("Bob: last words");
    server.program.signal(Signal::KILL);
    desk.sees("-- A line that you sent may not have arrived: last words");
    desk.sees("ended with 3");
}
