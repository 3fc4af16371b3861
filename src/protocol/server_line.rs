//! A line from the server, as a client parses it. [`Reply`](crate::protocol::Reply) writes it.
//!
//! The parser looks only at the first characters and at fixed words. Names contain neither blanks nor `:`, so user text
//! cannot be taken for another kind of line. A server of another kind may put anything in the place of a name, so
//! callers that need a name must check it with `Name::parse`. Names of rooms are checked here.

/// The fixed words that [`Reply`](crate::protocol::Reply) writes and [`ServerLine`] parses.
pub(crate) mod fixed {
    pub(crate) const PRIVATELY: &str = " (privately)";
    pub(crate) const PROMPT: &str = "Send your name as the first line.";
    pub(crate) const PROMPT_AGAIN: &str = "Send another name.";
    pub(crate) const PROMPT_SAME: &str = "Send your name again.";
    pub(crate) const WELCOME: &str = "Welcome, ";
    pub(crate) const WELCOME_TO: &str = "Welcome to ";
    pub(crate) const ENTERED: &str = "You are now in ";
    pub(crate) const ALREADY_IN: &str = "You are already in ";
    pub(crate) const FIRST: &str = "You are the first here";
    /// For a room that may have earlier messages, and people who hear it.
    pub(crate) const NOBODY_ELSE: &str = "Nobody else is here";
    pub(crate) const HERE: &str = " here: ";
    pub(crate) const WELCOME_END: &str = ". /help lists the commands.";
    pub(crate) const AND: &str = "and: ";
    /// Before the name of a room, as in `4 in dev: Alice`.
    pub(crate) const IN: &str = " in ";
    pub(crate) const NOBODY_IN: &str = "Nobody is in ";
    pub(crate) const ALSO_HEARING: &str = "Also hearing: ";
    pub(crate) const HEARING: &str = "You also hear ";
    pub(crate) const NOW: &str = " now.";
    pub(crate) const NO_LONGER_HEARING: &str = "You no longer hear ";
    pub(crate) const ROOM: &str = " room: ";
    pub(crate) const ROOMS: &str = " rooms: ";
    pub(crate) const WAS_CLOSED: &str = " was closed";
    pub(crate) const BY: &str = " by ";
    pub(crate) const TOPIC_IS: &str = "The topic is: ";
    pub(crate) const NO_TOPIC: &str = "There is no topic.";
    pub(crate) const HAS_SET_TOPIC: &str = " has set the topic: ";
    pub(crate) const HAS_REMOVED_TOPIC: &str = " has removed the topic";
    pub(crate) const HAS_GONE: &str = " has gone to ";
    pub(crate) const HAS_JOINED: &str = " has joined";
    pub(crate) const HAS_LEFT: &str = " has left";
    /// These enclose the reason that a leaving user gave.
    pub(crate) const QUOTES: (&str, &str) = (" (\"", "\")");
    pub(crate) const HAVE_JOINED: &str = " have joined: ";
    pub(crate) const HAVE_LEFT: &str = " have left: ";
    pub(crate) const IS_NOW: &str = " is now ";
    pub(crate) const PONG: &str = "Pong";
    pub(crate) const PONG_WITH_TOKEN: &str = "Pong ";
    pub(crate) const MISSED: &str = "You missed ";
    pub(crate) const BYE: &str = "Bye, ";
    pub(crate) const SINCE: &str = " since=";
    pub(crate) const COMES_BACK: &str = " brings you back here.";
    pub(crate) const EARLIER: &str = "Earlier messages:";
    pub(crate) const THAT_WAS: &str = "That was ";
    pub(crate) const TO: &str = " to ";
    pub(crate) const NOTHING_AFTER: &str = "Nothing was said after ";
    pub(crate) const OF_THESE: &str = " of these lines ";
    pub(crate) const ACCEPTED: &str = " accepted, ";
    pub(crate) const SHUTTING_DOWN: &str = "The server is shutting down";
    pub(crate) const ANNOUNCED: &str = "The operator says: ";
    pub(crate) const SEND_PASSWORD: &str = "Send the password";
    pub(crate) const SEND_NEW_PASSWORD: &str = "Send the new password";
    pub(crate) const SEND_IT_AGAIN: &str = "Send the new password again";
    pub(crate) const REGISTERED: &str = "Registered: ";
    pub(crate) const PASSWORD_CHANGED: &str = "Password changed: ";
    pub(crate) const UNREGISTERED: &str = "Unregistered: ";
    /// How the text of a `muted` refusal begins if it refuses a new name, and not a message.
    pub(crate) const KEEP_NAME: &str = "you keep your name";
    /// The same, if it refuses to open a room.
    pub(crate) const NO_NEW_ROOM: &str = "you cannot open a room";
}

use crate::model::RoomName;
use crate::model::room_name::is_room_name;
use fixed::*;

/// A line from the server, without its line ending. Its fields are those of [`Reply`](crate::protocol::Reply).
///
/// In lines about stored messages, `room` is `None` for the current room.
#[expect(missing_docs, reason = "the names say it")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerLine<'a> {
    Said {
        from: &'a str,
        text: &'a str,
    },
    Told {
        from: &'a str,
        text: &'a str,
    },
    /// A message of a room that the peer hears.
    Heard {
        room: &'a str,
        from: &'a str,
        text: &'a str,
    },
    /// A message with its number and its time, such as `2026-11-26T12:03:11Z`.
    Numbered {
        /// `None` for the lobby.
        room: Option<&'a str>,
        number: u64,
        at: &'a str,
        from: &'a str,
        text: &'a str,
    },
    /// A message that was said earlier. The time is `12:03` or `2026-11-26 12:03`, in UTC.
    Replayed {
        room: Option<&'a str>,
        at: &'a str,
        from: &'a str,
        text: &'a str,
    },
    Earlier,
    /// The lines are `None` if the server writes them differently.
    ThatWas {
        first: u64,
        last: u64,
        lines: Option<u64>,
        room: Option<&'a str>,
    },
    NothingAfter {
        number: u64,
        room: Option<&'a str>,
    },
    /// How many messages of a range are no longer kept, or cannot be read.
    Unavailable {
        count: u64,
        room: Option<&'a str>,
    },
    Prompt,
    PromptAgain,
    PromptSame,
    Welcome {
        /// `None` for the lobby.
        room: Option<&'a str>,
        name: &'a str,
        others: Names<'a>,
    },
    Entered {
        room: &'a str,
        others: Names<'a>,
    },
    /// The reply to `/join` with the current room.
    AlreadyIn(&'a str),
    /// The topic of the current room: what it is, or to what somebody has set it. `None` means that there is none.
    Topic {
        by: Option<&'a str>,
        text: Option<&'a str>,
    },
    /// The first line of a list of rooms.
    Rooms {
        count: usize,
        rooms: Rooms<'a>,
    },
    /// A further line of a list of rooms.
    RoomsToo(Rooms<'a>),
    Hearing(&'a str),
    NoLongerHearing(&'a str),
    RoomClosed {
        room: &'a str,
        by: Option<&'a str>,
        reason: Option<&'a str>,
    },
    Joined(&'a str),
    Left {
        name: &'a str,
        reason: Option<Reason<'a>>,
    },
    /// A peer has gone to another room.
    Gone {
        name: &'a str,
        room: &'a str,
    },
    ManyJoined {
        count: usize,
        names: Names<'a>,
    },
    ManyLeft {
        count: usize,
        names: Names<'a>,
    },
    Renamed {
        old: &'a str,
        new: &'a str,
    },
    Here {
        count: usize,
        names: Names<'a>,
    },
    /// The reply to `/who ROOM` about another room.
    InRoom {
        room: &'a str,
        count: usize,
        names: Names<'a>,
    },
    /// A further line of [`Self::Here`] or [`Self::InRoom`].
    HereToo(Names<'a>),
    AlsoHearing(Names<'a>),
    Pong(Option<&'a str>),
    Missed {
        count: u64,
        room: Option<&'a str>,
    },
    /// The counts are `None` if the server writes them differently.
    Bye {
        name: &'a str,
        accepted: Option<u64>,
        refused: Option<u64>,
        /// The number after which the peer can continue.
        since: Option<u64>,
        /// `None` for the lobby.
        room: Option<&'a str>,
    },
    ShuttingDown,
    Announced(&'a str),
    SendPassword,
    SendNewPassword,
    SendItAgain,
    Registered(&'a str),
    PasswordChanged(&'a str),
    Unregistered(&'a str),
    Refused {
        code: &'a str,
        text: &'a str,
    },
    /// Any other line that begins with `*`.
    Notice(&'a str),
    /// Not a line of a linechat server, or an incomplete one.
    Other(&'a str),
}

/// Why a peer has left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason<'a> {
    /// The peer's own words.
    Quit(&'a str),
    /// What the server says, and the operator's own words.
    Server(&'a str, Option<&'a str>),
}

/// A list such as `Alice, Bob and 3 more`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names<'a>(&'a str);

impl<'a> Names<'a> {
    /// The names in it.
    pub fn iter(self) -> impl Iterator<Item = &'a str> {
        // Names contain no blanks.
        let list = self.0.rsplit_once(" and ").filter(|(_, more)| more.ends_with(" more"));
        let list = list.map_or(self.0, |(list, _)| list);
        list.split(',').map(str::trim_start).filter(|name| !name.is_empty())
    }
}

/// A list such as `lobby (12), dev (4) and 3 more`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rooms<'a>(&'a str);

impl<'a> Rooms<'a> {
    /// The rooms in it, and how many people are in each.
    pub fn iter(self) -> impl Iterator<Item = (&'a str, usize)> {
        Names(self.0.strip_suffix('.').unwrap_or(self.0)).iter().filter_map(|item| {
            let (name, people) = item.strip_suffix(')')?.split_once(" (")?;
            Some((room(name)?, people.parse().ok()?))
        })
    }
}

impl<'a> ServerLine<'a> {
    /// Parses a line, with or without its line ending.
    pub fn parse(line: &'a str) -> Self {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if let Some(notice) = line.strip_prefix("* ") {
            return parse_fixed(notice)
                .or_else(|| parse_replayed(notice))
                .or_else(|| parse_about_one(notice))
                .or_else(|| parse_about_many(notice))
                .unwrap_or(Self::Notice(notice));
        }
        if let Some(refusal) = line.strip_prefix("! ") {
            let (code, text) = refusal.split_once(": ").unwrap_or((refusal, ""));
            return Self::Refused { code, text };
        }
        parse_numbered(line).or_else(|| parse_heard(line)).or_else(|| parse_message(line)).unwrap_or(Self::Other(line))
    }

    /// Whether the server asks a peer in the room for a password.
    pub fn is_password_question(self) -> bool {
        matches!(self, Self::SendPassword | Self::SendNewPassword | Self::SendItAgain)
    }

    /// The room where the peer is from this line on, if the line moves it from `current`, or says where it is.
    pub fn moves_from(self, current: &RoomName) -> Option<RoomName> {
        match self {
            Self::Welcome { room: None, .. } => Some(RoomName::lobby()),
            Self::Welcome { room: Some(room), .. } | Self::Entered { room, .. } | Self::AlreadyIn(room) => {
                RoomName::parse(room).ok()
            }
            Self::RoomClosed { room, .. } if room == current.as_str() => Some(RoomName::lobby()),
            _ => None,
        }
    }

    /// Whether it refuses a message: the sender is muted, or the server cannot store it.
    pub fn refuses_message(self) -> bool {
        match self {
            Self::Refused { code: "muted", text } => !text.starts_with(KEEP_NAME) && !text.starts_with(NO_NEW_ROOM),
            Self::Refused { code, .. } => code == "not-kept",
            _ => false,
        }
    }

    /// The unknown command that was refused, such as `/foo`.
    pub fn unknown_command(self) -> Option<&'a str> {
        let Self::Refused { code: "unknown-command", text } = self else { return None };
        let command = text.split(' ').find(|word| word.starts_with('/'))?;
        Some(command.trim_end_matches(|char: char| char.is_ascii_punctuation()))
    }
}

fn parse_message(line: &str) -> Option<ServerLine<'_>> {
    let (from, text) = line.split_once(": ")?;
    Some(match from.strip_suffix(PRIVATELY) {
        Some(from) => ServerLine::Told { from: name(from)?, text },
        None => ServerLine::Said { from: name(from)?, text },
    })
}

fn parse_numbered(line: &str) -> Option<ServerLine<'_>> {
    let (stamp, message) = line.strip_prefix('[')?.split_once("] ")?;
    let mut words = stamp.split(' ');
    let (first, second, third) = (words.next()?, words.next()?, words.next());
    let (in_room, number, at) = match third {
        None => (None, first, second),
        Some(at) => (Some(room(first)?), second, at),
    };
    let (from, text) = message.split_once(": ").filter(|_| words.next().is_none())?;
    Some(ServerLine::Numbered { room: in_room, number: number.parse().ok()?, at, from: name(from)?, text })
}

/// `#ops Carol: hello`.
fn parse_heard(line: &str) -> Option<ServerLine<'_>> {
    let (first, message) = line.strip_prefix('#')?.split_once(' ')?;
    let (from, text) = message.split_once(": ")?;
    Some(ServerLine::Heard { room: room(first)?, from: name(from)?, text })
}

/// `12:03 Alice: hello` or `12:03 #ops Alice: hello`, or the same after a date. No name contains `:`, so nothing else
/// begins like this.
fn parse_replayed(notice: &str) -> Option<ServerLine<'_>> {
    let is_like = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, like)| byte == like || like == b'0' && byte.is_ascii_digit())
    };
    let (first, rest) = notice.split_once(' ')?;
    let at = if is_like(first, "0000-00-00") { &notice[..first.len() + 1 + rest.find(' ')?] } else { first };
    if !at.rsplit(' ').next().is_some_and(|time| is_like(time, "00:00")) {
        return None;
    }
    let message = &notice[at.len() + 1..];
    if let Some(ServerLine::Heard { room, from, text }) = parse_heard(message) {
        return Some(ServerLine::Replayed { room: Some(room), at, from, text });
    }
    let (from, text) = message.split_once(": ")?;
    Some(ServerLine::Replayed { room: None, at, from: name(from)?, text })
}

/// Notices that begin with words of the server.
fn parse_fixed<'a>(notice: &'a str) -> Option<ServerLine<'a>> {
    type Read<'a> = fn(&'a str) -> ServerLine<'a>;
    let exact = [
        (PROMPT, ServerLine::Prompt),
        (PROMPT_AGAIN, ServerLine::PromptAgain),
        (PROMPT_SAME, ServerLine::PromptSame),
        (EARLIER, ServerLine::Earlier),
        (PONG, ServerLine::Pong(None)),
        (SHUTTING_DOWN, ServerLine::ShuttingDown),
        (NO_TOPIC, ServerLine::Topic { by: None, text: None }),
    ];
    let beginnings: [(&str, Read<'a>); 22] =
        [
            (WELCOME, |rest| parse_welcome(None, rest)),
            (WELCOME_TO, |rest| {
                let (first, rest) = rest.split_once(", ").unwrap_or((rest, ""));
                parse_welcome(room(first), rest)
            }),
            (ENTERED, parse_entered),
            (ALREADY_IN, |rest| ServerLine::AlreadyIn(rest.strip_suffix('.').unwrap_or(rest))),
            (TOPIC_IS, |text| ServerLine::Topic { by: None, text: Some(text) }),
            (HEARING, |rest| ServerLine::Hearing(rest.strip_suffix(NOW).unwrap_or(rest))),
            (NO_LONGER_HEARING, |rest| ServerLine::NoLongerHearing(rest.strip_suffix('.').unwrap_or(rest))),
            (NOBODY_IN, |rest| ServerLine::InRoom {
                room: rest.strip_suffix('.').unwrap_or(rest),
                count: 0,
                names: Names(""),
            }),
            (ALSO_HEARING, |list| ServerLine::AlsoHearing(Names(list.strip_suffix('.').unwrap_or(list)))),
            (BYE, parse_bye),
            (THAT_WAS, parse_that_was),
            (NOTHING_AFTER, |rest| {
                let (number, room) = split_room(rest.strip_suffix('.').unwrap_or(rest));
                ServerLine::NothingAfter { number: number.parse().unwrap_or_default(), room }
            }),
            (PONG_WITH_TOKEN, |token| ServerLine::Pong(Some(token))),
            (MISSED, |rest| {
                let (lines, room) = split_room(rest.strip_suffix('.').unwrap_or(rest));
                ServerLine::Missed { count: number(lines).unwrap_or_default(), room }
            }),
            (ANNOUNCED, ServerLine::Announced),
            (SEND_IT_AGAIN, |_| ServerLine::SendItAgain),
            (SEND_NEW_PASSWORD, |_| ServerLine::SendNewPassword),
            (SEND_PASSWORD, |_| ServerLine::SendPassword),
            (REGISTERED, |rest| ServerLine::Registered(first_word(rest))),
            (PASSWORD_CHANGED, |rest| ServerLine::PasswordChanged(first_word(rest))),
            (UNREGISTERED, |rest| ServerLine::Unregistered(first_word(rest))),
            // Names contain no parentheses.
            (AND, |list| {
                if list.contains(" (") { ServerLine::RoomsToo(Rooms(list)) } else { ServerLine::HereToo(Names(list)) }
            }),
        ];
    let exact = exact.into_iter().find(|(words, _)| *words == notice).map(|(_, line)| line);
    exact.or_else(|| beginnings.into_iter().find_map(|(words, read)| notice.strip_prefix(words).map(read)))
}

fn parse_welcome<'a>(room: Option<&'a str>, rest: &'a str) -> ServerLine<'a> {
    let (name, rest) = rest.split_once(". ").unwrap_or((rest.strip_suffix('.').unwrap_or(rest), ""));
    let list = rest.split_once(HERE).map_or("", |(_, list)| list);
    let list = list.split_once(WELCOME_END).map_or(list, |(list, _)| list);
    ServerLine::Welcome { room, name, others: Names(list) }
}

fn parse_entered(rest: &str) -> ServerLine<'_> {
    let (room, rest) = rest.split_once(". ").unwrap_or((rest.strip_suffix('.').unwrap_or(rest), ""));
    let list = rest.split_once(HERE).map_or("", |(_, list)| list);
    ServerLine::Entered { room, others: Names(list.strip_suffix('.').unwrap_or(list)) }
}

fn parse_bye(rest: &str) -> ServerLine<'_> {
    let (name, counts) = rest.split_once(": ").unwrap_or((rest, ""));
    let (accepted, rest) = counts.split_once(ACCEPTED).unwrap_or((counts, ""));
    let since = rest.split_once(SINCE).and_then(|(_, since)| number(since));
    let room = rest.split_once(" #").and_then(|(_, rest)| room(first_word(rest)));
    ServerLine::Bye { name, accepted: number(accepted), refused: number(rest), since, room }
}

fn parse_that_was(rest: &str) -> ServerLine<'_> {
    let (first, rest) = rest.split_once(TO).unwrap_or((rest, ""));
    let (last, lines) = rest.split_once(", ").unwrap_or((rest, ""));
    let (last, room) = split_room(last);
    let [first, last] = [first, last].map(|number| number.parse().unwrap_or_default());
    ServerLine::ThatWas { first, last, lines: number(lines), room }
}

/// Notices that begin with the name of a person or of a room.
fn parse_about_one(notice: &str) -> Option<ServerLine<'_>> {
    let (who, rest) = notice.split_at(notice.find(' ')?);
    let who = name(who)?;
    if rest == HAS_JOINED {
        return Some(ServerLine::Joined(who));
    }
    if let Some(new) = rest.strip_prefix(IS_NOW) {
        return Some(ServerLine::Renamed { old: who, new: name(new)? });
    }
    if let Some(text) = rest.strip_prefix(HAS_SET_TOPIC) {
        return Some(ServerLine::Topic { by: Some(who), text: Some(text) });
    }
    if rest == HAS_REMOVED_TOPIC {
        return Some(ServerLine::Topic { by: Some(who), text: None });
    }
    if let Some(to) = rest.strip_prefix(HAS_GONE) {
        return Some(ServerLine::Gone { name: who, room: room(to)? });
    }
    if let Some(rest) = rest.strip_prefix(WAS_CLOSED) {
        // An operator's name contains no colon.
        let (by, reason) = rest.split_once(": ").map_or((rest, None), |(by, reason)| (by, Some(reason)));
        let by = if by.is_empty() { None } else { Some(by.strip_prefix(BY)?) };
        return Some(ServerLine::RoomClosed { room: room(who)?, by, reason });
    }
    let rest = rest.strip_prefix(HAS_LEFT)?;
    let reason = match rest.strip_prefix(QUOTES.0).and_then(|words| words.strip_suffix(QUOTES.1)) {
        Some(words) => Some(Reason::Quit(words)),
        None if rest.is_empty() => None,
        None => {
            let what = rest.strip_prefix(": ")?;
            Some(
                what.split_once(": ").map_or(Reason::Server(what, None), |(what, why)| Reason::Server(what, Some(why))),
            )
        }
    };
    Some(ServerLine::Left { name: who, reason })
}

/// Notices that begin with a number.
fn parse_about_many(notice: &str) -> Option<ServerLine<'_>> {
    let (count, rest) = notice.split_at(notice.find(' ')?);
    let count = count.parse().ok()?;
    let names = |words| rest.strip_prefix(words).map(Names);
    let joined = || names(HAVE_JOINED).map(|names| ServerLine::ManyJoined { count, names });
    let left = || names(HAVE_LEFT).map(|names| ServerLine::ManyLeft { count, names });
    let here = || names(HERE).map(|names| ServerLine::Here { count, names });
    let in_room = || {
        let (first, list) = rest.strip_prefix(IN)?.split_once(": ")?;
        Some(ServerLine::InRoom { room: room(first)?, count, names: Names(list) })
    };
    let rooms = || {
        let list = rest.strip_prefix(ROOMS).or_else(|| rest.strip_prefix(ROOM))?;
        Some(ServerLine::Rooms { count, rooms: Rooms(list) })
    };
    let unavailable = || {
        let (_, room) = split_room(rest.strip_prefix(OF_THESE)?.strip_suffix('.')?);
        Some(ServerLine::Unavailable { count: count as u64, room })
    };
    joined().or_else(left).or_else(here).or_else(in_room).or_else(rooms).or_else(unavailable)
}

/// The text if it could be a name: if it contains neither blanks nor `:`, and begins like a name.
fn name(text: &str) -> Option<&str> {
    let is_name = text.starts_with(char::is_alphanumeric) && !text.contains([' ', '\t', ':']);
    is_name.then_some(text)
}

/// The text if it is the name of a room.
fn room(text: &str) -> Option<&str> {
    is_room_name(text).then_some(text)
}

/// Takes ` in ROOM` off the end.
fn split_room(text: &str) -> (&str, Option<&str>) {
    let split = text.rsplit_once(IN).and_then(|(before, name)| Some((before, Some(room(name)?))));
    split.unwrap_or((text, None))
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

fn number(text: &str) -> Option<u64> {
    first_word(text).parse().ok()
}

#[cfg(test)]
mod tests;
