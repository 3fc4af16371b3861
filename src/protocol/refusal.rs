//! Why something that a peer sent was refused, in words and as a code.

use thiserror::Error;

use crate::limits::{
    IGNORED_NAMES, LINE_BYTES, LOGIN_BYTES, LOGIN_LIMIT, LONG_LINES, NAME_TRIES, PASSWORD_TRIES, SANCTION_MOST,
    UNTERMINATED_BYTES,
};
use crate::model::address::InvalidNetwork;
use crate::model::{BadName, BadSecret, Name, SafeText};
use crate::protocol::OtherProtocol;

/// Why something that a peer sent was refused, and what the peer can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The name breaks a rule.
    #[error("{0}")]
    BadName(#[from] BadName),
    /// There is a word after the name that is not an option.
    #[error("a name holds no blanks, and \"{0}\" is not an option; the only option is auth")]
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
    #[error("{NAME_TRIES} names were refused; connect again to try another")]
    TooManyTries,
    /// [`LOGIN_BYTES`] came, and no name.
    #[error("{LOGIN_BYTES} bytes and no name in them; connect again when you have one")]
    Nameless,
    /// More than [`LINE_BYTES`] bytes in a line.
    #[error("a line has at most {LINE_BYTES} bytes; nothing of it was sent")]
    LineTooLong,
    /// More than [`UNTERMINATED_BYTES`] without a line end.
    #[error("no line end within {UNTERMINATED_BYTES} bytes; goodbye")]
    Endless,
    /// [`LONG_LINES`] were too long.
    #[error("{} lines within {} s were too long; goodbye", LONG_LINES.0, LONG_LINES.1.as_secs())]
    LongLines,
    /// The first bytes belong to another protocol.
    #[error("this is a chat of plain lines, not {0}; try nc")]
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
    #[error("that is not the password")]
    WrongPassword,
    /// The last of [`PASSWORD_TRIES`] passwords was wrong too.
    #[error("{PASSWORD_TRIES} passwords were wrong; wait a minute, and connect again to try another")]
    TooManyPasswords,
    /// No password within [`LOGIN_LIMIT`].
    #[error("no password within {} s; connect again when you have it", LOGIN_LIMIT.as_secs())]
    PasswordTimeout,
    /// Others could read a password on its way.
    #[error(
        "a password is needed, and others could read it on its way; try client --tls or openssl s_client at the port for TLS"
    )]
    Unprotected,
    /// Too many wrong passwords came from there.
    #[error("too many wrong passwords, or registrations, from your address; try again in {0} s")]
    Penalized(u64),
    /// A dialogue about an account was refused, and what was sent behind it could have been passwords.
    #[error("what you sent behind it could be a password, and is thrown away; lines: {0}")]
    ThrownAway(usize),
    /// The input ended within a password.
    #[error("a password ends with a line end; the unfinished line is thrown away")]
    UnfinishedPassword,
    /// Too many passwords are being checked, or made.
    #[error("too many passwords are being checked; try again in a moment")]
    Busy,
    /// A new password breaks a rule.
    #[error("{0}; nothing was changed")]
    BadPassword(#[from] BadSecret),
    /// The second time, it was another one.
    #[error("the two were not the same; nothing was changed")]
    PasswordsDiffer,
    /// Somebody has registered the name.
    #[error("{0} is registered; to have it, send it as your name when you connect, and its password")]
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
    #[error("in this room everybody has the name that is registered for them")]
    RegisteredOnly,
    /// The peer has an account.
    #[error("you have registered {0}; /password changes its password")]
    AlreadyRegistered(Name),
    /// The peer has no account.
    #[error("you have no registered name; /register makes yours one")]
    NotRegistered,
    /// Somebody else has none.
    #[error("{0} is not registered")]
    NoSuchAccount(SafeText),
    /// The server keeps no accounts.
    #[error("this server keeps no names")]
    NoRegistry,
    /// It could not be written down.
    #[error("the server could not keep it; nothing was changed")]
    NotKept,
    /// There are as many accounts, or bans, as there may be.
    #[error("there are too many already; nothing was changed")]
    RegistryFull,
    /// The command is for operators.
    #[error("only an operator may do that")]
    NotOperator,
    /// The command is for operators who are not muted: the reasons that they give are read by others.
    #[error("{0}")]
    Suspended(SafeText),
    /// The time of a ban or a mute.
    #[error("invalid duration: write 30m, 2 hours or 7 days, at most {} years; a reason begins with a word", SANCTION_MOST.as_secs() / (365 * 24 * 60 * 60))]
    BadTime,
    /// It would be done to whoever does it.
    #[error("that is you")]
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
    #[error("you have come in by another connection")]
    Replaced,
    /// Plain text at a port for TLS.
    #[error("this port speaks TLS; try client --tls, openssl s_client or ncat --ssl")]
    NotTls,
    /// A line that is not UTF-8.
    #[error("lines are UTF-8; nothing of it was sent")]
    NotUtf8,
    /// A line whose first visible character is `/`, and that is not a command.
    #[error("there is no {0}; /help lists the commands, and a message that begins with / is sent as //")]
    UnknownCommand(SafeText),
    /// The arguments of a command do not fit its usage, which is given.
    #[error("usage: {0}")]
    BadArguments(&'static str),
    /// Somebody would ban a network that cannot be banned, or that is mistyped.
    #[error("{0}")]
    BadNetwork(InvalidNetwork),
    /// A private message to somebody who is not here.
    #[error("nobody here is called {0}; /who lists all")]
    NoSuchUser(SafeText),
    /// A private message to somebody who ignores the sender.
    #[error("{0} ignores you")]
    Ignored(SafeText),
    /// A peer that would hear itself no more.
    #[error("you cannot ignore yourself")]
    IgnoresSelf,
    /// More than [`IGNORED_NAMES`] to ignore.
    #[error("you ignore {IGNORED_NAMES} names; /unignore one of them first")]
    TooManyIgnored,
    /// `/unignore` of somebody who is not ignored.
    #[error("you do not ignore {0}; /ignore lists whom you do")]
    NotIgnored(SafeText),
    /// There are as many connections as there can be.
    #[error("there is no room for another connection; try again later")]
    ServerFull,
    /// There are as many connections from there as there may be.
    #[error("there are too many connections from your address")]
    SourceFull,
    /// An unnamed connection has to make room for another.
    #[error("too many connections wait for a name; connect again and send yours at once")]
    Evicted,
    /// No name within [`LOGIN_LIMIT`].
    #[error("no name within {} s; connect again when you have one", LOGIN_LIMIT.as_secs())]
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
            Self::BadArguments(_) | Self::BadNetwork(_) | Self::IgnoresSelf | Self::BadTime | Self::IsSelf => {
                "bad-arguments"
            }
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
