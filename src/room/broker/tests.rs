use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use proptest::prelude::*;

use super::*;
use crate::database::Database;
use crate::history::History;
use crate::limits::{ANNOUNCE_AFTER, GATHER, IGNORED_NAMES};
use crate::model::SafeText;
use crate::protocol::{JoinOptions, Line, Since};
use crate::room::{Counts, Join, Joined, Move, Ping, Portion, Replay, Subscription, Then};

mod held;
mod several_rooms;

/// A server without sockets or tasks: events go in, and each peer's lines are read from the feeds.
struct Room {
    broker: Broker,
    readers: BTreeMap<u64, Reading>,
    heard: BTreeMap<u64, Vec<String>>,
    throttles: BTreeMap<u64, Arc<Throttle>>,
    /// Where replays are read from.
    history: Option<History>,
}

/// What a peer reads, as its writer does.
struct Reading {
    current: Subscription,
    heard: Vec<Subscription>,
    moves: Moves,
}

impl Reading {
    /// Reads what is there. Returns whether the peer has not read its farewell yet.
    fn read(&mut self, lines: &mut Vec<String>, history: &Option<History>) -> bool {
        loop {
            self.heard.retain_mut(|heard| !read_room(heard, lines, history));
            if !read_room(&mut self.current, lines, history) {
                match self.moves.take() {
                    Some(Move::Hear(room)) => self.heard.push(room),
                    Some(Move::Enter(_)) => panic!("a peer enters a room when it has left the one before"),
                    None => return true,
                }
                continue;
            }
            loop {
                match self.moves.take() {
                    Some(Move::Hear(room)) => self.heard.push(room),
                    Some(Move::Enter(room)) => {
                        self.heard.retain_mut(|heard| !read_room(heard, lines, history));
                        self.current = room;
                        break;
                    }
                    None => {
                        self.heard.retain_mut(|heard| !read_room(heard, lines, history));
                        return false;
                    }
                }
            }
        }
    }
}

/// Reads what is there of a room. Returns whether the reader has ended.
fn read_room(room: &mut Subscription, lines: &mut Vec<String>, history: &Option<History>) -> bool {
    while let Some(Some(portion)) = room.reader.next().now_or_never() {
        assert_eq!(portion.missed(), 0);
        if read_portion(&portion, room, lines, history) {
            return true;
        }
    }
    false
}

fn read_portion(portion: &Portion, room: &Subscription, lines: &mut Vec<String>, history: &Option<History>) -> bool {
    let mut position = portion.start();
    loop {
        let (text, then) = portion.text(&mut position);
        lines.extend(String::from_utf8(text.concat()).unwrap().lines().map(str::to_owned));
        match then {
            Then::Next => return false,
            Then::End => return true,
            Then::Replay(replay) => {
                assert!(history.is_some(), "this room records");
                lines.extend(replayed(room, &replay, position.dialect()));
            }
        }
    }
}

impl Broker {
    fn lobby(&self) -> &rooms::Room {
        self.rooms.get(rooms::LOBBY)
    }

    fn lobby_mut(&mut self) -> &mut rooms::Room {
        self.rooms.get_mut(rooms::LOBBY)
    }
}

impl Room {
    fn new() -> Self {
        Self::announcing_after(Duration::ZERO)
    }

    fn announcing_after(time: Duration) -> Self {
        let broker = Broker::new(1 << 24, Log::off(), Instant::now()).announce_after(time);
        Self { broker, readers: BTreeMap::new(), heard: BTreeMap::new(), throttles: BTreeMap::new(), history: None }
    }

    fn join(&mut self, peer: u64, name: &str) -> Result<(), Refusal> {
        let throttle = Arc::clone(self.throttles.entry(peer).or_default());
        self.join_with(Join { throttle, ..a_join(peer, name) })
    }

    fn join_with(&mut self, join: Join) -> Result<(), Refusal> {
        let ((answer, mut answered), PeerId(peer)) = (oneshot::channel(), join.peer);
        self.broker.handle(Event::Join { join: Box::new(join), answer });
        let joined = answered.try_recv().unwrap().expect("every join is answered")?;
        let Joined { current, moves } = joined;
        self.readers.insert(peer, Reading { current, heard: Vec::new(), moves });
        Ok(())
    }

    fn send(&mut self, peer: u64, lines: &[&str]) {
        let bytes = lines.iter().map(|line| line.len() + 1).sum();
        let lines = lines.iter().map(|line| Command::parse(Line::Text(line.to_string()))).collect();
        self.broker.handle(Event::Lines { peer: PeerId(peer), lines, bytes });
    }

    /// Lets time pass.
    fn wait(&mut self, time: Duration) {
        let now = self.broker.now + time;
        self.broker.tick(now, SystemTime::UNIX_EPOCH);
    }

    fn leave(&mut self, peer: u64, reason: Option<&str>) {
        let reason = reason.map(|reason| LeaveReason::Quit(SafeText::new(reason.to_owned())));
        self.broker.handle(Event::Leave { peer: PeerId(peer), reason });
    }

    /// Ends the turn. What each peer hears is added to `heard`.
    fn publish(&mut self) {
        self.broker.publish();
        let (heard, history) = (&mut self.heard, &self.history);
        self.readers.retain(|&peer, reading| reading.read(heard.entry(peer).or_default(), history));
        heard.retain(|_, lines| !lines.is_empty());
    }

    /// What a peer has heard since it was last asked, this turn included.
    fn heard(&mut self, peer: u64) -> Vec<String> {
        self.publish();
        self.heard.remove(&peer).unwrap_or_default()
    }
}

/// What a writer sends for a replay.
fn replayed(of: &Subscription, replay: &Replay, dialect: Dialect) -> Vec<String> {
    let (history, room) = (&of.source.history, of.source.heard());
    let newest = |count| history.newest_messages(count, replay.up_to).now_or_never().unwrap().unwrap().messages;
    let after = match (replay.after, replay.newest) {
        (Some(after), _) => after.unwrap(),
        (None, count) => newest(count.unwrap()).first().map_or(replay.up_to, |first| first.number - 1),
    };
    replay.waiting.remove();
    let messages = history.after(after, replay.up_to, 1000).now_or_never().unwrap().unwrap().messages;
    let mut lines: Vec<_> =
        messages.iter().map(|message| dialect.replayed(&of.source.room, message, replay.now).to_string()).collect();
    let count = lines.len() as u64;
    if replay.is_unasked && count > 0 {
        lines.insert(0, Reply::Earlier.to_string());
    }
    lines.push(match (count, replay.after) {
        (0, None) => Reply::NothingStored { room }.to_string(),
        (0, Some(_)) => Reply::NothingAfter { number: after, room }.to_string(),
        (lines, _) => Reply::ThatWas { first: after + 1, last: replay.up_to, lines, room }.to_string(),
    });
    lines
}

/// How a client joins that gives no options and has sent more than its name.
fn a_join(peer: u64, name: &str) -> Join {
    Join {
        peer: PeerId(peer),
        from: somewhere(),
        name: Name::parse(name).unwrap(),
        account_id: None,
        options: JoinOptions::default(),
        is_waiting: false,
        throttle: Arc::default(),
    }
}

/// A refusal as its peer reads it. The wording is tested with the protocol.
fn refused(refusal: Refusal) -> String {
    Reply::Refused(&refusal).to_string()
}

fn same_name(name: &str) -> String {
    Reply::SameName(&Name::parse(name).unwrap()).to_string()
}

fn safe(text: &str) -> SafeText {
    SafeText::new(text.to_owned())
}

fn somewhere() -> PeerAddr {
    PeerAddr::Net("192.0.2.1:7".parse().unwrap())
}

/// A room with these peers, numbered from 1, who have read all there is.
fn room(names: &[&str]) -> Room {
    filled(Room::new(), names)
}

/// The same, in which a join is announced after half a second. These are announced already.
fn slow_room(names: &[&str]) -> Room {
    let mut room = filled(Room::announcing_after(ANNOUNCE_AFTER), names);
    room.wait(Duration::from_secs(1));
    room.publish();
    room.heard.clear();
    room
}

fn filled(mut room: Room, names: &[&str]) -> Room {
    for (peer, name) in (1..).zip(names) {
        room.join(peer, name).unwrap();
    }
    room.publish();
    room.heard.clear();
    room
}

/// How many bytes peer 1 has to pay for beside these lines, and how many its answers have.
fn owed(room: &mut Room, lines: &[&str]) -> (usize, usize) {
    room.heard(1);
    room.send(1, lines);
    let answers = room.heard(1).iter().map(|line| line.len() + 1).sum();
    (room.throttles[&1].take_owed(), answers)
}

#[test]
fn replies_count_towards_the_rate_limit_of_the_peer_that_asked() {
    let names: Vec<_> = (0..600).map(|number| format!("peer{number}{}", "x".repeat(20))).collect();
    let mut room = room(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for name in &names[1..IGNORED_NAMES] {
        room.send(1, &[&format!("/ignore {name}")]);
    }
    owed(&mut room, &[]);
    for line in ["/who", "/ignore", "/help", "/ping 123", "/msg nobody hi", "/nope", "/nick server", "/unignore x"] {
        let (owed, answer) = owed(&mut room, &[line]);
        assert_eq!(owed, answer - line.len() - 1, "{line}");
    }
    assert!(owed(&mut room, &["/who"]).0 > 13_000);
    room.broker.handle(Event::Lines { peer: PeerId(1), lines: vec![Err(Refusal::NotUtf8)], bytes: 0 });
    room.broker.handle(Event::Tell { peer: PeerId(1), told: Err(Refusal::NotOperator) });
    let answers = [Refusal::NotUtf8, Refusal::NotOperator].map(|refusal| Reply::Refused(&refusal).to_string() + "\n");
    assert_eq!(owed(&mut room, &[]).0, answers.concat().len());
    assert!(room.throttles.values().all(|throttle| throttle.take_owed() == 0), "nobody else pays");
}

#[test]
fn text_counts_at_its_size_after_escaping() {
    let mut room = room(&["Alice", "Bob"]);
    assert_eq!(owed(&mut room, &["hello"]).0, "Alice: ".len());
    let marks = format!("x{}", "\u{301}".repeat(1000));
    let shown = "Alice: x".len() + 8 * 2 + 992 * "<U+0301>".len() + 1;
    assert_eq!(owed(&mut room, &[&marks]).0, shown - marks.len() - 1);
    assert_eq!(owed(&mut room, &[&format!("/msg Bob {marks}")]).0, shown + " (privately)".len() - marks.len() - 10);
    assert_eq!(owed(&mut room, &["/nick Al"]).0, "* Alice is now Al\n".len() - "/nick Al\n".len());
}

#[test]
fn a_sender_does_not_get_its_own_message() {
    let mut room = room(&["Alice", "Bob", "Carol"]);
    room.send(1, &["hi", "there"]);
    assert_eq!(room.heard(1), [""; 0]);
    assert_eq!(room.heard(2), ["Alice: hi", "Alice: there"]);
    assert_eq!(room.heard(3), ["Alice: hi", "Alice: there"]);
}

#[test]
fn a_peer_that_joins_within_a_turn_hears_only_later_lines() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(1, &["before"]);
    room.join(3, "Carol").unwrap();
    room.send(1, &["after"]);
    let welcome = "* Welcome, Carol. 2 others here: Alice, Bob. /help lists the commands.";
    assert_eq!(room.heard(3), [welcome, "Alice: after"]);
    assert_eq!(room.heard(2), ["Alice: before", "* Carol has joined", "Alice: after"]);
}

#[test]
fn a_taken_name_is_refused_without_regard_to_case_and_the_holder_stays() {
    let mut room = room(&["Alice", "Bob"]);
    let refusal = room.join(3, "ALICE").unwrap_err();
    assert_eq!(refusal, Refusal::NameTaken(safe("ALICE")));
    room.send(1, &["still me"]);
    assert_eq!(room.heard(2), ["Alice: still me"]);
}

#[test]
fn a_name_that_looks_like_one_in_use_is_refused() {
    let mut room = room(&["copy", "Bob"]);
    // Cyrillic, and a zero for an o.
    for twin in ["сору", "c0py"] {
        let refusal = room.join(3, twin).unwrap_err();
        assert_eq!(refusal, Refusal::NameLooksTaken { name: safe(twin), holder: safe("copy") });
        room.send(2, &[&format!("/nick {twin}")]);
    }
    room.send(1, &["/nick c0py"]);
    assert_eq!(room.heard(2)[2..], ["* copy is now c0py"], "one's own name is no obstacle");
    room.leave(1, None);
    room.join(3, "сору").unwrap();
}

#[test]
fn a_leave_comes_after_all_that_was_said_and_frees_the_name() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(1, &["bye", "/foo"]);
    room.leave(1, Some("late"));
    room.join(3, "alice").unwrap();
    assert_eq!(room.heard(2), ["Alice: bye", "* Alice has left (\"late\")", "* alice has joined"]);
    assert_eq!(room.heard(1).last().unwrap(), "* Bye, Alice: 1 line accepted, 1 refused.");
}

#[test]
fn a_late_leave_cannot_remove_a_newcomer_of_the_same_name() {
    let mut room = room(&["Alice", "Bob"]);
    room.leave(1, None);
    room.join(3, "Alice").unwrap();
    room.leave(1, None);
    room.send(3, &["here"]);
    assert_eq!(room.heard(2), ["* Alice has left", "* Alice has joined", "Alice: here"]);
}

#[test]
fn lines_of_somebody_who_is_not_here_are_not_said() {
    let mut room = room(&["Alice", "Bob"]);
    room.leave(1, None);
    room.send(1, &["ghost", "/who", "/nick X", "/foo"]);
    assert_eq!(room.heard(2), ["* Alice has left"]);
}

#[test]
fn a_private_message_is_for_one_alone() {
    let mut room = room(&["Alice", "Bob", "Carol"]);
    room.send(1, &["/msg bob psst", "/msg Dave hello"]);
    assert_eq!(room.heard(1), [refused(Refusal::NoSuchUser(safe("Dave")))]);
    assert_eq!(room.heard(2), ["Alice (privately): psst"]);
    assert_eq!(room.heard(3), [""; 0]);
}

#[test]
fn messages_of_an_ignored_name_are_hidden_and_notices_are_not() {
    let mut room = room(&["Alice", "Bob", "Carol"]);
    room.send(2, &["/ignore ALICE", "/ignore"]);
    room.send(1, &["hi", "/nick Al", "hi again"]);
    room.leave(1, Some("bored"));
    room.send(3, &["quiet now"]);
    let notices = ["* Alice is now Al", "* Al has left"];
    assert_eq!(room.heard(2), ["* Ignoring ALICE.", "* Ignoring: ALICE.", notices[0], notices[1], "Carol: quiet now"]);
    assert_eq!(room.heard(3), ["Alice: hi", notices[0], "Al: hi again", "* Al has left (\"bored\")"]);
    assert_eq!(room.heard(1), ["* Alice is now Al", "* Bye, Al: 2 lines accepted, 0 refused."]);
}

#[test]
fn a_gathered_leave_reaches_those_who_ignore_the_peer_without_its_words() {
    let mut room = room(&["Alice", "Bob", "Carol"]);
    room.send(2, &["/ignore alice"]);
    // With these, 20 have joined, and all of them are announced one by one. The leave is not.
    for peer in 100..117 {
        room.join(peer, &format!("p{peer}x")).unwrap();
    }
    room.publish();
    room.heard.clear();
    room.leave(1, Some("bored"));
    assert_eq!(room.heard(3), [""; 0]);
    room.wait(GATHER);
    assert_eq!(room.heard(2), ["* Alice has left"]);
    assert_eq!(room.heard(3), ["* Alice has left (\"bored\")"]);
}

#[test]
fn those_who_ignore_an_operator_read_its_acts_without_its_words() {
    let mut room = room(&["Olga", "Bob", "Carol", "Troll"]);
    for peer in [2, 4] {
        room.send(peer, &["/ignore Olga"]);
        room.heard(peer);
    }
    let (answer, _answered) = oneshot::channel();
    let whom = crate::protocol::Banned::Name(Name::parse("Troll").unwrap());
    let [what, why] = ["kicked by Olga", "spam"].map(safe);
    let reason = LeaveReason::Server { what, why: Some(why) };
    let refusal = Refusal::Kicked(safe("spam"));
    let request = crate::room::AdminRequest::Expel { whom, refusal, reason, by: Some(PeerId(1)), answer };
    room.broker.handle(Event::AdminRequest(Box::new(request)));
    assert_eq!(room.heard(1), ["* Troll has left: kicked by Olga: spam"]);
    assert_eq!(room.heard(2), ["* Troll has left: kicked by Olga"]);
    assert_eq!(room.heard(3), ["* Troll has left: kicked by Olga: spam"]);
    assert_eq!(room.heard(4), ["! kicked: spam", "* Bye, Troll: 0 lines accepted, 1 refused."]);
}

#[test]
fn a_private_message_to_a_peer_that_ignores_the_sender_is_refused() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(2, &["/ignore alice"]);
    room.send(1, &["/msg bob psst", "/msg alice memo"]);
    room.send(2, &["/msg alice what?"]);
    room.leave(1, None);
    assert_eq!(
        room.heard(1),
        [
            &refused(Refusal::Ignored(safe("bob"))),
            "Alice (privately): memo",
            "Bob (privately): what?",
            "* Bye, Alice: 1 line accepted, 1 refused."
        ]
    );
    assert_eq!(room.heard(2), ["* Ignoring alice.", "* Alice has left"]);
}

#[test]
fn an_ignored_name_need_not_be_here_and_stays_ignored_when_its_holder_comes_back() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(2, &["/ignore Carol"]);
    for peer in [3, 4] {
        room.join(peer, "carol").unwrap();
        room.send(peer, &["hi"]);
        room.leave(peer, None);
    }
    let (joined, left) = ("* carol has joined", "* carol has left");
    assert_eq!(room.heard(2), ["* Ignoring Carol.", joined, left, joined, left]);
    assert_eq!(room.heard(1), [joined, "carol: hi", left, joined, "carol: hi", left]);
}

#[test]
fn an_ignored_peer_stays_ignored_after_a_rename() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(2, &["/ignore alice"]);
    room.send(1, &["/nick Zoe", "zoe", "/nick Yves", "yves"]);
    room.join(3, "Alice").unwrap();
    room.send(3, &["another Alice"]);
    room.send(2, &["/ignore"]);
    room.leave(1, None);
    room.send(2, &["/ignore"]);
    room.join(4, "Yves").unwrap();
    room.send(4, &["another Yves"]);
    let list = ["* Ignoring alice.", "* Ignoring: alice, Yves.", "* Ignoring: alice.", "Yves: another Yves"];
    let heard = room.heard(2);
    let heard: Vec<_> = heard.iter().filter(|line| !line.contains(" has ") && !line.contains(" is now ")).collect();
    assert_eq!(heard, list);
}

#[test]
fn unignore_lifts_both_the_old_and_the_new_name() {
    for unignored in ["ZOE", "alice"] {
        let mut room = room(&["Alice", "Bob"]);
        room.send(2, &["/ignore alice"]);
        room.send(1, &["/nick Zoe"]);
        if unignored == "alice" {
            room.send(1, &["/nick Alice"]);
        }
        room.heard(2);
        room.send(2, &[&format!("/unignore {unignored}"), &format!("/unignore {unignored}")]);
        room.send(1, &["hi", "/msg bob psst"]);
        let name = if unignored == "alice" { "Alice" } else { "Zoe" };
        assert_eq!(
            room.heard(2),
            [
                format!("* No longer ignoring {unignored}."),
                refused(Refusal::NotIgnored(safe(unignored))),
                format!("{name}: hi"),
                format!("{name} (privately): psst"),
            ]
        );
    }
}

#[test]
fn a_peer_cannot_ignore_itself() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(1, &["/ignore alice", "/ignore Zoe", "/nick Zoe", "/msg zoe memo", "/nick Alice", "/ignore"]);
    let heard = room.heard(1);
    assert_eq!(heard[0], refused(Refusal::IgnoresSelf));
    assert_eq!(heard[3..], ["Zoe (privately): memo", "* Zoe is now Alice", "* Ignoring: Zoe."]);
}

#[test]
fn ignored_names_are_limited_and_repeats_do_not_count() {
    let mut room = room(&["Alice"]);
    for number in 0..IGNORED_NAMES {
        room.send(1, &[&format!("/ignore p{number}x")]);
    }
    room.heard(1);
    room.send(1, &["/ignore more", "/ignore P1X", "/unignore p2x", "/ignore more", "/ignore p2x"]);
    let refusal = refused(Refusal::TooManyIgnored);
    let answers = [&*refusal, "* Ignoring P1X.", "* No longer ignoring p2x.", "* Ignoring more.", &refusal];
    assert_eq!(room.heard(1), answers);
}

#[test]
fn ignored_peers_are_followed_through_renames_up_to_a_limit() {
    let mut room = room(&["Alice"]);
    room.send(1, &["/ignore Bob"]);
    let peers = 1000..1001 + IGNORED_NAMES as u64;
    for peer in peers.clone() {
        room.join(peer, "Bob").unwrap();
        room.send(peer, &[&format!("/nick p{peer}x")]);
    }
    room.heard(1);
    peers.clone().for_each(|peer| room.send(peer, &["hi"]));
    assert_eq!(room.heard(1).last().unwrap(), "p1100x: hi");
    peers.for_each(|peer| room.send(peer, &["hi"]));
    assert_eq!(room.heard(1), ["p1100x: hi"]);
}

#[test]
fn a_ping_is_answered_in_order_and_only_to_its_peer() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(1, &["/ping", "/msg Dave hi", "/ping 1", "hi", "/nick Al", "/ping two words"]);
    assert_eq!(
        room.heard(1),
        ["* Pong", &refused(Refusal::NoSuchUser(safe("Dave"))), "* Pong 1", "* Alice is now Al", "* Pong two words"]
    );
    assert_eq!(room.heard(2), ["Alice: hi", "* Alice is now Al"]);
    room.leave(1, None);
    assert_eq!(room.heard(1), ["* Bye, Al: 1 line accepted, 1 refused."]);
}

#[test]
fn a_new_name_is_told_to_all_and_the_old_one_is_free() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(1, &["/nick Al", "/nick AL", "/nick AL", "/nick bob", "hi"]);
    assert_eq!(
        room.heard(1),
        ["* Alice is now Al", "* Al is now AL", &same_name("AL"), &refused(Refusal::NameTaken(safe("bob")))]
    );
    assert_eq!(room.heard(2), ["* Alice is now Al", "* Al is now AL", "AL: hi"]);
    room.join(3, "Alice").unwrap();
}

#[test]
fn a_storm_of_joins_is_told_in_one_line_with_exact_counts() {
    let mut room = room(&["Zoe"]);
    room.wait(Duration::from_secs(1));
    for peer in 2..=101 {
        room.join(peer, &format!("p{peer}x")).unwrap();
    }
    let told: Vec<_> = room.heard(1);
    assert_eq!(told.len(), 20);
    assert_eq!(told[19], "* p21x has joined");
    room.wait(GATHER);
    assert_eq!(room.heard(1), ["* 80 have joined: p22x, p23x, p24x and 77 more"]);
    for peer in 2..=101 {
        room.leave(peer, None);
    }
    assert_eq!(room.heard(1), ["* p2x has left", "* p3x has left", "* p4x has left", "* p5x has left"]);
    room.wait(GATHER);
    assert_eq!(room.heard(1), ["* 96 have left: p6x, p7x, p8x and 93 more"]);
}

#[test]
fn a_peer_that_joins_and_leaves_within_a_combined_notice_counts_in_both() {
    let mut room = room(&["Zoe"]);
    for peer in 2..=23 {
        room.join(peer, &format!("p{peer}x")).unwrap();
    }
    room.leave(23, None);
    room.heard(1);
    room.wait(GATHER);
    assert_eq!(room.heard(1), ["* 3 have joined: p21x, p22x, p23x", "* p23x has left"]);
}

/// A room with a witness, peer 1, and Bob, peer 2, in which every further notice is gathered.
fn busy_room() -> Room {
    let mut room = room(&["Zoe", "Bob"]);
    for peer in 103..=120 {
        room.join(peer, &format!("p{peer}x")).unwrap();
    }
    room.heard(1);
    room
}

#[test]
fn nobody_hears_a_line_of_a_peer_before_its_gathered_join() {
    for (line, heard) in
        [("hi", "Carol: hi"), ("/msg zoe psst", "Carol (privately): psst"), ("/nick Dora", "* Carol is now Dora")]
    {
        let mut room = busy_room();
        room.join(3, "Carol").unwrap();
        room.join(4, "Eve").unwrap();
        room.send(2, &["not of theirs"]);
        room.send(3, &["/who", "/foo", "/msg Nobody hi", "/nick Carol", line, "more"]);
        let last = if line.starts_with("/nick") { "Dora: more" } else { "Carol: more" };
        assert_eq!(room.heard(1), ["Bob: not of theirs", "* 2 have joined: Carol, Eve", heard, last]);
        room.wait(GATHER);
        assert_eq!(room.heard(1), [""; 0]);
    }
}

#[test]
fn a_gathered_leave_is_told_before_the_name_or_one_like_it_is_used_again() {
    for name in ["Bob", "BOB", "B0b"] {
        let mut room = busy_room();
        room.leave(2, None);
        room.leave(103, None);
        assert_eq!(room.join(3, "Zoe").unwrap_err().code(), "name-taken");
        room.join(3, name).unwrap();
        room.send(3, &["send money"]);
        let (joined, said) = (format!("* {name} has joined"), format!("{name}: send money"));
        assert_eq!(room.heard(1), ["* 2 have left: Bob, p103x", &joined, &said]);
    }
    let mut room = busy_room();
    room.leave(2, None);
    room.send(1, &["/nick Bob"]);
    assert_eq!(room.heard(120).split_off(1), ["* Bob has left", "* Zoe is now Bob"]);
}

#[test]
fn in_a_storm_there_are_never_more_notices_than_joins_and_few_when_all_join_before_they_speak() {
    let mut room = busy_room();
    for peer in 1000..1500 {
        room.join(peer, &format!("p{peer}x")).unwrap();
    }
    for peer in 1000..1500 {
        room.send(peer, &["hi"]);
    }
    let heard = room.heard(1);
    assert_eq!((heard.len(), &*heard[0]), (501, "* 500 have joined: p1000x, p1001x, p1002x and 497 more"));
    for peer in 2000..2500 {
        room.join(peer, &format!("p{peer}x")).unwrap();
        room.send(peer, &["hi"]);
    }
    assert_eq!(room.heard(1).len(), 1000);
}

const A_MOMENT: Duration = Duration::from_millis(1);

#[test]
fn a_peer_that_stays_less_than_half_a_second_is_not_announced() {
    let mut room = slow_room(&["Alice", "Bob"]);
    room.join(3, "cron").unwrap();
    room.send(1, &["/who", "/msg cron hi"]);
    room.send(3, &["backup done", "/msg Bob psst"]);
    room.wait(ANNOUNCE_AFTER - A_MOMENT);
    room.leave(3, Some("done"));
    room.wait(2 * ANNOUNCE_AFTER);
    assert_eq!(room.heard(1), ["* 3 here: Alice, Bob, cron", "cron: backup done"]);
    assert_eq!(room.heard(2), ["cron: backup done", "cron (privately): psst"]);
    let welcome = "* Welcome, cron. 2 others here: Alice, Bob. /help lists the commands.";
    let bye = "* Bye, cron: 2 lines accepted, 0 refused.";
    assert_eq!(room.heard(3), [welcome, "Alice (privately): hi", bye]);
    assert_eq!(room.broker.rooms.next_due(), None, "nothing is kept of it");
}

#[test]
fn a_peer_that_stays_for_half_a_second_is_announced_then_whether_or_not_it_has_spoken() {
    let mut room = slow_room(&["Alice"]);
    room.join(2, "Bob").unwrap();
    room.wait(A_MOMENT);
    room.join(3, "Carol").unwrap();
    room.send(2, &["hi"]);
    room.wait(ANNOUNCE_AFTER - 2 * A_MOMENT);
    assert_eq!(room.heard(1), ["Bob: hi"]);
    room.wait(A_MOMENT);
    room.send(2, &["hi again"]);
    assert_eq!(room.heard(1), ["* Bob has joined", "Bob: hi again"]);
    room.leave(2, None);
    room.wait(A_MOMENT);
    assert_eq!(room.heard(1), ["* Bob has left", "* Carol has joined"]);
}

#[test]
fn a_join_is_not_announced_to_those_who_came_later_and_had_it_in_their_welcome() {
    let mut room = slow_room(&["Alice"]);
    // In one turn, and the connections in another order than the joins.
    for (peer, name) in [(5, "Bob"), (3, "Carol"), (4, "Dave")] {
        room.join(peer, name).unwrap();
    }
    room.wait(ANNOUNCE_AFTER);
    assert_eq!(room.heard(1), ["* Bob has joined", "* Carol has joined", "* Dave has joined"]);
    assert_eq!(room.heard(5)[1..], ["* Carol has joined", "* Dave has joined"]);
    assert_eq!(room.heard(3)[1..], ["* Dave has joined"]);
    assert_eq!(room.heard(4)[1..], [""; 0]);
}

#[test]
fn a_peer_that_renames_at_once_is_announced_first() {
    let mut room = slow_room(&["Alice"]);
    room.join(2, "Bob").unwrap();
    room.send(2, &["hi", "/nick alice", "/nick Bobby", "hi again"]);
    room.wait(ANNOUNCE_AFTER);
    assert_eq!(room.heard(2)[1..], [&refused(Refusal::NameTaken(safe("alice"))), "* Bob is now Bobby"]);
    assert_eq!(room.heard(1), ["Bob: hi", "* Bob has joined", "* Bob is now Bobby", "Bobby: hi again"]);
    room.leave(2, None);
    assert_eq!(room.heard(1), ["* Bobby has left"]);
}

#[test]
fn a_peer_that_joined_later_hears_of_a_rename_that_comes_at_once() {
    let mut room = slow_room(&["Alice"]);
    for (peer, name) in [(2, "Bob"), (3, "Carol"), (4, "Dave")] {
        room.join(peer, name).unwrap();
    }
    room.send(3, &["/nick Caroline"]);
    assert_eq!(room.heard(4)[1..], ["* Carol is now Caroline"], "it had both in its welcome");
    room.wait(ANNOUNCE_AFTER);
    assert_eq!(room.heard(2)[1..], ["* Carol has joined", "* Carol is now Caroline", "* Dave has joined"]);
    assert_eq!(room.heard(3)[1..], ["* Carol is now Caroline", "* Dave has joined"]);
}

#[test]
fn a_peer_that_is_kicked_at_once_is_not_announced() {
    let mut room = slow_room(&["Alice"]);
    room.join(2, "Troll").unwrap();
    let (answer, mut answered) = oneshot::channel();
    let whom = crate::protocol::Banned::Name(Name::parse("Troll").unwrap());
    let reason = LeaveReason::server("kicked by Alice");
    let refusal = Refusal::Kicked(safe("spam"));
    let request = crate::room::AdminRequest::Expel { whom, refusal, reason, by: None, answer };
    room.broker.handle(Event::AdminRequest(Box::new(request)));
    room.wait(ANNOUNCE_AFTER);
    assert_eq!(room.heard(1), [""; 0]);
    assert_eq!(answered.try_recv().unwrap().expect("every request is answered").len(), 1);
    assert_eq!(room.heard(2)[1..], ["! kicked: spam", "* Bye, Troll: 0 lines accepted, 1 refused."]);
}

#[test]
fn a_gathered_leave_is_told_before_an_unannounced_peer_uses_the_name() {
    for name in ["Bob", "B0b"] {
        let mut room = slow_room(&["Zoe", "Bob"]);
        for peer in 100..120 {
            room.join(peer, &format!("p{peer}x")).unwrap();
        }
        room.wait(ANNOUNCE_AFTER);
        room.heard(1);
        room.leave(2, None);
        room.join(3, name).unwrap();
        room.send(3, &["send money"]);
        assert_eq!(room.heard(1), ["* Bob has left", &format!("{name}: send money")]);
    }
}

#[test]
fn a_storm_is_announced_half_a_second_later_with_exact_counts() {
    let mut room = slow_room(&["Zoe"]);
    for peer in 2..=15_001 {
        room.join(peer, &format!("p{peer}x")).unwrap();
    }
    for peer in 2..=1001 {
        room.leave(peer, None);
    }
    assert_eq!(room.heard(1), [""; 0]);
    room.wait(ANNOUNCE_AFTER);
    // In a large room fewer are told one by one.
    assert_eq!(room.heard(1), ["* p1002x has joined"]);
    room.wait(Duration::from_secs(1));
    assert_eq!(room.heard(1), ["* 13999 have joined: p1003x, p1004x, p1005x and 13996 more"]);
}

#[test]
fn nobody_is_announced_any_more_at_a_shutdown() {
    let mut room = slow_room(&["Alice"]);
    room.join(2, "Bob").unwrap();
    room.broker.handle(Event::Shutdown);
    room.send(2, &["last words"]);
    room.wait(ANNOUNCE_AFTER);
    assert_eq!(room.heard(1), ["* The server is shutting down", "Bob: last words"]);
}

#[test]
fn one_event_of_many_lines_is_published_in_batches() {
    let mut room = room(&["Alice", "Bob"]);
    let line = "x".repeat(1000);
    room.send(1, &vec![line.as_str(); 200]);
    assert!(room.broker.lobby().batch.len() < crate::limits::BATCH_BYTES);
    assert_eq!(room.heard(2).len(), 200);
}

#[test]
fn at_a_shutdown_all_are_told_nobody_comes_in_and_nobody_goes_before_the_last_line() {
    let mut room = room(&["Alice", "Bob"]);
    room.broker.handle(Event::Shutdown);
    assert_eq!(room.join(3, "Carol"), Err(Refusal::ShuttingDown));
    room.leave(2, None);
    room.send(1, &["last words"]);
    assert!(!room.broker.is_over());
    room.leave(1, None);
    assert!(room.broker.is_over());
    assert_eq!(room.heard(1), ["* The server is shutting down", "* Bye, Alice: 1 line accepted, 0 refused."]);
    assert_eq!(
        room.heard(2),
        ["* The server is shutting down", "Alice: last words", "* Bye, Bob: 0 lines accepted, 0 refused."]
    );
}

fn no_pings() -> async_channel::Receiver<Ping> {
    async_channel::bounded(1).1
}

#[test]
fn a_join_that_comes_at_the_very_end_is_answered() {
    let (inbox, events) = async_channel::unbounded();
    let mut running = Box::pin(Broker::new(1, Log::off(), Instant::now()).run(events, no_pings()));
    inbox.try_send(Event::Shutdown).unwrap();
    // The room is over with this turn, but its task has not come to that yet.
    assert!((&mut running).now_or_never().is_none());
    let (answer, answered) = oneshot::channel();
    inbox.try_send(Event::Join { join: Box::new(a_join(1, "Late")), answer }).unwrap();
    assert!(running.now_or_never().is_some());
    let refusal = answered.now_or_never().expect("it is answered").unwrap().unwrap_err();
    assert_eq!(refusal, Refusal::ShuttingDown);
    assert!(inbox.is_closed());
}

#[test]
fn a_turn_ends_with_a_full_batch_although_more_waits() {
    let (inbox, events) = async_channel::unbounded();
    let mut running = Box::pin(Broker::new(1 << 24, Log::off(), Instant::now()).run(events, no_pings()));
    let (answer, answered) = oneshot::channel();
    inbox.try_send(Event::Join { join: Box::new(a_join(1, "Alice")), answer }).unwrap();
    for _ in 0..100 {
        let lines = vec![Ok(Command::Say(SafeText::new("x".repeat(1000)))); 100];
        inbox.try_send(Event::Lines { peer: PeerId(1), lines, bytes: 0 }).unwrap();
    }
    assert!((&mut running).now_or_never().is_none());
    drop(answered);
    // 100 kB an event, and a batch is about 64 KiB.
    assert_eq!(inbox.len(), 99);
}

#[test]
fn the_room_ends_when_nobody_can_send_any_more() {
    let (inbox, events) = async_channel::bounded(1);
    let mut room = room(&["Alice"]);
    let mut reader = room.readers.remove(&1).unwrap().current.reader;
    drop(inbox);
    futures::executor::block_on(room.broker.run(events, no_pings()));
    assert!(reader.next().now_or_never().unwrap().is_none(), "the feed ends with its broker");
}

/// Something that can happen in a room of four connections and three names.
#[derive(Debug, Clone)]
enum Act {
    Join(u64, &'static str),
    Say(u64),
    Tell(u64, &'static str),
    Rename(u64, &'static str),
    Ignore(u64, &'static str),
    Unignore(u64, &'static str),
    Ignored(u64),
    Leave(u64),
    EndTurn,
}

fn act() -> impl Strategy<Value = Act> {
    let (peer, name) = (1..5u64, prop::sample::select(vec!["Ann", "Bea", "Cy"]));
    prop_oneof![
        (peer.clone(), name.clone()).prop_map(|(peer, name)| Act::Join(peer, name)),
        peer.clone().prop_map(Act::Say),
        (peer.clone(), name.clone()).prop_map(|(peer, name)| Act::Tell(peer, name)),
        (peer.clone(), name.clone()).prop_map(|(peer, name)| Act::Rename(peer, name)),
        (peer.clone(), name.clone()).prop_map(|(peer, name)| Act::Ignore(peer, name)),
        (peer.clone(), name).prop_map(|(peer, name)| Act::Unignore(peer, name)),
        peer.clone().prop_map(Act::Ignored),
        peer.prop_map(Act::Leave),
        Just(Act::EndTurn),
    ]
}

/// What each peer is to hear, as one would say it: who is here, by name, and a list of lines for each.
#[derive(Default)]
struct Model {
    here: BTreeMap<u64, &'static str>,
    /// Who ignores which name; and who ignores whom who had such a name, and renamed itself.
    ignored: BTreeSet<(u64, &'static str)>,
    followed: BTreeSet<(u64, u64)>,
    /// Who has joined and is not announced yet: in which step it is to be, and who was here before.
    unannounced: VecDeque<(usize, u64, BTreeSet<u64>)>,
    heard: BTreeMap<u64, Vec<String>>,
}

impl Model {
    fn join(&mut self, peer: u64, name: &'static str, announced_in: usize) {
        self.unannounced.push_back((announced_in, peer, self.here.keys().copied().collect()));
        self.here.insert(peer, name);
    }

    /// Announces those whose joins are due in this step.
    fn announce(&mut self, step: usize) {
        while self.unannounced.front().is_some_and(|(due, ..)| *due <= step) {
            self.announce_next();
        }
    }

    fn announce_next(&mut self) {
        let Some((_, peer, before)) = self.unannounced.pop_front() else { return };
        if let Some(name) = self.here.get(&peer).copied() {
            let before = before.into_iter().filter(|other| self.here.contains_key(other)).collect::<Vec<_>>();
            before.into_iter().for_each(|other| self.tell(other, format!("* {name} has joined")));
        }
    }

    fn is_announced(&self, peer: u64) -> bool {
        self.unannounced.iter().all(|(_, other, _)| *other != peer)
    }

    fn tell(&mut self, peer: u64, line: String) {
        self.heard.entry(peer).or_default().push(line);
    }

    fn tell_others(&mut self, peer: u64, line: &str) {
        let others: Vec<_> = self.here.keys().copied().filter(|&other| other != peer).collect();
        others.into_iter().for_each(|other| self.tell(other, line.to_owned()));
    }

    fn say_to_others(&mut self, peer: u64, line: &str) {
        let others = self.here.keys().copied().filter(|&other| other != peer && !self.ignores(other, peer));
        others.collect::<Vec<_>>().into_iter().for_each(|other| self.tell(other, line.to_owned()));
    }

    fn ignores(&self, peer: u64, other: u64) -> bool {
        peer != other && (self.ignored.contains(&(peer, self.here[&other])) || self.followed.contains(&(peer, other)))
    }

    fn unignore(&mut self, peer: u64, name: &'static str) -> bool {
        let followed = self.holder(name).is_some_and(|holder| self.followed.remove(&(peer, holder)));
        self.ignored.remove(&(peer, name)) || followed
    }

    fn list_of_ignored(&self, peer: u64) -> String {
        let names = self.ignored.iter().filter(|(by, _)| *by == peer).map(|(_, name)| *name);
        let followed = self.followed.iter().filter(|(by, _)| *by == peer).map(|(_, other)| self.here[other]);
        let all: BTreeSet<_> = names.chain(followed).collect();
        match all.len() {
            0 => "* Ignoring nobody.".to_owned(),
            _ => format!("* Ignoring: {}.", Vec::from_iter(all).join(", ")),
        }
    }

    fn rename(&mut self, peer: u64, new: &'static str) {
        let old = self.here.insert(peer, new).unwrap();
        let by = self.ignored.iter().filter(|(by, name)| *by != peer && *name == old).map(|(by, _)| (*by, peer));
        self.followed.extend(by.collect::<Vec<_>>());
    }

    fn announce_leave(&mut self, peer: u64, reason: usize) {
        let name = self.here[&peer];
        let others: Vec<_> = self.here.keys().copied().filter(|&other| other != peer).collect();
        for other in others {
            let reason = if self.ignores(other, peer) { String::new() } else { format!(" (\"{reason}\")") };
            self.tell(other, format!("* {name} has left{reason}"));
        }
    }

    fn leave(&mut self, peer: u64) -> Option<&'static str> {
        self.ignored.retain(|(by, _)| *by != peer);
        self.followed.retain(|(by, other)| *by != peer && *other != peer);
        self.here.remove(&peer)
    }

    fn holder(&self, name: &str) -> Option<u64> {
        self.here.iter().find(|(_, held)| **held == name).map(|(&peer, _)| peer)
    }
}

/// What a witness knows from what it hears, and holds against what it heard before.
#[derive(Default)]
struct Witness {
    here: BTreeSet<String>,
    /// How many have had each name.
    holders: BTreeMap<String, u64>,
    joined: usize,
    left: usize,
}

impl Witness {
    fn hears(&mut self, line: &str) {
        let (notice, rest) = line.split_once(": ").unwrap_or((line, ""));
        match notice.split(' ').collect::<Vec<_>>()[..] {
            ["*", name, "has", "joined"] => self.join(name),
            ["*", count, "have", "joined"] => {
                assert_eq!(count.parse(), Ok(rest.split(", ").count()), "{line}");
                rest.split(", ").for_each(|name| self.join(name));
            }
            ["*", name, "has", "left"] => self.leave(name),
            ["*", count, "have", "left"] => {
                assert_eq!(count.parse(), Ok(rest.split(", ").count()), "{line}");
                rest.split(", ").for_each(|name| self.leave(name));
            }
            ["*", old, "is", "now", new] => {
                assert!(self.here.remove(old), "{old} is not here");
                self.take(new);
            }
            // A peer that is not announced yet.
            [name] | [name, "(privately)"] if rest == "0" => self.check_that_nobody_has(name),
            [name] | [name, "(privately)"] => {
                assert!(self.here.contains(name), "{name} is not here");
                assert_eq!(rest.parse(), Ok(self.holders[name]), "this is another {name}");
            }
            _ => panic!("{line:?}"),
        }
    }

    fn join(&mut self, name: &str) {
        self.joined += 1;
        self.take(name);
    }

    fn take(&mut self, name: &str) {
        self.check_that_nobody_has(name);
        self.here.insert(name.to_owned());
        *self.holders.entry(name.to_owned()).or_default() += 1;
    }

    fn check_that_nobody_has(&self, name: &str) {
        let joined = Name::parse(name).unwrap();
        let twin = self.here.iter().find(|other| Name::parse(other).unwrap() == joined);
        assert_eq!(twin, None, "{name} looks like it");
    }

    fn leave(&mut self, name: &str) {
        self.left += 1;
        assert!(self.here.remove(name), "{name} is not here");
    }
}

/// Something that can happen in a busy room. Of its names, two look alike, so no notice has more than three.
fn busy_act() -> impl Strategy<Value = Act> {
    let (peer, name) = (1..5u64, prop::sample::select(vec!["Ann", "Bea", "Bob", "B0b"]));
    prop_oneof![
        3 => (peer.clone(), name.clone()).prop_map(|(peer, name)| Act::Join(peer, name)),
        1 => peer.clone().prop_map(Act::Say),
        1 => peer.clone().prop_map(|peer| Act::Tell(peer, "Zoe")),
        1 => (peer.clone(), name).prop_map(|(peer, name)| Act::Rename(peer, name)),
        3 => peer.prop_map(Act::Leave),
        1 => Just(Act::EndTurn),
    ]
}

proptest! {
    #[test]
    fn what_is_gathered_is_told_in_an_order_that_is_true(
        delay in prop_oneof![Just(Duration::ZERO), Just(Duration::from_millis(100))],
        acts in prop::collection::vec((busy_act(), prop_oneof![3 => Just(0), 1 => 0..150u64]), 1..80),
    ) {
        let mut room = filled(Room::announcing_after(delay), &["Zoe"]);
        room.wait(delay);
        for peer in 100..109 {
            room.join(peer, "Filler").unwrap();
            room.wait(delay);
            room.leave(peer, None);
        }
        room.heard(1);
        let name = |room: &Room, peer| room.broker.peers.get(&PeerId(peer)).map(|peer| peer.name.to_string());
        let is_announced =
            |room: &Room, peer| room.broker.peers.get(&PeerId(peer)).is_some_and(|peer| peer.unannounced.is_none());
        // How many who were announced have had each name: a message says which of them its sender is, or 0.
        let mut holders = BTreeMap::<String, u64>::new();
        let mut announced = BTreeSet::new();
        let mut left = 0;
        let mut newest = [0, 1001, 1002, 1003, 1004];
        // A peer that has just changed its name was announced under the former one.
        let mut note_announced =
            |room: &Room, newest: &[u64], former: Option<(u64, &str)>, holders: &mut BTreeMap<String, u64>| {
                for &peer in newest.iter().filter(|&&peer| is_announced(room, peer)) {
                    if announced.insert(peer) {
                        let former = former.filter(|(other, _)| *other == peer).map(|(_, name)| name.to_owned());
                        let name = former.or_else(|| name(room, peer)).expect("it is here");
                        *holders.entry(name).or_default() += 1;
                    }
                }
                announced.len()
            };
        for (act, pause) in acts {
            room.wait(Duration::from_millis(pause));
            note_announced(&room, &newest, None, &mut holders);
            let holder = |room: &Room, peer| match name(room, peer) {
                Some(name) if is_announced(room, peer) => holders[&name],
                _ => 0,
            };
            match act {
                Act::Join(slot, wanted) => {
                    let newest = &mut newest[slot as usize];
                    if name(&room, *newest).is_none() {
                        *newest += 10;
                        let _ = room.join(*newest, wanted);
                    }
                }
                Act::Say(slot) => {
                    let peer = newest[slot as usize];
                    let holder = holder(&room, peer);
                    room.send(peer, &[&holder.to_string()]);
                }
                Act::Tell(slot, to) => {
                    let peer = newest[slot as usize];
                    let holder = holder(&room, peer);
                    room.send(peer, &[&format!("/msg {to} {holder}")]);
                }
                Act::Rename(slot, new) => {
                    let peer = newest[slot as usize];
                    let old = name(&room, peer);
                    room.send(peer, &[&format!("/nick {new}")]);
                    if let Some(old) = old
                        && name(&room, peer).is_some_and(|now| now != old)
                    {
                        note_announced(&room, &newest, Some((peer, &old)), &mut holders);
                        *holders.entry(new.to_owned()).or_default() += 1;
                    }
                }
                Act::Leave(slot) => {
                    let peer = newest[slot as usize];
                    left += usize::from(is_announced(&room, peer));
                    room.leave(peer, None);
                }
                Act::Ignore(..) | Act::Unignore(..) | Act::Ignored(_) => unreachable!("it is not among these acts"),
                Act::EndTurn => room.publish(),
            }
            note_announced(&room, &newest, None, &mut holders);
        }
        room.wait(delay);
        let joined = note_announced(&room, &newest, None, &mut holders);
        room.wait(GATHER);
        let mut witness = Witness::default();
        room.heard(1).iter().for_each(|line| witness.hears(line));
        prop_assert_eq!((witness.joined, witness.left), (joined, left));
        let here: BTreeSet<_> = newest.iter().filter_map(|&peer| name(&room, peer)).collect();
        prop_assert_eq!(witness.here, here);
    }
}

proptest! {
    #[test]
    fn every_peer_hears_what_a_simple_model_says(delay in 0..3usize, acts in prop::collection::vec(act(), 1..80)) {
        let mut room = Room::announcing_after(Duration::from_secs(delay as u64));
        let mut model = Model::default();
        // A connection joins once, so each join of a connection that has been here is by a new one.
        let mut newest = [0, 1, 2, 3, 4];
        for (number, act) in acts.into_iter().enumerate() {
            // Slowly enough that every join and leave is told on its own.
            room.wait(Duration::from_secs(1));
            model.announce(number);
            match act {
                Act::Join(slot, name) => {
                    newest[slot as usize] += 10;
                    let (peer, before) = (newest[slot as usize], newest[slot as usize] - 10);
                    if model.here.contains_key(&before) {
                        newest[slot as usize] = before; // Still here.
                        continue;
                    }
                    prop_assert_eq!(room.join(peer, name).is_ok(), model.holder(name).is_none());
                    if model.holder(name).is_none() {
                        let mut others: Vec<_> = model.here.values().copied().collect();
                        others.sort_unstable();
                        let who = match others.len() {
                            0 => "You are the first here.".to_owned(),
                            1 => format!("1 other here: {}.", others[0]),
                            count => format!("{count} others here: {}.", others.join(", ")),
                        };
                        model.tell(peer, format!("* Welcome, {name}. {who} /help lists the commands."));
                        model.join(peer, name, number + delay);
                        model.announce(number);
                    }
                }
                Act::Say(slot) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("line {number}")]);
                    if let Some(name) = model.here.get(&peer) {
                        let line = format!("{name}: line {number}");
                        model.say_to_others(peer, &line);
                    }
                }
                Act::Tell(slot, to) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("/msg {to} line {number}")]);
                    match (model.here.get(&peer), model.holder(to)) {
                        (Some(_), Some(receiver)) if model.ignores(receiver, peer) => {
                            model.tell(peer, refused(Refusal::Ignored(safe(to))));
                        }
                        (Some(name), Some(receiver)) => {
                            model.tell(receiver, format!("{name} (privately): line {number}"));
                        }
                        (Some(_), None) => {
                            model.tell(peer, refused(Refusal::NoSuchUser(safe(to))));
                        }
                        (None, _) => {}
                    }
                }
                Act::Rename(slot, new) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("/nick {new}")]);
                    match (model.here.get(&peer).copied(), model.holder(new)) {
                        (Some(old), None) => {
                            let line = format!("* {old} is now {new}");
                            while !model.is_announced(peer) {
                                model.announce_next();
                            }
                            model.tell(peer, line.clone());
                            model.tell_others(peer, &line);
                            model.rename(peer, new);
                        }
                        (Some(_), Some(holder)) if holder == peer => {
                            model.tell(peer, same_name(new));
                        }
                        (Some(_), Some(_)) => model.tell(peer, refused(Refusal::NameTaken(safe(new)))),
                        (None, _) => {}
                    }
                }
                Act::Ignore(slot, name) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("/ignore {name}")]);
                    if !model.here.contains_key(&peer) {
                        continue;
                    }
                    if model.holder(name) == Some(peer) {
                        model.tell(peer, refused(Refusal::IgnoresSelf));
                    } else {
                        model.ignored.insert((peer, name));
                        model.tell(peer, format!("* Ignoring {name}."));
                    }
                }
                Act::Unignore(slot, name) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("/unignore {name}")]);
                    match model.here.contains_key(&peer) {
                        false => {}
                        true if model.unignore(peer, name) => {
                            model.tell(peer, format!("* No longer ignoring {name}."));
                        }
                        true => model.tell(peer, refused(Refusal::NotIgnored(safe(name)))),
                    }
                }
                Act::Ignored(slot) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &["/ignore"]);
                    if model.here.contains_key(&peer) {
                        model.tell(peer, model.list_of_ignored(peer));
                    }
                }
                Act::Leave(slot) => {
                    let peer = newest[slot as usize];
                    room.leave(peer, Some(&number.to_string()));
                    if model.here.contains_key(&peer) && model.is_announced(peer) {
                        model.announce_leave(peer, number);
                    }
                    model.leave(peer);
                }
                Act::EndTurn => room.publish(),
            }
        }
        room.publish();
        // The farewell is tested on its own; its counts would make the model a second broker.
        room.heard.values_mut().for_each(|lines| lines.retain(|line| !line.starts_with("* Bye, ")));
        prop_assert_eq!(&room.heard, &model.heard);
        for peer in newest {
            room.leave(peer, None);
        }
        prop_assert!(room.broker.ignores.is_empty(), "{:?}", room.broker.ignores);
    }
}

// ---- History ---------------------------------------------------------------------------------------------------------

/// A room that records, as its peers see it: a list of messages, and for each peer what it has read.
#[derive(Default)]
struct Archive {
    messages: Vec<(&'static str, String)>,
    here: BTreeMap<u64, (&'static str, bool)>,
    heard: BTreeMap<u64, Vec<String>>,
}

impl Archive {
    fn line(&self, number: u64, has_ids: bool, is_old: bool) -> String {
        let (name, text) = &self.messages[number as usize - 1];
        match (has_ids, is_old) {
            (true, _) => format!("[{number} 1970-01-01T00:00:00Z] {name}: {text}"),
            (false, true) => format!("* 00:00 {name}: {text}"),
            (false, false) => format!("{name}: {text}"),
        }
    }

    fn tell(&mut self, peer: u64, line: String) {
        self.heard.entry(peer).or_default().push(line);
    }

    fn say(&mut self, peer: u64, text: String) {
        let Some(&(name, _)) = self.here.get(&peer) else { return };
        self.messages.push((name, text));
        let number = self.messages.len() as u64;
        for (other, (_, has_ids)) in self.here.clone() {
            if other != peer || has_ids {
                self.tell(other, self.line(number, has_ids, false));
            }
        }
    }

    fn show(&mut self, peer: u64, first: u64, last: u64) {
        let has_ids = self.here[&peer].1;
        (first..=last).for_each(|number| self.tell(peer, self.line(number, has_ids, true)));
        self.tell(peer, format!("* That was {first} to {last}, {}.", crate::protocol::words::lines(last + 1 - first)));
    }

    fn since(&mut self, peer: u64, since: u64) {
        match self.messages.len() as u64 {
            newest if since > newest => self.tell(peer, refused(Refusal::BadSince(newest))),
            newest if since == newest => {
                self.tell(peer, Reply::NothingAfter { number: newest, room: None }.to_string())
            }
            newest => self.show(peer, since + 1, newest),
        }
    }

    fn last(&mut self, peer: u64, count: u64) {
        match self.messages.len() as u64 {
            0 => self.tell(peer, Reply::NothingStored { room: None }.to_string()),
            newest => self.show(peer, (newest + 1).saturating_sub(count).max(1), newest),
        }
    }

    /// What a newcomer is shown that asks for nothing, where three messages are usual.
    fn greet(&mut self, peer: u64) {
        if !self.messages.is_empty() {
            self.tell(peer, Reply::Earlier.to_string());
            self.last(peer, 3);
        }
    }
}

#[derive(Debug, Clone)]
enum Request {
    /// With `ids`, `since` and whether it has sent nothing more.
    Join(u64, bool, Option<u64>, bool),
    Say(u64),
    Ids(u64, bool),
    Since(u64, u64),
    Last(u64, u64),
    Leave(u64),
    EndTurn,
}

fn request() -> impl Strategy<Value = Request> {
    let (peer, number) = (1..4u64, 0..12u64);
    prop_oneof![
        3 => (peer.clone(), any::<bool>(), prop::option::of(number.clone()), any::<bool>())
            .prop_map(|(peer, ids, since, is_waiting)| Request::Join(peer, ids, since, is_waiting)),
        5 => peer.clone().prop_map(Request::Say),
        1 => (peer.clone(), any::<bool>()).prop_map(|(peer, ids)| Request::Ids(peer, ids)),
        1 => (peer.clone(), number).prop_map(|(peer, since)| Request::Since(peer, since)),
        1 => (peer.clone(), 1..5u64).prop_map(|(peer, count)| Request::Last(peer, count)),
        1 => peer.prop_map(Request::Leave),
        2 => Just(Request::EndTurn),
    ]
}

proptest! {
    #[test]
    fn every_peer_reads_each_message_once_whatever_it_asks_for(
        requests in prop::collection::vec(request(), 1..60),
    ) {
        const NAMES: [&str; 4] = ["", "Ann", "Bea", "Cat"];
        let mut room = Room::new();
        let history = History::in_memory();
        room.broker = room.broker.with_history(history.clone(), 3).announce_after(Duration::from_secs(3600));
        room.history = Some(history);
        room.wait(Duration::ZERO);
        let mut archive = Archive::default();
        let mut newest = [0, 1, 2, 3];
        for (at, request) in requests.into_iter().enumerate() {
            let is_here = |peer| archive.here.contains_key(&peer);
            match request {
                Request::Join(slot, ids, since, is_waiting) => {
                    if is_here(newest[slot as usize]) {
                        continue;
                    }
                    newest[slot as usize] += 10;
                    let (peer, name) = (newest[slot as usize], NAMES[slot as usize]);
                    let options = JoinOptions { ids: Some(ids), since: since.map(Since::Number), ..Default::default() };
                    let joined = room.join_with(Join { options, is_waiting, ..a_join(peer, name) });
                    if since.is_some_and(|since| since > archive.messages.len() as u64) {
                        prop_assert_eq!(joined, Err(Refusal::BadSince(archive.messages.len() as u64)));
                        continue;
                    }
                    prop_assert_eq!(joined, Ok(()));
                    archive.here.insert(peer, (name, ids));
                    match since {
                        Some(since) => archive.since(peer, since),
                        None if is_waiting => archive.greet(peer),
                        None => {}
                    }
                }
                Request::Say(slot) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("line {at}")]);
                    archive.say(peer, format!("line {at}"));
                }
                Request::Ids(slot, ids) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[if ids { "/ids on" } else { "/ids off" }]);
                    if let Some(user) = archive.here.get_mut(&peer) {
                        user.1 = ids;
                        archive.tell(peer, Reply::Ids(ids).to_string());
                    }
                }
                Request::Since(slot, since) => {
                    let peer = newest[slot as usize];
                    if is_here(peer) {
                        room.send(peer, &[&format!("/since {since}")]);
                        archive.since(peer, since);
                        room.publish(); // Only some may wait.
                    }
                }
                Request::Last(slot, count) => {
                    let peer = newest[slot as usize];
                    if is_here(peer) {
                        room.send(peer, &[&format!("/last {count}")]);
                        archive.last(peer, count);
                        room.publish();
                    }
                }
                Request::Leave(slot) => {
                    let peer = newest[slot as usize];
                    room.leave(peer, None);
                    archive.here.remove(&peer);
                }
                Request::EndTurn => room.publish(),
            }
        }
        room.publish();
        let is_about_presence = |line: &String| line.starts_with("* Welcome, ") || line.starts_with("* Bye, ");
        room.heard.values_mut().for_each(|lines| lines.retain(|line| !is_about_presence(line)));
        room.heard.retain(|_, lines| !lines.is_empty());
        prop_assert_eq!(&room.heard, &archive.heard);
        let with_ids = archive.here.values().filter(|(_, has_ids)| *has_ids).count();
        prop_assert_eq!(room.broker.lobby().dialects, [archive.here.len() - with_ids, with_ids, 0]);
    }
}

#[test]
fn those_who_ignore_a_sender_that_hears_itself_hear_nothing_of_it() {
    let mut room = room(&["Alice", "Bob", "Carol"]);
    room.send(2, &["/ignore Alice"]);
    room.send(1, &["/ids on", "one", "two"]);
    room.send(2, &["/unignore alice"]);
    room.send(1, &["three"]);
    let line = |number, text| format!("[{number} 1970-01-01T00:00:00Z] Alice: {text}");
    let receipts = [line(1, "one"), line(2, "two"), line(3, "three")];
    assert_eq!(room.heard(1)[1..], receipts);
    assert_eq!(room.heard(2), ["* Ignoring Alice.", "* No longer ignoring alice.", "Alice: three"]);
    assert_eq!(room.heard(3), ["Alice: one", "Alice: two", "Alice: three"]);
}

#[test]
fn numbers_continue_after_those_of_the_history() {
    let mut room = room(&["Alice"]);
    room.broker.lobby_mut().next_number = 88_120;
    room.send(1, &["/ids on", "hi", "/since 88121"]);
    assert_eq!(room.heard(1)[1..], ["[88120 1970-01-01T00:00:00Z] Alice: hi", &refused(Refusal::BadSince(88_120))]);
}

#[test]
fn many_who_join_at_once_share_one_text() {
    let history = History::in_memory();
    let mut room = Room::new();
    room.broker = room.broker.with_history(history.clone(), 10);
    room.join(1, "Alice").unwrap();
    let lines: Vec<_> = (0..20).map(|at| format!("line {at}")).collect();
    room.send(1, &lines.iter().map(String::as_str).collect::<Vec<_>>());
    room.publish();
    let before = room.broker.lobby().batch.len();
    for peer in 2..100 {
        room.join_with(Join { is_waiting: true, ..a_join(peer, &format!("p{peer}x")) }).unwrap();
    }
    let welcomes = 98 * 300;
    assert!(room.broker.lobby().batch.len() - before < welcomes, "it is not copied");
    assert!(room.heard(50).iter().any(|line| line == "* That was 11 to 20, 10 lines."));
}

/// A history in a file of this test.
fn history_on_disk(test: &str, settings: crate::history::Settings) -> History {
    database_on_disk(test, settings).1
}

/// The same, and its database.
fn database_on_disk(test: &str, settings: crate::history::Settings) -> (Database, History) {
    let folder = std::env::temp_dir().join(format!("linechat-broker-{test}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    let database = Database::open(&folder).unwrap();
    let history = History::open(&database, settings).unwrap();
    // On Windows an open file cannot be removed.
    assert!(std::fs::remove_dir_all(&folder).is_ok() || cfg!(windows));
    (database, history)
}

impl Room {
    fn recording_to(history: &History) -> Self {
        let mut room = Self::new();
        room.broker = room.broker.with_history(history.clone(), 0);
        room.join(1, "Alice").unwrap();
        room.join(2, "Bob").unwrap();
        room.heard(1);
        room.heard(2);
        room
    }

    fn publish_when_stored(&mut self) {
        self.broker.publish();
        futures::executor::block_on(self.broker.publish_when_stored());
    }
}

#[test]
fn a_message_that_must_be_stored_and_cannot_be_is_refused() {
    let settings = crate::history::Settings { sync: crate::database::Sync::Always, ..Default::default() };
    let (database, history) = database_on_disk("must-store", settings);
    let mut room = Room::recording_to(&history);
    // Nothing is written meanwhile.
    let (go_on, may_go_on) = std::sync::mpsc::channel();
    let hold = move |_: &_| may_go_on.recv().map_err(|_| rusqlite::Error::InvalidQuery);
    database.submit(crate::database::Sync::Always, hold, |_| {});
    room.send(1, &["kept", "/msg Bob psst"]);
    room.broker.publish();
    assert_eq!(
        room.readers.get_mut(&2).unwrap().current.reader.next().now_or_never().map(drop),
        None,
        "it is not stored yet"
    );
    go_on.send(()).unwrap();
    room.publish_when_stored();
    assert_eq!(room.heard(2), ["Alice: kept", "Alice (privately): psst"]);
    futures::executor::block_on(history.close()).unwrap();
    room.send(1, &["lost", "/msg Bob psst", "lost too"]);
    room.send(2, &["lost as well"]);
    room.publish_when_stored();
    let refusal = refused(Refusal::MessageNotKept);
    assert_eq!(room.heard(1), [&*refusal, &refusal]);
    assert_eq!(room.heard(2), ["Alice (privately): psst", &refusal]);
    room.leave(1, None);
    assert_eq!(room.heard(1), ["* Bye, Alice: 3 lines accepted, 2 refused. since=4 brings you back here."]);
}

#[test]
fn what_waits_in_a_room_that_is_closed_does_not_get_into_the_next_room_of_that_name() {
    let history = history_on_disk("closed", Default::default());
    let mut room = Room::recording_to(&history);
    room.send(1, &["/join dev"]);
    room.send(2, &["/join dev"]);
    room.publish_when_stored();
    drop((room.heard(1), room.heard(2)));
    let dev = RoomName::parse("dev").unwrap();
    let id = room.broker.rooms.id(&dev).unwrap();
    // A number that is not reserved yet, so the message waits, and is not even queued.
    let waiting = room.broker.rooms.get(id).history.ceiling() + 1;
    room.broker.rooms.get_mut(id).next_number = waiting;
    room.send(1, &["secret"]);
    room.broker.publish();
    let request = crate::room::AdminRequest::CloseRoom {
        room: dev.clone(),
        by: None,
        reason: None,
        answer: oneshot::channel().0,
    };
    room.broker.handle(Event::AdminRequest(Box::new(request)));
    room.send(2, &["/join dev"]);
    room.publish_when_stored();
    let heard = room.heard(2);
    assert_eq!(heard[..2], ["Alice: secret", "* dev was closed"]);
    assert_eq!(heard.last().unwrap(), "* You are now in dev. Nobody else is here.");
    assert_ne!(room.broker.rooms.id(&dev), Some(id));
    assert!(room.broker.rooms.find(id).is_none(), "the closed room is gone");
    let opened = history.room(&dev);
    futures::executor::block_on(opened.reserve()).unwrap();
    assert_eq!(opened.extent(), None);
    assert!(futures::executor::block_on(opened.newest_messages(9, u64::MAX)).unwrap().messages.is_empty());
}

#[test]
fn a_room_goes_on_when_messages_cannot_be_stored() {
    let history = history_on_disk("goes-on", Default::default());
    let mut room = Room::recording_to(&history);
    futures::executor::block_on(history.close()).unwrap();
    room.send(1, &["not stored"]);
    room.publish_when_stored();
    assert_eq!(room.heard(2), ["Alice: not stored"]);
    assert_eq!(history.extent(), None);
}

#[test]
fn a_file_that_keeps_no_messages_is_told_their_numbers() {
    let settings = crate::history::Settings { keep: crate::history::Keep::Nothing, ..Default::default() };
    let history = history_on_disk("keep-nothing", settings);
    let mut room = Room::recording_to(&history);
    let ceiling = history.ceiling();
    room.broker.lobby_mut().next_number = ceiling - 10;
    room.send(1, &["before"]);
    room.publish_when_stored();
    room.broker.lobby_mut().next_number = ceiling + 1;
    room.send(1, &["after"]);
    room.publish_when_stored();
    assert_eq!(room.heard(2), ["Alice: before", "Alice: after"]);
}
