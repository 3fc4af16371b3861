//! From the connection to the welcome.

use std::time::{Duration, Instant};

use crate::support::harness::Server;
use crate::support::lines::assert_like;

const PROMPT: &str = "* Send your name as the first line.";

#[test]
fn the_first_line_is_the_name() {
    let server = Server::start();
    let mut alice = server.connect();
    alice.send("Alice\n");
    alice.expect("* Welcome, Alice. …");
    let mut bob = server.connect();
    bob.send("Bob\n");
    bob.expect("* Welcome, Bob. 1 other here: Alice. …");
    alice.expect("* Bob has joined");
}

#[test]
fn the_welcome_names_up_to_ten_others_and_counts_the_rest() {
    let server = Server::start();
    let _others: Vec<_> =
        ["p00", "p01", "p02", "p03", "p04", "p05", "p06", "p07", "p08", "p09"].map(|name| server.join(name)).into();
    let mut eleventh = server.connect();
    eleventh.send("p10\n");
    eleventh.expect("* Welcome, p10. 10 others here: p00, p01, p02, p03, p04, p05, p06, p07, p08, p09. …");
    let _twelfth = server.join("p11");
    let mut last = server.connect();
    last.send("p12\n");
    last.expect(
        "* Welcome, p12. 12 others here: p00, p01, p02, p03, p04, p05, p06, p07, p08, p09 and 2 more. \
         /help lists the commands.",
    );
}

#[test]
fn a_silent_connection_is_prompted_once_after_a_second() {
    let server = Server::start();
    let before = Instant::now();
    let mut silent = server.connect();
    silent.expect(PROMPT);
    assert!(before.elapsed() > Duration::from_millis(900), "asked after {:?}", before.elapsed());
    // When a later connection is prompted, this one would have been prompted again.
    server.wait_for_a_prompt();
    silent.send("Alice\n");
    silent.expect("* Welcome, Alice. …");
}

#[test]
fn a_client_that_speaks_first_is_not_asked_for_its_name() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    server.wait_for_a_prompt();
    alice.expect_nothing_new();
}

#[test]
fn a_half_typed_name_is_not_interrupted_by_the_prompt() {
    let server = Server::start();
    let mut slow = server.connect();
    slow.send("Ali");
    server.wait_for_a_prompt();
    slow.send("ce\n");
    slow.expect("* Welcome, Alice. …");
}

#[test]
fn empty_lines_before_the_name_are_ignored() {
    let server = Server::start();
    let mut alice = server.connect();
    alice.send("\n\r\n\n\rAlice\n");
    alice.expect("* Welcome, Alice. …");
}

#[test]
fn a_name_and_messages_in_one_write_all_count() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.connect();
    alice.send("Alice\nhi\n/foo\nthere\n");
    bob.expect("* Alice has joined");
    bob.expect("Alice: hi");
    bob.expect("Alice: there");
    alice.expect("* Welcome, Alice. 1 other here: Bob. …");
    alice.expect("! unknown-command: … /foo…");
    alice.expect_nothing_new();
}

#[test]
fn a_refused_name_is_asked_for_again_and_another_one_is_taken() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut peer = server.connect();
    peer.send("Bob\n");
    peer.expect("! name-taken: Bob …");
    peer.expect("* Send another name.");
    peer.send("two words\n");
    peer.expect("! bad-name: …\"words\"…");
    peer.expect("* Send another name.");
    peer.send("Alice\n");
    peer.expect("* Welcome, Alice. 1 other here: Bob. …");
    bob.expect("* Alice has joined");
}

#[test]
fn a_peer_that_must_send_another_name_is_not_prompted_for_the_first_line() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.send("*\n");
    peer.expect("! bad-name: …'*'…");
    peer.expect("* Send another name.");
    server.wait_for_a_prompt();
    peer.send("Alice\n");
    peer.expect("* Welcome, Alice. …");
}

#[test]
fn three_refused_names_end_the_connection_gracefully() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut peer = server.connect();
    peer.send("Bob\n");
    peer.expect("! name-taken: Bob …");
    peer.expect("* Send another name.");
    peer.send("BOB\n");
    peer.expect("! name-taken: BOB …");
    peer.expect("* Send another name.");
    peer.send("bob\n");
    peer.expect("! name-taken: bob …");
    peer.expect("! too-many-tries: 3 names…");
    peer.expect_end();
    bob.expect_nothing_new();
}

/// What follows a refused name was meant as a message. It must not become a name.
#[test]
fn a_message_after_a_refused_name_never_becomes_a_name() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    for (input, refusal) in [
        ("Bob\nhello\n", "! name-taken: Bob …"),
        ("Bob\nhello", "! name-taken: Bob …"),
        ("*\nhello\n", "! bad-name: …'*'…"),
    ] {
        let mut peer = server.connect();
        peer.send(input);
        peer.expect_rest(&[refusal]);
    }
    bob.expect_nothing_new();
}

/// The message is already there, but the read that brought the name ended before it.
#[test]
fn a_message_still_in_the_socket_after_a_refused_name_never_becomes_a_name() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut peer = server.connect();
    let name_at_the_end_of_a_read = "\n".repeat(linechat::limits::READ_BYTES - "Bob\n".len()) + "Bob\n";
    peer.send(&(name_at_the_end_of_a_read + "hello\n"));
    peer.expect("! name-taken: Bob …");
    peer.expect_end();
    bob.expect_nothing_new();
}

#[test]
fn a_refused_name_before_a_half_close_is_answered_and_the_connection_ends() {
    let server = Server::start();
    let _bob = server.join("Bob");
    let mut peer = server.connect();
    peer.send("Bob\n");
    peer.half_close();
    let answer = peer.rest();
    // Whether the half-close came with the name or after it, there is no other name.
    assert_like(&answer[0], "! name-taken: Bob …");
    assert!(answer[1..].iter().all(|line| line == "* Send another name."), "{answer:?}");
}

#[test]
fn an_overlong_first_line_is_refused_and_the_connection_ends() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    for end in ["\n", ""] {
        let mut peer = server.connect();
        peer.send(&("x".repeat(4097) + end));
        peer.expect_rest(&["! line-too-long: …4096…"]);
    }
    bob.expect_nothing_new();
}

#[test]
fn a_first_line_that_is_not_utf8_is_refused_and_asked_for_again() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.send_bytes(b"Ren\xe9\n");
    peer.expect("! not-utf8");
    peer.expect("* Send another name.");
    peer.send("René\n");
    peer.expect("* Welcome, René. …");
}

#[test]
fn a_connection_that_ends_without_a_name_leaves_no_trace() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut silent = server.connect();
    silent.half_close();
    silent.expect_end();
    let mut half = server.connect();
    half.send("Al");
    half.reset();
    server.connect().half_close();
    bob.expect_nothing_new();
    bob.send("/who\n");
    bob.expect("* 1 here: Bob");
}

#[test]
fn a_peer_that_sent_its_name_is_not_prompted() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.send("not a name\n");
    peer.expect("! bad-name: …\"a\"…");
    peer.expect("* Send another name.");
    // A later connection is prompted, so this one would have been prompted by now.
    server.connect().expect("* Send your name as the first line.");
    peer.send("Bob\n");
    peer.expect("* Welcome, Bob. …");
}
