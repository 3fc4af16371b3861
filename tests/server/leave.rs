//! How peers leave, and who is told.

use crate::support::harness::Server;
use crate::support::lines::{assert_all_like, bye};

#[test]
fn quit_leaves_without_a_reason() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/quit\n");
    alice.expect_rest(&[&bye("Alice", 0, 0)]);
    bob.expect("* Alice has left");
    bob.expect_nothing_new();
}

#[test]
fn quit_leaves_with_a_reason() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("hi\n/quit  gone fishing \n");
    alice.expect_rest(&[&bye("Alice", 1, 0)]);
    bob.expect("Alice: hi");
    bob.expect("* Alice has left (\"gone fishing\")");
}

#[test]
fn the_reason_for_leaving_is_made_safe() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/quit \x1b[2Jgone\u{2028}* Bob has left\n");
    bob.expect("* Alice has left (\"^[[2Jgone<U+2028>* Bob has left\")");
}

#[test]
fn lines_after_quit_are_ignored() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("before\n/quit\nafter\n/nope\nunfinished");
    alice.expect_rest(&[&bye("Alice", 1, 0)]);
    bob.expect("Alice: before");
    bob.expect("* Alice has left");
    bob.expect_nothing_new();
}

/// Closing with unread input would make the server send a reset, which destroys data in flight.
#[test]
fn a_peer_that_sends_after_quit_still_receives_everything() {
    const QUESTIONS: usize = 20_000;
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.join("Alice");
    alice.send(&("/nick\n".repeat(QUESTIONS) + "/quit\n" + &"more\n".repeat(40_000)));
    bob.expect("* Alice has joined");
    bob.expect("* Alice has left");
    // By now the server would have closed. Most replies are not sent yet, because there is no room for them.
    server.wait_for_a_prompt();
    let mut answers = alice.rest();
    assert_eq!(answers.pop().unwrap(), bye("Alice", 0, QUESTIONS));
    assert_all_like(&answers, &["! bad-arguments: …/nick NEWNAME"; QUESTIONS]);
}

#[test]
fn a_peer_that_closes_its_connection_leaves_the_room() {
    let server = Server::start();
    let [alice, mut bob, mut carol] = server.join_all(["Alice", "Bob", "Carol"]);
    drop(alice);
    bob.expect("* Alice has left");
    carol.expect("* Alice has left");
    bob.send("still here\n");
    carol.expect("Bob: still here");
}

#[test]
fn a_peer_whose_connection_breaks_leaves_the_room() {
    let server = Server::start();
    let [alice, mut bob, mut carol] = server.join_all(["Alice", "Bob", "Carol"]);
    alice.reset();
    bob.expect("* Alice has left: connection lost");
    carol.expect("* Alice has left: connection lost");
    bob.send("still here\n");
    carol.expect("Bob: still here");
}

#[test]
fn complete_lines_before_a_reset_are_delivered() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("one\ntwo\n");
    bob.expect("Alice: one");
    bob.expect("Alice: two");
    alice.reset();
    bob.expect("* Alice has left: connection lost");
}

#[test]
fn the_name_of_a_lost_peer_is_free() {
    let server = Server::start();
    let [alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.reset();
    bob.expect("* Alice has left: connection lost");
    let mut newcomer = server.join("Alice");
    bob.expect("* Alice has joined");
    newcomer.send("back again\n");
    bob.expect("Alice: back again");
}

#[test]
fn a_late_close_does_not_remove_a_newcomer_with_the_same_name() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/quit\n");
    bob.expect("* Alice has left");
    // The first connection still exists.
    let mut newcomer = server.join("Alice");
    bob.expect("* Alice has joined");
    alice.expect(&bye("Alice", 0, 0));
    alice.expect_end();
    alice.reset();
    bob.send("/who\n");
    bob.expect("* 2 here: Alice, Bob");
    newcomer.send("still here\n");
    bob.expect("Alice: still here");
    bob.expect_nothing_new();
}

#[test]
fn each_peer_receives_a_leave_once_and_in_order() {
    let server = Server::start();
    let [mut alice, mut bob, mut carol] = server.join_all(["Alice", "Bob", "Carol"]);
    alice.send("bye all\n/quit\n");
    for other in [&mut bob, &mut carol] {
        other.expect("Alice: bye all");
        other.expect("* Alice has left");
        other.expect_nothing_new();
    }
}
