//! Leaving: the exit code says whether everything was sent.

use rustix::process::Signal;

use super::tmux_client::TmuxClient;
use crate::support::harness::{FakeServer, Server};
use crate::support::program::ServerProgram;

/// Sends a line to a server that has stopped answering, and leaves.
fn leave_a_stopped_server() -> Option<(ServerProgram, TmuxClient)> {
    let server = ServerProgram::start(&[]);
    let client = TmuxClient::start(server.address, &[])?;
    server.program.signal(Signal::STOP);
    client.keys("last words\n");
    client.sees("Bob: last words");
    client.press("C-d");
    Some((server, client))
}

#[test]
fn a_server_that_dies_before_its_goodbye_is_code_3_and_lines_are_reported() {
    let Some((server, client)) = leave_a_stopped_server() else { return };
    server.program.signal(Signal::KILL);
    client.sees("-- A line that you sent may not have arrived: last words");
    client.sees("client: the connection was lost");
    client.sees("ended with 3");
    client.is_sane();
}

#[test]
fn leaving_without_the_goodbye_is_code_3_and_lines_are_reported() {
    let Some((server, client)) = leave_a_stopped_server() else { return };
    client.press("C-d");
    client.sees("-- A line that you sent may not have arrived: last words");
    client.sees("client: left before the server said goodbye");
    client.sees("ended with 3");
    server.program.signal(Signal::CONT);
}

#[test]
fn leaving_while_disconnected_is_code_3_and_unsent_lines_are_reported() {
    for line in ["", "unsent\n"] {
        let server = ServerProgram::start(&[]);
        let Some(client) = TmuxClient::start(server.address, &[]) else { return };
        drop(server);
        client.sees("-- The connection was lost");
        client.keys(&format!("{line}\x04"));
        if !line.is_empty() {
            client.sees("-- Not sent: 1 line.");
        }
        client.sees("client: the connection was lost");
        client.sees("ended with 3");
    }
}

#[test]
fn a_plain_terminal_does_not_leave_a_half_typed_password_to_the_shell() {
    let server = FakeServer::start();
    let Some((client, _peer)) = TmuxClient::asked_for_a_password(&server, &["--plain"]) else { return };
    client.keys("hunter2");
    // When the next question is shown, the keys of the last answer have been read.
    client.sees("-- New password?");
    client.signal("TERM");
    client.sees("ended with");
    client.keys("echo behind it\n");
    let screen = client.sees("behind it");
    assert!(!screen.iter().any(|line| line.contains("hunter2")), "{screen:#?}");
}

#[test]
fn lines_after_a_quit_are_not_sent_and_reported() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("one\n/Quit tea\ntwo\nthree\n");
    alice.expect("Bob: one");
    alice.expect("* Bob has left (\"tea\")");
    client.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    client.sees("-- Not sent: 2 lines.");
    client.sees("client: not sent: 2 lines");
    client.sees("ended with 3");
}

#[test]
fn without_reconnecting_lines_that_may_be_lost_are_reported() {
    let server = ServerProgram::start(&[]);
    let Some(client) = TmuxClient::start(server.address, &["--no-reconnect"]) else { return };
    server.program.signal(Signal::STOP);
    client.keys("last words\n");
    client.sees("Bob: last words");
    server.program.signal(Signal::KILL);
    client.sees("-- A line that you sent may not have arrived: last words");
    client.sees("ended with 3");
}
