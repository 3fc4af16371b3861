//! Which names are allowed, and that no two peers have the same one.

use linechat::model::{BadName, SafeText};
use linechat::protocol::Refusal;

use crate::support::harness::{Server, within};
use crate::support::lines::is_like;

#[test]
fn a_taken_name_is_refused_and_the_holder_stays() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let mut second = server.connect();
    second.send("Alice\n");
    second.expect("! name-taken: Alice …");
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
        peer.expect(&format!("! name-taken: {name} …"));
    }
}

#[test]
fn of_many_concurrent_logins_with_a_name_exactly_one_succeeds() {
    let server = Server::start();
    let connect = |_| {
        let mut peer = server.connect();
        peer.send("Alice\n");
        peer
    };
    let mut peers: Vec<_> = (0..20).map(connect).collect();
    let answers: Vec<_> = peers.iter_mut().map(|peer| peer.line()).collect();
    let count = |pattern| answers.iter().filter(|answer| is_like(answer, pattern)).count();
    assert_eq!((count("* Welcome, Alice. …"), count("! name-taken: Alice …")), (1, 19), "{answers:?}");
}

#[test]
fn a_name_of_32_characters_fits_and_one_of_33_is_refused() {
    let server = Server::start();
    // Characters are counted, not bytes. These have two bytes each.
    let _peer = server.join(&"ä".repeat(32));
    let mut peer = server.connect();
    peer.send(&("ö".repeat(33) + "\n"));
    peer.expect("! bad-name: …32…");
}

#[test]
fn ordinary_names_in_many_scripts_are_accepted_unchanged() {
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
fn blanks_around_a_name_and_a_byte_order_mark_are_ignored() {
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
fn names_that_could_forge_lines_or_hide_are_refused_with_the_reason() {
    let server = Server::start();
    let mut watcher = server.join("Watcher");
    let unknown_option = |option: &str| Refusal::UnknownOption(SafeText::new(option.to_owned()));
    for (name, refusal) in [
        ("   ", BadName::Empty.into()),
        ("two words", unknown_option("words")),
        ("a\tb", unknown_option("b")),
        ("a\u{a0}b", BadName::Blank.into()),
        ("Bob:", BadName::Reserved(':').into()),
        ("*", BadName::Reserved('*').into()),
        ("!", BadName::Reserved('!').into()),
        ("Bob(privately)", BadName::Reserved('(').into()),
        ("<Bob>", BadName::Reserved('<').into()),
        ("a,b", BadName::Reserved(',').into()),
        ("/quit", BadName::Reserved('/').into()),
        ("_bob", BadName::Start.into()),
        ("-", BadName::Start.into()),
        ("bob\x1b[2J", BadName::Invisible('\u{1b}').into()),
        ("bob\x07", BadName::Invisible('\u{7}').into()),
        ("bob\u{85}x", BadName::Blank.into()),
        ("bob\u{2028}x", BadName::Blank.into()),
        ("bob\u{202e}", BadName::Invisible('\u{202e}').into()),
        ("bo\u{200b}b", BadName::Invisible('\u{200b}').into()),
        ("bo\u{200d}b", BadName::Invisible('\u{200d}').into()),
    ] {
        let mut peer = server.connect();
        peer.send(&format!("{name}\n"));
        assert_eq!(peer.line(), format!("! bad-name: {refusal}"), "for {name:?}");
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
fn many_joins_and_leaves_with_one_name_are_all_counted() {
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
    // Each is counted, whether it was announced alone or with others, and everyone has left again.
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

/// How many joins or leaves a notice announces.
fn told(notice: &str, what: &str) -> usize {
    let notice = notice.strip_prefix("* ").expect("it is a notice");
    match notice.split_once(&format!(" have {what}: ")) {
        Some((count, _)) => count.parse().unwrap(),
        None => usize::from(notice == format!("Alice has {what}")),
    }
}

#[test]
fn a_look_alike_name_is_refused_until_the_other_peer_has_left() {
    let server = Server::start();
    let [mut copy, mut bob] = server.join_all(["copy", "Bob"]);
    for twin in ["сору", "c0py"] {
        let mut mallory = server.connect();
        mallory.send(&format!("{twin}\n"));
        mallory.expect(&format!("! name-taken: {twin} …copy…"));
        bob.send(&format!("/nick {twin}\n"));
        bob.expect(&format!("! name-taken: {twin} …copy…"));
    }
    copy.send("/quit\n");
    bob.expect("* copy has left");
    server.join("сору");
}

#[test]
fn names_that_mix_scripts_or_imitate_the_server_are_refused() {
    let server = Server::start();
    for (name, reason) in [
        ("сanary", BadName::MixedScripts),
        ("Server", BadName::ReservedWord),
        ("r00t", BadName::ReservedLook),
        ("AII", BadName::ReservedLook),
    ] {
        let mut mallory = server.connect();
        mallory.send(&format!("{name}\n"));
        mallory.expect(&format!("! bad-name: {reason}"));
    }
    server.join("ALI");
}
