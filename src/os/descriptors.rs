//! File descriptors: how many connections they are enough for.

use std::io;

use crate::limits::RESERVED_DESCRIPTORS;
use crate::os::system::descriptors;

/// The number of connections that this process has descriptors for, besides those it needs itself.
pub fn spare_descriptors() -> usize {
    descriptors::limit() - reserved_descriptors()
}

/// The number of reserved descriptors.
pub(crate) fn reserved_descriptors() -> usize {
    RESERVED_DESCRIPTORS.min(descriptors::limit() / 4)
}

/// Raises the limit of descriptors as far as allowed.
pub fn raise_descriptor_limit() {
    descriptors::raise_limit();
}

/// Opens this many descriptors at once, and closes them.
///
/// # Errors
/// If there are not enough.
pub fn try_descriptors(count: usize) -> io::Result<()> {
    descriptors::try_out(count)
}
