//! What a peer may be called, and that no two are called the same.

use crate::support::harness::{Server, within};

#[test]
fn a_taken_name_is_refused_and_the_holder_stays() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let mut second = server.connect();
    second.send("Alice\n");
    second.expect("! name-taken: Alice is taken");
    alice.send("still me\n");
    bob.expect("Alice: still me");
}

#[test]
fn a_name_that_differs_only_in_case_is_taken() {
    let server = Server::start();
    let _holders = server.join_all(["Alice", "Дмитрий"]);
    for name in ["alice", "ALICE", "дмитрий", "ДМИТРИЙ"] {
        let mut peer = server.connect();
        peer.send(&format!("{name}\n"));
        peer.expect(&format!("! name-taken: {name} is taken"));
    }
}

#[test]
fn of_many_who_want_a_name_at_once_exactly_one_gets_it() {
    let server = Server::start();
    let connect = |_| {
        let mut peer = server.connect();
        peer.send("Alice\n");
        peer
    };
    let mut peers: Vec<_> = (0..20).map(connect).collect();
    let answers: Vec<_> = peers.iter_mut().map(|peer| peer.line()).collect();
    let welcome = "* Welcome, Alice. You are the first here. /help lists the commands.";
    assert_eq!(answers.iter().filter(|answer| *answer == welcome).count(), 1);
    assert_eq!(answers.iter().filter(|answer| *answer == "! name-taken: Alice is taken").count(), 19);
}

#[test]
fn a_name_of_32_characters_fits_and_one_of_33_is_refused() {
    let server = Server::start();
    // Characters are counted, not bytes: these are two bytes each.
    let _peer = server.join(&"ä".repeat(32));
    let mut peer = server.connect();
    peer.send(&("ö".repeat(33) + "\n"));
    peer.expect("! bad-name: a name has at most 32 characters");
}

#[test]
fn honest_names_of_the_world_are_shown_as_they_were_given() {
    let server = Server::start();
    let mut watcher = server.join("Watcher");
    for name in ["x", "7of9", "O'Neil", "anne-marie", "Zoë", "山田", "مريم", "राम", "R2_D2"] {
        let peer = server.join(name);
        watcher.expect(&format!("* {name} has joined"));
        drop(peer);
        watcher.expect(&format!("* {name} has left"));
    }
}

#[test]
fn blanks_around_a_name_and_a_byte_order_mark_are_no_part_of_it() {
    let server = Server::start();
    let mut watcher = server.join("Watcher");
    for input in ["  Alice\t \n", "\u{feff}Alice\n", "\u{feff} Alice\r\n"] {
        let mut peer = server.connect();
        peer.send(input);
        watcher.expect("* Alice has joined");
        peer.half_close();
        watcher.expect("* Alice has left");
    }
}

#[test]
fn a_name_that_could_forge_a_line_or_hide_is_refused_with_its_reason() {
    let server = Server::start();
    let mut watcher = server.join("Watcher");
    for (name, reason) in [
        ("   ", "a name has at least one character"),
        ("two words", "a name holds no blanks, and \"words\" is not an option; the only option is auth"),
        ("a\tb", "a name holds no blanks, and \"b\" is not an option; the only option is auth"),
        ("a\u{a0}b", "a name holds no blanks"),
        ("Bob:", "a name cannot hold ':'"),
        ("*", "a name cannot hold '*'"),
        ("!", "a name cannot hold '!'"),
        ("Bob(privately)", "a name cannot hold '('"),
        ("<Bob>", "a name cannot hold '<'"),
        ("a,b", "a name cannot hold ','"),
        ("/quit", "a name cannot hold '/'"),
        ("_bob", "a name begins with a letter or a digit"),
        ("-", "a name begins with a letter or a digit"),
        ("bob\x1b[2J", "a name cannot hold the character U+001B"),
        ("bob\x07", "a name cannot hold the character U+0007"),
        ("bob\u{85}x", "a name holds no blanks"),
        ("bob\u{2028}x", "a name holds no blanks"),
        ("bob\u{202e}", "a name cannot hold the character U+202E"),
        ("bo\u{200b}b", "a name cannot hold the character U+200B"),
        ("bo\u{200d}b", "a name cannot hold the character U+200D"),
    ] {
        let mut peer = server.connect();
        peer.send(&format!("{name}\n"));
        assert_eq!(peer.line(), format!("! bad-name: {reason}"), "for {name:?}");
        peer.expect("* Send another name.");
    }
    watcher.expect_nothing_new();
}

#[test]
fn a_name_is_free_for_a_newcomer_once_its_holder_has_left() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/quit\n");
    bob.expect("* Alice has left");
    let _newcomer = server.join("alice");
    bob.expect("* alice has joined");
}

#[test]
fn joins_and_leaves_of_one_name_by_many_are_all_counted() {
    let server = Server::start();
    let mut watcher = server.join("Watcher");
    let address = server.address;
    within(move || {
        let claimants: Vec<_> = (0..4)
            .map(|_| {
                std::thread::spawn(move || {
                    for _ in 0..25 {
                        let mut peer = crate::support::harness::Peer::connect(address);
                        peer.send("Alice\n");
                        peer.half_close();
                        peer.rest();
                    }
                })
            })
            .collect();
        claimants.into_iter().for_each(|claimant| claimant.join().unwrap());
    });
    watcher.send("/who\n");
    // Each is counted, whether it was told on its own or with others; and everybody has left again.
    let (mut joined, mut left, mut has_answer) = (0, 0, false);
    while !has_answer || joined != left {
        let notice = watcher.line();
        joined += told(&notice, "joined");
        left += told(&notice, "left");
        has_answer |= notice == "* 1 here: Watcher";
    }
    assert!(joined > 0);
    watcher.expect_nothing_new();
}

/// How many are told by a notice to have joined, or left.
fn told(notice: &str, what: &str) -> usize {
    let notice = notice.strip_prefix("* ").expect("it is a notice");
    match notice.split_once(&format!(" have {what}: ")) {
        Some((count, _)) => count.parse().unwrap(),
        None => usize::from(notice == format!("Alice has {what}")),
    }
}

#[test]
fn a_name_that_looks_like_one_here_is_refused_and_free_when_that_one_has_left() {
    let server = Server::start();
    let [mut copy, mut bob] = server.join_all(["copy", "Bob"]);
    for twin in ["сору", "c0py"] {
        let mut mallory = server.connect();
        mallory.send(&format!("{twin}\n"));
        mallory.expect(&format!("! name-taken: {twin} looks like copy, which is taken"));
        bob.send(&format!("/nick {twin}\n"));
        bob.expect(&format!("! name-taken: {twin} looks like copy, which is taken"));
    }
    copy.send("/quit\n");
    bob.expect("* copy has left");
    server.join("сору");
}

#[test]
fn a_name_that_mixes_alphabets_or_poses_as_the_server_is_refused() {
    let server = Server::start();
    for (name, why) in [
        ("сanary", "a name does not mix alphabets that look alike"),
        ("Server", "that word is reserved"),
        ("r00t", "that looks like a reserved word"),
        ("AII", "that looks like a reserved word"),
    ] {
        let mut mallory = server.connect();
        mallory.send(&format!("{name}\n"));
        mallory.expect(&format!("! bad-name: {why}"));
    }
    server.join("ALI");
}
