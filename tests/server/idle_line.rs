//! Clients that send no line ends.

use std::time::Duration;

use linechat::server::Config;

use crate::support::harness::{Peer, Server, unpaced};
use crate::support::program::ServerProgram;

fn idle_line_config() -> Config {
    Config { idle_line: Some(Duration::from_millis(150)), ..unpaced() }
}

#[test]
fn a_name_and_messages_without_line_ends_count_after_a_silence() {
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
fn whole_lines_still_end_where_they_end() {
    let server = Server::start_with(idle_line_config());
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("one\ntwo\nthree");
    for line in ["one", "two", "three"] {
        bob.expect(&format!("Alice: {line}"));
    }
    // The end of the line that was taken as complete comes late, and ends nothing.
    alice.send("\nfour\n");
    bob.expect("Alice: four");
}

#[test]
fn without_it_an_unfinished_line_waits_for_its_end() {
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
fn the_program_takes_it_as_an_option() {
    let server = ServerProgram::start(&["--idle-line", "150"]);
    let mut alice = server.join("Alice");
    let mut bob = Peer::connect(server.address);
    bob.send("Bob");
    bob.expect("* Welcome, Bob. 1 other here: Alice. …");
    alice.expect("* Bob has joined");
    bob.send("hi");
    alice.expect("Bob: hi");
}
