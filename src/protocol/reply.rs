//! Every line that the server can send, in one place.
//!
//! A reply is made of names, safe text and our own words only, so nothing else can reach a socket. Its first
//! characters say what it is: `* ` a notice, `! CODE: ` a refusal, anything else a message.

use std::fmt;

use thiserror::Error;

use crate::limits::{
    IGNORED_NAMES, LINE_BYTES, LOGIN_BYTES, LOGIN_LIMIT, LONG_LINES, NAME_TRIES, PASSWORD_TRIES, SANCTION_MOST,
    UNTERMINATED_BYTES, WELCOME_NAMES, WHO_LINE_BYTES,
};
use crate::model::{BadName, BadSecret, Name, SafeText};
use crate::protocol::OtherProtocol;

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
    /// An operator's act is done.
    Done(SafeText),
}

/// Why something that a peer sent was refused, and what the peer can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The name breaks a rule.
    #[error("{0}")]
    BadName(#[from] BadName),
    /// There is a word after the name that is not an option.
    #[error("names cannot contain spaces, and \"{0}\" is not an option; the only option is auth")]
    UnknownOption(SafeText),
    /// Somebody has that name.
    #[error("{0} is taken")]
    NameTaken(SafeText),
    /// Somebody has that name, and writes it in another way.
    #[error("{name} looks like {holder}, which is taken")]
    NameLooksTaken {
        /// The name as the peer wrote it.
        name: SafeText,
        /// The name as its holder writes it.
        holder: SafeText,
    },
    /// The last of [`NAME_TRIES`] names was refused too.
    #[error("{NAME_TRIES} names were refused; reconnect to try another")]
    TooManyTries,
    /// [`LOGIN_BYTES`] came, and no name.
    #[error("received {LOGIN_BYTES} bytes without a name; reconnect and send your name first")]
    Nameless,
    /// More than [`LINE_BYTES`] bytes in a line.
    #[error("lines are limited to {LINE_BYTES} bytes; this line was not sent")]
    LineTooLong,
    /// More than [`UNTERMINATED_BYTES`] without a line end.
    #[error("no line ending within {UNTERMINATED_BYTES} bytes; closing the connection")]
    Endless,
    /// [`LONG_LINES`] were too long.
    #[error("{} lines within {} s were too long; closing the connection", LONG_LINES.0, LONG_LINES.1.as_secs())]
    LongLines,
    /// The first bytes belong to another protocol.
    #[error("this is a plain-text chat server that does not speak {0}; try nc")]
    WrongProtocol(OtherProtocol),
    /// The name, or the room, has a password.
    #[error("send the password as the next line")]
    PasswordRequired,
    /// The name is registered, and written in another way.
    #[error("{name} looks like {owner}, which is registered; if it is yours, send its password as the next line")]
    OwnersPasswordRequired {
        /// The name as the peer wrote it.
        name: SafeText,
        /// The name as its owner registered it.
        owner: SafeText,
    },
    /// Another one.
    #[error("incorrect password")]
    WrongPassword,
    /// The last of [`PASSWORD_TRIES`] passwords was wrong too.
    #[error("{PASSWORD_TRIES} passwords were incorrect; wait a minute, then reconnect to try again")]
    TooManyPasswords,
    /// No password within [`LOGIN_LIMIT`].
    #[error("no password received within {} s; reconnect to try again", LOGIN_LIMIT.as_secs())]
    PasswordTimeout,
    /// Others could read a password on its way.
    #[error(
        "a password is required, but others could read it on this connection; use client --tls or openssl s_client with the TLS port"
    )]
    Unprotected,
    /// Too many wrong passwords came from there.
    #[error("too many wrong passwords or registrations from your address; try again in {0} s")]
    Penalized(u64),
    /// A dialogue about an account was refused, and what was sent behind it could have been passwords.
    #[error("discarded {0} {lines} sent after it, because it could contain passwords", lines = lines(*.0 as u64))]
    ThrownAway(usize),
    /// The input ended within a password.
    #[error("passwords must end with a line ending; discarded the unfinished line")]
    UnfinishedPassword,
    /// Too many passwords are being checked, or made.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// A new password breaks a rule.
    #[error("{0}; nothing was changed")]
    BadPassword(#[from] BadSecret),
    /// The second time, it was another one.
    #[error("the two passwords do not match; nothing was changed")]
    PasswordsDiffer,
    /// Somebody has registered the name.
    #[error("{0} is registered; if it is yours, reconnect with that name and its password")]
    NameRegistered(SafeText),
    /// Somebody has registered the name, and writes it in another way.
    #[error("{name} looks like {owner}, which is registered")]
    NameLooksRegistered {
        /// The name as the peer wrote it.
        name: SafeText,
        /// The name as its owner registered it.
        owner: SafeText,
    },
    /// In this room nobody has a name that is not registered.
    #[error("in this room you can only use your registered name")]
    RegisteredOnly,
    /// The peer has an account.
    #[error("you have already registered {0}; use /password to change its password")]
    AlreadyRegistered(Name),
    /// The peer has no account.
    #[error("you have no registered name; use /register to register yours")]
    NotRegistered,
    /// Somebody else has none.
    #[error("{0} is not registered")]
    NoSuchAccount(SafeText),
    /// The server keeps no accounts.
    #[error("this server does not support registered names")]
    NoRegistry,
    /// It could not be written down.
    #[error("the server could not save it; nothing was changed")]
    NotKept,
    /// There are as many accounts, or bans, as there may be.
    #[error("there are too many already; nothing was changed")]
    RegistryFull,
    /// The command is for operators.
    #[error("only operators can do that")]
    NotOperator,
    /// The command is for operators who are not muted: the reasons that they give are read by others.
    #[error("{0}")]
    Suspended(SafeText),
    /// The time of a ban or a mute.
    #[error("invalid duration: write 30m, 2 hours or 7 days (at most {} years); a reason must start with a word", SANCTION_MOST.as_secs() / (365 * 24 * 60 * 60))]
    BadTime,
    /// It would be done to whoever does it.
    #[error("you cannot do that to yourself")]
    IsSelf,
    /// There is no such ban or mute.
    #[error("{0}")]
    NotSanctioned(SafeText),
    /// An operator has sent the peer out.
    #[error("{0}")]
    Kicked(SafeText),
    /// An operator does not let the peer in.
    #[error("{0}")]
    Banned(SafeText),
    /// An operator does not let the peer talk.
    #[error("{0}")]
    Muted(SafeText),
    /// The owner of the name has come in by another connection.
    #[error("you logged in from another connection")]
    Replaced,
    /// Plain text at a port for TLS.
    #[error("this port requires TLS; try client --tls, openssl s_client or ncat --ssl")]
    NotTls,
    /// A line that is not UTF-8.
    #[error("lines must be valid UTF-8; this line was not sent")]
    NotUtf8,
    /// A line whose first visible character is `/`, and that is not a command.
    #[error("unknown command {0}; see /help, or type // to start a message with /")]
    UnknownCommand(SafeText),
    /// A command without what it needs. Its form is given.
    #[error("it goes {0}")]
    BadArguments(&'static str),
    /// A private message to somebody who is not here.
    #[error("nobody here is called {0}; /who lists everyone")]
    NoSuchUser(SafeText),
    /// A private message to somebody who ignores the sender.
    #[error("{0} ignores you")]
    Ignored(SafeText),
    /// A peer that would hear itself no more.
    #[error("you cannot ignore yourself")]
    IgnoresSelf,
    /// More than [`IGNORED_NAMES`] to ignore.
    #[error("you already ignore {IGNORED_NAMES} names; /unignore one of them first")]
    TooManyIgnored,
    /// `/unignore` of somebody who is not ignored.
    #[error("you are not ignoring {0}; /ignore lists the names you ignore")]
    NotIgnored(SafeText),
    /// There are as many connections as there can be.
    #[error("the server is full; try again later")]
    ServerFull,
    /// There are as many connections from there as there may be.
    #[error("too many connections from your address")]
    SourceFull,
    /// An unnamed connection has to make room for another.
    #[error("too many connections are waiting to give a name; reconnect and send yours at once")]
    Evicted,
    /// No name within [`LOGIN_LIMIT`].
    #[error("no name received within {} s; reconnect to try again", LOGIN_LIMIT.as_secs())]
    LoginTimeout,
    /// Too late: the server stops.
    #[error("the server is shutting down")]
    ShuttingDown,
}

impl Refusal {
    /// The refusal of a name that somebody has, who writes it like `holder`.
    pub(crate) fn name_taken(name: &Name, holder: &Name) -> Self {
        match name.folded() == holder.folded() {
            true => Self::NameTaken(name.into()),
            false => Self::NameLooksTaken { name: name.into(), holder: holder.into() },
        }
    }

    /// The refusal of a name that somebody has registered as `owner`.
    pub(crate) fn name_registered(name: &Name, owner: &Name) -> Self {
        match name.folded() == owner.folded() {
            true => Self::NameRegistered(name.into()),
            false => Self::NameLooksRegistered { name: name.into(), owner: owner.into() },
        }
    }

    /// The stable word by which a program knows this refusal.
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

/// One line as long as it stays readable; further names go on further lines, each marked as a notice.
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
