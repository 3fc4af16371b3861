use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::model::{Message, Name, RoomName, SafeText, Timestamp};
use crate::protocol::{LeaveReason, Notice, Refusal, Reply};

/// Text that tries to look like another line, or to end its own.
fn hostile_text() -> impl Strategy<Value = SafeText> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "\")", "(\"", "\"", ": ", " ", "* ", "! ", "\n", "\r\n", "\u{2028}", "Olga", "Pong", "The", "kicked: ",
            "has left", "has joined", " is now ", "is now Olga", "kicked by Olga", "connection lost", "(privately)",
            " (account Olga)", "The operator says: ", "has left: kicked by Olga: spam", "has left (\"bye\")",
            "* Olga has left: connection lost", "Olga: hi", "/me ", "#ops ", "#ops Olga: hi", " in ops", " in ops.",
            "[ops 3 2026-11-26T12:03:11Z] ", "12:03 ", "12:03 #ops Olga: ", "was closed by Olga", "has gone to ops",
            "You are now in ops. ", "The topic is: ", " has set the topic: ", " and 3 more", "ops (12)", "3 rooms: ", " now.",
        ]).prop_map(str::to_owned),
        1 => "\\PC{1,5}",
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| SafeText::new(pieces.concat()))
}

fn any_name() -> impl Strategy<Value = Name> {
    let chosen = prop::sample::select(vec!["Olga", "has", "now", "The", "left", "3", "Pong", "kicked", "x\""]);
    prop_oneof![chosen.prop_map(str::to_owned), "\\PC{1,6}"].prop_filter_map("no name", |text| Name::parse(&text).ok())
}

fn any_room() -> impl Strategy<Value = RoomName> {
    let chosen = prop::sample::select(vec!["lobby", "ops", "3", "in", "rooms", "and", "has", "more", "7-", "now"]);
    prop_oneof![chosen.prop_map(str::to_owned), "[a-z0-9][a-z0-9-]{0,31}"]
        .prop_map(|text| RoomName::parse(&text).expect("the pattern is the rule"))
}

/// The content of the replies in a test.
#[derive(Debug)]
struct Words {
    message: Message,
    names: Vec<Name>,
    rooms: Vec<RoomName>,
    people: Vec<(RoomName, usize)>,
    by: SafeText,
    text: SafeText,
    texts: Vec<SafeText>,
    reasons: Vec<LeaveReason>,
    notices: Vec<Notice>,
    refusals: Vec<Refusal>,
    count: u64,
}

impl Words {
    fn new(names: Vec<Name>, rooms: Vec<RoomName>, text: SafeText, count: u64) -> Self {
        let (who, other) = (&names[0], &names[1]);
        let by = [other.to_string(), format!("{other} (account {who})"), "server admin (user 0)".to_owned()];
        let kicked = by
            .clone()
            .map(|by| LeaveReason::Server { what: SafeText::new(format!("kicked by {by}")), why: Some(text.clone()) });
        let mut reasons = vec![LeaveReason::Quit(text.clone())];
        reasons.extend(kicked.iter().filter_map(LeaveReason::without_words_of_a_user));
        reasons.extend(kicked);
        reasons.extend(rooms.iter().cloned().map(LeaveReason::Gone));
        let done = [format!("Kicked: {who}."), format!("No longer banned: {who}.")];
        let mut notices = vec![
            Notice::SendPassword,
            Notice::SendNewPassword,
            Notice::SendItAgain,
            Notice::Registered(who.clone()),
            Notice::PasswordChanged(who.clone()),
            Notice::Unregistered(who.clone()),
            Notice::NotSearched(count),
        ];
        notices.extend(done.map(|done| Notice::Text(SafeText::new(done))));
        let with_text: [fn(SafeText) -> Refusal; 9] = [
            Refusal::BadOption,
            Refusal::Kicked,
            Refusal::Banned,
            Refusal::Muted,
            Refusal::NoSuchUser,
            Refusal::UnknownCommand,
            Refusal::UnknownOption,
            Refusal::NotIgnored,
            Refusal::NameTaken,
        ];
        let mut refusals: Vec<_> = with_text.into_iter().map(|refusal| refusal(text.clone())).collect();
        let with_room: [fn(RoomName) -> Refusal; 3] =
            [Refusal::NoSuchRoom, Refusal::RoomsAreFixed, Refusal::NotHearing];
        refusals.extend(with_room.into_iter().map(|refusal| refusal(rooms[0].clone())));
        refusals.extend([Refusal::PasswordRequired, Refusal::WrongPassword, Refusal::Discarded(3)]);
        let at = Timestamp::from_millis(count);
        let message = Message { number: count, at, from: names[0].clone(), text: text.clone() };
        let people = rooms.iter().cloned().zip(3..).collect();
        let by = SafeText::new(by[1].clone());
        Self {
            texts: vec![text.clone(); 3],
            message,
            names,
            rooms,
            people,
            by,
            text,
            reasons,
            notices,
            refusals,
            count,
        }
    }

    /// A reply of every kind, with every field.
    fn replies<'a>(&'a self, named: &'a [&'a Name]) -> Vec<Reply<'a>> {
        let Self { names, text, count, .. } = self;
        let (name, new, many) = (&names[0], &names[1], names.len());
        let (room, heard, message) = (&self.rooms[0], Some(&self.rooms[1]), &self.message);
        let mut replies = vec![
            Reply::Said { from: name, text },
            Reply::Told { from: name, text },
            Reply::Prompt,
            Reply::PromptAgain,
            Reply::PromptSame,
            Reply::Welcome { room, name, others: 0, named: &[], recorded: None },
            Reply::Welcome { room, name, others: many, named, recorded: None },
            Reply::Welcome { room, name, others: many + 500, named, recorded: Some("Messages are recorded.") },
            Reply::Entered { room, others: 0, named: &[] },
            Reply::Entered { room, others: many, named },
            Reply::Entered { room, others: many + 500, named },
            Reply::AlreadyIn(room),
            Reply::TopicIs(text),
            Reply::NoTopic,
            Reply::TopicSet { name, text },
            Reply::TopicRemoved(name),
            Reply::Rooms { rooms: &self.people[..1], more: 0 },
            Reply::Rooms { rooms: &self.people, more: 0 },
            Reply::Rooms { rooms: &self.people, more: 7 },
            Reply::Hearing(room),
            Reply::HearingList(&[]),
            Reply::HearingList(&self.rooms),
            Reply::NoLongerHearing(room),
            Reply::RoomClosed { room, by: None, reason: None },
            Reply::RoomClosed { room, by: None, reason: Some(text) },
            Reply::RoomClosed { room, by: Some(&self.by), reason: None },
            Reply::RoomClosed { room, by: Some(&self.by), reason: Some(text) },
            Reply::Joined(name),
            Reply::Left { name, reason: None },
            Reply::ManyJoined { count: many, names },
            Reply::ManyLeft { count: many + 7, names },
            Reply::Renamed { old: name, new },
            Reply::SameName(name),
            Reply::Here { count: many, names: named },
            Reply::Here { count: many + 7, names: named },
            Reply::InRoom { room, count: 0, names: &[] },
            Reply::InRoom { room, count: many, names: named },
            Reply::InRoom { room, count: many + 7, names: named },
            Reply::AlsoHearing { count: many, names: named },
            Reply::AlsoHearing { count: many + 7, names: named },
            Reply::Ignoring(name),
            Reply::NoLongerIgnoring(name),
            Reply::Ignored(&[]),
            Reply::Ignored(&self.texts),
            Reply::Help,
            Reply::Pong(None),
            Reply::Pong(Some(text)),
            Reply::Slowed,
            Reply::Missed { count: *count, since: None, room: None },
            Reply::Missed { count: *count, since: Some(7), room: None },
            Reply::Missed { count: *count, since: None, room: heard },
            Reply::Bye { name, accepted: *count, refused: 1, since: None, room },
            Reply::Bye { name, accepted: *count, refused: 1, since: Some(*count), room },
            Reply::Numbered { room, message },
            Reply::Heard { room, message },
            Reply::Replayed { message, now: message.at, heard: None },
            Reply::Replayed { message, now: Timestamp::from_millis(0), heard: None },
            Reply::Replayed { message, now: message.at, heard },
            Reply::Replayed { message, now: Timestamp::from_millis(0), heard },
            Reply::Earlier,
            Reply::ThatWas { first: 1, last: *count, lines: *count, room: None },
            Reply::ThatWas { first: 1, last: *count, lines: *count, room: heard },
            Reply::NothingAfter { number: *count, room: None },
            Reply::NothingAfter { number: *count, room: heard },
            Reply::NothingStored { room: None },
            Reply::NothingStored { room: heard },
            Reply::NoLongerKept { count: 1, room: None },
            Reply::NoLongerKept { count: *count, room: None },
            Reply::NoLongerKept { count: *count, room: heard },
            Reply::Skipped { count: 1, room: None },
            Reply::Skipped { count: *count, room: heard },
            Reply::Unreadable { count: *count, room: None },
            Reply::Unreadable { count: *count, room: heard },
            Reply::Found { count: 0, has_more: false },
            Reply::Found { count: *count, has_more: true },
            Reply::Ids(true),
            Reply::Ids(false),
            Reply::ShuttingDown,
            Reply::Announced(text),
        ];
        replies.extend(self.reasons.iter().map(|reason| Reply::Left { name, reason: Some(reason) }));
        replies.extend(self.notices.iter().map(Reply::Noticed));
        replies.extend(self.refusals.iter().map(Reply::Refused));
        replies
    }
}

/// The number of kinds of replies.
const KINDS: usize = 50;

/// Parses a reply, and compares it with its parts.
fn check(reply: Reply<'_>) {
    let shown = reply.to_string();
    let lines: Vec<_> = shown.lines().map(ServerLine::parse).collect();
    let is = |expected| assert_eq!(lines, [expected], "{shown:?}");
    let names_are = |expected: &[&Name], lists: Vec<Names<'_>>| {
        let read: Vec<_> = lists.into_iter().flat_map(Names::iter).collect();
        assert_eq!(read, expected.iter().map(|name| name.as_str()).collect::<Vec<_>>(), "{shown:?}");
    };
    let name_of = |room: Option<&RoomName>| room.map(|room| room.as_str().to_owned());
    let unless_lobby = |room: &RoomName| (!room.is_lobby()).then(|| room.as_str().to_owned());
    match reply {
        Reply::Said { from, text } => is(ServerLine::Said { from: from.as_str(), text: text.as_str() }),
        Reply::Told { from, text } => is(ServerLine::Told { from: from.as_str(), text: text.as_str() }),
        Reply::Numbered { room, message: Message { number, at, from, text } } => is(ServerLine::Numbered {
            room: unless_lobby(room).as_deref(),
            number: *number,
            at: &at.to_string(),
            from: from.as_str(),
            text: text.as_str(),
        }),
        Reply::Heard { room, message: Message { from, text, .. } } => {
            is(ServerLine::Heard { room: room.as_str(), from: from.as_str(), text: text.as_str() });
        }
        Reply::Replayed { message, now, heard } => {
            let room = name_of(heard);
            let at = message.at.to_string().replace('T', " ");
            let is_today = message.at.as_millis() / 86_400_000 == now.as_millis() / 86_400_000;
            let at = if is_today { &at[11..16] } else { &at[..16] };
            let (from, text) = (message.from.as_str(), message.text.as_str());
            is(ServerLine::Replayed { room: room.as_deref(), at, from, text });
        }
        Reply::Earlier => is(ServerLine::Earlier),
        Reply::ThatWas { first, last, lines, room } => {
            is(ServerLine::ThatWas { first, last, lines: Some(lines), room: name_of(room).as_deref() });
        }
        Reply::NothingAfter { number, room } => {
            is(ServerLine::NothingAfter { number, room: name_of(room).as_deref() });
        }
        Reply::NoLongerKept { count, room } | Reply::Unreadable { count, room } => {
            is(ServerLine::Unavailable { count, room: name_of(room).as_deref() });
        }
        Reply::Prompt => is(ServerLine::Prompt),
        Reply::PromptAgain => is(ServerLine::PromptAgain),
        Reply::PromptSame => is(ServerLine::PromptSame),
        Reply::Welcome { room, name, named, .. } => match lines[..] {
            [ServerLine::Welcome { room: read_room, name: read, others }] => {
                assert_eq!((read, read_room), (name.as_str(), unless_lobby(room).as_deref()));
                names_are(&named[..named.len().min(crate::limits::WELCOME_NAMES)], vec![others]);
            }
            _ => panic!("{shown:?}: {lines:?}"),
        },
        Reply::Entered { room, named, .. } => match lines[..] {
            [ServerLine::Entered { room: read, others }] => {
                assert_eq!(read, room.as_str());
                names_are(&named[..named.len().min(crate::limits::WELCOME_NAMES)], vec![others]);
            }
            _ => panic!("{shown:?}: {lines:?}"),
        },
        Reply::AlreadyIn(room) => is(ServerLine::AlreadyIn(room.as_str())),
        Reply::TopicIs(text) => is(ServerLine::Topic { by: None, text: Some(text.as_str()) }),
        Reply::NoTopic => is(ServerLine::Topic { by: None, text: None }),
        Reply::TopicSet { name, text } => {
            is(ServerLine::Topic { by: Some(name.as_str()), text: Some(text.as_str()) });
        }
        Reply::TopicRemoved(name) => is(ServerLine::Topic { by: Some(name.as_str()), text: None }),
        Reply::Rooms { rooms, more } => {
            let list = |(at, line): (usize, &_)| match *line {
                ServerLine::Rooms { count, rooms: list } if at == 0 && count == rooms.len() + more => list,
                ServerLine::RoomsToo(list) if at > 0 => list,
                _ => panic!("{shown:?}: {line:?}"),
            };
            let read: Vec<_> = lines.iter().enumerate().map(list).flat_map(Rooms::iter).collect();
            assert_eq!(read, rooms.iter().map(|(room, people)| (room.as_str(), *people)).collect::<Vec<_>>());
        }
        Reply::Hearing(room) => is(ServerLine::Hearing(room.as_str())),
        Reply::NoLongerHearing(room) => is(ServerLine::NoLongerHearing(room.as_str())),
        Reply::RoomClosed { room, by, reason } => is(ServerLine::RoomClosed {
            room: room.as_str(),
            by: by.map(SafeText::as_str),
            reason: reason.map(SafeText::as_str),
        }),
        Reply::Left { name, reason: Some(LeaveReason::Gone(room)) } => {
            is(ServerLine::Gone { name: name.as_str(), room: room.as_str() });
        }
        Reply::Joined(name) => is(ServerLine::Joined(name.as_str())),
        Reply::Left { name, reason } => {
            let reason = reason.map(|reason| match reason {
                LeaveReason::Quit(words) => Reason::Quit(words.as_str()),
                LeaveReason::Server { what, why } => Reason::Server(what.as_str(), why.as_ref().map(SafeText::as_str)),
                LeaveReason::Gone(_) => unreachable!("this is another kind of line"),
            });
            is(ServerLine::Left { name: name.as_str(), reason });
        }
        Reply::ManyJoined { count, names } | Reply::ManyLeft { count, names } => {
            let is_joined = matches!(reply, Reply::ManyJoined { .. });
            match lines[..] {
                [ServerLine::ManyJoined { count: read, names: list }] if is_joined && read == count => {
                    names_are(&names.iter().collect::<Vec<_>>(), vec![list]);
                }
                [ServerLine::ManyLeft { count: read, names: list }] if !is_joined && read == count => {
                    names_are(&names.iter().collect::<Vec<_>>(), vec![list]);
                }
                _ => panic!("{shown:?}: {lines:?}"),
            }
        }
        Reply::Renamed { old, new } => is(ServerLine::Renamed { old: old.as_str(), new: new.as_str() }),
        Reply::Here { count, names } => {
            let list = |(at, line): (usize, &_)| match *line {
                ServerLine::Here { count: read, names } if at == 0 && read == count => names,
                ServerLine::HereToo(names) if at > 0 => names,
                _ => panic!("{shown:?}: {line:?}"),
            };
            names_are(names, lines.iter().enumerate().map(list).collect());
        }
        Reply::InRoom { room, count, names } => {
            let list = |(at, line): (usize, &_)| match *line {
                ServerLine::InRoom { room: read, count: people, names }
                    if at == 0 && (read, people) == (room.as_str(), count) =>
                {
                    names
                }
                ServerLine::HereToo(names) if at > 0 => names,
                _ => panic!("{shown:?}: {line:?}"),
            };
            names_are(names, lines.iter().enumerate().map(list).collect());
        }
        Reply::AlsoHearing { names, .. } => {
            let list = |line: &_| match *line {
                ServerLine::AlsoHearing(names) => names,
                _ => panic!("{shown:?}: {line:?}"),
            };
            names_are(names, lines.iter().map(list).collect());
        }
        Reply::Pong(token) => is(ServerLine::Pong(token.map(SafeText::as_str))),
        Reply::Missed { count, room, .. } => is(ServerLine::Missed { count, room: name_of(room).as_deref() }),
        Reply::Bye { name, accepted, refused, since, room } => is(ServerLine::Bye {
            name: name.as_str(),
            accepted: Some(accepted),
            refused: Some(refused),
            since,
            room: unless_lobby(room).as_deref(),
        }),
        Reply::ShuttingDown => is(ServerLine::ShuttingDown),
        Reply::Announced(text) => is(ServerLine::Announced(text.as_str())),
        Reply::Noticed(Notice::SendPassword) => is(ServerLine::SendPassword),
        Reply::Noticed(Notice::SendNewPassword) => is(ServerLine::SendNewPassword),
        Reply::Noticed(Notice::SendItAgain) => is(ServerLine::SendItAgain),
        Reply::Noticed(Notice::Registered(name)) => is(ServerLine::Registered(name.as_str())),
        Reply::Noticed(Notice::PasswordChanged(name)) => is(ServerLine::PasswordChanged(name.as_str())),
        Reply::Noticed(Notice::Unregistered(name)) => is(ServerLine::Unregistered(name.as_str())),
        Reply::Noticed(notice @ Notice::NotSearched(_)) => is(ServerLine::Notice(&notice.to_string())),
        Reply::Noticed(Notice::Text(text)) => is(ServerLine::Notice(text.as_str())),
        Reply::Refused(refusal) => is(ServerLine::Refused { code: refusal.code(), text: &refusal.to_string() }),
        Reply::SameName(_)
        | Reply::Ignoring(_)
        | Reply::NoLongerIgnoring(_)
        | Reply::Ignored(_)
        | Reply::Help
        | Reply::HearingList(_)
        | Reply::NothingStored { .. }
        | Reply::Skipped { .. }
        | Reply::Found { .. }
        | Reply::Ids(_)
        | Reply::Slowed => {
            for (raw, line) in shown.lines().zip(lines) {
                assert_eq!(line, ServerLine::Notice(&raw[2..]));
            }
        }
    }
}

proptest! {
    /// No user text makes a line look like another kind.
    #[test]
    fn every_reply_is_read_as_what_it_is_whatever_users_write(
        names in prop::collection::vec(any_name(), 2..30),
        rooms in prop::collection::vec(any_room(), 2..60),
        text in hostile_text(),
        count: u64,
    ) {
        let words = Words::new(names, rooms, text, count);
        let named: Vec<_> = words.names.iter().collect();
        let replies = words.replies(&named);
        let kinds: HashSet<_> = replies.iter().map(std::mem::discriminant).collect();
        prop_assert_eq!(kinds.len(), KINDS);
        replies.into_iter().for_each(check);
    }

    /// No text makes a line look like one of another kind, of another room or by another author, although it is a part
    /// of such a line.
    #[test]
    fn nobody_can_forge_a_line(
        names in prop::collection::vec(any_name(), 2..4),
        rooms in prop::collection::vec(any_room(), 2..4),
        forger in any_name(),
        text in hostile_text(),
        forged: prop::sample::Index,
        cut: prop::sample::Index,
    ) {
        let theirs = Words::new(names, rooms.clone(), text, 7);
        let named: Vec<_> = theirs.names.iter().collect();
        let line = forged.get(&theirs.replies(&named)).to_string();
        let starts: Vec<_> = line.char_indices().map(|(at, _)| at).chain([line.len()]).collect();
        let (start, end) = line.split_at(*cut.get(&starts));
        for part in [start, end] {
            let names = vec![forger.clone(), theirs.names[0].clone()];
            let words = Words::new(names, rooms.clone(), SafeText::new(part.to_owned()), 8);
            let named: Vec<_> = words.names.iter().collect();
            words.replies(&named).into_iter().for_each(check);
        }
    }

    #[test]
    fn any_line_can_be_read(line: String) {
        let _ = ServerLine::parse(&line);
        let _ = ServerLine::parse(&format!("* {line}"));
        let _ = ServerLine::parse(&format!("! {line}"));
    }
}

#[test]
fn the_line_ending_is_not_part_of_the_line() {
    for end in ["", "\n", "\r\n"] {
        assert_eq!(ServerLine::parse(&format!("Al: hi{end}")), ServerLine::Said { from: "Al", text: "hi" });
    }
}

#[test]
fn other_lines_are_not_parsed_as_messages() {
    for line in [
        "#ops",
        "#ops Al",
        "[yes]",
        "",
        ": hi",
        "a b: hi",
        "[yes]: hi",
        "[1 x] : hi",
        "[x 1] Al: hi",
        "Alice:hi",
        "Alice",
        "* ",
        "*",
    ] {
        assert!(!matches!(ServerLine::parse(line), ServerLine::Said { .. } | ServerLine::Told { .. }), "{line:?}");
    }
    for line in [
        "#Ops Al: hi",
        "#ops a b: hi",
        "#ops Al (privately): hi",
        "[Dev 1 2026-11-26T12:03:11Z] Al: hi",
        "[dev 1 2026-11-26T12:03:11Z x] Al: hi",
        "[dev x 2026-11-26T12:03:11Z] Al: hi",
    ] {
        assert_eq!(ServerLine::parse(line), ServerLine::Other(line));
    }
    for line in [
        "* Bob has joined: x",
        "* Bob is now a b",
        "* Bob has left us",
        "* x here: Bob",
        "* a b has joined",
        "* 12:3 Al: x",
        "* 2026-11-26 Al: x",
        "* 12:03 a b: x",
        "* 12:03 #Ops Al: x",
        "* 12:03 #ops a b: x",
        "* Al has gone to Dev",
        "* Al has gone to a b",
        "* Al was closed by Olga",
        "* dev was closed for Olga",
    ] {
        assert_eq!(ServerLine::parse(line), ServerLine::Notice(&line[2..]));
    }
}

#[test]
fn a_line_tells_where_the_peer_is() {
    let room = |name: &str| RoomName::parse(name).unwrap();
    let moves = |line: &str| ServerLine::parse(line).moves_from(&room("dev"));
    for (line, to) in [
        ("* Welcome, Bob. You are the first here. /help lists the commands.", "lobby"),
        ("* Welcome to ops, Bob. 1 other here: Al. /help lists the commands.", "ops"),
        ("* You are now in ops. Nobody else is here.", "ops"),
        ("* You are already in dev.", "dev"),
        ("* dev was closed by Olga: done", "lobby"),
    ] {
        assert_eq!(moves(line), Some(room(to)), "{line}");
    }
    for line in
        ["* ops was closed", "* Bob has gone to ops", "* You also hear ops now.", "* You are now in Ops.", "Al: hi"]
    {
        assert_eq!(moves(line), None, "{line}");
    }
}

#[test]
fn a_muted_message_a_muted_name_and_a_room_that_a_muted_peer_would_open_are_told_apart() {
    let muted = |text| ServerLine::Refused { code: "muted", text };
    assert!(muted("you may listen, but say nothing").refuses_message());
    assert!(!muted("you keep your name, because you are muted forever").refuses_message());
    assert!(!muted("you cannot open a room, because you are muted forever").refuses_message());
    assert!(!ServerLine::Refused { code: "not-operator", text: "" }.refuses_message());
}

#[test]
fn the_name_of_an_unknown_command_is_found() {
    for command in ["/ping", "/pings", "/ping2", "/ping-x"] {
        let refusal = Reply::Refused(&Refusal::UnknownCommand(SafeText::new(command.to_owned()))).to_string();
        assert_eq!(ServerLine::parse(&refusal).unknown_command(), Some(command));
    }
    assert_eq!(ServerLine::parse("! no-such-user: /ping").unknown_command(), None);
}
