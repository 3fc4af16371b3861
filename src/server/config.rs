//! What can be set about a server, beside where it listens.

use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::admission::Admission;
use super::door::Capacity;
use super::pace::Profile;
use crate::limits::{ANNOUNCE_AFTER, PER_SOURCE, RESERVED_DESCRIPTORS, STALL_LIMIT, WRONG_PASSWORD_PAUSE};

/// The settings of a server.
#[derive(Debug, Clone)]
pub struct Config {
    /// Take an unfinished line as complete after so much silence, for clients that send no line ends. `None`: never.
    ///
    /// The price: somebody who types in character mode and pauses for that long sends half a line.
    pub idle_line: Option<Duration>,

    /// How fast each peer may talk.
    pub pace: Profile,

    /// How many connections there may be.
    pub capacity: Capacity,

    /// What somebody has to prove before a name is theirs.
    pub admission: Admission,

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
            pace: Profile::default(),
            capacity,
            admission: Admission::default(),
            stall_limit: STALL_LIMIT,
            announce_after: ANNOUNCE_AFTER,
            account_unused: None,
            wrong_password_pause: WRONG_PASSWORD_PAUSE,
        }
    }
}

/// How many connections this process has descriptors for, beside what it needs itself.
pub fn spare_descriptors() -> usize {
    descriptor_limit() - reserved_descriptors()
}

/// How many are kept back.
pub(super) fn reserved_descriptors() -> usize {
    RESERVED_DESCRIPTORS.min(descriptor_limit() / 4)
}

fn descriptor_limit() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX))
}

/// Asks for as many descriptors as this process may have; the usual 1024 are few for a chat.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Not granted: then there is room for fewer.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
