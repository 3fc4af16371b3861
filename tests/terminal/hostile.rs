//! A hostile server: nothing that it sends acts on the screen, at once or later.

use super::tmux_client::TmuxClient;
use crate::support::harness::FakeServer;

/// Clears the screen, sets the title of the terminal, and rings the bell.
const ATTACK: &str = "\x1b[2J\x1b]0;owned\x07";
const DEFUSED: &str = "^[[2J^[]0;owned^G";

#[test]
fn messages_of_a_hostile_server_cannot_act_on_the_screen() {
    let server = FakeServer::start();
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    let mut peer = server.welcome("Bob");
    for before in ["", "* ", "! x: ", "Alice: ", "Alice (privately): ", "* Alice has left: ", "* Alice has left (\""] {
        peer.send(&format!("{before}{ATTACK}\n"));
        client.sees(&format!("{before}{DEFUSED}"));
    }
    client.has_typed("");
    assert_ne!(client.title(), "owned");
}

#[test]
fn a_rename_to_an_invalid_name_is_shown_but_not_adopted() {
    let server = FakeServer::start();
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    let mut peer = server.welcome("Bob");
    // After escaping, it would be a valid name.
    peer.send(&format!("* Bob is now x{ATTACK}\n"));
    client.sees(&format!("* Bob is now x{DEFUSED}"));
    client.keys("hello\n");
    client.sees("Bob: hello");
    peer.expect("hello");
    drop(peer);
    client.sees("-- The connection was lost");
    // The next connection does not use it either.
    server.welcome("Bob");
    client.sees("-- Reconnected.");
    assert_ne!(client.title(), "owned");
}

#[test]
fn refusals_of_a_hostile_server_cannot_act_on_the_screen() {
    let server = FakeServer::start();
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    drop(server.welcome("Bob"));
    client.sees("-- The connection was lost");
    let mut peer = server.accept("Bob");
    peer.send(&format!("! name-taken: {ATTACK}\n"));
    client.shows("the refusal", |screen| {
        let refused = format!("-- Cannot rejoin as Bob yet (! name-taken: {DEFUSED}); trying again.");
        screen.contains(&refused)
    });
    assert_ne!(client.title(), "owned");
}

#[test]
fn completed_names_of_a_hostile_server_cannot_act_on_the_screen() {
    let server = FakeServer::start();
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    let mut peer = server.accept("Bob");
    peer.send(&format!("* Welcome, Bob. 2 others here: evil{ATTACK}1, evilla. /help lists the commands.\n"));
    for line in
        ["* evil{}2 has joined", "* 3 here: evil{}3", "* Alice is now evil{}4", "evil{}5: hi", "* last has joined"]
    {
        peer.send(&format!("{}\n", line.replace("{}", ATTACK)));
    }
    client.sees("* last has joined");
    client.keys("hello ev\tand more");
    client.has_typed("hello evilla and more");
    assert_ne!(client.title(), "owned");
}
