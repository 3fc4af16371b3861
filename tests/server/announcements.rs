//! Which joins are announced, and when.

use std::time::Duration;

use linechat::limits::ANNOUNCE_AFTER;
use linechat::server::Config;

use crate::support::harness::{Server, unpaced};
use crate::support::lines::bye;
use crate::support::program::Program;

/// A server that announces no joins for the duration of a test.
fn slow_server() -> Server {
    Server::start_with(Config { announce_after: Duration::from_secs(3600), ..unpaced() })
}

#[test]
fn a_short_session_leaves_only_its_line() {
    let server = slow_server();
    let mut alice = server.join("Alice");
    for job in 0..3 {
        let mut cron = server.connect();
        cron.send(&format!("cron\njob {job} done\n"));
        cron.half_close();
        cron.expect("* Welcome, cron. 1 other here: Alice. …");
        cron.expect_rest(&[&bye("cron", 1, 0)]);
        alice.expect(&format!("cron: job {job} done"));
    }
    let done = Program::client(server.address, "cron").finish_with("job 3 done\n");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    alice.expect("cron: job 3 done");
    alice.send("/who\n");
    alice.expect("* 1 here: Alice");
}

#[test]
fn an_unannounced_peer_can_use_all_commands() {
    let server = slow_server();
    let (mut alice, mut bob) = (server.join("Alice"), server.join("Bob"));
    bob.send("/msg Alice psst\n/who\n/me waves\n");
    bob.expect("* 2 here: Alice, Bob");
    alice.expect("Bob (privately): psst");
    alice.expect("Bob: /me waves");
    alice.send("/msg bob hi\n");
    bob.expect("Alice (privately): hi");
    bob.reset();
    // The name is free at once, and nobody is told.
    let mut other = loop {
        let mut other = server.connect();
        other.send("Bob\n");
        if other.line().starts_with("* Welcome") {
            break other;
        }
    };
    other.send("another Bob\n");
    alice.expect("Bob: another Bob");
    // A peer that changes its name is announced first.
    other.send("/nick Bobby\n");
    alice.expect("* Bob has joined");
    alice.expect("* Bob is now Bobby");
}

/// Nothing else happens in the room meanwhile.
#[test]
fn a_peer_that_stays_is_announced_after_half_a_second() {
    assert_eq!(ANNOUNCE_AFTER, Duration::from_millis(500));
    assert_eq!(Config::default().announce_after, ANNOUNCE_AFTER);
    let server = Server::start_with(Config { announce_after: ANNOUNCE_AFTER, ..unpaced() });
    let mut alice = server.join("Alice");
    let mut bob = server.join("Bob");
    alice.expect("* Bob has joined");
    // Its welcome named Alice.
    bob.expect_nothing_new();
    drop(bob);
    alice.expect("* Bob has left");
}
