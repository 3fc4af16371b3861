//! Every line that the server can send, in one place.
//!
//! A reply is made of names, safe text and our own words only, so nothing else can reach a socket. Its first
//! characters say what it is: `* ` a notice, `! CODE: ` a refusal, anything else a message.

use std::fmt;

use crate::limits::{WELCOME_NAMES, WHO_LINE_BYTES};
use crate::model::{Name, SafeText};
use crate::protocol::Refusal;
use crate::protocol::command::{Access, COMMANDS};
use crate::protocol::server_line::fixed::*;

/// One answer to, or one line for, a peer. Shown without the end of its last line.
#[derive(Debug, Clone, Copy)]
pub enum Reply<'a> {
    /// Somebody said something to everyone.
    Said {
        /// Who.
        from: &'a Name,
        /// What.
        text: &'a SafeText,
    },
    /// Somebody said something to one peer.
    Told {
        /// Who.
        from: &'a Name,
        /// What.
        text: &'a SafeText,
    },
    /// Asks a silent connection for its name.
    Prompt,
    /// Asks again, after a name was refused.
    PromptAgain,
    /// Greets a peer that has just joined.
    Welcome {
        /// Itself.
        name: &'a Name,
        /// How many others are here.
        others: usize,
        /// Their names, at most [`WELCOME_NAMES`] of them.
        named: &'a [&'a Name],
    },
    /// Somebody came.
    Joined(&'a Name),
    /// Somebody went.
    Left {
        /// Who.
        name: &'a Name,
        /// Why, when a reason is known.
        reason: Option<&'a LeaveReason>,
    },
    /// So many came at about the same time.
    ManyJoined {
        /// How many.
        count: usize,
        /// The first of them.
        names: &'a [Name],
    },
    /// So many went at about the same time.
    ManyLeft {
        /// How many.
        count: usize,
        /// The first of them.
        names: &'a [Name],
    },
    /// Somebody is called something else now.
    Renamed {
        /// The former name.
        old: &'a Name,
        /// The new one.
        new: &'a Name,
    },
    /// The answer to `/nick` with the name that the peer has.
    SameName(&'a Name),
    /// The answer to `/who`: one line, and more where there are many.
    Here {
        /// How many are here.
        count: usize,
        /// Some of them, or all.
        names: &'a [&'a Name],
    },
    /// The answer to `/ignore NAME`.
    Ignoring(&'a Name),
    /// The answer to `/unignore NAME`.
    NoLongerIgnoring(&'a Name),
    /// The answer to `/ignore`: one line, and more where there are many.
    Ignored(&'a [SafeText]),
    /// The answer to `/help`.
    Help,
    /// The answer to `/ping`, with its token.
    Pong(Option<&'a SafeText>),
    /// The peer talks faster than it may.
    Slowed,
    /// How many lines a peer that fell behind has missed.
    Missed(u64),
    /// The last line to a peer that leaves.
    Bye {
        /// Itself.
        name: &'a Name,
        /// How many of its messages were accepted.
        accepted: u64,
        /// How many of its lines were refused.
        refused: u64,
    },
    /// The server stops.
    ShuttingDown,
    /// The operator of the server says something to everybody.
    Announced(&'a SafeText),
    /// A session has something to tell its peer.
    Noticed(&'a Notice),
    /// A line was refused.
    Refused(&'a Refusal),
}

/// Why a peer has left, as the others are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LeaveReason {
    /// What it wrote after `/quit`. It is shown in quotes, as no other reason is.
    Quit(SafeText),
    /// What the server noticed, or what an operator did.
    Server {
        /// In the server's words, such as `connection lost` or `kicked by Olga`.
        what: SafeText,
        /// The operator's own words.
        why: Option<SafeText>,
    },
}

impl LeaveReason {
    /// A reason in the server's words.
    pub fn server(what: &str) -> Self {
        Self::Server { what: SafeText::new(what.to_owned()), why: None }
    }

    /// Whether a user wrote some of it.
    pub fn has_words_of_a_user(&self) -> bool {
        matches!(self, Self::Quit(_) | Self::Server { why: Some(_), .. })
    }

    /// What is left of it without the words of a user.
    pub fn without_words_of_a_user(&self) -> Option<Self> {
        match self {
            Self::Quit(_) => None,
            Self::Server { what, .. } => Some(Self::Server { what: what.clone(), why: None }),
        }
    }
}

/// What a session tells its peer at the peer's place in the order of the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// The next line is to be the password of the account.
    SendPassword,
    /// The next line is to be its new password.
    SendNewPassword,
    /// The next line is to be the same again.
    SendItAgain,
    /// The name is the peer's own now.
    Registered(Name),
    /// It has another password.
    PasswordChanged(Name),
    /// It is free again, once the peer has left.
    Unregistered(Name),
    /// What a command has led to, in words of its own.
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
            Self::SameName(name) => write!(f, "* You are {name} already."),
            Self::Here { count, names } => write_here(f, count, names),
            Self::Ignoring(name) => write!(f, "* Ignoring {name}."),
            Self::NoLongerIgnoring(name) => write!(f, "* No longer ignoring {name}."),
            Self::Ignored(names) => write_ignored(f, names),
            Self::Help => write_help(f),
            Self::Pong(None) => write!(f, "* {PONG}"),
            Self::Pong(Some(token)) => write!(f, "* {PONG_WITH_TOKEN}{token}"),
            Self::Slowed => write!(f, "* You are too fast: your lines are passed on more slowly. None is lost."),
            Self::Missed(count) => write!(f, "* {MISSED}{count} {}.", lines(count)),
            Self::Bye { name, accepted, refused } => {
                write!(f, "* {BYE}{name}: {accepted} {}{ACCEPTED}{refused} refused.", lines(accepted))
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
            Self::SendPassword => write!(f, "{SEND_PASSWORD} of your name as the next line."),
            Self::SendNewPassword => write!(f, "{SEND_NEW_PASSWORD} as the next line."),
            Self::SendItAgain => write!(f, "{SEND_IT_AGAIN}."),
            Self::Registered(name) => write!(f, "{REGISTERED}{name} is yours, and asks for its password from now on."),
            Self::PasswordChanged(name) => write!(f, "{PASSWORD_CHANGED}{name} asks for the new one from now on."),
            Self::Unregistered(name) => write!(f, "{UNREGISTERED}{name} asks for no password any more."),
            Self::Text(text) => text.fmt(f),
        }
    }
}

fn lines(count: u64) -> &'static str {
    if count == 1 { "line" } else { "lines" }
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

/// One line as long as it stays readable; further names go on further lines, each marked as a notice.
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

/// Each line stands for itself, so that its names are not taken for those of people who are here.
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
