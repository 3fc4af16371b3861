//! A peer that ignores another one does not receive what it says.

use crate::support::harness::{Peer, Server};
use crate::support::lines::bye;

#[test]
fn messages_of_an_ignored_peer_are_hidden_until_unignored_and_notices_are_not() {
    let server = Server::start();
    let [mut alice, mut bob, mut carol] = server.join_all(["Alice", "Bob", "Carol"]);
    bob.send("/IGNORE aLICE\n");
    bob.expect("* Ignoring aLICE.");
    alice.send("hi\n/msg Bob psst\n/nick Ally\nhi again\n");
    alice.expect("! ignored: Bob …");
    alice.expect("* Alice is now Ally");
    bob.expect("* Alice is now Ally");
    carol.expect("Alice: hi");
    carol.expect("* Alice is now Ally");
    carol.expect("Ally: hi again");
    bob.send("/ignore\n/unignore ally\n");
    bob.expect("* Ignoring: aLICE, Ally.");
    bob.expect("* No longer ignoring ally.");
    alice.send("now?\n/msg Bob psst\n/quit\n");
    alice.expect_rest(&[&bye("Ally", 4, 1)]);
    bob.expect("Ally: now?");
    bob.expect("Ally (privately): psst");
    bob.expect("* Ally has left");
}

#[test]
fn a_topic_that_an_ignored_peer_sets_is_not_announced() {
    let server = Server::start();
    let [mut alice, mut bob, mut carol] = server.join_all(["Alice", "Bob", "Carol"]);
    bob.send("/ignore Alice\n");
    bob.expect("* Ignoring Alice.");
    alice.send("/topic disks\n");
    carol.expect("* Alice has set the topic: disks");
    carol.send("hi\n");
    bob.expect("Carol: hi");
    bob.send("/topic\n");
    bob.expect("* The topic is: disks");
}

#[test]
fn an_ignored_name_stays_ignored_after_reconnecting() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/ignore Bob\n");
    alice.expect("* Ignoring Bob.");
    bob.send("/quit\n");
    bob.expect_rest(&[&bye("Bob", 0, 0)]);
    let mut bob = server.join("bob");
    bob.send("hi\n/msg alice psst\n");
    bob.expect("! ignored: alice …");
    alice.expect("* Bob has left");
    alice.expect("* bob has joined");
    alice.send("/unignore carol\n");
    alice.expect("! not-ignored: … carol…");
}

#[test]
fn lines_of_ignored_peers_do_not_count_as_missed() {
    const LINES: usize = 6000;
    let server = Server::start();
    let mut stalled = Peer::connect_with_a_small_buffer(server.address).join("Stalled");
    stalled.send("/ignore Alice\n");
    stalled.expect("* Ignoring Alice.");
    let [mut alice, mut carol] = server.join_all(["Alice", "Carol"]);
    let padding = "x".repeat(4000);
    for number in 0..LINES {
        alice.send(&format!("{number} {padding}\n"));
        carol.expect(&format!("Alice: {number} {padding}"));
        carol.send(&format!("{number} {padding}\n"));
        alice.expect(&format!("Carol: {number} {padding}"));
    }
    carol.send("the end\n");
    stalled.begin_to_read();
    stalled.expect("* Alice has joined");
    stalled.expect("* Carol has joined");
    let (mut next, mut missed) = (0, 0);
    loop {
        match stalled.line() {
            line if line == "Carol: the end" => break,
            line if line.starts_with("* You missed ") => {
                let count: usize = line["* You missed ".len()..].split_once(' ').unwrap().0.parse().unwrap();
                (next, missed) = (next + count, missed + count);
            }
            line => {
                assert_eq!(line, format!("Carol: {next} {padding}"));
                next += 1;
            }
        }
    }
    assert_eq!(next, LINES);
    assert!(missed > 0);
}
