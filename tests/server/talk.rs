//! Who receives which messages, and in which order.

use std::collections::HashMap;
use std::io::Write;
use std::thread;

use crate::support::harness::{Peer, Server, within};

#[test]
fn a_message_reaches_all_but_its_sender() {
    let server = Server::start();
    let [mut alice, mut bob, mut carol] = server.join_all(["Alice", "Bob", "Carol"]);
    alice.send("hello\n");
    bob.expect("Alice: hello");
    carol.expect("Alice: hello");
    alice.expect_nothing_new();
}

#[test]
fn two_peers_can_talk_to_each_other() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    for turn in 0..50 {
        alice.send(&format!("ping {turn}\n"));
        bob.expect(&format!("Alice: ping {turn}"));
        bob.send(&format!("pong {turn}\n"));
        alice.expect(&format!("Bob: pong {turn}"));
    }
}

#[test]
fn a_message_is_delivered_unchanged() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    for text in [
        "  blanks before and after  ",
        "\ttabs\tas well\t",
        " ",
        "Zoë, Дмитрий, 山田, مريم, राम",
        "👩\u{200d}💻 ☕\u{fe0f} می\u{200c}خواهم",
        "e\u{301} is not é",
        "* Bob has left",
        "! name-taken: Bob is taken",
        "Bob: I said that",
        "Bob (privately): psst",
        "a /quit",
    ] {
        alice.send(&format!("{text}\n"));
        bob.expect(&format!("Alice: {text}"));
    }
    // These looked like notices, but have no special effect.
    bob.send("/who\n");
    bob.expect("* 2 here: Alice, Bob");
}

#[test]
fn two_slashes_say_one() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("//quit\n//\n///\n");
    bob.expect("Alice: /quit");
    bob.expect("Alice: /");
    bob.expect("Alice: //");
}

#[test]
fn control_characters_are_shown_in_visible_form() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    for (text, shown) in [
        ("\x1b[2Jboo\x07", "^[[2Jboo^G"),
        ("a\0b\x08\x0b\x0c\x7f", "a^@b^H^K^L^?"),
        ("\u{9b}2J\u{85}x", "<U+009B>2J<U+0085>x"),
        ("gpj\u{202e}exe", "gpj<U+202E>exe"),
        ("one\u{2028}Bob: two", "one<U+2028>Bob: two"),
    ] {
        alice.send(&format!("{text}\n"));
        bob.expect(&format!("Alice: {shown}"));
        alice.send(&format!("/msg Bob {text}\n"));
        bob.expect(&format!("Alice (privately): {shown}"));
    }
}

const PEERS: usize = 20;
const LINES: usize = 200;

#[test]
fn many_talking_peers_receive_every_line_once_and_in_the_same_order() {
    let server = Server::start();
    let names: [String; PEERS] = std::array::from_fn(|at| format!("p{at}"));
    let peers = server.join_all(names.each_ref().map(String::as_str));
    let heard = within(move || {
        let talkers: Vec<_> = peers
            .map(|mut peer| {
                let mut mouth = peer.stream().try_clone().unwrap();
                let speaking = thread::spawn(move || {
                    (0..LINES).for_each(|line| mouth.write_all(format!("{line}\n").as_bytes()).unwrap());
                });
                thread::spawn(move || {
                    let heard: Vec<_> = (0..LINES * (PEERS - 1)).map(|_| peer.line()).collect();
                    speaking.join().unwrap();
                    (peer, heard)
                })
            })
            .into();
        let (mut peers, heard): (Vec<_>, Vec<_>) = talkers.into_iter().map(|talker| talker.join().unwrap()).unzip();
        peers.iter_mut().for_each(Peer::expect_nothing_new);
        heard
    });
    let prefixes: Vec<_> = (0..PEERS).map(|at| format!("p{at}: ")).collect();
    for (listener, lines) in heard.iter().enumerate() {
        let mut next = HashMap::new();
        for line in lines {
            let (name, number) = line.split_once(": ").unwrap();
            let next = next.entry(name).or_insert(0);
            assert_eq!(number, next.to_string(), "p{listener} hears {name} out of order");
            *next += 1;
        }
        assert_eq!(next.len(), PEERS - 1);
        assert!(next.values().all(|&count| count == LINES));
    }
    // Two listeners agree on all lines except their own, which they do not receive.
    for (one, other) in (1..PEERS).map(|at| (at - 1, at)) {
        let without = |lines: &[String], name: usize| -> Vec<String> {
            lines.iter().filter(|line| !line.starts_with(&prefixes[name])).cloned().collect()
        };
        assert!(without(&heard[one], other) == without(&heard[other], one), "p{one} and p{other} disagree");
    }
}

#[test]
fn a_newcomer_receives_no_earlier_messages_with_replay_0() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("before\n");
    bob.expect("Alice: before");
    let mut carol = server.join("Carol");
    alice.send("after\n");
    carol.expect("Alice: after");
}
