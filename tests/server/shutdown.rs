//! The shutdown: nobody new can join, accepted lines are delivered, and every connection ends gracefully.

use std::io::Write;
use std::net::TcpStream;
use std::thread;

#[cfg(unix)]
use rustix::process::Signal;

use crate::support::harness::{Peer, Server, accepted, own_address, unpaced, within};
use crate::support::lines::{assert_all_like, bye, is_like};
#[cfg(unix)]
use crate::support::program::ServerProgram;

const STOPPING: &str = "* The server is shutting down";

#[test]
fn a_shutdown_is_announced_and_every_connection_ends_gracefully() {
    let mut server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("hi\n/nope\n");
    bob.expect("Alice: hi");
    alice.expect("! unknown-command: … /nope…");
    server.begin_stop();
    alice.expect_rest(&[STOPPING, &bye("Alice", 1, 1)]);
    bob.expect_rest(&[STOPPING, &bye("Bob", 0, 0)]);
    drop((alice, bob));
    server.wait().unwrap();
}

#[test]
fn an_unnamed_connection_is_told_and_ends_gracefully() {
    let mut server = Server::start();
    let mut silent = server.connect();
    let mut half = server.connect();
    half.send("Ali");
    // They have been accepted when a later one is in the room.
    let alice = server.join("Alice");
    server.begin_stop();
    silent.expect_rest(&["! shutting-down"]);
    half.expect_rest(&["! shutting-down"]);
    drop((silent, half, alice));
    server.wait().unwrap();
}

#[test]
fn a_name_sent_during_a_shutdown_is_always_answered() {
    for _ in 0..100 {
        let mut server = Server::start();
        let mut peer = server.connect();
        peer.send("*\n");
        peer.expect("! bad-name: …'*'…");
        peer.expect("* Send another name.");
        server.begin_stop();
        peer.send("Alice\n");
        let answer = peer.rest();
        let last = answer.last().map_or("", String::as_str);
        let endings = ["! shutting-down", "* Bye, Alice: 0 lines accepted, 0 refused."];
        assert!(endings.iter().any(|ending| is_like(last, ending)), "{answer:?}");
    }
}

#[test]
fn no_connections_are_accepted_after_the_shutdown_notice() {
    // On another address, a server of another test could get the port and accept.
    let mut server = Server::start_at(&own_address().to_string(), unpaced());
    let mut alice = server.join("Alice");
    server.begin_stop();
    alice.expect(STOPPING);
    let error = TcpStream::connect(server.address).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    drop(alice);
    server.wait().unwrap();
}

#[test]
fn an_empty_server_stops_at_once() {
    let mut server = Server::start();
    server.begin_stop();
    server.wait().unwrap();
}

#[test]
fn lines_that_arrived_before_the_shutdown_are_delivered() {
    const LINES: usize = 8000;
    for _ in 0..5 {
        let mut server = Server::start();
        let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
        // More than one read, and less than the kernel buffers for the server.
        let lines: String = (0..LINES).map(|line| format!("{line}\n")).collect();
        alice.send(&lines);
        server.begin_stop();
        let heard = bob.rest();
        let said: Vec<_> = heard.iter().filter_map(|line| line.strip_prefix("Alice: ")).collect();
        assert_eq!(said.join("\n") + "\n", lines);
        let farewell = bye("Alice", LINES, 0);
        alice.expect_rest(&[STOPPING, &farewell]);
    }
}

#[test]
fn the_farewell_counts_exactly_the_lines_that_the_others_received() {
    (0..5).for_each(|_| stop_during_a_conversation());
}

fn stop_during_a_conversation() {
    let mut server = Server::start();
    let [mut listener, senders @ ..] = server.join_all(["listener", "s0", "s1", "s2", "s3"]);
    let farewells: Vec<_> = senders.map(|sender| thread::spawn(|| stream_until_told(sender))).into();
    // The shutdown comes while they send.
    let mut heard: Vec<_> = (0..5000).map(|_| listener.line()).collect();
    server.begin_stop();
    heard.extend(listener.rest());
    drop(listener);
    let accepted: Vec<_> = farewells.into_iter().map(|farewell| within(move || farewell.join().unwrap())).collect();
    server.wait().unwrap();

    assert!(heard.contains(&STOPPING.to_owned()));
    let received = ["s0: ", "s1: ", "s2: ", "s3: "].map(|sender| {
        let numbers = heard.iter().filter_map(|line| line.strip_prefix(sender));
        numbers.zip(0..).map(|(number, next)| assert_eq!(number, next.to_string(), "from {sender}")).count() as u64
    });
    assert_eq!(received.to_vec(), accepted);
}

/// Sends numbered lines until the shutdown notice, but never so many at once that a peer lags. Returns the count in its
/// farewell.
fn stream_until_told(mut sender: Peer) -> u64 {
    for start in (0..).step_by(2000) {
        let lines: String = (start..start + 2000).map(|number| format!("{number}\n")).collect();
        sender.send(&(lines + "/nick\n"));
        loop {
            match sender.line() {
                line if line == STOPPING => return accepted(sender.rest().last().expect("a farewell")),
                line if line.starts_with("! bad-arguments: ") => break,
                _from_others => {}
            }
        }
    }
    unreachable!("the numbers do not end")
}

/// Closing with unread input would make the server send a reset, which destroys data in flight.
#[test]
fn a_peer_that_keeps_sending_still_receives_everything() {
    const QUESTIONS: usize = 20_000;
    let mut server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.join("Alice");
    bob.expect("* Alice has joined");
    alice.send(&("/nick\n".repeat(QUESTIONS) + "that was all\n"));
    bob.expect("Alice: that was all");
    server.begin_stop();
    bob.expect(STOPPING);
    alice.send(&"/quit\n".repeat(40_000));
    drop(bob);
    // By now the server would have closed. Most replies are not sent yet, because there is no room for them.
    Server::start().wait_for_a_prompt();
    let mut answers = alice.rest();
    assert_eq!(answers.pop().unwrap(), bye("Alice", 1, QUESTIONS));
    assert_eq!(answers.pop().unwrap(), STOPPING);
    assert_all_like(&answers, &["! bad-arguments: …/nick NEWNAME"; QUESTIONS]);
}

#[test]
fn a_peer_that_never_reads_does_not_delay_the_shutdown() {
    let mut server = Server::start();
    let stalled = stall(server.address);
    server.begin_stop();
    server.wait().unwrap();
    drop(stalled);
}

/// A peer that has more data waiting than it will ever read.
fn stall(address: std::net::SocketAddr) -> Peer {
    let stalled = Peer::connect_with_a_small_buffer(address).join("Stalled");
    let mut alice = Peer::connect(address).join("Alice");
    let mut bob = Peer::connect(address).join("Bob");
    alice.expect("* Bob has joined");
    let line = "x".repeat(4000);
    for _ in 0..20 {
        alice.send(&format!("{line}\n").repeat(100));
        (0..100).for_each(|_| bob.expect(&format!("Alice: {line}")));
    }
    alice.send("/quit\n");
    bob.expect("* Alice has left");
    // After its farewell was sent, later peers receive no notice of it.
    bob.send("/quit\n");
    bob.expect(&bye("Bob", 0, 0));
    stalled
}

#[cfg(unix)]
#[test]
fn peers_that_keep_talking_do_not_delay_the_shutdown_and_none_is_cut_off() {
    let mut server = ServerProgram::start(&[]);
    for name in ["Alice", "Bob", "Carol"] {
        let peer = server.join(name);
        let (mut mouth, mut ears) = (peer.stream().try_clone().unwrap(), peer.stream().try_clone().unwrap());
        thread::spawn(move || while mouth.write_all(&b"blah\n".repeat(1000)).is_ok() {});
        thread::spawn(move || std::io::copy(&mut ears, &mut std::io::sink()));
    }
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    assert_eq!(finished.code, Some(0));
    let log = without_colours(&finished.stdout);
    let cut = log.rsplit_once("cut").expect("the last record tells how many were cut off").1;
    assert_eq!(cut.trim_matches(|char: char| !char.is_ascii_digit()), "0", "{log}");
}

/// The text without escape sequences for colours.
#[cfg(unix)]
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_colour, rest)| rest))
}

#[test]
fn a_peer_that_keeps_its_side_open_does_not_delay_the_shutdown() {
    let mut server = Server::start();
    let _open = server.join("Open");
    let _nameless = server.connect();
    server.begin_stop();
    server.wait().unwrap();
}

#[cfg(unix)]
#[track_caller]
fn assert_stops_at(signal: Signal) {
    let mut server = ServerProgram::start(&[]);
    let mut alice = server.join("Alice");
    alice.send("hi\n/who\n");
    alice.expect("* 1 here: Alice");
    server.program.signal(signal);
    alice.expect_rest(&[STOPPING, &bye("Alice", 1, 0)]);
    drop(alice);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn sigterm_stops_the_program_gracefully_with_code_0() {
    assert_stops_at(Signal::TERM);
}

#[cfg(unix)]
#[test]
fn sigint_stops_the_program_gracefully_with_code_0() {
    assert_stops_at(Signal::INT);
}

#[cfg(unix)]
#[track_caller]
fn assert_a_second_signal_ends_at_once(signal: Signal, code: i32) {
    let mut server = ServerProgram::start(&["--pace", "off"]);
    // A graceful shutdown takes seconds with this peer.
    let stalled = stall(server.address);
    let mut alice = server.join("Alice");
    server.program.signal(Signal::TERM);
    alice.expect(STOPPING);
    server.program.signal(signal);
    assert_eq!(server.program.finish().code, Some(code));
    drop(stalled);
}

#[cfg(unix)]
#[test]
fn a_second_sigterm_ends_the_program_at_once() {
    assert_a_second_signal_ends_at_once(Signal::TERM, 143);
}

#[cfg(unix)]
#[test]
fn a_second_signal_may_be_ctrl_c() {
    assert_a_second_signal_ends_at_once(Signal::INT, 130);
}

#[cfg(unix)]
#[test]
fn a_peer_that_never_reads_does_not_delay_the_end_of_the_program() {
    let mut server = ServerProgram::start(&["--pace", "off"]);
    let stalled = stall(server.address);
    server.program.signal(Signal::TERM);
    assert_eq!(server.program.finish().code, Some(0));
    drop(stalled);
}
