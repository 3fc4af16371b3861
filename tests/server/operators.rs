//! Operators in the room: kick, ban and mute, and their effects.

use std::io::Write;
use std::net::SocketAddr;
use std::time::SystemTime;

use async_std::task::block_on;
use linechat::accounts::{Accounts, Sanction};
use linechat::database::Database;
use linechat::model::Name;
use linechat::protocol::Banned;
use linechat::room::Policy;
use linechat::server::access::auth::Auth;
use linechat::server::listen::Listener;

use super::password::connect_from;
#[cfg(unix)]
use super::unix_socket::{self, UnixPeer};
use crate::support::folder::Folder;
use crate::support::harness::{Peer, Server, link_local, within};
use crate::support::lines::{assert_like, bye, is_like};

/// A server whose operator Olga is in the room.
struct Room {
    server: Server,
    olga: Peer,
    accounts: Accounts,
    _folder: Folder,
}

impl Room {
    fn open(test: &str) -> Self {
        Self::open_beside(test, Vec::new())
    }

    /// A room that also has these listeners.
    fn open_beside(test: &str, others: Vec<Listener>) -> Self {
        let folder = Folder::absent(&format!("operators-{test}"));
        let accounts = Accounts::open(&Database::open(&folder).unwrap(), SystemTime::now()).unwrap();
        let policy = Policy { accounts: Some(accounts.clone()), ..Policy::default() };
        let listeners = [Listener::bind("127.0.0.1", 0).unwrap()].into_iter().chain(others).collect();
        let server = Server::serve(listeners, Auth { policy, ..Auth::default() });
        let mut olga = server.join("Olga");
        olga.send("/register\ncorrect horse\ncorrect horse\n");
        (0..3).for_each(|_| drop(olga.line()));
        block_on(accounts.set_operator(&Name::parse("Olga").unwrap(), true)).unwrap();
        Self { server, olga, accounts, _folder: folder }
    }

    /// Another operator in the room.
    fn join_operator(&mut self, name: &str) -> Peer {
        let mut peer = self.join(name);
        peer.send("/register\ncorrect horse\ncorrect horse\n");
        (0..3).for_each(|_| drop(peer.line()));
        block_on(self.accounts.set_operator(&Name::parse(name).unwrap(), true)).unwrap();
        peer
    }

    /// The owner of a registered name.
    fn log_in(&mut self, name: &str) -> Peer {
        let mut peer = self.server.connect();
        peer.send(&format!("{name}\ncorrect horse\n"));
        peer.expect("! password-required");
        assert!(peer.line().starts_with("* Welcome, "));
        self.olga.expect(&format!("* {name} has joined"));
        peer
    }

    fn mutes(&self) -> Vec<String> {
        let mutes = self.accounts.mutes(SystemTime::now());
        mutes.iter().map(|(whom, mute)| format!("{whom} by {}", mute.by())).collect()
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
        self.olga.expect(&format!("* Kicked: {name} from 127.0.0.0/8."));
    }

    /// The reply to a peer that joins with this name.
    fn answer_to(&self, name: &str) -> String {
        let mut peer = self.server.connect();
        peer.send(&format!("{name}\n"));
        peer.line()
    }
}

#[test]
fn a_kicked_peer_and_everyone_else_read_the_reason() {
    let mut room = Room::open("kick");
    let mut bob = room.join("Bob");
    let mut carol = room.join("Carol");
    bob.expect("* Carol has joined");
    room.olga.send("/kick bob  too loud\n");
    bob.expect_rest(&["! kicked: …: too loud", &bye("Bob", 0, 1)]);
    carol.expect("* Bob has left: kicked by Olga: too loud");
    room.olga.expect("* Bob has left: kicked by Olga: too loud");
    room.olga.expect("* Kicked: Bob from 127.0.0.0/8.");
    let _back = room.join("Bob");
    room.does("/kick Nobody1", "! no-such-user: … Nobody1…");
}

#[test]
fn no_spelling_of_a_name_evades_a_ban_mute_or_kick() {
    let mut room = Room::open("written");
    for (name, twins) in [
        ("Ivan", ["ivan", "IVAN", "lvan"]),
        ("igor", ["i\u{307}gor", "\u{130}gor", "lgor"]),
        ("Γιώργος", ["ΓΙΏΡΓΟΣ", "γιώργοσ", "Γιώργοσ"]),
    ] {
        room.olga.send(&format!("/ban {name}\n"));
        room.olga.line();
        for twin in twins {
            assert!(is_like(&room.answer_to(twin), "! banned"), "{twin}");
        }
        room.olga.send(&format!("/unban {}\n/mute {}\n", twins[0], twins[1]));
        assert!(room.olga.line().starts_with("* No longer banned: "));
        room.olga.line();
        let mut peer = room.join(twins[2]);
        peer.send("hi\n");
        assert!(is_like(&peer.line(), "! muted"), "{name}");
        room.olga.send(&format!("/kick {name}\n"));
        assert!(is_like(&peer.rest()[0], "! kicked"), "{name}");
        (0..2).for_each(|_| drop(room.olga.line()));
    }
}

#[test]
fn a_banned_name_and_its_look_alikes_are_refused_until_unbanned() {
    let mut room = Room::open("ban-name");
    let mut bob = room.join("Bob");
    room.olga.send("/ban Bob spam\n");
    bob.expect_rest(&["! banned: …forever: spam", &bye("Bob", 0, 1)]);
    room.olga.expect("* Bob has left: banned by Olga: spam");
    room.olga.expect("* Banned: Bob forever; …Bob from 127.0.0.0/8.");
    for name in ["Bob", "bOB", "B0b"] {
        assert_like(&room.answer_to(name), "! banned: …forever: spam");
    }
    let mut carol = room.join("Carol");
    carol.send("/nick B0b\n");
    carol.expect("! banned: …forever: spam");
    room.does("/unban b0b", "* No longer banned: b0b.");
    room.does("/unban b0b", "! not-sanctioned: b0b …banned");
    room.join("Bob");
}

#[test]
fn a_temporary_ban_states_its_end_and_expires() {
    let mut room = Room::open("ban-time");
    room.olga.send("/ban Bob 1h spam\n");
    room.olga.expect("* Banned: Bob until 2…Z; …nobody here.");
    assert_like(&room.answer_to("Bob"), "! banned: …until 2…Z: spam");
    let name = Name::parse("Bob").unwrap();
    let now = SystemTime::now();
    let hour = std::time::Duration::from_secs(3600);
    assert!(room.accounts.ban_of(&name, now + hour - hour / 60).is_some());
    assert!(room.accounts.ban_of(&name, now + hour).is_none());
    room.olga.send("/ban Bob 1ms\n");
    room.olga.line();
    while is_like(&room.answer_to("Bob"), "! banned") {}
}

#[test]
fn a_ban_for_10_minutes_ends_after_10_minutes() {
    let mut room = Room::open("ban-minutes");
    let start = SystemTime::now();
    room.olga.send("/ban Troll9 10 minutes\n/mute Bob 2 hours 30 minutes spam\n");
    for (done, seconds) in [("* Banned: Troll9 until ", 600), ("* Muted: Bob until ", 9000)] {
        let answer = room.olga.line();
        let (end, rest) = answer.strip_prefix(done).and_then(|end| end.split_once("; ")).expect(&answer);
        assert_like(rest, "…nobody here.");
        // The time is shown in whole seconds.
        let time = humantime::parse_rfc3339(end).unwrap().duration_since(start).unwrap_or_default().as_secs();
        assert!((seconds - 1..seconds + 60).contains(&time), "{answer}");
    }
    assert_like(&room.answer_to("Troll9"), "! banned: …until 2…Z");
    let mut bob = room.join("Bob");
    bob.send("hi\n/nick Bobby\n");
    bob.expect("! muted: …until 2…Z; …");
    bob.expect("! muted: …name…until 2…Z");
}

#[test]
fn a_mistyped_duration_bans_nobody() {
    let mut room = Room::open("ban-mistyped");
    let mut bob = room.join("Bob");
    let refusal = "! bad-arguments: …duration…10 years…";
    for duration in ["10 minuts", "10", "10minuts spam", "1,5 h", "-5m", "11 years", "0 s"] {
        room.does(&format!("/ban Bob {duration}"), refusal);
        room.does(&format!("/mute Bob {duration}"), refusal);
    }
    bob.send("still here\n");
    room.olga.expect("Bob: still here");
    room.does("/ban Carol 2 much", "* Banned: Carol forever; …nobody here.");
    assert_like(&room.answer_to("Carol"), "! banned: …forever: 2 much");
}

#[cfg(unix)]
#[test]
fn an_address_ban_disconnects_its_peers_and_refuses_new_connections() {
    let path = unix_socket::path("ban-address");
    let mut room = Room::open_beside("ban-address", vec![Listener::bind_path(&path, 0o600).unwrap()]);
    let address = room.server.address;
    // The operator comes from elsewhere: her address is not a loopback address.
    room.olga.send("/quit\n");
    room.olga.rest();
    let mut olga = UnixPeer::connect(&path);
    olga.send("Olga\ncorrect horse\n");
    assert!(olga.line().starts_with("! password-required: ") && olga.line().starts_with("* Welcome, Olga. "));
    let mut join = |ip, name| {
        let peer = connect_from(ip, address).join(name);
        assert_eq!(olga.line(), format!("* {name} has joined\n"));
        peer
    };
    let mut peers = [join("127.0.0.7", "Bob"), join("127.0.0.8", "Carol")];
    olga.send("/ban 127.0.0.1 1h\n");
    for peer in &mut peers {
        assert!(peer.rest().iter().any(|line| is_like(line, "! banned: …until 2…Z")));
    }
    for ip in ["127.0.0.1", "127.0.0.7", "127.9.9.9"] {
        assert!(is_like(&connect_from(ip, address).line(), "! banned"), "{ip}");
    }
    assert_eq!(olga.line(), "* Bob has left: banned by Olga\n");
    assert_eq!(olga.line(), "* Carol has left: banned by Olga\n");
    assert_like(&olga.line(), "* Banned: 127.0.0.0/8 until 2…; …Bob from 127.0.0.0/8, Carol from 127.0.0.0/8.\n");
    UnixPeer::join(&path, "Dave");
}

#[test]
fn a_ban_of_a_link_local_address_applies_in_its_zone_only() {
    let Some((address, interface)) = link_local() else { return };
    let listener = Listener::bind(&format!("{address}%{interface}"), 0).unwrap();
    let server = listener.address().unwrap();
    let mut room = Room::open_beside("ban-link-local", vec![listener]);
    let mut bob = Peer::connect(server).join("Bob");
    room.olga.expect("* Bob has joined");
    let SocketAddr::V6(from) = bob.stream().local_addr().unwrap() else { panic!("{server} is not IPv6") };
    let (place, other_zone) = (format!("{address}%{}", from.scope_id()), from.scope_id() + 1);
    // Another address of the same link, and the same address on another link.
    for other in [format!("fe80::ffff:1%{interface}"), format!("{address}%{other_zone}")] {
        room.olga.send(&format!("/ban {other}\n"));
        room.olga.expect("* Banned: fe80::…; …nobody here.");
    }
    room.olga.send(&format!("/ban {address}%{interface}\n"));
    bob.expect_rest(&["! banned: …forever", &bye("Bob", 0, 1)]);
    room.olga.expect("* Bob has left: banned by Olga");
    room.olga.expect(&format!("* Banned: {place} …; …Bob from {place}."));
    Peer::connect(server).expect_rest(&["! banned: …forever"]);
    room.does(&format!("/unban {place}"), &format!("* No longer banned: {place}."));
    Peer::connect(server).join("Bob");
}

#[test]
fn a_muted_peer_can_read_but_not_send_even_after_reconnecting() {
    let mut room = Room::open("mute");
    let mut bob = room.join("Bob");
    room.does("/mute Bob", "* Muted: Bob forever; …Bob from 127.0.0.0/8.");
    bob.send("hi\n/msg Olga hi\n/me waves\n/nick Robert\n/nick Bob\n/ping 7\n/who\n");
    for _ in 0..3 {
        bob.expect("! muted: …forever…");
    }
    for _ in 0..2 {
        bob.expect("! muted: …name…forever");
    }
    bob.expect("* Pong 7");
    bob.expect("* 2 here: Bob, Olga");
    room.olga.send("hear me\n");
    bob.expect("Olga: hear me");
    bob.send("/quit\n");
    bob.rest();
    room.olga.expect("* Bob has left");
    let mut bob = room.join("B0b");
    bob.send("hi\n");
    bob.expect("! muted: …forever…");
    room.does("/unmute Bob", "* No longer muted: Bob.");
    bob.send("hi\n");
    room.olga.expect("B0b: hi");
    room.does("/unmute Bob", "! not-sanctioned: Bob …muted");
}

#[test]
fn the_leave_reason_of_a_muted_peer_is_not_shown_even_after_reconnecting() {
    let mut room = Room::open("mute-quit");
    room.does("/mute Bob", "* Muted: Bob forever; …nobody here.");
    for reason in ["I am still here", "kicked by Olga: spam"] {
        let mut bob = room.join("Bob");
        bob.send(&format!("/quit {reason}\n"));
        bob.expect_rest(&[&bye("Bob", 0, 0)]);
        room.olga.expect("* Bob has left");
    }
    // Muted while it is here, and later unmuted.
    let mut carol = room.join("Carol");
    room.does("/mute Carol", "* Muted: Carol forever; …Carol from 127.0.0.0/8.");
    room.does("/unmute Carol", "* No longer muted: Carol.");
    carol.send("/quit tea\n");
    room.olga.expect("* Carol has left (\"tea\")");
}

#[test]
fn a_reason_for_leaving_never_looks_like_a_kick() {
    let mut room = Room::open("quit-kick");
    let (mut bob, _mallory) = (room.join("Bob"), room.join("Mallory"));
    bob.send("/quit kicked by Olga: spam\n");
    room.olga.expect("* Bob has left (\"kicked by Olga: spam\")");
    room.olga.send("/kick Mallory spam\n");
    room.olga.expect("* Mallory has left: kicked by Olga: spam");
}

#[test]
fn notices_hide_the_words_of_ignored_peers() {
    let mut room = Room::open("ignore-reason");
    let (mut bob, _troll) = (room.join("Bob"), room.join("Troll"));
    bob.expect("* Troll has joined");
    let mut mallory = room.join("Mallory");
    bob.expect("* Mallory has joined");
    bob.send("/ignore Mallory\n/ignore Olga\n");
    bob.expect("* Ignoring Mallory.");
    bob.expect("* Ignoring Olga.");
    mallory.send("/quit read this, Bob\n");
    room.olga.expect("* Mallory has left (\"read this, Bob\")");
    bob.expect("* Mallory has left");
    room.olga.send("/kick Troll read this, Bob\n");
    room.olga.expect("* Troll has left: kicked by Olga: read this, Bob");
    bob.expect("* Troll has left: kicked by Olga");
    bob.expect_nothing_new();
}

/// The ban or mute is stored shortly before the room applies it.
#[test]
fn a_rename_does_not_escape_a_ban_or_mute_that_was_just_stored() {
    let mut room = Room::open("rename-race");
    let (mut bob, mut carol) = (room.join("Bob"), room.join("Carol"));
    bob.expect("* Carol has joined");
    let sanction = || Sanction::new("a test", None, SystemTime::now(), None);
    block_on(room.accounts.mute(Name::parse("Bob").unwrap(), sanction())).unwrap();
    block_on(room.accounts.ban(Banned::Name(Name::parse("Carol").unwrap()), sanction())).unwrap();
    bob.send("/nick Robert\n");
    bob.expect("! muted: …name…forever");
    carol.send("/nick Caroline\n");
    carol.expect("! banned: …forever");
    room.olga.send("/who\n");
    room.olga.expect("* 3 here: Bob, Carol, Olga");
}

#[test]
fn a_muted_operator_cannot_moderate_and_another_one_can_unmute_it() {
    let mut room = Room::open("mute-operator");
    let mut otto = room.join_operator("Otto");
    room.does("/mute Otto", "* Muted: Otto forever; …Otto from 127.0.0.0/8.");
    let refusal = "! not-operator: …muted forever…";
    // Otherwise everyone would also read the reason of a kick.
    for act in ["/unmute Otto", "/unmute 0tto", "/kick Olga my words", "/mute Olga", "/unban Otto", "/unmute Nobody1"] {
        otto.send(&format!("{act}\n"));
        otto.expect(refusal);
    }
    otto.send("/quit\n");
    otto.rest();
    room.olga.expect("* Otto has left");
    let mut otto = room.log_in("Otto");
    otto.send("/unmute Otto\n");
    otto.expect(refusal);
    assert_eq!(room.mutes(), ["Otto by Olga"]);
    room.does("/unmute Otto", "* No longer muted: Otto.");
    otto.send("/kick Nobody1\n");
    otto.expect("! no-such-user: … Nobody1…");
}

#[test]
fn a_muted_operator_cannot_unmute_itself_by_any_name_connection_or_account() {
    let mut room = Room::open("mute-account");
    let mut ole = room.join_operator("Otto");
    ole.send("/nick Ole\n");
    ole.expect("* Otto is now Ole");
    room.olga.expect("* Otto is now Ole");
    let mut otto = room.log_in("Otto");
    ole.expect("* Otto has joined");
    // By the account, and by the name of the other connection.
    ole.send("/unmute Otto\n");
    ole.expect("! bad-arguments");
    otto.send("/unmute Ole\n");
    otto.expect("! bad-arguments");
    let concerned = "…Ole from 127.0.0.0/8, Otto from 127.0.0.0/8.";
    room.does("/mute Ole", &format!("* Muted: Ole and the account Otto forever; {concerned}"));
    assert_eq!(room.mutes(), ["Ole by Olga", "Otto by Olga"]);
    for peer in [&mut ole, &mut otto] {
        peer.send("hi\n/unmute Ole\n/unmute Otto\n");
        peer.expect("! muted: …forever…");
        for _ in 0..2 {
            peer.expect("! not-operator: …muted forever…");
        }
    }
    for (mut peer, left) in [(ole, "* Ole has left"), (otto, "* Otto has left")] {
        peer.send("/quit\n");
        peer.rest();
        room.olga.expect(left);
    }
    // Without the account, it is not an operator.
    let mut otto = room.log_in("Otto");
    otto.send("/unregister\ncorrect horse\n/unmute Otto\n/register\ncorrect horse\ncorrect horse\n/unmute Otto\n");
    otto.expect("* Send the password…");
    otto.expect("* Unregistered: Otto …");
    otto.expect("! not-operator");
    (0..3).for_each(|_| drop(otto.line()));
    otto.expect("! not-operator");
    assert_eq!(room.mutes(), ["Ole by Olga", "Otto by Olga"]);
}

#[test]
fn a_mute_of_an_account_applies_to_its_owner_under_another_name() {
    let mut room = Room::open("mute-owner");
    let mut otto = room.join_operator("Otto");
    otto.send("/nick Ole\n");
    otto.expect("* Otto is now Ole");
    room.olga.expect("* Otto is now Ole");
    room.does("/mute Otto", "* Muted: Otto forever; …Ole from 127.0.0.0/8.");
    otto.send("hi\n");
    otto.expect("! muted: …forever…");
    room.does("/unmute Ole", "* No longer muted: Ole and the account Otto.");
    assert_eq!(room.mutes(), [""; 0]);
    otto.send("hi\n");
    room.olga.expect("Ole: hi");
    // So does a ban.
    room.olga.send("/ban Ole\n");
    assert_like(&otto.rest()[0], "! banned");
    room.olga.expect("* Ole has left: banned by Olga");
    room.olga.expect("* Banned: Ole and the account Otto forever; …Ole from 127.0.0.0/8.");
    let mut otto = room.server.connect();
    otto.send("Otto\ncorrect horse\n");
    assert!(otto.rest().iter().any(|line| is_like(line, "! banned")));
}

#[test]
fn an_unmuted_account_stays_muted_under_a_name_that_is_muted_itself() {
    let mut room = Room::open("mute-both");
    let mut otto = room.join_operator("Otto");
    room.does("/mute Ole", "* Muted: Ole forever; …");
    otto.send("/nick Ole\n");
    otto.expect("* Otto is now Ole");
    room.olga.expect("* Otto is now Ole");
    room.does("/mute Otto", "* Muted: Otto forever; …Ole from 127.0.0.0/8.");
    room.does("/unmute Otto", "* No longer muted: Otto.");
    assert_eq!(room.mutes(), ["Ole by Olga"]);
    otto.send("hi\n");
    otto.expect("! muted");
}

#[test]
fn notices_name_the_operator_and_its_account() {
    let mut room = Room::open("by");
    let (mut bob, mut carol) = (room.join("Bob"), room.join("Carol"));
    bob.expect("* Carol has joined");
    room.does("/nick Ole", "* Olga is now Ole");
    bob.expect("* Olga is now Ole");
    carol.expect("* Olga is now Ole");
    room.olga.send("/kick Bob spam\n");
    carol.expect("* Bob has left: kicked by Ole (account Olga): spam");
    room.olga.expect("* Bob has left: kicked by Ole (account Olga): spam");
    room.olga.expect("* Kicked: Bob from 127.0.0.0/8.");
    room.does("/mute Dave", "* Muted: Dave forever; …nobody here.");
    assert_eq!(room.mutes(), ["Dave by Ole (account Olga)"]);
    room.olga.send("/ban Carol\n");
    room.olga.expect("* Carol has left: banned by Ole (account Olga)");
    let (long, account) = ("\u{17f}".repeat(32), "x".repeat(32));
    let by = format!("{long} (account {account})");
    assert_eq!(Sanction::new(&by, None, SystemTime::now(), None).by().as_str(), by);
}

#[test]
fn operators_cannot_moderate_themselves() {
    let mut room = Room::open("self");
    for act in ["/kick Olga", "/ban 01ga", "/ban 127.0.0.1", "/mute olga 5m", "/unmute Olga", "/unban olga"] {
        room.does(act, "! bad-arguments");
    }
    room.does("/nick Ole", "* Olga is now Ole");
    for act in ["/kick Olga", "/ban Olga", "/mute Olga", "/unmute Olga", "/unban Olga", "/mute Ole"] {
        room.does(act, "! bad-arguments");
    }
}

#[test]
fn only_operators_can_moderate() {
    let mut room = Room::open("nobody");
    let mut bob = room.join("Bob");
    for act in ["/kick Olga", "/ban Olga", "/ban 127.0.0.1", "/unban Olga", "/mute Olga", "/unmute Olga"] {
        bob.send(&format!("{act}\n"));
        bob.expect("! not-operator");
    }
    block_on(room.accounts.set_operator(&Name::parse("Olga").unwrap(), false)).unwrap();
    room.does("/kick Bob", "! not-operator");
}

#[test]
fn lines_of_an_operator_before_a_kick_arrive_before_it() {
    let mut room = Room::open("order");
    let mut bob = room.join("Bob");
    room.olga.send("one\ntwo\n/kick Bob\nthree\n");
    bob.expect_rest(&["Olga: one", "Olga: two", "! kicked", &bye("Bob", 0, 1)]);
}

#[test]
fn a_ban_also_applies_to_a_connection_that_was_waiting_without_a_name() {
    let room = Room::open("parked");
    let mut parked = room.server.connect();
    parked.send("*\n");
    parked.expect("! bad-name: …'*'…");
    parked.expect("* Send another name.");
    let until = std::time::Duration::from_secs(60);
    let sanction = Sanction::new("a test", None, SystemTime::now(), Some(SystemTime::now() + until));
    block_on(room.accounts.ban(Banned::Network("127.0.0.1".parse().unwrap()), sanction)).unwrap();
    parked.send("Bob\n");
    assert_like(&parked.rest()[0], "! banned: …until 2…Z");
}

#[test]
fn a_mute_is_not_evaded_by_another_name() {
    let mut room = Room::open("evade");
    room.does("/mute Bob", "* Muted: Bob forever; …nobody here.");
    let mut bob = room.join("Robert");
    bob.send("/nick Bob\nhi\n/nick Robert\n");
    bob.expect("* Robert is now Bob");
    bob.expect("! muted: …forever…");
    bob.expect("! muted: …name…forever");
}

#[cfg_attr(windows, ignore = "Wine closes a socket only when the peer has read what a partial write left over")]
#[test]
fn a_kicked_peer_that_does_not_read_is_cut_off_soon() {
    let mut room = Room::open("deaf");
    let deaf = Peer::connect_with_a_small_buffer(room.server.address).join("Deaf");
    room.olga.expect("* Deaf has joined");
    // More than the kernel buffers for it.
    room.olga.send(&format!("{}\n", "x".repeat(4000)).repeat(200));
    room.olga.expect_nothing_new();
    room.does_kick("Deaf");
    // Data is still sent to it, so it sees the end only when the kernel's buffer is empty. But its own side is cut.
    deaf.stream().set_write_timeout(None).unwrap();
    within(move || while deaf.stream().write_all(b"still here\n").is_ok() {});
}
