//! From bytes to lines: where a line ends, how long it may be, and what is not text.

use crate::support::harness::{Peer, Server};
use crate::support::lines::{bye, without_history};

const TOO_LONG: &str = "! line-too-long: …4096…";
const NOT_UTF8: &str = "! not-utf8";
const IAC: u8 = 255;

#[test]
fn every_kind_of_line_ending_ends_a_line() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("lf\ncrlf\r\ncrnul\r\0cr\rempty\n\n\r\n\r\rlast\n");
    for line in ["lf", "crlf", "crnul", "cr", "empty", "last"] {
        bob.expect(&format!("Alice: {line}"));
    }
    bob.expect_nothing_new();
}

/// Everything that the server sends to a peer that is alone with Bob, with `end` as the line ending.
#[track_caller]
fn expect_all_with_end(peer: &mut Peer, bob: &mut Peer, end: &str) {
    let mut expect = |line: &str| peer.expect_with_end(line, end);
    expect("* Welcome, Alice. 1 other here: Bob. …");
    bob.expect("* Alice has joined");
    bob.send("hi\n/msg Alice psst\n/nick Rob\n/nick Bob\n");
    expect("Bob: hi");
    expect("Bob (privately): psst");
    expect("* Bob is now Rob");
    expect("* Rob is now Bob");
    bob.expect("* Bob is now Rob");
    bob.expect("* Rob is now Bob");
    // These lines have other endings, but the first one decides.
    peer.send("/nope\n/help\r\n/quit\n");
    let mut rest = Vec::new();
    loop {
        match peer.raw_line() {
            line if line.is_empty() => break,
            line => rest.push(String::from_utf8(line).unwrap()),
        }
    }
    assert!(rest.len() > 3, "{rest:?}");
    for line in &rest {
        let text = line.strip_suffix(end).unwrap_or_else(|| panic!("{line:?} does not end with {end:?}"));
        assert!(!text.contains(['\r', '\n']), "{line:?}");
    }
    assert_eq!(without_history(rest.last().unwrap()), format!("* Bye, Alice: 0 lines accepted, 1 refused.{end}"));
    bob.expect("* Alice has left");
}

#[test]
fn a_peer_whose_first_line_ends_with_crlf_gets_crlf_for_all() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    for name in ["Alice\r\n", "Alice replay=0\r\0"] {
        let mut peer = server.connect();
        peer.send(name);
        expect_all_with_end(&mut peer, &mut bob, "\r\n");
    }
}

#[test]
fn a_first_line_with_lf_or_a_lone_cr_gets_lf_replies() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    for name in ["Alice\n", "Alice\r/nope\r\n"] {
        let mut peer = server.connect();
        peer.send(name);
        if name.ends_with("\r\n") {
            // After a lone CR, the next byte decides.
            peer.expect_with_end("* Welcome, Alice. 1 other here: Bob. …", "\n");
            bob.expect("* Alice has joined");
            peer.expect_with_end("! unknown-command", "\n");
            peer.half_close();
            bob.expect("* Alice has left");
            continue;
        }
        expect_all_with_end(&mut peer, &mut bob, "\n");
    }
}

#[test]
fn each_peer_gets_its_own_line_endings() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut carol = server.connect();
    carol.send("Carol\r\n");
    carol.expect_with_end("* Welcome, Carol. 1 other here: Bob. …", "\r\n");
    bob.expect_bytes(b"* Carol has joined\n");
    let mut alice = server.join("Alice");
    alice.send("one\r\ntwo\n");
    carol.expect_bytes(b"* Alice has joined\r\n");
    carol.expect_bytes(b"Alice: one\r\n");
    carol.expect_bytes(b"Alice: two\r\n");
    bob.expect_bytes(b"* Alice has joined\n");
    bob.expect_bytes(b"Alice: one\n");
    bob.expect_bytes(b"Alice: two\n");
}

#[test]
fn a_refusal_of_the_name_has_the_line_ending_of_the_name() {
    let server = Server::start();
    let mut peer = server.connect();
    peer.send("*\r\n");
    peer.expect_with_end("! bad-name: …'*'…", "\r\n");
    peer.expect_bytes(b"* Send another name.\r\n");
}

#[test]
fn telnet_commands_are_removed_and_switch_a_peer_to_crlf() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.connect();
    // DO ECHO, WILL NAWS, a subnegotiation that contains a line ending and an escaped IAC. The name itself ends with
    // LF.
    alice.send_bytes(b"\xff\xfd\x01\xff\xfb\x1f\xff\xfa\x1f\n\x50\xff\xff\x18\xff\xf0Al\xff\xf1ice\n");
    alice.expect_start(&[IAC, 252, 1, IAC, 254, 31]);
    expect_all_with_end(&mut alice, &mut bob, "\r\n");
}

#[test]
fn a_telnet_command_inside_a_line_is_removed() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send_bytes(&[b"he", &[IAC, 241][..], b"llo", &[IAC, 251, 24], b"\n"].concat());
    bob.expect("Alice: hello");
    alice.expect_start(&[IAC, 254, 24]);
    bob.send("hi\n");
    alice.expect_bytes(b"Bob: hi\r\n");
}

#[test]
fn a_telnet_client_that_sends_commands_first_is_prompted_with_crlf() {
    let server = Server::start();
    let mut alice = server.connect();
    alice.send_bytes(&[IAC, 253, 3]);
    alice.expect_start(&[IAC, 252, 3]);
    alice.expect_bytes(b"* Send your name as the first line.\r\n");
}

#[test]
fn a_line_in_two_writes_is_one_line() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("hel");
    // Others talk in between, so the server has read the first part.
    bob.send("/who\n");
    bob.expect("* 2 here: Alice, Bob");
    bob.send("well?\n");
    alice.expect("Bob: well?");
    alice.send("lo\nnext\n");
    bob.expect("Alice: hello");
    bob.expect("Alice: next");
}

#[test]
fn a_crlf_in_two_writes_is_one_line_ending() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.connect();
    alice.send("Alice\r");
    // The CR has ended the line, but it is not known yet what follows.
    alice.expect_with_end("* Welcome, Alice. 1 other here: Bob. …", "\n");
    alice.send("\nhi\r");
    bob.expect("* Alice has joined");
    bob.expect("Alice: hi");
    bob.send("hi Alice\n");
    alice.expect_bytes(b"Bob: hi Alice\r\n");
    alice.send("\nbye\r\n");
    bob.expect("Alice: bye");
}

#[test]
fn lines_sent_byte_by_byte_are_the_same_lines() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut alice = server.connect();
    for byte in "Zoë\r\nhello\r\n☕ 👩\u{200d}💻\r\nlast\n".as_bytes() {
        alice.send_bytes(&[*byte]);
    }
    bob.expect("* Zoë has joined");
    bob.expect("Zoë: hello");
    bob.expect("Zoë: ☕ 👩\u{200d}💻");
    bob.expect("Zoë: last");
    bob.expect_nothing_new();
}

#[test]
fn a_line_of_4096_bytes_is_accepted_and_a_longer_one_is_refused() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    // In the longer line, a four-byte character crosses the limit.
    let fits = "x".repeat(4092) + "🦀";
    let over = "x".repeat(4093) + "🦀";
    alice.send(&format!("{fits}\n{over}\nnext\n"));
    bob.expect(&format!("Alice: {fits}"));
    bob.expect("Alice: next");
    alice.expect(TOO_LONG);
    alice.expect_nothing_new();
}

#[test]
fn the_line_ending_does_not_count_as_length() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let fits = "x".repeat(4096);
    alice.send(&format!("{fits}\r\n"));
    bob.expect(&format!("Alice: {fits}"));
}

#[test]
fn a_line_is_refused_as_soon_as_it_is_too_long() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send(&"x".repeat(60_000));
    // Its line ending has not arrived, and never may.
    alice.expect(TOO_LONG);
    alice.send("x\nnext\n");
    bob.expect("Alice: next");
    alice.expect_nothing_new();
}

#[test]
fn a_line_without_end_closes_the_connection() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send(&"x".repeat(200_000));
    alice.expect_rest(&[TOO_LONG, "! line-too-long: …65536…", &bye("Alice", 0, 2)]);
    bob.expect("* Alice has left: sent overlong lines");
}

#[test]
fn the_third_overlong_line_within_a_minute_closes_the_connection() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let long = "x".repeat(4097) + "\n";
    alice.send(&format!("{long}one\n{long}two\n{long}three\n"));
    alice.expect_rest(&[TOO_LONG, TOO_LONG, "! line-too-long: 3 …60 s…", &bye("Alice", 2, 3)]);
    bob.expect("Alice: one");
    bob.expect("Alice: two");
    bob.expect("* Alice has left: sent overlong lines");
}

#[test]
fn invalid_utf8_affects_only_its_own_line() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send_bytes(b"one\nbad \xc3\x28\ntwo\nlatin caf\xe9\nhalf \xe2\x82\nthree\n");
    for _ in 0..3 {
        alice.expect(NOT_UTF8);
    }
    for line in ["one", "two", "three"] {
        bob.expect(&format!("Alice: {line}"));
    }
    alice.send("/quit\n");
    alice.expect(&bye("Alice", 3, 3));
}

#[test]
fn telnet_shows_output_again_after_ctrl_c() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    // What Ctrl-C sends while a line is half typed: the line is erased, and the mark is answered.
    alice.send_bytes(&[b"half", &[IAC, 244, IAC, 253, 6][..]].concat());
    alice.expect_start(&[IAC, 251, 6]);
    alice.send_bytes(b"whole\r\n");
    bob.expect("Alice: whole");
    // AYT, and the same option twice.
    alice.send_bytes(&[IAC, 246, IAC, 253, 1, IAC, 253, 1, IAC, 253, 6]);
    alice.expect_start(&[&b"[yes]\r\n"[..], &[IAC, 252, 1, IAC, 251, 6]].concat());
}
