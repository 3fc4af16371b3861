//! The settings of a server, except where it listens.

use std::time::Duration;

use crate::limits::{ANNOUNCE_AFTER, PER_SOURCE, REPLAY, STALL_LIMIT, WRONG_PASSWORD_PAUSE};
use crate::os::descriptors::spare_descriptors;
use crate::server::access::connection_limits::Capacity;
use crate::server::access::rate_limit::PacePreset;

/// The settings of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Treat an unfinished line as complete after this much silence, for clients that send no line endings. `None`
    /// means never.
    ///
    /// The price: someone who types in character mode and pauses for that long sends half a line.
    pub idle_line: Option<Duration>,

    /// How fast each peer may send.
    pub pace: PacePreset,

    /// The maximum number of connections.
    pub capacity: Capacity,

    /// Accept passwords over connections that others can read.
    pub allow_plain_password: bool,

    /// How long a peer may read nothing before it is disconnected.
    pub stall_limit: Duration,

    /// How long a peer must stay before its join is announced. If it leaves earlier, neither its join nor its leave is
    /// announced. With zero, joins are announced at once.
    pub announce_after: Duration,

    /// How many of the newest messages a newcomer is shown.
    pub replay: usize,

    /// Remove accounts that nobody has logged in with for this long. `None` means never.
    pub account_unused: Option<Duration>,

    /// How long a peer on this machine waits for the reply to a wrong password.
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
            replay: REPLAY,
            account_unused: None,
            wrong_password_pause: WRONG_PASSWORD_PAUSE,
        }
    }
}
