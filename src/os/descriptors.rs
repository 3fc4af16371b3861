//! Limits of file descriptors.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::RESERVED_DESCRIPTORS;

/// The number of connections that this process has descriptors for, besides those it needs itself.
pub fn spare_descriptors() -> usize {
    descriptor_limit() - reserved_descriptors()
}

/// The number of reserved descriptors.
pub(crate) fn reserved_descriptors() -> usize {
    RESERVED_DESCRIPTORS.min(descriptor_limit() / 4)
}

fn descriptor_limit() -> usize {
    getrlimit(Resource::Nofile).current.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX))
}

/// Raises the limit of descriptors as far as allowed. The usual 1024 are few for a chat.
pub fn raise_descriptor_limit() {
    let limit = getrlimit(Resource::Nofile);
    // Not granted, so there is room for fewer connections.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}
