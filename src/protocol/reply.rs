//! All lines that the server can send.
//!
//! A reply consists of names, safe text and the server's own words, so nothing else can reach a socket. A line starts
//! with `* ` if it is a notice and with `! CODE: ` if it is a refusal; otherwise it is a message.

use std::fmt;

use crate::limits::{WELCOME_NAMES, WHO_LINE_BYTES};
use crate::model::{Message, Name, RoomName, SafeText, Timestamp};
use crate::protocol::Refusal;
use crate::protocol::command::{Access, COMMANDS};
use crate::protocol::server_line::fixed::*;
use crate::protocol::words::lines;

/// How messages are written for a peer. All other lines are the same in every dialect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Dialect {
    /// `Alice: hello`. The sender does not get its own messages.
    #[default]
    Plain,
    /// `[88120 2026-11-26T12:03:11Z] Alice: hello`. The sender gets its own messages too, as receipts. The messages of
    /// any room but the lobby begin with its name: `[dev 412 2026-11-26T12:03:11Z] Alice: hello`.
    Ids,
    /// `#ops Carol: hello`: plain, in a room that the peer hears but is not in.
    Heard,
}

impl Dialect {
    pub(crate) const ALL: [Self; Self::COUNT] = [Self::Plain, Self::Ids, Self::Heard];
    pub(crate) const COUNT: usize = 3;

    /// A message from the history. Without numbers it is a notice, so that a script does not take it for a new one.
    ///
    /// `now` decides whether its date is shown.
    pub fn replayed<'a>(self, room: &'a RoomName, message: &'a Message, now: Timestamp) -> Reply<'a> {
        match self {
            Self::Plain => Reply::Replayed { message, now, heard: None },
            Self::Ids => Reply::Numbered { room, message },
            Self::Heard => Reply::Replayed { message, now, heard: Some(room) },
        }
    }

    /// A message that reaches the peer as if it had just been said.
    pub fn said<'a>(self, room: &'a RoomName, message: &'a Message) -> Reply<'a> {
        match self {
            Self::Plain => Reply::Said { from: &message.from, text: &message.text },
            Self::Ids => Reply::Numbered { room, message },
            Self::Heard => Reply::Heard { room, message },
        }
    }
}

/// A reply or a line for a peer. Displayed without the last line ending.
///
/// In the replies about stored messages, `room` is the one that the peer hears, and `None` for its current room.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'a> {
    Said {
        from: &'a Name,
        text: &'a SafeText,
    },
    Told {
        from: &'a Name,
        text: &'a SafeText,
    },
    /// A message with its number and time, and with its room unless that is the lobby.
    Numbered {
        room: &'a RoomName,
        message: &'a Message,
    },
    /// A message of a room that the peer hears.
    Heard {
        room: &'a RoomName,
        message: &'a Message,
    },
    /// A message that was said earlier, as a notice.
    Replayed {
        message: &'a Message,
        now: Timestamp,
        /// Its room if the peer only hears it.
        heard: Option<&'a RoomName>,
    },
    /// What follows was said before the peer came.
    Earlier,
    /// What came before are these messages.
    ThatWas {
        first: u64,
        last: u64,
        lines: u64,
        room: Option<&'a RoomName>,
    },
    /// Nothing was said after this message.
    NothingAfter {
        number: u64,
        room: Option<&'a RoomName>,
    },
    NothingStored {
        room: Option<&'a RoomName>,
    },
    /// This many messages of a range were removed, because they were old.
    NoLongerKept {
        count: u64,
        room: Option<&'a RoomName>,
    },
    /// This many numbers were not given because of a crash, or their messages could not be stored.
    Skipped {
        count: u64,
        room: Option<&'a RoomName>,
    },
    /// This many messages of a range cannot be read, because the file is damaged.
    Unreadable {
        count: u64,
        room: Option<&'a RoomName>,
    },
    /// The end of what a search found.
    Found {
        count: u64,
        /// Older messages may match too.
        has_more: bool,
    },
    /// The reply to `/ids`.
    Ids(bool),
    /// Asks a silent connection for its name.
    Prompt,
    /// Asks again after a name was refused.
    PromptAgain,
    /// Asks again after something else in the first line was refused: the name was fine.
    PromptSame,
    Welcome {
        room: &'a RoomName,
        name: &'a Name,
        others: usize,
        /// The names of the others, at most [`WELCOME_NAMES`].
        named: &'a [&'a Name],
        /// Which messages are recorded, as a sentence.
        recorded: Option<&'a str>,
    },
    /// The peer has gone to a room, and left the one where it was.
    Entered {
        room: &'a RoomName,
        others: usize,
        /// The names of the others, at most [`WELCOME_NAMES`].
        named: &'a [&'a Name],
    },
    /// The reply to `/join` with the current room.
    AlreadyIn(&'a RoomName),
    /// The topic of the current room.
    TopicIs(&'a SafeText),
    NoTopic,
    TopicSet {
        name: &'a Name,
        text: &'a SafeText,
    },
    TopicRemoved(&'a Name),
    /// The reply to `/rooms`, with how many are in each room: one line, or several if there are many rooms.
    Rooms {
        rooms: &'a [(RoomName, usize)],
        /// How many rooms are left out.
        more: usize,
    },
    /// The reply to `/hear ROOM`.
    Hearing(&'a RoomName),
    /// The reply to `/hear`.
    HearingList(&'a [RoomName]),
    /// The reply to `/deaf`.
    NoLongerHearing(&'a RoomName),
    /// A room that the peer was in or heard was closed. If it was in it, it is then in the lobby.
    RoomClosed {
        room: &'a RoomName,
        /// The operator, unless it was the administrator of the server. Contains no colon.
        by: Option<&'a SafeText>,
        /// In the operator's words.
        reason: Option<&'a SafeText>,
    },
    Joined(&'a Name),
    Left {
        name: &'a Name,
        reason: Option<&'a LeaveReason>,
    },
    /// Many peers joined at about the same time.
    ManyJoined {
        count: usize,
        names: &'a [Name],
    },
    ManyLeft {
        count: usize,
        names: &'a [Name],
    },
    Renamed {
        old: &'a Name,
        new: &'a Name,
    },
    /// The reply to `/nick` with the peer's current name.
    SameName(&'a Name),
    /// The reply to `/who`: one line, or several if there are many names.
    Here {
        count: usize,
        names: &'a [&'a Name],
    },
    /// The reply to `/who ROOM` about another room, like [`Self::Here`].
    InRoom {
        room: &'a RoomName,
        count: usize,
        names: &'a [&'a Name],
    },
    /// Who hears the room of the `/who` before: one line, or several if there are many names.
    AlsoHearing {
        count: usize,
        names: &'a [&'a Name],
    },
    /// The reply to `/ignore NAME`.
    Ignoring(&'a Name),
    /// The reply to `/unignore NAME`.
    NoLongerIgnoring(&'a Name),
    /// The reply to `/ignore`: one line, or several if there are many names.
    Ignored(&'a [SafeText]),
    /// The reply to `/help`.
    Help,
    /// The reply to `/ping`, with its token.
    Pong(Option<&'a SafeText>),
    /// The peer exceeded its rate limit.
    Slowed,
    /// How many lines were lost because the peer read too slowly.
    Missed {
        count: u64,
        /// The number after which they are stored. Shown only for the current room.
        since: Option<u64>,
        room: Option<&'a RoomName>,
    },
    /// The last line to a peer that leaves.
    Bye {
        name: &'a Name,
        accepted: u64,
        refused: u64,
        /// The number after which the peer can continue.
        since: Option<u64>,
        room: &'a RoomName,
    },
    ShuttingDown,
    /// An announcement by the operator of the server.
    Announced(&'a SafeText),
    /// A notice from the peer's session.
    Noticed(&'a Notice),
    Refused(&'a Refusal),
}

/// The reason for a leave, as the others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaveReason {
    /// What the peer wrote after `/quit`. This is the only reason that is shown in quotes.
    Quit(SafeText),
    /// What the server detected or an operator did.
    Server {
        /// In the server's words, such as `connection lost` or `kicked by Olga`.
        what: SafeText,
        /// In the operator's words.
        why: Option<SafeText>,
    },
    /// The peer has gone to another room.
    Gone(RoomName),
}

impl LeaveReason {
    /// A reason in the server's words.
    pub fn server(what: &str) -> Self {
        Self::Server { what: SafeText::new(what.to_owned()), why: None }
    }

    /// Whether a user wrote a part of it.
    pub fn has_words_of_a_user(&self) -> bool {
        matches!(self, Self::Quit(_) | Self::Server { why: Some(_), .. })
    }

    /// The reason without the words of a user.
    pub fn without_words_of_a_user(&self) -> Option<Self> {
        match self {
            Self::Quit(_) => None,
            Self::Server { what, .. } => Some(Self::Server { what: what.clone(), why: None }),
            Self::Gone(room) => Some(Self::Gone(room.clone())),
        }
    }
}

/// A notice from a peer's session. It is sent in the order of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Asks for the current password.
    SendPassword,
    /// Asks for the new password.
    SendNewPassword,
    /// Asks for the new password again.
    SendItAgain,
    Registered(Name),
    PasswordChanged(Name),
    /// The name is free once the peer has left.
    Unregistered(Name),
    /// A search has left this many messages out, because they cannot be read.
    NotSearched(u64),
    /// The outcome of a command, in its own words.
    Text(SafeText),
}

impl fmt::Display for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Said { from, text } => write!(f, "{from}: {text}"),
            Self::Told { from, text } => write!(f, "{from}{PRIVATELY}: {text}"),
            Self::Numbered { room, message: Message { number, at, from, text } } => {
                let (room, blank) = if room.is_lobby() { ("", "") } else { (room.as_str(), " ") };
                write!(f, "[{room}{blank}{number} {at}] {from}: {text}")
            }
            Self::Heard { room, message: Message { from, text, .. } } => write!(f, "#{room} {from}: {text}"),
            Self::Replayed { message, now, heard } => write_replayed(f, message, now, heard),
            Self::Earlier => write!(f, "* {EARLIER}"),
            Self::ThatWas { first, last, lines: count, room } => {
                write!(f, "* {THAT_WAS}{first}{TO}{last}{}, {}.", InRoom(room), lines(count))
            }
            Self::NothingAfter { number, room } => write!(f, "* {NOTHING_AFTER}{number}{}.", InRoom(room)),
            Self::NothingStored { room } => write!(f, "* Nothing is recorded yet{}.", InRoom(room)),
            Self::NoLongerKept { count, room } => {
                let are = if count == 1 { "is" } else { "are" };
                write!(f, "* {count}{OF_THESE}{are} no longer kept{}.", InRoom(room))
            }
            Self::Unreadable { count, room } => write!(f, "* {count}{OF_THESE}cannot be read{}.", InRoom(room)),
            Self::Skipped { count, room } => {
                write!(f, "* {count} numbers are missing")?;
                match room {
                    None => write!(f, " here")?,
                    Some(_) => write!(f, "{}", InRoom(room))?,
                }
                write!(f, ": the server crashed, or could not store their messages.")
            }
            Self::Found { count: 0, .. } => write!(f, "* Found nothing."),
            Self::Found { count, has_more } => {
                let older = if has_more { "; there may be older ones" } else { "" };
                write!(f, "* Found {}{older}.", lines(count))
            }
            Self::Ids(true) => write!(f, "* Messages now have numbers, and you get your own."),
            Self::Ids(false) => write!(f, "* Messages no longer have numbers."),
            Self::Prompt => write!(f, "* {PROMPT}"),
            Self::PromptAgain => write!(f, "* {PROMPT_AGAIN}"),
            Self::PromptSame => write!(f, "* {PROMPT_SAME}"),
            Self::Welcome { room, name, others, named, recorded } => {
                match room.is_lobby() {
                    true => write!(f, "* {WELCOME}{name}. ")?,
                    false => write!(f, "* {WELCOME_TO}{room}, {name}. ")?,
                }
                write_others(f, others, named, FIRST)?;
                f.write_str(WELCOME_END)?;
                recorded.map_or(Ok(()), |recorded| write!(f, " {recorded}"))
            }
            Self::Entered { room, others, named } => {
                write!(f, "* {ENTERED}{room}. ")?;
                write_others(f, others, named, NOBODY_ELSE)?;
                f.write_str(".")
            }
            Self::AlreadyIn(room) => write!(f, "* {ALREADY_IN}{room}."),
            Self::TopicIs(text) => write!(f, "* {TOPIC_IS}{text}"),
            Self::NoTopic => write!(f, "* {NO_TOPIC}"),
            Self::TopicSet { name, text } => write!(f, "* {name}{HAS_SET_TOPIC}{text}"),
            Self::TopicRemoved(name) => write!(f, "* {name}{HAS_REMOVED_TOPIC}"),
            Self::Rooms { rooms, more } => write_rooms(f, rooms, more),
            Self::Hearing(room) => write!(f, "* {HEARING}{room}{NOW}"),
            Self::HearingList(rooms) => write_heard(f, rooms),
            Self::NoLongerHearing(room) => write!(f, "* {NO_LONGER_HEARING}{room}."),
            Self::RoomClosed { room, by, reason } => {
                write!(f, "* {room}{WAS_CLOSED}")?;
                by.map_or(Ok(()), |by| write!(f, "{BY}{by}"))?;
                reason.map_or(Ok(()), |reason| write!(f, ": {reason}"))
            }
            Self::Joined(name) => write!(f, "* {name}{HAS_JOINED}"),
            Self::Left { name, reason: Some(LeaveReason::Gone(room)) } => write!(f, "* {name}{HAS_GONE}{room}"),
            Self::Left { name, reason } => {
                write!(f, "* {name}{HAS_LEFT}")?;
                match reason {
                    None | Some(LeaveReason::Gone(_)) => Ok(()),
                    Some(LeaveReason::Quit(words)) => write!(f, "{}{words}{}", QUOTES.0, QUOTES.1),
                    Some(LeaveReason::Server { what, why: None }) => write!(f, ": {what}"),
                    Some(LeaveReason::Server { what, why: Some(why) }) => write!(f, ": {what}: {why}"),
                }
            }
            Self::ManyJoined { count, names } => write_many(f, count, HAVE_JOINED, names),
            Self::ManyLeft { count, names } => write_many(f, count, HAVE_LEFT, names),
            Self::Renamed { old, new } => write!(f, "* {old}{IS_NOW}{new}"),
            Self::SameName(name) => write!(f, "* You are already {name}."),
            Self::Here { count, names } => {
                write!(f, "* {count}{HERE}")?;
                write_names(f, count, names)
            }
            Self::InRoom { room, count: 0, .. } => write!(f, "* {NOBODY_IN}{room}."),
            Self::InRoom { room, count, names } => {
                write!(f, "* {count}{IN}{room}: ")?;
                write_names(f, count, names)
            }
            Self::AlsoHearing { count, names } => write_also_hearing(f, count, names),
            Self::Ignoring(name) => write!(f, "* Ignoring {name}."),
            Self::NoLongerIgnoring(name) => write!(f, "* No longer ignoring {name}."),
            Self::Ignored(names) => write_ignored(f, names),
            Self::Help => write_help(f),
            Self::Pong(None) => write!(f, "* {PONG}"),
            Self::Pong(Some(token)) => write!(f, "* {PONG_WITH_TOKEN}{token}"),
            Self::Slowed => write!(f, "* You are sending too fast: your lines will be delayed, but none will be lost."),
            Self::Missed { count, room, .. } if room.is_some() => {
                write!(f, "* {MISSED}{}{}.", lines(count), InRoom(room))
            }
            Self::Missed { count, since: None, .. } => write!(f, "* {MISSED}{}.", lines(count)),
            Self::Missed { count, since: Some(since), .. } => {
                let them = if count == 1 { "it" } else { "them" };
                write!(f, "* {MISSED}{}; /since {since} shows {them}.", lines(count))
            }
            Self::Bye { name, accepted, refused, since, room } => {
                write!(f, "* {BYE}{name}: {}{ACCEPTED}{refused} refused.", lines(accepted))?;
                if !room.is_lobby() {
                    write!(f, " #{room}")?;
                }
                since.map_or(Ok(()), |since| write!(f, "{SINCE}{since}"))?;
                if since.is_none() && room.is_lobby() { Ok(()) } else { f.write_str(COMES_BACK) }
            }
            Self::ShuttingDown => write!(f, "* {SHUTTING_DOWN}"),
            Self::Announced(text) => write!(f, "* {ANNOUNCED}{text}"),
            Self::Noticed(notice) => write!(f, "* {notice}"),
            Self::Refused(refusal) => write!(f, "! {}: {refusal}", refusal.code()),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SendPassword => write!(f, "{SEND_PASSWORD} for your name as the next line."),
            Self::SendNewPassword => write!(f, "{SEND_NEW_PASSWORD} as the next line."),
            Self::SendItAgain => write!(f, "{SEND_IT_AGAIN}."),
            Self::Registered(name) => write!(f, "{REGISTERED}{name} is yours and now requires its password."),
            Self::PasswordChanged(name) => write!(f, "{PASSWORD_CHANGED}{name} now requires the new one."),
            Self::Unregistered(name) => write!(f, "{UNREGISTERED}{name} no longer requires a password."),
            Self::NotSearched(count) => write!(f, "{} cannot be read, and so cannot be searched.", lines(*count)),
            Self::Text(text) => text.fmt(f),
        }
    }
}

/// ` in ops`, or nothing for the current room.
struct InRoom<'a>(Option<&'a RoomName>);

impl fmt::Display for InRoom<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |room| write!(f, "{IN}{room}"))
    }
}

/// The time is in UTC. The date is shown unless it is today's.
fn write_replayed(
    f: &mut fmt::Formatter<'_>,
    message: &Message,
    now: Timestamp,
    heard: Option<&RoomName>,
) -> fmt::Result {
    const DAY: u64 = 24 * 60 * 60 * 1000;
    let at = message.at.to_string();
    let (date, time) = at.split_once('T').unwrap_or_default();
    let time = time.get(..5).unwrap_or_default();
    f.write_str("* ")?;
    if message.at.as_millis() / DAY != now.as_millis() / DAY {
        write!(f, "{date} ")?;
    }
    write!(f, "{time} ")?;
    heard.map_or(Ok(()), |room| write!(f, "#{room} "))?;
    write!(f, "{}: {}", message.from, message.text)
}

/// Who else is there, or `nobody`. Without the full stop after it.
fn write_others(f: &mut fmt::Formatter<'_>, others: usize, named: &[&Name], nobody: &str) -> fmt::Result {
    match others {
        0 => f.write_str(nobody)?,
        1 => write!(f, "1 other{HERE}")?,
        _ => write!(f, "{others} others{HERE}")?,
    }
    for (at, name) in named.iter().take(WELCOME_NAMES).enumerate() {
        write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
    }
    write_more(f, others.saturating_sub(WELCOME_NAMES))
}

fn write_many(f: &mut fmt::Formatter<'_>, count: usize, what: &str, names: &[Name]) -> fmt::Result {
    write!(f, "* {count}{what}")?;
    for (at, name) in names.iter().enumerate() {
        write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
    }
    write_more(f, count.saturating_sub(names.len()))
}

fn write_more(f: &mut fmt::Formatter<'_>, more: usize) -> fmt::Result {
    if more == 0 { Ok(()) } else { write!(f, " and {more} more") }
}

fn write_help(f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for command in COMMANDS.iter().filter(|command| matches!(command.access, Access::Everyone(_))) {
        write!(f, "* {}: {}", command.usage, command.help)?;
        for (at, alias) in command.aliases.iter().enumerate() {
            write!(f, "{}/{alias}", if at == 0 { " (also " } else { ", " })?;
        }
        writeln!(f, "{}", if command.aliases.is_empty() { "" } else { ")" })?;
    }
    let operators = COMMANDS.iter().filter(|command| matches!(command.access, Access::Operator(_)));
    write!(f, "* For operators:")?;
    for (at, command) in operators.enumerate() {
        write!(f, "{} /{}", if at == 0 { "" } else { "," }, command.name())?;
    }
    write!(f, "\n* Any other line is a message to everyone else; to begin it with /, type //")
}

/// Starts another line, marked as a notice, when a line gets too long to read.
fn write_list(f: &mut fmt::Formatter<'_>, items: impl ExactSizeIterator<Item = String>) -> fmt::Result {
    let (mut length, count) = (0, items.len());
    for (at, item) in items.enumerate() {
        if length > WHO_LINE_BYTES {
            write!(f, "\n* {AND}")?;
            length = 0;
        } else if at > 0 {
            f.write_str(" ")?;
        }
        write!(f, "{item}{}", if at + 1 < count { "," } else { "" })?;
        length += item.len() + 2;
    }
    Ok(())
}

fn write_names(f: &mut fmt::Formatter<'_>, count: usize, names: &[&Name]) -> fmt::Result {
    write_list(f, names.iter().map(ToString::to_string))?;
    write_more(f, count.saturating_sub(names.len()))
}

fn write_rooms(f: &mut fmt::Formatter<'_>, rooms: &[(RoomName, usize)], more: usize) -> fmt::Result {
    match rooms.len() + more {
        1 => write!(f, "* 1{ROOM}")?,
        count => write!(f, "* {count}{ROOMS}")?,
    }
    write_list(f, rooms.iter().map(|(room, people)| format!("{room} ({people})")))?;
    write_more(f, more)?;
    f.write_str(".")
}

fn write_heard(f: &mut fmt::Formatter<'_>, rooms: &[RoomName]) -> fmt::Result {
    let Some((first, rest)) = rooms.split_first() else { return write!(f, "* You hear no other room.") };
    write!(f, "* You also hear: {first}")?;
    rest.iter().try_for_each(|room| write!(f, ", {room}"))?;
    f.write_str(".")
}

/// Each line is complete in itself, so that its names are not mistaken for people who are here.
fn write_also_hearing(f: &mut fmt::Formatter<'_>, count: usize, names: &[&Name]) -> fmt::Result {
    write!(f, "* {ALSO_HEARING}")?;
    let mut length = 0;
    for (at, name) in names.iter().enumerate() {
        if length > WHO_LINE_BYTES {
            write!(f, ".\n* {ALSO_HEARING}")?;
            length = 0;
        } else if at > 0 {
            f.write_str(", ")?;
        }
        write!(f, "{name}")?;
        length += name.as_str().len() + 2;
    }
    write_more(f, count.saturating_sub(names.len()))?;
    f.write_str(".")
}

/// Each line is complete in itself, so that its names are not mistaken for people who are here.
fn write_ignored(f: &mut fmt::Formatter<'_>, names: &[SafeText]) -> fmt::Result {
    let Some((last, names)) = names.split_last() else { return write!(f, "* Ignoring nobody.") };
    write!(f, "* Ignoring: ")?;
    let mut length = 0;
    for name in names {
        length += name.as_str().len() + 2;
        let is_full = length > WHO_LINE_BYTES;
        write!(f, "{name}{}", if is_full { ".\n* Ignoring: " } else { ", " })?;
        length = if is_full { 0 } else { length };
    }
    write!(f, "{last}.")
}

#[cfg(test)]
mod tests;
