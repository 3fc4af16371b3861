//! How many descriptors this process may have.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::limits::RESERVED_DESCRIPTORS;

/// How many connections this process has descriptors for, beside what it needs itself.
pub fn spare_descriptors() -> usize {
    descriptor_limit() - reserved_descriptors()
}

/// How many are kept back.
pub(crate) fn reserved_descriptors() -> usize {
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
