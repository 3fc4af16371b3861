//! Several rooms: moves, what is heard of other rooms, and what each room keeps for itself.

use super::*;
use crate::room::OpenRooms;

const WELCOME: &str = "/help lists the commands.";

fn name(text: &str) -> RoomName {
    RoomName::parse(text).unwrap()
}

/// How a client joins whose first line names a room.
fn join_in(room: &mut Room, peer: u64, who: &str, wanted: &str) -> Result<(), Refusal> {
    let options = JoinOptions { room: Some(name(wanted)), ..Default::default() };
    room.join_with(Join { options, ..a_join(peer, who) })
}

fn recording(names: &[&str]) -> Room {
    let history = History::in_memory();
    let mut room = Room::new();
    room.broker = room.broker.with_history(history.clone(), 3);
    room.history = Some(history);
    filled(room, names)
}

#[test]
fn what_is_said_in_a_room_stays_there() {
    let mut room = room(&["Alice", "Bob"]);
    join_in(&mut room, 3, "Carol", "dev").unwrap();
    join_in(&mut room, 4, "Dan", "dev").unwrap();
    room.send(1, &["in the lobby"]);
    room.send(3, &["in dev", "/who", "/who lobby"]);
    assert_eq!(room.heard(2), ["Alice: in the lobby"]);
    assert_eq!(room.heard(1), [""; 0]);
    let welcome = |name, others| format!("* Welcome to dev, {name}. {others}. {WELCOME}");
    assert_eq!(room.heard(4), [&*welcome("Dan", "1 other here: Carol"), "Carol: in dev"]);
    let who = ["* 2 here: Carol, Dan", "* 2 in lobby: Alice, Bob"];
    assert_eq!(room.heard(3), [&*welcome("Carol", "You are the first here"), "* Dan has joined", who[0], who[1]]);
}

#[test]
fn a_move_is_told_to_both_rooms_and_comes_in_the_order_of_what_is_said() {
    let mut room = room(&["Alice", "Bob"]);
    join_in(&mut room, 3, "Carol", "dev").unwrap();
    room.heard(3);
    room.send(2, &["one"]);
    room.send(1, &["before", "/join dev", "after", "/join #dev", "/leave", "back", "/leave"]);
    room.send(2, &["two"]);
    let entered = ["* You are now in dev. 1 other here: Carol.", "* You are now in lobby. 1 other here: Bob."];
    let already = ["* You are already in dev.", "* You are already in lobby."];
    assert_eq!(room.heard(1), ["Bob: one", entered[0], already[0], entered[1], already[1], "Bob: two"]);
    assert_eq!(room.heard(2), ["Alice: before", "* Alice has gone to dev", "* Alice has joined", "Alice: back"]);
    assert_eq!(room.heard(3), ["* Alice has joined", "Alice: after", "* Alice has gone to lobby"]);
}

#[test]
fn a_peer_that_moves_on_at_once_is_announced_in_no_room_on_its_way() {
    let mut room = slow_room(&["Alice", "Bob"]);
    join_in(&mut room, 3, "Carol", "dev").unwrap();
    join_in(&mut room, 4, "Dan", "ops").unwrap();
    room.wait(ANNOUNCE_AFTER);
    room.send(1, &["/join dev", "/join ops"]);
    room.wait(ANNOUNCE_AFTER);
    assert_eq!(room.heard(2), ["* Alice has gone to ops"].map(|_| "* Alice has gone to dev"));
    assert_eq!(room.heard(3).len(), 1, "only its own welcome");
    assert_eq!(room.heard(4)[1..], ["* Alice has joined"]);
}

#[test]
fn names_private_messages_and_ignores_hold_in_all_rooms() {
    let mut room = room(&["Alice", "Bob"]);
    join_in(&mut room, 3, "Carol", "dev").unwrap();
    assert_eq!(join_in(&mut room, 4, "alice", "dev"), Err(Refusal::NameTaken(safe("alice"))));
    room.heard(3);
    room.send(3, &["/msg Alice psst", "/ignore Bob"]);
    room.send(2, &["/msg Carol psst", "/join dev", "hi"]);
    assert_eq!(room.heard(1), ["Carol (privately): psst", "* Bob has gone to dev"]);
    assert_eq!(room.heard(3), ["* Ignoring Bob.", "* Bob has joined"]);
    assert_eq!(room.heard(2)[0], refused(Refusal::Ignored(safe("Carol"))));
}

#[test]
fn a_heard_room_brings_what_is_said_there_and_nothing_else() {
    let mut room = room(&["Alice", "Bot"]);
    join_in(&mut room, 3, "Carol", "ops").unwrap();
    room.heard(3);
    room.send(2, &["/hear ops", "/hear", "/hear ops", "/hear lobby"]);
    let hears = ["* You also hear ops now.", "* You also hear: ops.", "* You are already in lobby."];
    let mut heard = room.heard(2);
    heard.sort();
    assert_eq!(heard, [hears[0], hears[0], hears[1], hears[2]]);
    room.send(3, &["disk is full", "/nick Cleo", "/topic disks", "/who"]);
    room.send(1, &["hi"]);
    join_in(&mut room, 4, "Dan", "ops").unwrap();
    room.leave(4, None);
    let mut heard = room.heard(2);
    heard.sort();
    assert_eq!(heard, ["#ops Carol: disk is full", "Alice: hi"]);
    let notices = ["* Carol is now Cleo", "* Cleo has set the topic: disks", "* 1 here: Cleo", "* Also hearing: Bot."];
    assert_eq!(room.heard(3), [&notices[..], &["* Dan has joined", "* Dan has left"]].concat());
    room.send(
        2,
        &["/say ops looking into it", "/say dev hi", "/deaf ops", "/say ops gone", "/deaf ops", "/deaf lobby"],
    );
    room.send(3, &["thanks"]);
    let not_hearing = |room| refused(Refusal::NotHearing(name(room)));
    let not_also = |room| refused(Refusal::NotAlsoHearing(name(room)));
    let refusals = [not_hearing("dev"), not_hearing("ops"), not_also("ops"), not_also("lobby")];
    assert_eq!(room.heard(2), [&refusals[0], "* You no longer hear ops.", &refusals[1], &refusals[2], &refusals[3]]);
    assert_eq!(room.heard(3), ["Bot: looking into it"]);
}

#[test]
fn a_peer_that_enters_a_room_that_it_has_heard_reads_each_message_once() {
    let mut room = room(&["Alice"]);
    join_in(&mut room, 2, "Bob", "dev").unwrap();
    room.heard(2);
    room.send(1, &["/hear dev"]);
    room.send(2, &["one"]);
    room.send(1, &["/join dev"]);
    room.send(2, &["two"]);
    room.send(1, &["/leave", "/hear dev"]);
    room.send(2, &["three"]);
    let entered = ["* You are now in dev. 1 other here: Bob.", "* You are now in lobby. Nobody else is here."];
    let hear = "* You also hear dev now.";
    assert_eq!(room.heard(1), [hear, "#dev Bob: one", entered[0], "Bob: two", entered[1], hear, "#dev Bob: three"]);
}

#[test]
fn with_numbers_every_room_but_the_lobby_has_its_name_in_the_brackets() {
    let mut room = room(&["Alice"]);
    join_in(&mut room, 2, "Bob", "dev").unwrap();
    room.send(1, &["/ids on", "/hear dev", "mine", "/say dev also mine"]);
    room.send(2, &["/ids on", "hi", "/hear lobby"]);
    room.send(1, &["again", "/ids off"]);
    room.send(2, &["bye"]);
    let at = "1970-01-01T00:00:00Z";
    let sorted = |mut lines: Vec<String>| {
        lines.retain(|line| !line.starts_with('*'));
        lines.sort();
        lines
    };
    let [one, two, three] = [1, 2, 3].map(|number| format!("[dev {number} {at}]"));
    let of_lobby = [1, 2].map(|number| format!("[{number} {at}] Alice: "));
    assert_eq!(
        sorted(room.heard(1)),
        [
            "#dev Bob: bye".to_owned(),
            format!("{}mine", of_lobby[0]),
            format!("{}again", of_lobby[1]),
            format!("{one} Alice: also mine"),
            format!("{two} Bob: hi"),
        ]
    );
    assert_eq!(
        sorted(room.heard(2)),
        [
            "Alice: also mine".to_owned(),
            format!("{}again", of_lobby[1]),
            format!("{two} Bob: hi"),
            format!("{three} Bob: bye")
        ]
    );
}

#[test]
fn a_newcomer_of_a_room_is_shown_what_was_said_there() {
    let mut room = recording(&["Alice", "Bob"]);
    room.send(1, &["in the lobby", "/join dev", "one", "two"]);
    room.heard(2);
    room.send(2, &["/join dev", "/since 1"]);
    assert_eq!(
        room.heard(2),
        [
            "* You are now in dev. 1 other here: Alice.",
            "* Earlier messages:",
            "* 00:00 Alice: one",
            "* 00:00 Alice: two",
            "* That was 1 to 2, 2 lines.",
            "* 00:00 Alice: two",
            "* That was 2 to 2, 1 line.",
        ]
    );
    room.leave(2, None);
    let bye = "* Bye, Bob: 0 lines accepted, 0 refused. #dev since=2 brings you back here.";
    assert_eq!(room.heard(2), [bye]);
}

#[test]
fn a_heard_room_is_resumed_where_the_peer_stopped() {
    let mut room = recording(&["Alice", "Bot"]);
    room.send(1, &["/join ops", "one", "two", "three"]);
    room.heard(2);
    room.send(2, &["/hear ops since=1", "/hear dev since=1"]);
    room.send(1, &["four"]);
    let refusal = refused(Refusal::BadSince(0));
    assert_eq!(
        room.heard(2),
        [
            &*refusal,
            "* You also hear ops now.",
            "* 00:00 #ops Alice: two",
            "* 00:00 #ops Alice: three",
            "* That was 2 to 3 in ops, 2 lines.",
            "#ops Alice: four",
        ]
    );
    room.send(2, &["/rooms"]);
    assert_eq!(room.heard(2), ["* 2 rooms: lobby (1), ops (1)."], "a refused /hear opens no room");
}

#[test]
fn a_room_goes_with_its_last_person_unless_something_was_said_there() {
    let mut room = recording(&["Alice", "Bob"]);
    room.send(1, &["/join dev", "/join ops", "/topic disks", "hi", "/leave", "/rooms", "/who dev", "/who ops"]);
    let heard = room.heard(1);
    let no_room = refused(Refusal::NoSuchRoom(name("dev")));
    assert_eq!(heard[heard.len() - 3..], ["* 2 rooms: lobby (2), ops (0).", &no_room, "* Nobody is in ops."]);
    room.send(1, &["/join ops"]);
    assert_eq!(room.heard(1)[1..3], ["* The topic is: disks", "* Earlier messages:"]);
    room.send(1, &["/ids on", "again"]);
    assert_eq!(room.heard(1).last().unwrap(), "[ops 2 1970-01-01T00:00:00Z] Alice: again");
    assert_eq!(room.broker.rooms.iter().count(), 2, "an empty room takes no memory of the broker");
}

#[test]
fn who_removes_a_topic_that_is_not_there_is_told_so_and_nobody_else_is() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(1, &["/topic -", "/topic disks", "/topic -", "/topic -"]);
    let (none, set, removed) =
        ("* There is no topic.", "* Alice has set the topic: disks", "* Alice has removed the topic");
    assert_eq!(room.heard(1), [none, set, removed, none]);
    assert_eq!(room.heard(2), [set, removed]);
}

#[test]
fn rooms_can_be_limited_in_number_fixed_or_opened_only_by_registered_names() {
    let policy = |rooms, room_limit| Policy { rooms, room_limit, ..Policy::default() };
    let mut limited = room(&["Alice"]);
    limited.broker = limited.broker.with_policy(policy(OpenRooms::Everyone, 2));
    limited.send(1, &["/hear dev", "/join ops", "/join dev"]);
    assert!(limited.heard(1).contains(&refused(Refusal::TooManyRooms)));
    assert_eq!(join_in(&mut limited, 2, "Bob", "ops"), Err(Refusal::TooManyRooms));

    let mut fixed = room(&["Alice"]);
    fixed.broker = fixed.broker.with_policy(policy(OpenRooms::Fixed(vec![name("dev")]), 1));
    fixed.send(1, &["/join ops", "/rooms", "/who dev", "/join dev"]);
    let heard = fixed.heard(1);
    let refusal = refused(Refusal::RoomsAreFixed(name("ops")));
    assert_eq!(heard[..3], [&refusal, "* 2 rooms: lobby (1), dev (0).", "* Nobody is in dev."]);
    assert!(heard[3].starts_with("* You are now in dev."));

    let mut registered = room(&["Alice"]);
    registered.broker = registered.broker.with_policy(policy(OpenRooms::Registered, 10));
    let owner = JoinOptions { room: Some(name("dev")), ..Default::default() };
    let account_id = Some(AccountId(1));
    registered.send(1, &["/join dev"]);
    registered.join_with(Join { options: owner, account_id, ..a_join(2, "Bob") }).unwrap();
    registered.send(1, &["/join dev"]);
    let heard = registered.heard(1);
    assert_eq!(heard[0], refused(Refusal::OnlyRegisteredOpenRooms));
    assert!(heard[1].starts_with("* You are now in dev."), "others may enter it");
}

#[test]
fn a_peer_hears_only_so_many_rooms() {
    let mut room = room(&["Alice"]);
    for number in 0..=crate::limits::ROOMS_HEARD {
        room.send(1, &[&format!("/hear r{number}")]);
    }
    let heard = room.heard(1);
    assert!(heard.contains(&refused(Refusal::TooManyHeard)));
    assert_eq!(heard.len(), crate::limits::ROOMS_HEARD + 1);
}

#[test]
fn a_muted_peer_neither_opens_a_room_nor_speaks_or_sets_a_topic_anywhere() {
    let mut room = room(&["Alice", "Bob"]);
    room.send(1, &["/hear ops"]);
    room.heard(1);
    let (answer, _answered) = oneshot::channel();
    let mute = Some(Mute { until: None });
    let request = crate::room::AdminRequest::Mute { whom: Name::parse("Alice").unwrap(), mute, answer };
    room.broker.handle(Event::AdminRequest(Box::new(request)));
    room.send(1, &["/join rude-words", "/hear rude-words", "/say ops x", "/topic x", "/join ops"]);
    let heard = room.heard(1);
    let no_new_room =
        "! muted: you cannot open a room, because you are muted forever; you can go to rooms that exist, and hear them";
    assert_eq!(heard[..2], [no_new_room; 2]);
    assert!(heard[2..4].iter().all(|line| line.starts_with("! muted: you are muted forever")), "{heard:?}");
    assert!(heard[4].starts_with("* You are now in ops."));
}

#[test]
fn everyone_in_a_room_that_is_closed_is_in_the_lobby_and_nothing_of_it_is_kept() {
    let mut room = recording(&["Olga", "Bob"]);
    join_in(&mut room, 3, "Carol", "dev").unwrap();
    room.send(3, &["secret", "/topic secrets"]);
    room.send(2, &["/hear dev"]);
    (1..4).for_each(|peer| drop(room.heard(peer)));
    let close = |room: &mut Room, wanted: &str| {
        let (answer, mut answered) = oneshot::channel();
        let (by, reason) = (Some(safe("Olga")), Some(safe("done")));
        let request = crate::room::AdminRequest::CloseRoom { room: name(wanted), by, reason, answer };
        room.broker.handle(Event::AdminRequest(Box::new(request)));
        answered.try_recv().unwrap().unwrap()
    };
    assert!(close(&mut room, "dev").is_some());
    assert!(close(&mut room, "dev").is_none());
    room.send(3, &["/rooms"]);
    assert_eq!(
        room.heard(3),
        ["* dev was closed by Olga: done", "* You are now in lobby. 2 others here: Bob, Olga.", "* 1 room: lobby (3).",]
    );
    assert_eq!(room.heard(2), ["* Carol has joined", "* dev was closed by Olga: done", "* You no longer hear dev."]);
    room.send(2, &["/join dev", "/last"]);
    let nothing = Reply::NothingStored { room: None }.to_string();
    assert_eq!(room.heard(2), ["* You are now in dev. Nobody else is here.", &nothing]);
}

#[test]
fn a_search_finds_what_was_said_before_it_in_the_same_turn() {
    let mut room = Room::new();
    room.broker = room.broker.with_history(History::in_memory(), 0);
    let mut room = filled(room, &["Alice"]);
    let lines = vec![Command::parse(Line::Text("apple".to_owned()))];
    room.broker.take(Event::Lines { peer: PeerId(1), lines, bytes: 0 });
    let (answer, mut answered) = oneshot::channel();
    room.broker.take(Event::AskHistory { peer: PeerId(1), answer });
    assert!(answered.try_recv().unwrap().is_none());
    let (events, inbox) = async_channel::unbounded();
    drop(events);
    futures::executor::block_on(room.broker.run(inbox, no_pings()));
    let (history, ..) = answered.try_recv().unwrap().unwrap();
    let found = futures::executor::block_on(history.search("APPLE", 1, None)).unwrap();
    assert_eq!(found.messages.len(), 1);
}

#[test]
fn a_room_that_was_heard_counts_as_a_move_until_it_is_read_to_the_end() {
    let mut room = room(&["Alice"]);
    let moves = room.readers[&1].moves.clone();
    let counted = room.broker.peers[&PeerId(1)].subscriptions.clone();
    let mut taken = Vec::new();
    for number in 0..crate::limits::ROOMS_READ - 3 {
        assert!(!counted.are_many(), "{number}");
        room.send(1, &[&format!("/hear r{number}"), &format!("/deaf r{number}")]);
        room.broker.publish();
        // Like a writer that always finds something else to send first.
        taken.extend(moves.take());
    }
    assert!(counted.are_many());
    drop(taken);
    assert!(!counted.are_many());
}

/// Something that a peer does in the model.
#[derive(Debug, Clone)]
enum Step {
    Join(u64, usize, bool),
    Go(u64, usize),
    Hear(u64, usize),
    Deaf(u64, usize),
    Say(u64),
    SayIn(u64, usize),
    Ids(u64, bool),
    Leave(u64),
    EndTurn,
}

fn step() -> impl Strategy<Value = Step> {
    let (peer, room) = (1..4u64, 0..3usize);
    prop_oneof![
        3 => (peer.clone(), room.clone(), any::<bool>()).prop_map(|(peer, room, ids)| Step::Join(peer, room, ids)),
        3 => (peer.clone(), room.clone()).prop_map(|(peer, room)| Step::Go(peer, room)),
        2 => (peer.clone(), room.clone()).prop_map(|(peer, room)| Step::Hear(peer, room)),
        1 => (peer.clone(), room.clone()).prop_map(|(peer, room)| Step::Deaf(peer, room)),
        4 => peer.clone().prop_map(Step::Say),
        3 => (peer.clone(), room).prop_map(|(peer, room)| Step::SayIn(peer, room)),
        1 => (peer.clone(), any::<bool>()).prop_map(|(peer, ids)| Step::Ids(peer, ids)),
        1 => peer.prop_map(Step::Leave),
        3 => Just(Step::EndTurn),
    ]
}

const ROOMS: [&str; 3] = ["lobby", "dev", "ops"];

/// One person in the model.
#[derive(Debug, Clone)]
struct Person {
    name: &'static str,
    room: usize,
    heard: BTreeSet<usize>,
    has_ids: bool,
}

/// The rooms as their peers see them: what each peer reads of each room, in order.
#[derive(Default)]
struct Model {
    here: BTreeMap<u64, Person>,
    said: [Vec<String>; 3],
    heard: BTreeMap<(u64, usize), Vec<String>>,
}

impl Model {
    fn say(&mut self, peer: u64, room: usize, text: &str) {
        let author = self.here[&peer].name;
        self.said[room].push(text.to_owned());
        let number = self.said[room].len();
        for (&other, person) in &self.here {
            let is_in = person.room == room;
            if !is_in && !person.heard.contains(&room) || other == peer && !person.has_ids {
                continue;
            }
            let prefix = match (person.has_ids, is_in, room) {
                (true, _, 0) => format!("[{number} 1970-01-01T00:00:00Z] "),
                (true, ..) => format!("[{} {number} 1970-01-01T00:00:00Z] ", ROOMS[room]),
                (false, true, _) => String::new(),
                (false, false, _) => format!("#{} ", ROOMS[room]),
            };
            self.heard.entry((other, room)).or_default().push(format!("{prefix}{author}: {text}"));
        }
    }
}

/// Which room a message was said in: its text says it.
fn room_of(line: &str) -> Option<usize> {
    ROOMS.iter().position(|room| line.ends_with(&format!(" in {room}")))
}

proptest! {
    #[test]
    fn every_peer_reads_each_message_of_its_rooms_once_and_in_order_whatever_it_does(
        steps in prop::collection::vec(step(), 1..80),
    ) {
        const NAMES: [&str; 4] = ["", "Ann", "Bea", "Cat"];
        let mut room = Room::announcing_after(Duration::from_secs(3600));
        let mut model = Model::default();
        let mut newest = [0, 1, 2, 3];
        for (at, step) in steps.into_iter().enumerate() {
            let is_here = |slot: u64, model: &Model| model.here.contains_key(&newest[slot as usize]);
            match step {
                Step::Join(slot, wanted, ids) if !is_here(slot, &model) => {
                    newest[slot as usize] += 10;
                    let (peer, who) = (newest[slot as usize], NAMES[slot as usize]);
                    let options = JoinOptions { ids: Some(ids), room: Some(name(ROOMS[wanted])), ..Default::default() };
                    room.join_with(Join { options, ..a_join(peer, who) }).unwrap();
                    model.here.insert(peer, Person { name: who, room: wanted, heard: BTreeSet::new(), has_ids: ids });
                }
                Step::Go(slot, wanted) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("/join {}", ROOMS[wanted])]);
                    if let Some(person) = model.here.get_mut(&peer) {
                        person.room = wanted;
                        person.heard.remove(&wanted);
                    }
                }
                Step::Hear(slot, wanted) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("/hear {}", ROOMS[wanted])]);
                    if let Some(person) = model.here.get_mut(&peer) && person.room != wanted {
                        person.heard.insert(wanted);
                    }
                }
                Step::Deaf(slot, wanted) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[&format!("/deaf {}", ROOMS[wanted])]);
                    model.here.get_mut(&peer).map(|person| person.heard.remove(&wanted));
                }
                Step::Say(slot) => {
                    let peer = newest[slot as usize];
                    if let Some(person) = model.here.get(&peer).cloned() {
                        let text = format!("{at} in {}", ROOMS[person.room]);
                        room.send(peer, &[&text]);
                        model.say(peer, person.room, &text);
                    }
                }
                Step::SayIn(slot, wanted) => {
                    let peer = newest[slot as usize];
                    let text = format!("{at} in {}", ROOMS[wanted]);
                    room.send(peer, &[&format!("/say {} {text}", ROOMS[wanted])]);
                    let person = model.here.get(&peer);
                    if person.is_some_and(|person| person.room == wanted || person.heard.contains(&wanted)) {
                        model.say(peer, wanted, &text);
                    }
                }
                Step::Ids(slot, ids) => {
                    let peer = newest[slot as usize];
                    room.send(peer, &[if ids { "/ids on" } else { "/ids off" }]);
                    model.here.entry(peer).and_modify(|person| person.has_ids = ids);
                }
                Step::Leave(slot) => {
                    let peer = newest[slot as usize];
                    room.leave(peer, None);
                    model.here.remove(&peer);
                }
                Step::EndTurn => room.publish(),
                Step::Join(..) => {}
            }
            // A room that vanishes forgets its numbers when there is no history, so somebody stays in each.
            for (watcher, wanted) in (100..).zip(ROOMS) {
                if !room.broker.peers.contains_key(&PeerId(watcher)) {
                    join_in(&mut room, watcher, &format!("watch{watcher}"), wanted).unwrap();
                }
            }
        }
        room.publish();
        let mut heard: BTreeMap<(u64, usize), Vec<String>> = BTreeMap::new();
        for (&peer, lines) in room.heard.iter().filter(|(peer, _)| **peer < 100) {
            for line in lines.iter().filter(|line| !line.starts_with(['*', '!'])) {
                heard.entry((peer, room_of(line).unwrap())).or_default().push(line.clone());
            }
        }
        prop_assert_eq!(&heard, &model.heard);
        for peer in newest.into_iter().chain(100..103) {
            room.leave(peer, None);
        }
        room.publish();
        prop_assert_eq!(room.broker.rooms.iter().count(), 1, "only the lobby stays");
        let lobby = room.broker.lobby();
        prop_assert!(lobby.members.is_empty() && lobby.hearers.is_empty() && lobby.dialects == [0; 3]);
    }
}
