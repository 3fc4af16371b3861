//! Clients that send no line endings.

use std::time::Duration;

use linechat::server::Config;

use crate::support::harness::{Peer, Server, unpaced};
use crate::support::program::ServerProgram;

fn idle_line_config() -> Config {
    Config { idle_line: Some(Duration::from_millis(150)), ..unpaced() }
}

#[test]
fn with_idle_line_a_silence_ends_names_and_messages() {
    let server = Server::start_with(idle_line_config());
    let mut alice = server.join("Alice");
    let mut bob = server.connect();
    bob.send("Bob");
    bob.expect("* Welcome, Bob. 1 other here: Alice. …");
    alice.expect("* Bob has joined");
    bob.send("hi");
    alice.expect("Bob: hi");
    bob.send("/who");
    bob.expect("* 2 here: Alice, Bob");
}

#[test]
fn with_idle_line_complete_lines_are_not_split() {
    let server = Server::start_with(idle_line_config());
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("one\ntwo\nthree");
    for line in ["one", "two", "three"] {
        bob.expect(&format!("Alice: {line}"));
    }
    // The late line ending of a line that was already complete has no effect.
    alice.send("\nfour\n");
    bob.expect("Alice: four");
}

#[test]
fn without_idle_line_an_unfinished_line_waits_for_its_ending() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let mut carol = server.connect();
    carol.send("Carol");
    alice.send("hi");
    server.wait_for_a_prompt();
    bob.expect_nothing_new();
    alice.send(" there\n");
    bob.expect("Alice: hi there");
    carol.send("ine\n");
    bob.expect("* Caroline has joined");
}

#[test]
fn the_program_has_an_idle_line_option() {
    let server = ServerProgram::start(&["--idle-line", "150"]);
    let mut alice = server.join("Alice");
    let mut bob = Peer::connect(server.address);
    bob.send("Bob");
    bob.expect("* Welcome, Bob. 1 other here: Alice. …");
    alice.expect("* Bob has joined");
    bob.send("hi");
    alice.expect("Bob: hi");
}
