//! What can be set about a server, beside where it listens.

use std::time::Duration;

use crate::limits::{ANNOUNCE_AFTER, PER_SOURCE, STALL_LIMIT, WRONG_PASSWORD_PAUSE};
use crate::os::descriptors::spare_descriptors;
use crate::server::access::connection_limits::Capacity;
use crate::server::access::rate_limit::PacePreset;

/// The settings of a server: plain values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Take an unfinished line as complete after so much silence, for clients that send no line ends. `None`: never.
    ///
    /// The price: somebody who types in character mode and pauses for that long sends half a line.
    pub idle_line: Option<Duration>,

    /// How fast each peer may talk.
    pub pace: PacePreset,

    /// How many connections there may be.
    pub capacity: Capacity,

    /// Passwords are taken over connections that others can read.
    pub allow_plain_password: bool,

    /// How long a peer may take nothing of what is sent to it before it is disconnected.
    pub stall_limit: Duration,

    /// How long a peer must have been in the room before its join is announced. Of a peer that leaves earlier, neither
    /// the join nor the leave is. Zero: every join is announced at once.
    pub announce_after: Duration,

    /// After how long without a login an account is removed. `None`: never.
    pub account_unused: Option<Duration>,

    /// How long somebody on this machine waits for the answer to a wrong password.
    pub wrong_password_pause: Duration,
}

impl Default for Config {
    fn default() -> Self {
        let capacity = Capacity { connections: spare_descriptors(), per_source: PER_SOURCE };
        Self {
            idle_line: None,
            pace: PacePreset::default(),
            capacity,
            allow_plain_password: false,
            stall_limit: STALL_LIMIT,
            announce_after: ANNOUNCE_AFTER,
            account_unused: None,
            wrong_password_pause: WRONG_PASSWORD_PAUSE,
        }
    }
}
