//! Why something that a peer sent was refused, in words and as a code.

use thiserror::Error;

use crate::limits::{
    IGNORED_NAMES, LINE_BYTES, LOGIN_BYTES, LOGIN_LIMIT, LONG_LINES, NAME_TRIES, PASSWORD_TRIES, ROOMS_HEARD,
    SANCTION_MOST, UNTERMINATED_BYTES,
};
use crate::model::address::InvalidNetwork;
use crate::model::{BadName, BadRoomName, BadSecret, Name, RoomName, SafeText};
use crate::protocol::OtherProtocol;
use crate::protocol::words::lines;

const OPTIONS: &str = "options are auth, #ROOM, ids=on, since=WHEN, last=N and replay=N";

/// Why something that a peer sent was refused, and what the peer can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("{0}")]
    BadName(#[from] BadName),
    /// The word after the name is not an option.
    #[error("names cannot contain spaces, and \"{0}\" is not an option; {OPTIONS}")]
    UnknownOption(SafeText),
    /// An option with `=` that does not exist, or has an invalid value.
    #[error("\"{0}\" is not an option; {OPTIONS}")]
    BadOption(SafeText),
    /// The number of a message that is yet to come. The newest number is given.
    #[error("the newest is {0}")]
    BadSince(u64),
    #[error("write the number of a message, a duration such as 2h, or a time such as 12:03 (UTC)")]
    UnreadableSince,
    #[error("this server does not record messages")]
    NoHistory,
    #[error("the server cannot read its history; try again later")]
    HistoryFailed,
    #[error("too many searches are running; try again in a moment")]
    TooManySearches,
    #[error("wait for the messages that you have asked for already")]
    TooManyReplays,
    /// The history must keep every message, and cannot.
    #[error("the server could not store this message; it was not sent")]
    MessageNotKept,
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
    /// The name or the server has a password.
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
        "a password is required, but others could read it on this connection; use linechat --tls or openssl s_client with the TLS port"
    )]
    Unprotected,
    #[error("too many wrong passwords or registrations from your address; try again in {0} s")]
    Penalized(u64),
    /// A command about an account was refused. The lines sent after it could have been passwords.
    #[error("discarded {} sent after it, because they might be passwords", lines(*.0))]
    Discarded(usize),
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
    #[error("on this server you can only use your registered name")]
    RegisteredOnly,
    #[error("you have already registered {0}; use /password to change its password")]
    AlreadyRegistered(Name),
    #[error("you have no registered name; use /register to register yours")]
    NotRegistered,
    #[error("{0} is not registered")]
    NoSuchAccount(SafeText),
    #[error("this server does not support registered names")]
    NoAccounts,
    #[error("the server could not save it; nothing was changed")]
    NotKept,
    #[error("{0} is closed, but the server could not save that; after a restart the room may be back")]
    CloseNotKept(RoomName),
    /// The limit for accounts or for bans is reached.
    #[error("there are too many already; nothing was changed")]
    AccountsFull,
    #[error("only operators can do that")]
    NotOperator,
    /// Muted operators cannot moderate, because others would read the reasons that they give.
    #[error("{0}")]
    Suspended(SafeText),
    /// The duration of a ban or mute, which a reason may follow.
    #[error("{}; a reason must start with a word", Self::BadDuration)]
    BadTime,
    #[error("invalid duration: write 30m, 2 hours or 7 days (at most {} years)", SANCTION_MOST.as_secs() / (365 * 24 * 60 * 60))]
    BadDuration,
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
    #[error("this port requires TLS; try linechat --tls, openssl s_client or ncat --ssl")]
    NotTls,
    #[error("lines must be valid UTF-8; this line was not sent")]
    NotUtf8,
    /// The first visible character is `/`, but there is no such command.
    #[error("unknown command {0}; see /help, or type // to start a message with /")]
    UnknownCommand(SafeText),
    /// An argument is missing. The usage is given.
    #[error("usage: {0}")]
    BadArguments(&'static str),
    #[error("{0}")]
    BadNetwork(InvalidNetwork),
    /// Names belong to the whole server, but `/who` lists only one room.
    #[error("nobody on this server is called {0}")]
    NoSuchUser(SafeText),
    #[error("{0} ignores you")]
    Ignored(SafeText),
    #[error("you cannot ignore yourself")]
    IgnoresSelf,
    #[error("you already ignore {IGNORED_NAMES} names; /unignore one of them first")]
    TooManyIgnored,
    #[error("you are not ignoring {0}; /ignore lists the names you ignore")]
    NotIgnored(SafeText),
    #[error("{0}")]
    BadRoom(#[from] BadRoomName),
    /// Also for administrators, who do not type `/rooms`.
    #[error("there is no room called {0}")]
    NoSuchRoom(RoomName),
    /// The room does not exist, and the server's rooms are fixed.
    #[error("there is no room called {0}, and nobody can open rooms here; /rooms lists them")]
    RoomsAreFixed(RoomName),
    #[error("only registered names can open rooms here")]
    OnlyRegisteredOpenRooms,
    #[error("you do not hear {0}; /hear {0} first")]
    NotHearing(RoomName),
    /// For `/deaf`.
    #[error("{0} is not among the rooms that you also hear; /hear lists them")]
    NotAlsoHearing(RoomName),
    #[error("there are too many rooms already")]
    TooManyRooms,
    #[error("you already hear {ROOMS_HEARD} rooms; /deaf one of them first")]
    TooManyHeard,
    #[error("the lobby cannot be closed")]
    CannotClose,
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
            Self::BadOption(_) => "bad-option",
            Self::BadSince(_) | Self::UnreadableSince => "bad-since",
            Self::NoHistory => "no-history",
            Self::HistoryFailed => "history-failed",
            Self::NameTaken(_) | Self::NameLooksTaken { .. } => "name-taken",
            Self::TooManyTries | Self::Nameless | Self::TooManyPasswords => "too-many-tries",
            Self::LineTooLong | Self::Endless | Self::LongLines => "line-too-long",
            Self::WrongProtocol(_) | Self::NotTls => "wrong-protocol",
            Self::NotUtf8 => "not-utf8",
            Self::UnknownCommand(_) => "unknown-command",
            Self::BadArguments(_)
            | Self::BadNetwork(_)
            | Self::IgnoresSelf
            | Self::BadTime
            | Self::BadDuration
            | Self::IsSelf
            | Self::CannotClose => "bad-arguments",
            Self::BadRoom(_) => "bad-room",
            Self::NoSuchRoom(_) | Self::RoomsAreFixed(_) => "no-such-room",
            Self::NotHearing(_) | Self::NotAlsoHearing(_) => "not-hearing",
            Self::TooManyRooms | Self::TooManyHeard => "too-many-rooms",
            Self::NoSuchUser(_) => "no-such-user",
            Self::Ignored(_) => "ignored",
            Self::TooManyIgnored => "too-many-ignored",
            Self::NotIgnored(_) => "not-ignored",
            Self::ServerFull | Self::SourceFull | Self::Evicted => "server-full",
            Self::LoginTimeout | Self::PasswordTimeout => "login-timeout",
            Self::Discarded(_) | Self::UnfinishedPassword => "discarded",
            Self::Busy | Self::TooManySearches | Self::TooManyReplays => "busy",
            Self::BadPassword(_) => "bad-password",
            Self::PasswordsDiffer => "passwords-differ",
            Self::NameRegistered(_) | Self::NameLooksRegistered { .. } => "name-registered",
            Self::RegisteredOnly | Self::OnlyRegisteredOpenRooms => "registered-only",
            Self::AlreadyRegistered(_) => "already-registered",
            Self::NotRegistered | Self::NoSuchAccount(_) => "not-registered",
            Self::NoAccounts => "no-registry",
            Self::NotKept | Self::CloseNotKept(_) | Self::AccountsFull | Self::MessageNotKept => "not-kept",
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

#[cfg(test)]
mod tests;
