//! Windows has no limit of handles that a chat server could reach (16 million per process).

use std::io;

pub(crate) fn limit() -> usize {
    usize::MAX
}

pub(crate) fn raise_limit() {}

pub(crate) fn try_out(_: usize) -> io::Result<()> {
    Ok(())
}
