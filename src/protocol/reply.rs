//! All lines that the server can send.
//!
//! A reply consists of names, safe text and the server's own words, so nothing else can reach a socket. A line starts
//! with `* ` if it is a notice and with `! CODE: ` if it is a refusal; otherwise it is a message.

use std::fmt;

use thiserror::Error;

use crate::limits::{
    IGNORED_NAMES, LINE_BYTES, LOGIN_BYTES, LOGIN_LIMIT, LONG_LINES, NAME_TRIES, PASSWORD_TRIES, SANCTION_MOST,
    UNTERMINATED_BYTES, WELCOME_NAMES, WHO_LINE_BYTES,
};
use crate::model::{BadName, BadSecret, Name, SafeText};
use crate::protocol::OtherProtocol;

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
    /// An act of moderation is done.
    Done(SafeText),
}

/// Why something that a peer sent was refused, and what the peer can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("{0}")]
    BadName(#[from] BadName),
    /// The word after the name is not an option.
    #[error("names cannot contain spaces, and \"{0}\" is not an option; the only option is auth")]
    UnknownOption(SafeText),
    #[error("{0} is taken")]
    NameTaken(SafeText),
    /// The name is taken by a peer that spells it differently.
    #[error("{name} looks like {holder}, which is taken")]
    NameLooksTaken {
        /// As the peer spells it.
        name: SafeText,
        /// As the holder spells it.
        holder: SafeText,
    },
    #[error("{NAME_TRIES} names were refused; reconnect to try another")]
    TooManyTries,
    #[error("received {LOGIN_BYTES} bytes without a name; reconnect and send your name first")]
    Nameless,
    #[error("lines are limited to {LINE_BYTES} bytes; this line was not sent")]
    LineTooLong,
    #[error("no line ending within {UNTERMINATED_BYTES} bytes; closing the connection")]
    Endless,
    #[error("{} lines within {} s were too long; closing the connection", LONG_LINES.0, LONG_LINES.1.as_secs())]
    LongLines,
    #[error("this is a plain-text chat server that does not speak {0}; try nc")]
    WrongProtocol(OtherProtocol),
    /// The name or the room has a password.
    #[error("send the password as the next line")]
    PasswordRequired,
    /// The name is registered with a different spelling.
    #[error("{name} looks like {owner}, which is registered; if it is yours, send its password as the next line")]
    OwnersPasswordRequired {
        /// As the peer spells it.
        name: SafeText,
        /// As the owner registered it.
        owner: SafeText,
    },
    #[error("incorrect password")]
    WrongPassword,
    #[error("{PASSWORD_TRIES} passwords were incorrect; wait a minute, then reconnect to try again")]
    TooManyPasswords,
    #[error("no password received within {} s; reconnect to try again", LOGIN_LIMIT.as_secs())]
    PasswordTimeout,
    /// Others could read a password on this connection.
    #[error(
        "a password is required, but others could read it on this connection; use client --tls or openssl s_client with the TLS port"
    )]
    Unprotected,
    #[error("too many wrong passwords or registrations from your address; try again in {0} s")]
    Penalized(u64),
    /// A command about an account was refused. The lines sent after it could have been passwords.
    #[error("discarded {0} {lines} sent after it, because it could contain passwords", lines = lines(*.0 as u64))]
    ThrownAway(usize),
    #[error("passwords must end with a line ending; discarded the unfinished line")]
    UnfinishedPassword,
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    #[error("{0}; nothing was changed")]
    BadPassword(#[from] BadSecret),
    #[error("the two passwords do not match; nothing was changed")]
    PasswordsDiffer,
    #[error("{0} is registered; if it is yours, reconnect with that name and its password")]
    NameRegistered(SafeText),
    #[error("{name} looks like {owner}, which is registered")]
    NameLooksRegistered {
        /// As the peer spells it.
        name: SafeText,
        /// As the owner registered it.
        owner: SafeText,
    },
    #[error("in this room you can only use your registered name")]
    RegisteredOnly,
    #[error("you have already registered {0}; use /password to change its password")]
    AlreadyRegistered(Name),
    #[error("you have no registered name; use /register to register yours")]
    NotRegistered,
    #[error("{0} is not registered")]
    NoSuchAccount(SafeText),
    #[error("this server does not support registered names")]
    NoRegistry,
    #[error("the server could not save it; nothing was changed")]
    NotKept,
    /// The limit for accounts or for bans is reached.
    #[error("there are too many already; nothing was changed")]
    RegistryFull,
    #[error("only operators can do that")]
    NotOperator,
    /// Muted operators cannot moderate, because others would read the reasons that they give.
    #[error("{0}")]
    Suspended(SafeText),
    #[error("invalid duration: write 30m, 2 hours or 7 days (at most {} years); a reason must start with a word", SANCTION_MOST.as_secs() / (365 * 24 * 60 * 60))]
    BadTime,
    #[error("you cannot do that to yourself")]
    IsSelf,
    #[error("{0}")]
    NotSanctioned(SafeText),
    #[error("{0}")]
    Kicked(SafeText),
    #[error("{0}")]
    Banned(SafeText),
    #[error("{0}")]
    Muted(SafeText),
    /// The owner of the name logged in from another connection.
    #[error("you logged in from another connection")]
    Replaced,
    #[error("this port requires TLS; try client --tls, openssl s_client or ncat --ssl")]
    NotTls,
    #[error("lines must be valid UTF-8; this line was not sent")]
    NotUtf8,
    /// The first visible character is `/`, but there is no such command.
    #[error("unknown command {0}; see /help, or type // to start a message with /")]
    UnknownCommand(SafeText),
    /// An argument is missing. The usage is given.
    #[error("it goes {0}")]
    BadArguments(&'static str),
    #[error("nobody here is called {0}; /who lists everyone")]
    NoSuchUser(SafeText),
    #[error("{0} ignores you")]
    Ignored(SafeText),
    #[error("you cannot ignore yourself")]
    IgnoresSelf,
    #[error("you already ignore {IGNORED_NAMES} names; /unignore one of them first")]
    TooManyIgnored,
    #[error("you are not ignoring {0}; /ignore lists the names you ignore")]
    NotIgnored(SafeText),
    /// The limit for all connections is reached.
    #[error("the server is full; try again later")]
    ServerFull,
    /// The limit for the peer's address is reached.
    #[error("too many connections from your address")]
    SourceFull,
    /// An unnamed connection made room for another one.
    #[error("too many connections are waiting to give a name; reconnect and send yours at once")]
    Evicted,
    #[error("no name received within {} s; reconnect to try again", LOGIN_LIMIT.as_secs())]
    LoginTimeout,
    /// The peer came too late.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// Refuses a name that is taken by `holder`.
    pub(crate) fn name_taken(name: &Name, holder: &Name) -> Self {
        match name.folded() == holder.folded() {
            true => Self::NameTaken(name.into()),
            false => Self::NameLooksTaken { name: name.into(), holder: holder.into() },
        }
    }

    /// Refuses a name that is registered as `owner`.
    pub(crate) fn name_registered(name: &Name, owner: &Name) -> Self {
        match name.folded() == owner.folded() {
            true => Self::NameRegistered(name.into()),
            false => Self::NameLooksRegistered { name: name.into(), owner: owner.into() },
        }
    }

    /// The stable code by which programs recognise this refusal.
    pub fn code(&self) -> &'static str {
        match self {
            Self::BadName(_) | Self::UnknownOption(_) => "bad-name",
            Self::NameTaken(_) | Self::NameLooksTaken { .. } => "name-taken",
            Self::TooManyTries | Self::Nameless | Self::TooManyPasswords => "too-many-tries",
            Self::LineTooLong | Self::Endless | Self::LongLines => "line-too-long",
            Self::WrongProtocol(_) | Self::NotTls => "wrong-protocol",
            Self::NotUtf8 => "not-utf8",
            Self::UnknownCommand(_) => "unknown-command",
            Self::BadArguments(_) | Self::IgnoresSelf | Self::BadTime | Self::IsSelf => "bad-arguments",
            Self::NoSuchUser(_) => "no-such-user",
            Self::Ignored(_) => "ignored",
            Self::TooManyIgnored => "too-many-ignored",
            Self::NotIgnored(_) => "not-ignored",
            Self::ServerFull | Self::SourceFull | Self::Evicted => "server-full",
            Self::LoginTimeout | Self::PasswordTimeout => "login-timeout",
            Self::ThrownAway(_) | Self::UnfinishedPassword => "thrown-away",
            Self::Busy => "busy",
            Self::BadPassword(_) => "bad-password",
            Self::PasswordsDiffer => "passwords-differ",
            Self::NameRegistered(_) | Self::NameLooksRegistered { .. } => "name-registered",
            Self::RegisteredOnly => "registered-only",
            Self::AlreadyRegistered(_) => "already-registered",
            Self::NotRegistered | Self::NoSuchAccount(_) => "not-registered",
            Self::NoRegistry => "no-registry",
            Self::NotKept | Self::RegistryFull => "not-kept",
            Self::NotOperator | Self::Suspended(_) => "not-operator",
            Self::NotSanctioned(_) => "not-sanctioned",
            Self::Kicked(_) => "kicked",
            Self::Banned(_) => "banned",
            Self::Muted(_) => "muted",
            Self::Replaced => "replaced",
            Self::PasswordRequired | Self::OwnersPasswordRequired { .. } => "password-required",
            Self::WrongPassword => "wrong-password",
            Self::Unprotected => "unprotected",
            Self::Penalized(_) => "penalized",
            Self::ShuttingDown => "shutting-down",
        }
    }
}

const HELP: &str = "\
* /who, or /names, lists who is here
* /msg NAME TEXT, or /w or /whisper, says TEXT to NAME alone
* /me TEXT says what you do, as in /me waves
* /nick NEWNAME changes your name
* /ignore [NAME] hides what NAME says; without NAME it lists whom you ignore
* /unignore NAME shows it again
* /quit [REASON], or /exit, /bye or /q, leaves
* /ping [TOKEN] is answered with Pong TOKEN, after all that you sent before it
* /register ties your name to a password, /password changes that, /unregister frees the name
* /kick, /ban, /unban, /mute and /unmute are for operators
* /help, or /?, shows this
* //TEXT says /TEXT; any other line is a message to everyone else";

impl fmt::Display for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Said { from, text } => write!(f, "{from}: {text}"),
            Self::Told { from, text } => write!(f, "{from} (privately): {text}"),
            Self::Prompt => write!(f, "* Send your name as the first line."),
            Self::PromptAgain => write!(f, "* Send another name."),
            Self::Welcome { name, others, named } => write_welcome(f, name, others, named),
            Self::Joined(name) => write!(f, "* {name} has joined"),
            Self::Left { name, reason } => {
                write!(f, "* {name} has left")?;
                match reason {
                    None => Ok(()),
                    Some(LeaveReason::Quit(words)) => write!(f, " (\"{words}\")"),
                    Some(LeaveReason::Server { what, why: None }) => write!(f, ": {what}"),
                    Some(LeaveReason::Server { what, why: Some(why) }) => write!(f, ": {what}: {why}"),
                }
            }
            Self::ManyJoined { count, names } => write_many(f, count, "joined", names),
            Self::ManyLeft { count, names } => write_many(f, count, "left", names),
            Self::Renamed { old, new } => write!(f, "* {old} is now {new}"),
            Self::SameName(name) => write!(f, "* You are already {name}."),
            Self::Here { count, names } => write_here(f, count, names),
            Self::Ignoring(name) => write!(f, "* Ignoring {name}."),
            Self::NoLongerIgnoring(name) => write!(f, "* No longer ignoring {name}."),
            Self::Ignored(names) => write_ignored(f, names),
            Self::Help => f.write_str(HELP),
            Self::Pong(None) => write!(f, "* Pong"),
            Self::Pong(Some(token)) => write!(f, "* Pong {token}"),
            Self::Slowed => write!(f, "* You are sending too fast: your lines will be delayed, but none will be lost."),
            Self::Missed(count) => write!(f, "* You missed {count} {}.", lines(count)),
            Self::Bye { name, accepted, refused } => {
                write!(f, "* Bye, {name}: {accepted} {} accepted, {refused} refused.", lines(accepted))
            }
            Self::ShuttingDown => write!(f, "* The server is shutting down"),
            Self::Announced(text) => write!(f, "* The operator says: {text}"),
            Self::Noticed(notice) => write!(f, "* {notice}"),
            Self::Refused(refusal) => write!(f, "! {}: {refusal}", refusal.code()),
        }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SendPassword => f.write_str("Send the password for your name as the next line."),
            Self::SendNewPassword => f.write_str("Send the new password as the next line."),
            Self::SendItAgain => f.write_str("Send the new password again."),
            Self::Registered(name) => write!(f, "Registered: {name} is yours and now requires its password."),
            Self::PasswordChanged(name) => write!(f, "Password changed: {name} now requires the new one."),
            Self::Unregistered(name) => write!(f, "Unregistered: {name} no longer requires a password."),
            Self::Done(text) => text.fmt(f),
        }
    }
}

fn lines(count: u64) -> &'static str {
    if count == 1 { "line" } else { "lines" }
}

fn write_welcome(f: &mut fmt::Formatter<'_>, name: &Name, others: usize, named: &[&Name]) -> fmt::Result {
    write!(f, "* Welcome, {name}. ")?;
    match others {
        0 => write!(f, "You are the first here.")?,
        1 => write!(f, "1 other here: ")?,
        _ => write!(f, "{others} others here: ")?,
    }
    for (at, name) in named.iter().take(WELCOME_NAMES).enumerate() {
        write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
    }
    match others.saturating_sub(WELCOME_NAMES) {
        0 if others == 0 => {}
        0 => write!(f, ".")?,
        more => write!(f, " and {more} more.")?,
    }
    write!(f, " /help lists the commands.")
}

fn write_many(f: &mut fmt::Formatter<'_>, count: usize, what: &str, names: &[Name]) -> fmt::Result {
    write!(f, "* {count} have {what}: ")?;
    for (at, name) in names.iter().enumerate() {
        write!(f, "{}{name}", if at == 0 { "" } else { ", " })?;
    }
    match count.saturating_sub(names.len()) {
        0 => Ok(()),
        more => write!(f, " and {more} more"),
    }
}

/// Starts another line, marked as a notice, when a line gets too long to read.
fn write_here(f: &mut fmt::Formatter<'_>, count: usize, names: &[&Name]) -> fmt::Result {
    write!(f, "* {count} here:")?;
    let mut length = 0;
    for (at, name) in names.iter().enumerate() {
        if length > WHO_LINE_BYTES {
            write!(f, "\n* and:")?;
            length = 0;
        }
        let comma = if at + 1 < names.len() { "," } else { "" };
        write!(f, " {name}{comma}")?;
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
