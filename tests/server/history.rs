//! Numbers, and messages from the history: joining with options, `/ids`, `/since`, `/last` and `/grep`.

use crate::support::harness::{Peer, Server};

/// A room in which Alice has said these lines, and is still there.
fn room(lines: &[&str]) -> (Server, Peer) {
    let server = Server::start();
    let mut alice = server.join("Alice");
    lines.iter().for_each(|line| alice.send(&format!("{line}\n")));
    alice.expect_nothing_new();
    (server, alice)
}

/// A peer that has sent this first line and has read its welcome.
fn enter(server: &Server, first_line: &str) -> Peer {
    let mut peer = server.connect();
    peer.send(&format!("{first_line}\n"));
    let welcome = peer.line();
    assert!(welcome.starts_with("* Welcome, "), "{welcome}");
    peer
}

/// The lines up to the next one that begins like this, which is included. The time and date are left out.
#[track_caller]
fn until(peer: &mut Peer, last: &str) -> Vec<String> {
    let mut lines = Vec::new();
    loop {
        let line = peer.line();
        let is_last = line.starts_with(last);
        lines.push(without_time(&line));
        if is_last {
            return lines;
        }
    }
}

/// `* 12:03 Alice: hi` as `* Alice: hi`, and `[3 2026-11-26T12:03:11Z] Alice: hi` as `[3] Alice: hi`.
fn without_time(line: &str) -> String {
    let words: Vec<_> = line.split(' ').collect();
    match words[..] {
        ["*", time, name, ..] if name.ends_with(':') && time.len() == 5 && time.contains(':') => {
            format!("* {}", words[2..].join(" "))
        }
        [number, time, ..] if number.starts_with('[') && time.ends_with("Z]") => {
            format!("{number}] {}", words[2..].join(" "))
        }
        _ => line.to_owned(),
    }
}

#[test]
fn a_newcomer_is_told_that_the_room_is_recorded_and_is_shown_the_newest_messages() {
    let lines: Vec<_> = (1..=12).map(|number| format!("line {number}")).collect();
    let (server, mut alice) = room(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let mut bob = server.connect();
    bob.send("Bob\n");
    assert_eq!(
        bob.line(),
        "* Welcome, Bob. 1 other here: Alice. /help lists the commands. The newest 10000 messages are recorded."
    );
    let shown = until(&mut bob, "* That was");
    assert_eq!(shown.len(), 12);
    assert_eq!(shown[0], "* Earlier messages:");
    assert_eq!(shown[1], "* Alice: line 3");
    assert_eq!(shown[10..], ["* Alice: line 12", "* That was 3 to 12, 10 lines."]);
    alice.expect("* Bob has joined");
    alice.send("new\n");
    bob.expect("Alice: new");
    bob.send("/quit\n");
    assert_eq!(bob.line(), "* Bye, Bob: 0 lines accepted, 0 refused. since=13 brings you back here.");
    let mut carol = enter(&server, "Carol ids=on replay=2");
    let shown = until(&mut carol, "* That was");
    assert_eq!(
        shown,
        ["* Earlier messages:", "[12] Alice: line 12", "[13] Alice: new", "* That was 12 to 13, 2 lines."]
    );
}

#[test]
fn whoever_sends_more_than_a_name_or_asks_for_nothing_is_shown_nothing() {
    let (server, mut alice) = room(&["hi"]);
    for first_lines in ["Bob\n/ping\n", "Bob replay=0\n/ping\n"] {
        let mut bob = server.connect();
        bob.send(first_lines);
        bob.expect("* Welcome, Bob. …");
        bob.expect("* Pong");
        alice.expect("* Bob has joined");
        bob.send("/quit\n");
        alice.expect("* Bob has left");
    }
}

#[test]
fn since_continues_where_a_session_ended_without_gap_or_duplicate() {
    let (server, mut alice) = room(&["one", "two", "three"]);
    let mut bob = enter(&server, "Bob since=1 ids=on");
    let shown = until(&mut bob, "* That was");
    assert_eq!(shown, ["[2] Alice: two", "[3] Alice: three", "* That was 2 to 3, 2 lines."]);
    alice.expect("* Bob has joined");
    alice.send("four\n");
    assert_eq!(without_time(&bob.line()), "[4] Alice: four");
    bob.send("five\n");
    assert_eq!(without_time(&bob.line()), "[5] Bob: five", "its own messages are its receipts");
    alice.expect("Bob: five");
    bob.send("/quit\n");
    assert_eq!(bob.line(), "* Bye, Bob: 1 line accepted, 0 refused. since=5 brings you back here.");
    let mut bob = enter(&server, "Bob since=5");
    bob.expect("* Nothing was said after 5.");
    bob.send("/since 3\n");
    assert_eq!(until(&mut bob, "* That was"), ["* Alice: four", "* Bob: five", "* That was 4 to 5, 2 lines."]);
    for since in ["/since 1h", "/since 0", "/since 00:00"] {
        bob.send(&format!("{since}\n"));
        let shown = until(&mut bob, "* That was");
        assert_eq!(shown.len(), 6, "{since}: {shown:?}");
        assert_eq!(shown[5], "* That was 1 to 5, 5 lines.");
    }
}

#[test]
fn at_most_the_last_messages_after_a_number_are_shown_if_both_are_given() {
    let (server, _alice) = room(&["one", "two", "three"]);
    let mut bob = enter(&server, "Bob since=1 last=1 replay=9");
    assert_eq!(until(&mut bob, "* That was"), ["* Alice: three", "* That was 3 to 3, 1 line."]);
    let mut carol = enter(&server, "Carol since=2 last=20");
    assert_eq!(until(&mut carol, "* That was"), ["* Alice: three", "* That was 3 to 3, 1 line."]);
    let mut dave = server.connect();
    // A pipe gets what it asks for.
    dave.send("Dave last=2\n/quit\n");
    dave.expect("* Welcome, Dave. …");
    assert_eq!(until(&mut dave, "* That was"), ["* Alice: two", "* Alice: three", "* That was 2 to 3, 2 lines."]);
    dave.expect("* Bye, Dave: 0 lines accepted, 0 refused.");
}

#[test]
fn invalid_options_are_refused_and_valid_ones_are_kept_for_the_next_name() {
    let (server, _alice) = room(&["one", "two"]);
    let mut bob = server.connect();
    bob.send("Alice since=1 ids=on\n");
    bob.expect("! name-taken");
    bob.expect("* Send another name.");
    bob.send("Bob since=9\n");
    assert_eq!(bob.line(), "! bad-since: the newest is 2");
    bob.expect("* Send your name again.");
    bob.send("Bob\n");
    bob.expect("* Welcome, Bob. …");
    let shown = until(&mut bob, "* That was");
    assert_eq!(shown[1], "[1] Alice: one", "the number is forgotten, and ids=on is not");
    let (same, other) = ("* Send your name again.", "* Send another name.");
    for (line, code, prompt) in [
        ("Carol ids=perhaps", "! bad-option", same),
        ("Carol since=x", "! bad-since", same),
        ("Carol last=-1", "! bad-option", same),
        ("Carol Smith", "! bad-name", other),
        ("a:b since=x", "! bad-name", other),
    ] {
        let mut carol = server.connect();
        carol.send(&format!("{line}\n"));
        carol.expect(code);
        carol.expect(prompt);
    }
}

#[test]
fn commands_show_messages_and_refuse_what_they_cannot_show() {
    let (server, mut alice) = room(&["one", "two", "Stra\u{df}e"]);
    let mut bob = server.join("Bob");
    bob.send("/last 2\n/ping\n");
    let shown = until(&mut bob, "* Pong");
    assert_eq!(shown, ["* Alice: two", "* Alice: Stra\u{df}e", "* That was 2 to 3, 2 lines.", "* Pong"]);
    bob.send("/last\n");
    assert_eq!(until(&mut bob, "* That was").len(), 4);
    bob.send("/since 3\n");
    bob.expect("* Nothing was said after 3.");
    bob.send("/since 4\n");
    assert_eq!(bob.line(), "! bad-since: the newest is 3");
    for (line, code) in [
        ("/since", "! bad-arguments"),
        ("/since yesterday", "! bad-since"),
        ("/last 0", "! bad-arguments"),
        ("/last x", "! bad-arguments"),
        ("/last 10001", "! bad-arguments"),
        ("/grep", "! bad-arguments"),
        ("/grep -3", "! bad-arguments"),
        ("/grep -0 x", "! bad-arguments"),
        ("/grep -101 x", "! bad-arguments"),
        ("/ids", "! bad-arguments"),
        ("/ids perhaps", "! bad-arguments"),
    ] {
        bob.send(&format!("{line}\n"));
        bob.expect(code);
    }
    bob.send("/grep STRASSE\n/ping\n");
    assert_eq!(until(&mut bob, "* Pong"), ["* Alice: Stra\u{df}e", "* Found 1 line.", "* Pong"]);
    bob.send("/grep -1 o\n");
    assert_eq!(until(&mut bob, "* Found"), ["* Alice: two", "* Found 1 line; there may be older ones."]);
    bob.send("/grep -x\n");
    bob.expect("* Found nothing.");
    bob.send("/ids on\n/ids on\n");
    bob.expect("* Messages now have numbers, and you get your own.");
    bob.expect("* Messages now have numbers, and you get your own.");
    bob.send("mine\n/ids off\nsilent\n/ids off\n");
    assert_eq!(without_time(&bob.line()), "[4] Bob: mine");
    bob.expect("* Messages no longer have numbers.");
    bob.expect("* Messages no longer have numbers.");
    alice.expect("* Bob has joined");
    alice.expect("Bob: mine");
    alice.expect("Bob: silent");
    bob.send("/last 2\n");
    assert_eq!(until(&mut bob, "* That was")[..2], ["* Bob: mine", "* Bob: silent"]);
}

#[test]
fn what_ignored_people_said_is_not_shown() {
    let (server, mut alice) = room(&["one", "two"]);
    let mut bob = server.join("Bob");
    alice.expect("* Bob has joined");
    bob.send("mine\n/ignore alice\n");
    bob.expect("* Ignoring alice.");
    alice.expect("Bob: mine");
    alice.send("three\n");
    alice.expect_nothing_new();
    for (command, last) in [
        ("/last", "* That was 1 to 4, 1 line."),
        ("/since 0", "* That was 1 to 4, 1 line."),
        ("/grep e", "* Found 1 line."),
    ] {
        bob.send(&format!("{command}\n"));
        let end = last.split(' ').nth(1).unwrap();
        assert_eq!(until(&mut bob, &format!("* {end}")), ["* Bob: mine", last], "{command}");
    }
    bob.send("/ids on\n/last\n");
    bob.expect("* Messages now have numbers, and you get your own.");
    assert_eq!(until(&mut bob, "* That was")[0], "[3] Bob: mine");
}

#[test]
fn a_muted_peer_leaves_nothing_in_the_history() {
    // Refused lines have no numbers.
    let (server, mut alice) = room(&["one"]);
    alice.send("/nope\n/msg Alice private\ntwo\n/last\n");
    alice.expect("! unknown-command");
    alice.expect("Alice (privately): private");
    assert_eq!(until(&mut alice, "* That was"), ["* Alice: one", "* Alice: two", "* That was 1 to 2, 2 lines."]);
    drop(server);
}

#[test]
fn messages_that_are_no_longer_kept_are_counted() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    for at in 0..12 {
        alice.send(&format!("line {at}\n").repeat(1000));
    }
    alice.expect_nothing_new();
    let mut bob = enter(&server, "Bob since=1500");
    bob.expect("* 500 of these lines are no longer kept.");
    let shown = until(&mut bob, "* That was");
    assert_eq!((shown.len(), shown.last().unwrap().as_str()), (10_001, "* That was 1501 to 12000, 10000 lines."));
    bob.send("/last 10000\n");
    assert_eq!(until(&mut bob, "* That was 2001 to 12000, 10000 lines.").len(), 10_001);
}

#[test]
fn a_client_that_closes_its_side_still_gets_the_whole_replay() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    for _ in 0..10 {
        alice.send(&format!("{}\n", "x".repeat(100)).repeat(1000));
    }
    alice.expect_nothing_new();
    let mut bob = server.connect();
    bob.send("Bob since=0");
    bob.half_close();
    let lines = bob.rest();
    assert_eq!(lines.len(), 10_003);
    assert_eq!(lines[10_001], "* That was 1 to 10000, 10000 lines.");
}

#[test]
fn too_many_requests_at_once_are_refused() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    for _ in 0..10 {
        alice.send(&format!("{}\n", "x".repeat(500)).repeat(1000));
    }
    alice.expect_nothing_new();
    let mut bob = Peer::connect_with_a_small_buffer(server.address).join("Bob");
    bob.send(&"/since 0\n".repeat(10));
    // The refusals come after the replay, because everything has one order.
    alice.expect("* Bob has joined");
    bob.begin_to_read();
    let mut refused = 0;
    for _ in 0..4 {
        until(&mut bob, "* That was 1 to 10000");
    }
    while refused < 6 {
        bob.expect("! busy");
        refused += 1;
    }
    bob.expect_nothing_new();
}

#[test]
fn without_a_history_nothing_is_added_and_numbers_are_still_given() {
    let server = Server::start_without_history();
    let mut alice = server.join("Alice");
    alice.send("one\n/last\n/grep one\n/since 1\n/since 0\n");
    alice.expect("! no-history");
    alice.expect("! no-history");
    alice.expect("* Nothing was said after 1.");
    assert_eq!(alice.line(), "* 1 of these lines is no longer kept.");
    assert_eq!(alice.line(), "* That was 1 to 1, 0 lines.");
    let mut bob = server.connect();
    bob.send("Bob ids=on\n");
    assert_eq!(bob.line(), "* Welcome, Bob. 1 other here: Alice. /help lists the commands.");
    alice.expect("* Bob has joined");
    alice.send("two\n/quit\n");
    assert_eq!(without_time(&bob.line()), "[2] Alice: two");
    assert_eq!(alice.line(), "* Bye, Alice: 2 lines accepted, 2 refused.");
}
