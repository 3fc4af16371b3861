//! The client: one person or script in the room.
//!
//! [`input`] reads standard input, [`connection`] talks to an [`endpoint`] with or without [`tls`], and [`display`]
//! writes the output. None of them knows the others.
//!
//! [`pipe::run`] joins them in a `session`. Its `session_state` derives the outcome from the server's lines, and
//! `filter` separates messages from notices. [`bot::run`] is a session that runs a [`program`](bot::program) for each
//! message. [`terminal::run`] is for a person at a terminal. `recipient` decides which server may get a password.

pub mod bot;
pub mod connection;
pub mod display;
pub mod endpoint;
mod filter;
pub mod input;
mod message;
mod off_thread;
pub mod pipe;
mod recipient;
mod session;
mod session_state;
pub mod startup;
mod taken;
pub mod target;
pub mod terminal;
pub mod tls;

pub use endpoint::Endpoint;
pub use taken::IfTaken;
pub use target::Target;
pub use tls::Trust;

use std::io;
#[cfg(test)]
use std::path::PathBuf;

use thiserror::Error;

use crate::client::connection::ConnectError;
use crate::client::input::InputError;
use crate::limits::WELCOME_LIMIT;
use crate::model::{Name, RoomName, SafeText, Secret};
use crate::os::io_error;
use crate::protocol::Since;
use crate::protocol::words::lines;

/// What every kind of client needs to join the room.
#[derive(Debug, Clone)]
pub struct Config {
    pub name: Name,
    pub endpoint: Endpoint,
    /// Sent when the server asks for a password. If `None`, a person at a terminal is asked.
    pub password: Option<Secret>,
    /// Allow sending a password where others could read it.
    pub allow_plain_password: bool,
    /// What to do when the name is taken. `None` means [`IfTaken::Wait`] for a pipe and a bot, and asking for a name at
    /// a terminal.
    pub if_taken: Option<IfTaken>,
    /// The room to enter. `None` for the lobby.
    pub room: Option<RoomName>,
    /// The other rooms to hear.
    pub hear: Vec<RoomName>,
    /// What to get of the history.
    pub wanted: Wanted,
}

impl Config {
    /// The options of the first login line, each after a blank.
    fn options(&self) -> String {
        let room = self.room.as_ref().map(room_option).unwrap_or_default();
        format!("{room}{}", self.wanted.options())
    }

    /// For a test that does not connect.
    #[cfg(test)]
    fn example(room: Option<&str>, hear: &[&str], wanted: Wanted) -> Self {
        let room_name = |name| RoomName::parse(name).unwrap();
        Self {
            name: Name::parse("Bob").unwrap(),
            endpoint: Endpoint::Unix(PathBuf::new()),
            password: None,
            allow_plain_password: false,
            if_taken: None,
            room: room.map(room_name),
            hear: hear.iter().copied().map(room_name).collect(),
            wanted,
        }
    }
}

/// What to get of the server's history when joining.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// Messages with their numbers and times, also one's own.
    pub ids: bool,
    /// Everything that was said after this.
    pub since: Option<Since>,
    /// This many of the newest messages. `None` for the server's usual number.
    pub replay: Option<usize>,
}

impl Wanted {
    /// The options of the login line, each after a blank.
    fn options(&self) -> String {
        let ids = if self.ids { " ids=on" } else { "" };
        let since = self.since.map(|since| format!(" since={since}")).unwrap_or_default();
        let replay = self.replay.map(|count| format!(" replay={count}")).unwrap_or_default();
        format!("{ids}{since}{replay}")
    }
}

/// The environment variable that may hold the password. Programs that the client runs do not get it.
pub const PASSWORD_VARIABLE: &str = "LINECHAT_PASSWORD";

/// How a session ended, if it ran to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was sent, and the server said goodbye.
    Left,
    /// The server refused the name.
    NameRefused(SafeText),
    /// The server asked for a password, but others could have read it, so it was not sent.
    PasswordKept,
    /// How many lines the server refused, and the last refusal.
    LinesRefused(u64, SafeText),
}

/// Why a session failed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// A limit of the system is too low.
    #[error("cannot start: not enough {what}: {}", io_error::describe(.source))]
    NoResources {
        /// The missing resource.
        what: &'static str,
        source: io::Error,
    },
    /// The connection could not be made.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// No trusted certificates could be loaded.
    #[error(transparent)]
    NoTrust(#[from] crate::client::tls::TrustError),
    /// The server sent no welcome, so it may not be a linechat server.
    #[error("no welcome from the server within {} s; is it a linechat server?", WELCOME_LIMIT.as_secs())]
    NoWelcome,
    /// The server shut down. It may not have accepted everything that was sent.
    #[error("the server was shut down")]
    ShutDown,
    /// The connection ended without a goodbye.
    #[error("the connection was lost")]
    Cut,
    /// The connection failed.
    #[error("the connection was lost: {}", io_error::describe(.0))]
    Failed(io::Error),
    /// The person left without waiting for the goodbye.
    #[error("left before the server said goodbye")]
    NoFarewell,
    /// The server said goodbye before this many lines were sent.
    #[error("not sent: {}", lines(*.0))]
    Unsaid(usize),
    /// The input could not be read to its end.
    #[error(transparent)]
    Input(InputError),
    /// Standard output failed before all input was sent.
    #[error("cannot write to standard output: {}", io_error::describe(.0))]
    Output(io::Error),
}

/// The option of the login line for this room. Nobody needs it for the lobby, and an older server does not know it.
fn room_option(room: &RoomName) -> String {
    if room.is_lobby() { String::new() } else { format!(" #{room}") }
}

/// The line that logs in with the name and these options, each after a blank. If `announced`, it makes the server ask
/// for a password in any case.
fn login_line(name: &Name, options: &str, announced: bool) -> String {
    format!("{name}{options}{}\n", if announced { " auth" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_in_words_is_one_option_of_the_login_line() {
        let wanted = Wanted { ids: true, since: Some("2 hours".parse().unwrap()), replay: None };
        assert_eq!(wanted.options(), " ids=on since=7200s");
    }
}
