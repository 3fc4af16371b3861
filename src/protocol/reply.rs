//! All lines that the server can send.
//!
//! A reply consists of names, safe text and the server's own words, so nothing else can reach a socket. A line starts
//! with `* ` if it is a notice and with `! CODE: ` if it is a refusal; otherwise it is a message.

use std::fmt;

use crate::limits::{WELCOME_NAMES, WHO_LINE_BYTES};
use crate::model::{Name, SafeText};
use crate::protocol::Refusal;
use crate::protocol::command::{Access, COMMANDS};
use crate::protocol::server_line::fixed::*;
use crate::protocol::words::lines;

/// A reply or a line for a peer. Displayed without the last line ending.
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
    /// Asks a silent connection for its name.
    Prompt,
    /// Asks again after a name was refused.
    PromptAgain,
    Welcome {
        name: &'a Name,
        others: usize,
        /// The names of the others, at most [`WELCOME_NAMES`].
        named: &'a [&'a Name],
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
    Missed(u64),
    /// The last line to a peer that leaves.
    Bye {
        name: &'a Name,
        accepted: u64,
        refused: u64,
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
    /// The outcome of a command, in its own words.
    Text(SafeText),
}

impl fmt::Display for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Said { from, text } => write!(f, "{from}: {text}"),
            Self::Told { from, text } => write!(f, "{from}{PRIVATELY}: {text}"),
            Self::Prompt => write!(f, "* {PROMPT}"),
            Self::PromptAgain => write!(f, "* {PROMPT_AGAIN}"),
            Self::Welcome { name, others, named } => write_welcome(f, name, others, named),
            Self::Joined(name) => write!(f, "* {name}{HAS_JOINED}"),
            Self::Left { name, reason } => {
                write!(f, "* {name}{HAS_LEFT}")?;
                match reason {
                    None => Ok(()),
                    Some(LeaveReason::Quit(words)) => write!(f, "{}{words}{}", QUOTES.0, QUOTES.1),
                    Some(LeaveReason::Server { what, why: None }) => write!(f, ": {what}"),
                    Some(LeaveReason::Server { what, why: Some(why) }) => write!(f, ": {what}: {why}"),
                }
            }
            Self::ManyJoined { count, names } => write_many(f, count, HAVE_JOINED, names),
            Self::ManyLeft { count, names } => write_many(f, count, HAVE_LEFT, names),
            Self::Renamed { old, new } => write!(f, "* {old}{IS_NOW}{new}"),
            Self::SameName(name) => write!(f, "* You are already {name}."),
            Self::Here { count, names } => write_here(f, count, names),
            Self::Ignoring(name) => write!(f, "* Ignoring {name}."),
            Self::NoLongerIgnoring(name) => write!(f, "* No longer ignoring {name}."),
            Self::Ignored(names) => write_ignored(f, names),
            Self::Help => write_help(f),
            Self::Pong(None) => write!(f, "* {PONG}"),
            Self::Pong(Some(token)) => write!(f, "* {PONG_WITH_TOKEN}{token}"),
            Self::Slowed => write!(f, "* You are sending too fast: your lines will be delayed, but none will be lost."),
            Self::Missed(count) => write!(f, "* {MISSED}{}.", lines(count)),
            Self::Bye { name, accepted, refused } => {
                write!(f, "* {BYE}{name}: {}{ACCEPTED}{refused} refused.", lines(accepted))
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
            Self::Text(text) => text.fmt(f),
        }
    }
}

fn write_welcome(f: &mut fmt::Formatter<'_>, name: &Name, others: usize, named: &[&Name]) -> fmt::Result {
    write!(f, "* {WELCOME}{name}. ")?;
    match others {
        0 => write!(f, "You are the first here")?,
        1 => write!(f, "1 other{HERE}")?,
        _ => write!(f, "{others} others{HERE}")?,
    }
    for (at, name) in named.iter().take(WELCOME_NAMES).enumerate() {
        write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
    }
    match others.saturating_sub(WELCOME_NAMES) {
        0 => {}
        more => write!(f, " and {more} more")?,
    }
    f.write_str(WELCOME_END)
}

fn write_many(f: &mut fmt::Formatter<'_>, count: usize, what: &str, names: &[Name]) -> fmt::Result {
    write!(f, "* {count}{what}")?;
    for (at, name) in names.iter().enumerate() {
        write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
    }
    match count.saturating_sub(names.len()) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
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
fn write_here(f: &mut fmt::Formatter<'_>, count: usize, names: &[&Name]) -> fmt::Result {
    write!(f, "* {count}{HERE}")?;
    let mut length = 0;
    for (at, name) in names.iter().enumerate() {
        if length > WHO_LINE_BYTES {
            write!(f, "\n* {AND}")?;
            length = 0;
        } else if at > 0 {
            f.write_str(" ")?;
        }
        let comma = if at + 1 < names.len() { "," } else { "" };
        write!(f, "{name}{comma}")?;
        length += name.as_str().len() + 2;
    }
    match count - names.len() {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
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
