//! A client that loses its connection continues where it was, and sends again what did not arrive.

use std::io::{BufRead, BufReader};
use std::thread;
use std::time::Duration;

use super::editor::Person;
use crate::support::harness::{Peer, Server};
use crate::support::relay::Relay;

/// The number and the text of a message of this person, if the line is one.
fn message<'a>(line: &'a str, from: &str) -> Option<(u64, &'a str)> {
    let (number, rest) = line.strip_prefix('[')?.split_once(' ')?;
    let text = rest.split_once("] ")?.1.strip_prefix(from)?.strip_prefix(": ")?;
    Some((number.parse().unwrap(), text))
}

#[test]
fn every_typed_message_arrives_once_however_often_the_connection_is_cut() {
    const MESSAGES: usize = 60;
    let server = Server::start();
    let relay = Relay::start(server.address);
    let mut witness = server.connect();
    witness.send("Alice ids=on\n");
    witness.line();
    let mut bob = Person::start(relay.address, &[]);
    for number in 0..MESSAGES {
        bob.type_in(&format!("message {number}\r"));
        if number % 3 == 0 {
            // Before the message leaves, or while it is on its way, or after it was accepted.
            thread::sleep(Duration::from_micros(fastrand::u64(..20_000)));
            relay.cut();
        }
        // Faster typing would be taken for a paste.
        thread::sleep(Duration::from_millis(200));
    }
    let mut heard = Vec::new();
    while heard.len() < MESSAGES {
        let line = witness.line();
        heard.extend(message(&line, "Bob").map(|(_, text)| text.to_owned()));
    }
    let typed: Vec<_> = (0..MESSAGES).map(|number| format!("message {number}")).collect();
    assert_eq!(heard, typed);
    witness.expect_nothing_new();
    let last = format!("Bob: message {}", MESSAGES - 1);
    let screen = bob.sees(&last);
    assert!(!screen.iter().any(|line| line.contains("may not have arrived")), "{screen:#?}");
}

/// A reader that loses its connection at random, and continues with `since`.
fn read(server: std::net::SocketAddr, name: &str, last: &str) -> Vec<(u64, String)> {
    let mut heard: Vec<(u64, String)> = Vec::new();
    loop {
        let relay = Relay::start(server);
        let mut peer = Peer::new(std::net::TcpStream::connect(relay.address).unwrap());
        let since = heard.last().map_or(0, |(number, _)| *number);
        peer.send(&format!("{name} ids=on since={since}\n"));
        let cutter = thread::spawn(move || {
            thread::sleep(Duration::from_millis(fastrand::u64(..40)));
            relay.cut();
        });
        let mut lines = BufReader::new(peer.stream());
        let mut line = String::new();
        while matches!(lines.read_line(&mut line), Ok(1..)) && line.ends_with('\n') {
            if let Some((number, text)) = message(line.trim_end(), "Alice") {
                heard.push((number, text.to_owned()));
                if text == last {
                    cutter.join().unwrap();
                    return heard;
                }
            }
            line.clear();
        }
        cutter.join().unwrap();
    }
}

/// Each of 8 readers loses its connection some 60 times.
#[test]
fn readers_that_resume_have_every_message_once_and_in_order() {
    const MESSAGES: u64 = 1500;
    let server = Server::start();
    let mut alice = server.join("Alice");
    let address = server.address;
    let readers: Vec<_> =
        (0..8).map(|number| thread::spawn(move || read(address, &format!("Reader{number}"), "the end"))).collect();
    for number in 1..MESSAGES {
        alice.send(&format!("message {number}\n"));
        thread::sleep(Duration::from_millis(1));
    }
    alice.send("the end\n");
    for reader in readers {
        let heard = reader.join().unwrap();
        let numbers: Vec<_> = heard.iter().map(|(number, _)| *number).collect();
        assert_eq!(numbers, (1..=MESSAGES).collect::<Vec<_>>());
        assert!(heard[..heard.len() - 1].iter().all(|(number, text)| *text == format!("message {number}")));
    }
}
