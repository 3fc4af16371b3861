//! The client: one person or script in the room.
//!
//! [`input`] brings what is typed or piped, [`connection`] carries it to an [`endpoint`], with [`tls`] or without, and
//! [`display`] shows what comes back; none of them knows the others. [`pipe::run`] joins them in a `session`, whose
//! `session_state` reads in what the server says how it all went; `filter` tells messages from notices. [`bot::run`] is
//! the same session with a [`program`](bot::program) that replies. `recipient` says who gets a password.
//! [`terminal::run`] is for a person at a terminal.

pub mod bot;
pub mod connection;
pub mod display;
pub mod endpoint;
mod filter;
pub mod input;
mod message;
mod off_thread;
pub mod pipe;
pub mod process_1;
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

use thiserror::Error;

use crate::client::connection::ConnectError;
use crate::client::input::InputError;
use crate::limits::WELCOME_LIMIT;
use crate::model::{Name, SafeText, Secret};
use crate::os::io_error;

/// Who wants to talk, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name to join with.
    pub name: Name,
    /// Where the server is.
    pub endpoint: Endpoint,
    /// What is sent when the server asks for a password. Without it, a person at a terminal is asked.
    pub password: Option<Secret>,
    /// A password is sent although others could read it on its way.
    pub allow_plain_password: bool,
    /// What to do when the name is taken. `None`: in a pipe, and for a bot, as [`IfTaken::Wait`].
    pub if_taken: Option<IfTaken>,
}

/// The variable of the environment that may hold the password. No program that the client runs gets it.
pub const PASSWORD_VARIABLE: &str = "LINECHAT_PASSWORD";

/// How a session ended that the server completed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was said, and the server said goodbye.
    Left,
    /// The server refused the name.
    NameRefused(SafeText),
    /// The server asked for a password, and others could have read it on its way.
    PasswordKept,
    /// The server refused so many lines; the last one with these words.
    LinesRefused(u64, SafeText),
    /// The input was UTF-16, and nothing of it was sent.
    InputIsUtf16,
}

/// Why a session was not completed.
#[derive(Debug, Error)]
pub enum ClientError {
    /// The system does not let the client have what it needs.
    #[error("cannot start: not enough {what}: {}", io_error::describe(.source))]
    NoResources {
        /// What there is not enough of.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// There was no connection to begin with.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// No certificate would be trusted.
    #[error(transparent)]
    NoTrust(#[from] crate::client::tls::TrustError),
    /// A server that says nothing, or is none of ours.
    #[error("no welcome from the server within {} s; is it a linechat server?", WELCOME_LIMIT.as_secs())]
    NoWelcome,
    /// The server went away, so not all that was sent may have been accepted.
    #[error("the server was shut down")]
    ShutDown,
    /// The connection ended without a goodbye.
    #[error("the connection was lost")]
    Cut,
    /// The connection failed.
    #[error("the connection was lost: {}", io_error::describe(.0))]
    Failed(io::Error),
    /// The person did not wait for the goodbye.
    #[error("left before the server said goodbye")]
    NoFarewell,
    /// The server said goodbye, and so many lines were not said.
    #[error("not said: {}", lines(*.0))]
    Unsaid(usize),
    /// There may have been more to say.
    #[error(transparent)]
    Input(InputError),
    /// What the server said could not be shown, and there may have been more to say.
    #[error("cannot write to standard output: {}", io_error::describe(.0))]
    Output(io::Error),
}

/// The line that gives the name. The server asks for a password in any case if one is `announced`.
fn login_line(name: &Name, announced: bool) -> String {
    format!("{name}{}\n", if announced { " auth" } else { "" })
}

/// So many lines, in words.
fn lines(count: usize) -> String {
    if count == 1 { "1 line".to_owned() } else { format!("{count} lines") }
}
