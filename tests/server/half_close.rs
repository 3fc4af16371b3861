//! The end of input means that the peer has sent everything. All of it counts, and all of it is answered.

use std::thread;

use crate::support::harness::{Server, accepted, within};
use crate::support::lines::bye;

#[test]
fn all_before_a_half_close_counts_with_the_unfinished_last_line() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.connect();
    alice.send("Alice\nhi\nlast words");
    alice.half_close();
    bob.expect("* Alice has joined");
    bob.expect("Alice: hi");
    bob.expect("Alice: last words");
    bob.expect("* Alice has left");
    alice.expect_rest(&["* Welcome, Alice. 1 other here: Bob. …", &bye("Alice", 2, 0)]);
}

#[test]
fn an_unfinished_line_counts_when_the_half_close_comes_later() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("last words");
    bob.send("anything else?\n");
    alice.expect("Bob: anything else?");
    alice.half_close();
    bob.expect("Alice: last words");
    bob.expect("* Alice has left");
    alice.expect_rest(&[&bye("Alice", 1, 0)]);
}

#[test]
fn a_name_without_a_line_ending_is_accepted_at_a_half_close() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.connect();
    alice.send("Alice");
    alice.half_close();
    bob.expect("* Alice has joined");
    bob.expect("* Alice has left");
    alice.expect_rest(&["* Welcome, Alice. 1 other here: Bob. …", &bye("Alice", 0, 0)]);
}

#[test]
fn answers_to_what_was_sent_before_a_half_close_are_delivered() {
    let server = Server::start();
    let mut alice = server.connect();
    alice.send("Alice\n/nope\n/msg Bob hello\n/who");
    alice.half_close();
    alice.expect_rest(&[
        "* Welcome, Alice. …",
        "! unknown-command: … /nope…",
        "! no-such-user: … Bob…",
        "* 1 here: Alice",
        &bye("Alice", 0, 2),
    ]);
}

/// PuTTY's plink never half-closes. It sends this command and waits for the server to close.
#[test]
fn telnet_eof_is_an_end_of_input() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.connect();
    alice.send_bytes(b"Alice\nhi\nlast words\xff\xec");
    bob.expect("* Alice has joined");
    bob.expect("Alice: hi");
    bob.expect("Alice: last words");
    bob.expect("* Alice has left");
    alice.expect_rest(&["* Welcome, Alice. 1 other here: Bob. …", &bye("Alice", 2, 0)]);
}

#[test]
fn input_after_telnet_eof_is_ignored_and_the_farewell_arrives() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send_bytes(b"last words\xff");
    bob.send("anything else?\n");
    alice.expect("Bob: anything else?");
    // More than the server reads at once, so some is unread when the connection is closed.
    alice.send_bytes(&[b"\xec", "more\n".repeat(40_000).as_bytes()].concat());
    bob.expect("Alice: last words");
    bob.expect("* Alice has left");
    alice.expect_rest(&[&bye("Alice", 1, 0)]);
}

#[test]
fn an_unfinished_line_that_ends_inside_a_character_is_refused() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send_bytes(b"one\n\xe2\x82");
    alice.half_close();
    bob.expect("Alice: one");
    bob.expect("* Alice has left");
    alice.expect_rest(&["! not-utf8", &bye("Alice", 1, 1)]);
}

#[test]
fn a_long_script_before_a_half_close_arrives_completely() {
    const LINES: usize = 20_000;
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let farewell = within(move || {
        let speaking = thread::spawn(move || {
            alice.send(&(0..LINES).map(|line| format!("{line}\n")).collect::<String>());
            alice.half_close();
            alice.rest()
        });
        (0..LINES).for_each(|line| bob.expect(&format!("Alice: {line}")));
        bob.expect("* Alice has left");
        speaking.join().unwrap()
    });
    assert_eq!(farewell.iter().map(|bye| accepted(bye)).collect::<Vec<_>>(), [LINES as u64]);
}

#[test]
fn a_reset_does_not_deliver_the_unfinished_line() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("whole\nhalf");
    bob.expect("Alice: whole");
    alice.reset();
    bob.expect("* Alice has left: connection lost");
    bob.expect_nothing_new();
}

/// The server may notice the reset when it writes or when it reads. Both must have the same effect.
#[test]
fn a_reset_while_others_talk_does_not_deliver_the_unfinished_line() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    for _ in 0..20 {
        let mut alice = server.join("Alice");
        bob.expect("* Alice has joined");
        alice.send("whole\nhalf");
        bob.expect("Alice: whole");
        bob.send(&"blah\n".repeat(100));
        alice.expect("Bob: blah");
        alice.reset();
        bob.expect("* Alice has left: connection lost");
    }
}
