//! A peer that sends too fast is slowed down and loses nothing.

use linechat::server::Config;
use linechat::server::access::rate_limit::PacePreset;

use crate::support::harness::{Peer, Server};
use crate::support::lines::{bye, is_like};

const TOO_FAST: &str = "* You are sending too fast: …";

#[test]
fn a_flood_is_delivered_in_order_and_its_sender_is_told_once() {
    let server = Server::start_with(Config::default());
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send(&(0..300).map(|number| format!("{number}\n")).collect::<String>());
    alice.send("/who\n");
    for number in 0..300 {
        bob.expect(&format!("Alice: {number}"));
    }
    alice.expect(TOO_FAST);
    alice.expect("* 2 here: Alice, Bob");
}

#[test]
fn all_lines_of_a_flood_before_a_half_close_are_delivered() {
    let server = Server::start_with(Config { pace: PacePreset::Public, ..Config::default() });
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send(&(0..14).map(|number| format!("{number}\n")).collect::<String>());
    alice.half_close();
    (0..14).for_each(|number| bob.expect(&format!("Alice: {number}")));
    bob.expect("* Alice has left");
    alice.expect_rest(&[TOO_FAST, &bye("Alice", 14, 0)]);
}

#[test]
fn a_shutdown_does_not_wait_for_slowed_peers() {
    let mut server = Server::start_with(Config { pace: PacePreset::Public, ..Config::default() });
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send(&(0..100).map(|number| format!("{number}\n")).collect::<String>());
    alice.expect(TOO_FAST);
    server.begin_stop();
    alice.expect("* The server is shutting down");
    alice.expect_rest(&[&bye("Alice", 100, 0)]);
    let heard = bob.rest();
    assert_eq!(heard.iter().filter(|line| line.starts_with("Alice: ")).count(), 100);
    server.wait().unwrap();
}

fn public() -> Server {
    Server::start_with(Config { pace: PacePreset::Public, ..Config::default() })
}

#[test]
fn long_answers_slow_down_the_peer_that_asks_for_them() {
    let server = public();
    let _peers: Vec<_> = (0..400).map(|number| server.join(&format!("{number:0>32}"))).collect();
    let mut alice = server.join("Alice");
    // A list has 13 KiB, so the burst of 64 KiB and the 8 KiB per second are soon used up.
    alice.send(&"/who\n".repeat(8));
    let mut lists = 0;
    loop {
        match alice.line() {
            line if is_like(&line, TOO_FAST) => break,
            line => lists += usize::from(line.starts_with("* 401 here: ")),
        }
        assert!(lists < 8, "it was not slowed down");
    }
    assert!(lists >= 4, "it was slowed down after {lists} lists");
}

#[test]
fn a_short_list_costs_little() {
    let server = public();
    let mut alice = server.join("Alice");
    for _ in 0..9 {
        alice.send("/who\n");
        alice.expect("* 1 here: Alice");
    }
    alice.send("/ping\n");
    alice.expect("* Pong");
}

#[test]
fn text_that_grows_when_made_safe_counts_with_its_new_size() {
    let server = public();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    // 27 KB, which are passed on as 108 KB. The burst is 64 KiB. The bytes are charged after they were passed on.
    let marks = format!("x{}\n", "\u{301}".repeat(1500));
    alice.send(&marks.repeat(9));
    (0..9).for_each(|_| assert!(bob.line().ends_with("<U+0301>")));
    alice.send("more\n");
    alice.expect(TOO_FAST);
}

#[test]
fn connections_of_one_address_share_a_rate_limit_and_lose_nothing() {
    const TALKERS: usize = 14;
    let server = public();
    let mut bob = server.join("Bob");
    let mut talkers: Vec<_> = (0..TALKERS).map(|number| server.join(&format!("talker{number}"))).collect();
    for talker in &mut talkers {
        talker.send(&(0..10).map(|number| format!("{number}\n")).collect::<String>());
    }
    let mut next = [0; TALKERS];
    while next != [10; TALKERS] {
        let line = bob.line();
        let Some((talker, number)) = line.strip_prefix("talker").and_then(|line| line.split_once(": ")) else {
            continue;
        };
        let next = &mut next[talker.parse::<usize>().unwrap()];
        assert_eq!(number, next.to_string());
        *next += 1;
    }
    talkers.iter_mut().for_each(Peer::half_close);
    let told = |talker: &mut Peer| talker.rest().iter().filter(|line| is_like(line, TOO_FAST)).count();
    let told: Vec<_> = talkers.iter_mut().map(told).collect();
    assert!(told.iter().sum::<usize>() > 0, "none was slowed down, though each is below its own limit");
    assert!(told.iter().all(|&count| count <= 1), "{told:?}");
}
