//! A line from the server, as a client parses it. [`Reply`](crate::protocol::Reply) writes it.
//!
//! The parser looks only at the first characters and at fixed words. Names contain neither blanks nor `:`, so user text
//! cannot be taken for another kind of line. A server of another kind may put anything in the place of a name, so
//! callers that need a name must check it with `Name::parse`.

/// The fixed words that [`Reply`](crate::protocol::Reply) writes and [`ServerLine`] parses.
pub(crate) mod fixed {
    pub(crate) const PRIVATELY: &str = " (privately)";
    pub(crate) const PROMPT: &str = "Send your name as the first line.";
    pub(crate) const PROMPT_AGAIN: &str = "Send another name.";
    pub(crate) const WELCOME: &str = "Welcome, ";
    pub(crate) const HERE: &str = " here: ";
    pub(crate) const WELCOME_END: &str = ". /help lists the commands.";
    pub(crate) const AND: &str = "and: ";
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
}

use fixed::*;

/// A line from the server, without its line ending. Its fields are those of [`Reply`](crate::protocol::Reply).
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
    /// A message with its number and its time, such as `2026-11-26T12:03:11Z`.
    Numbered {
        number: u64,
        at: &'a str,
        from: &'a str,
        text: &'a str,
    },
    /// A message that was said earlier. The time is `12:03` or `2026-11-26 12:03`, in UTC.
    Replayed {
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
    },
    NothingAfter(u64),
    /// How many messages of a range are no longer kept, or cannot be read.
    Unavailable(u64),
    Prompt,
    PromptAgain,
    Welcome {
        name: &'a str,
        others: Names<'a>,
    },
    Joined(&'a str),
    Left {
        name: &'a str,
        reason: Option<Reason<'a>>,
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
    /// A further line of the reply to `/who`.
    HereToo(Names<'a>),
    Pong(Option<&'a str>),
    Missed(u64),
    /// The counts are `None` if the server writes them differently.
    Bye {
        name: &'a str,
        accepted: Option<u64>,
        refused: Option<u64>,
        /// The number after which the peer can continue.
        since: Option<u64>,
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
        parse_numbered(line).or_else(|| parse_message(line)).unwrap_or(Self::Other(line))
    }

    /// Whether the server asks a peer in the room for a password.
    pub fn is_password_question(self) -> bool {
        matches!(self, Self::SendPassword | Self::SendNewPassword | Self::SendItAgain)
    }

    /// Whether it refuses a message: the sender is muted, or the server cannot store it.
    pub fn refuses_message(self) -> bool {
        match self {
            Self::Refused { code: "muted", text } => !text.starts_with(KEEP_NAME),
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
    let (number, at) = stamp.split_once(' ')?;
    let (from, text) = message.split_once(": ")?;
    Some(ServerLine::Numbered { number: number.parse().ok()?, at, from: name(from)?, text })
}

/// `12:03 Alice: hello`, or the same after a date. No name contains `:`, so nothing else begins like this.
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
    let (from, text) = notice[at.len() + 1..].split_once(": ")?;
    Some(ServerLine::Replayed { at, from: name(from)?, text })
}

/// Notices that begin with words of the server.
fn parse_fixed<'a>(notice: &'a str) -> Option<ServerLine<'a>> {
    type Read<'a> = fn(&'a str) -> ServerLine<'a>;
    let exact = [
        (PROMPT, ServerLine::Prompt),
        (PROMPT_AGAIN, ServerLine::PromptAgain),
        (EARLIER, ServerLine::Earlier),
        (PONG, ServerLine::Pong(None)),
        (SHUTTING_DOWN, ServerLine::ShuttingDown),
    ];
    let beginnings: [(&str, Read<'a>); 14] = [
        (WELCOME, parse_welcome),
        (BYE, parse_bye),
        (THAT_WAS, parse_that_was),
        (NOTHING_AFTER, |rest| ServerLine::NothingAfter(number(rest.trim_end_matches('.')).unwrap_or_default())),
        (PONG_WITH_TOKEN, |token| ServerLine::Pong(Some(token))),
        (MISSED, |rest| ServerLine::Missed(number(rest).unwrap_or_default())),
        (ANNOUNCED, ServerLine::Announced),
        (SEND_IT_AGAIN, |_| ServerLine::SendItAgain),
        (SEND_NEW_PASSWORD, |_| ServerLine::SendNewPassword),
        (SEND_PASSWORD, |_| ServerLine::SendPassword),
        (REGISTERED, |rest| ServerLine::Registered(first_word(rest))),
        (PASSWORD_CHANGED, |rest| ServerLine::PasswordChanged(first_word(rest))),
        (UNREGISTERED, |rest| ServerLine::Unregistered(first_word(rest))),
        (AND, |list| ServerLine::HereToo(Names(list))),
    ];
    let exact = exact.into_iter().find(|(words, _)| *words == notice).map(|(_, line)| line);
    exact.or_else(|| beginnings.into_iter().find_map(|(words, read)| notice.strip_prefix(words).map(read)))
}

fn parse_welcome(rest: &str) -> ServerLine<'_> {
    let (name, rest) = rest.split_once(". ").unwrap_or((rest.strip_suffix('.').unwrap_or(rest), ""));
    let list = rest.split_once(HERE).map_or("", |(_, list)| list);
    let list = list.split_once(WELCOME_END).map_or(list, |(list, _)| list);
    ServerLine::Welcome { name, others: Names(list) }
}

fn parse_bye(rest: &str) -> ServerLine<'_> {
    let (name, counts) = rest.split_once(": ").unwrap_or((rest, ""));
    let (accepted, rest) = counts.split_once(ACCEPTED).unwrap_or((counts, ""));
    let since = rest.split_once(SINCE).and_then(|(_, since)| number(since));
    ServerLine::Bye { name, accepted: number(accepted), refused: number(rest), since }
}

fn parse_that_was(rest: &str) -> ServerLine<'_> {
    let (first, rest) = rest.split_once(TO).unwrap_or((rest, ""));
    let (last, lines) = rest.split_once(", ").unwrap_or((rest, ""));
    let [first, last] = [first, last].map(|number| number.parse().unwrap_or_default());
    ServerLine::ThatWas { first, last, lines: number(lines) }
}

/// Notices that begin with a name.
fn parse_about_one(notice: &str) -> Option<ServerLine<'_>> {
    let (who, rest) = notice.split_at(notice.find(' ')?);
    let who = name(who)?;
    if rest == HAS_JOINED {
        return Some(ServerLine::Joined(who));
    }
    if let Some(new) = rest.strip_prefix(IS_NOW) {
        return Some(ServerLine::Renamed { old: who, new: name(new)? });
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
    let unavailable = || rest.starts_with(OF_THESE).then_some(ServerLine::Unavailable(count as u64));
    joined().or_else(left).or_else(here).or_else(unavailable)
}

/// The text if it could be a name: if it contains neither blanks nor `:`, and begins like a name.
fn name(text: &str) -> Option<&str> {
    let is_name = text.starts_with(char::is_alphanumeric) && !text.contains([' ', '\t', ':']);
    is_name.then_some(text)
}

fn first_word(text: &str) -> &str {
    text.split(' ').next().unwrap_or_default()
}

fn number(text: &str) -> Option<u64> {
    first_word(text).parse().ok()
}

#[cfg(test)]
mod tests;
