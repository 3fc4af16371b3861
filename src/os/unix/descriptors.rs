//! Limits of file descriptors.

use std::io;
use std::os::fd::AsFd;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How many descriptors this process may have.
pub(crate) fn limit() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX))
}

/// Raises the limit as far as allowed. The usual 1024 (256 on macOS) are few for a chat.
pub(crate) fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    // macOS grants an unlimited process no more than this (OPEN_MAX in sys/syslimits.h).
    let maximum = if cfg!(target_vendor = "apple") {
        Some(limit.maximum.map_or(10_240, |maximum| maximum.min(10_240)))
    } else {
        limit.maximum
    };
    // Not granted, so there is room for fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, ..limit });
}

/// Opens this many descriptors at once, and closes them.
///
/// # Errors
/// If there are not enough.
pub(crate) fn try_out(count: usize) -> io::Result<()> {
    let all: io::Result<Vec<_>> = (0..count).map(|_| io::stderr().as_fd().try_clone_to_owned()).collect();
    all.map(drop)
}
