//! Operators in the room: kick, ban, mute, and what they leave behind.

use std::io::Write;
use std::path::PathBuf;
use std::time::SystemTime;

use async_std::task::block_on;
use linechat::protocol::{Banned, Name};
use linechat::registry::{Registry, Sanction};
use linechat::server::Config;
use linechat::server::admission::Admission;

use crate::harness::{Peer, Server, unpaced, within};
use crate::password::connect_from;

/// A server whose operator is Olga, who is in the room.
struct Room {
    server: Server,
    olga: Peer,
    registry: Registry,
    folder: PathBuf,
}

impl Room {
    fn open(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("linechat-operators-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let registry = Registry::open(&folder, SystemTime::now()).unwrap();
        let admission = Admission { registry: Some(registry.clone()), ..Admission::default() };
        let server = Server::start_with(Config { admission, ..unpaced() });
        let mut olga = server.join("Olga");
        olga.send("/register\ncorrect horse\ncorrect horse\n");
        (0..3).for_each(|_| drop(olga.line()));
        block_on(registry.set_operator(&Name::parse("Olga").unwrap(), true)).unwrap();
        Self { server, olga, registry, folder }
    }

    fn join(&mut self, name: &str) -> Peer {
        let peer = self.server.join(name);
        self.olga.expect(&format!("* {name} has joined"));
        peer
    }

    #[track_caller]
    fn does(&mut self, act: &str, answer: &str) {
        self.olga.send(&format!("{act}\n"));
        self.olga.expect(answer);
    }

    #[track_caller]
    fn does_kick(&mut self, name: &str) {
        self.olga.send(&format!("/kick {name}\n"));
        self.olga.expect(&format!("* {name} has left: kicked by Olga"));
        self.olga.expect(&format!("* Kicked: {name} from 127.0.0.1."));
    }

    /// What somebody of this name is answered.
    fn answer_to(&self, name: &str) -> String {
        let mut peer = self.server.connect();
        peer.send(&format!("{name}\n"));
        peer.line()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn who_is_kicked_is_told_why_and_so_is_everybody() {
    let mut room = Room::open("kick");
    let mut bob = room.join("Bob");
    let mut carol = room.join("Carol");
    bob.expect("* Carol has joined");
    room.olga.send("/kick bob  too loud\n");
    bob.expect_rest(&["! kicked: you are sent out: too loud", "* Bye, Bob: 0 lines accepted, 1 refused."]);
    carol.expect("* Bob has left: kicked by Olga: too loud");
    room.olga.expect("* Bob has left: kicked by Olga: too loud");
    room.olga.expect("* Kicked: Bob from 127.0.0.1.");
    let _back = room.join("Bob");
    room.does("/kick Nobody1", "! no-such-user: nobody here is called Nobody1; /who lists all");
}

#[test]
fn no_way_to_write_a_name_evades_a_ban_a_mute_or_a_kick() {
    let mut room = Room::open("written");
    for (name, twins) in [
        ("Ivan", ["ivan", "IVAN", "lvan"]),
        ("igor", ["i\u{307}gor", "\u{130}gor", "lgor"]),
        ("Γιώργος", ["ΓΙΏΡΓΟΣ", "γιώργοσ", "Γιώργοσ"]),
    ] {
        room.olga.send(&format!("/ban {name}\n"));
        room.olga.line();
        for twin in twins {
            assert!(room.answer_to(twin).starts_with("! banned: "), "{twin}");
        }
        room.olga.send(&format!("/unban {}\n/mute {}\n", twins[0], twins[1]));
        assert!(room.olga.line().starts_with("* No longer banned: "));
        room.olga.line();
        let mut peer = room.join(twins[2]);
        peer.send("hi\n");
        assert!(peer.line().starts_with("! muted: "), "{name}");
        room.olga.send(&format!("/kick {name}\n"));
        assert!(peer.rest()[0].starts_with("! kicked: "), "{name}");
        (0..2).for_each(|_| drop(room.olga.line()));
    }
}

#[test]
fn a_banned_name_is_refused_with_all_that_look_like_it_until_it_is_unbanned() {
    let mut room = Room::open("ban-name");
    let mut bob = room.join("Bob");
    room.olga.send("/ban Bob spam\n");
    bob.expect_rest(&["! banned: you are not let in: spam", "* Bye, Bob: 0 lines accepted, 1 refused."]);
    room.olga.expect("* Bob has left: banned by Olga: spam");
    room.olga.expect("* Banned: Bob; it concerns Bob from 127.0.0.1.");
    for name in ["Bob", "bOB", "B0b"] {
        assert_eq!(room.answer_to(name), "! banned: you are not let in: spam");
    }
    let mut carol = room.join("Carol");
    carol.send("/nick B0b\n");
    carol.expect("! banned: you are not let in: spam");
    room.does("/unban b0b", "* No longer banned: b0b.");
    room.does("/unban b0b", "! not-sanctioned: b0b is not banned");
    room.join("Bob");
}

#[test]
fn a_ban_with_a_time_says_until_when_and_is_over_then() {
    let mut room = Room::open("ban-time");
    room.olga.send("/ban Bob 1h spam\n");
    let answer = room.olga.line();
    assert!(answer.starts_with("* Banned: Bob until 2") && answer.ends_with("Z; it concerns nobody here."), "{answer}");
    let refusal = room.answer_to("Bob");
    assert!(refusal.starts_with("! banned: you are not let in until 2") && refusal.ends_with("Z: spam"), "{refusal}");
    let name = Name::parse("Bob").unwrap();
    let now = SystemTime::now();
    let hour = std::time::Duration::from_secs(3600);
    assert!(room.registry.ban_of(&name, now + hour - hour / 60).is_some());
    assert!(room.registry.ban_of(&name, now + hour).is_none());
    room.olga.send("/ban Bob 1ms\n");
    room.olga.line();
    while room.answer_to("Bob").starts_with("! banned") {}
}

#[test]
fn a_banned_address_is_turned_away_at_the_door_and_all_of_it_is_sent_out() {
    let mut room = Room::open("ban-address");
    let address = room.server.address;
    let mut join = |name| {
        let peer = connect_from("127.0.0.7", address).join(name);
        room.olga.expect(&format!("* {name} has joined"));
        peer
    };
    let mut crowd = [join("Bob"), join("Carol")];
    room.olga.send("/ban 127.0.0.7 1h\n");
    for peer in &mut crowd {
        assert!(peer.rest().iter().any(|line| line.starts_with("! banned: you are not let in until ")));
    }
    assert!(connect_from("127.0.0.7", address).line().starts_with("! banned: "));
    room.olga.expect("* Bob has left: banned by Olga");
    room.olga.expect("* Carol has left: banned by Olga");
    let answer = room.olga.line();
    assert!(answer.ends_with("; it concerns Bob from 127.0.0.7, Carol from 127.0.0.7."), "{answer}");
    room.join("Dave");
}

#[test]
fn who_is_muted_hears_all_and_says_nothing_also_after_coming_back() {
    let mut room = Room::open("mute");
    let mut bob = room.join("Bob");
    room.does("/mute Bob", "* Muted: Bob; it concerns Bob from 127.0.0.1.");
    bob.send("hi\n/msg Olga hi\n/nick Robert\n/nick Bob\n/who\n");
    for _ in 0..2 {
        bob.expect("! muted: you may listen, but say nothing");
    }
    bob.expect("! muted: you keep your name");
    bob.expect("* You are Bob already.");
    bob.expect("* 2 here: Bob, Olga");
    room.olga.send("hear me\n");
    bob.expect("Olga: hear me");
    bob.send("/quit\n");
    bob.rest();
    room.olga.expect("* Bob has left");
    let mut bob = room.join("B0b");
    bob.send("hi\n");
    bob.expect("! muted: you may listen, but say nothing");
    room.does("/unmute Bob", "* No longer muted: Bob.");
    bob.send("hi\n");
    room.olga.expect("B0b: hi");
    room.does("/unmute Bob", "! not-sanctioned: Bob is not muted");
}

#[test]
fn an_operator_does_nothing_of_it_to_itself() {
    let mut room = Room::open("self");
    for act in ["/kick Olga", "/ban 01ga", "/ban 127.0.0.1", "/mute olga 5m"] {
        room.does(act, "! bad-arguments: that is you");
    }
}

#[test]
fn nobody_else_may_do_any_of_it() {
    let mut room = Room::open("nobody");
    let mut bob = room.join("Bob");
    for act in ["/kick Olga", "/ban Olga", "/ban 127.0.0.1", "/unban Olga", "/mute Olga", "/unmute Olga"] {
        bob.send(&format!("{act}\n"));
        bob.expect("! not-operator: only an operator may do that");
    }
    block_on(room.registry.set_operator(&Name::parse("Olga").unwrap(), false)).unwrap();
    room.does("/kick Bob", "! not-operator: only an operator may do that");
}

#[test]
fn what_an_operator_says_before_an_act_is_said_before_it() {
    let mut room = Room::open("order");
    let mut bob = room.join("Bob");
    room.olga.send("one\ntwo\n/kick Bob\nthree\n");
    bob.expect_rest(&[
        "Olga: one",
        "Olga: two",
        "! kicked: you are sent out",
        "* Bye, Bob: 0 lines accepted, 1 refused.",
    ]);
}

#[test]
fn a_connection_that_waits_without_a_name_does_not_outwait_a_ban_of_its_address() {
    let room = Room::open("parked");
    let mut parked = room.server.connect();
    parked.send("*\n");
    parked.expect("! bad-name: a name cannot hold '*'");
    parked.expect("* Send another name.");
    let until = std::time::Duration::from_secs(60);
    let sanction = Sanction::new("a test", None, SystemTime::now(), Some(SystemTime::now() + until));
    block_on(room.registry.ban(Banned::Source("127.0.0.1".parse().unwrap()), sanction)).unwrap();
    parked.send("Bob\n");
    assert!(parked.rest()[0].starts_with("! banned: you are not let in until "));
}

#[test]
fn a_mute_is_not_evaded_by_another_name() {
    let mut room = Room::open("evade");
    room.does("/mute Bob", "* Muted: Bob; it concerns nobody here.");
    let mut bob = room.join("Robert");
    bob.send("/nick Bob\nhi\n/nick Robert\n");
    bob.expect("* Robert is now Bob");
    bob.expect("! muted: you may listen, but say nothing");
    bob.expect("! muted: you keep your name");
}

#[test]
fn who_is_kicked_and_does_not_read_is_cut_off_long_before_it_counts_as_stalled() {
    let mut room = Room::open("deaf");
    let deaf = Peer::connect_with_a_small_buffer(room.server.address).join("Deaf");
    room.olga.expect("* Deaf has joined");
    // More than the kernel holds for it.
    room.olga.send(&format!("{}\n", "x".repeat(4000)).repeat(200));
    room.olga.expect_nothing_new();
    room.does_kick("Deaf");
    // It is still sent to, so it does not see the end before the kernel's buffer is empty; but its own side is cut.
    deaf.stream().set_write_timeout(None).unwrap();
    within(move || while deaf.stream().write_all(b"still here\n").is_ok() {});
}
