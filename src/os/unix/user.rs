//! The user who runs this process.

use rustix::process::geteuid;

/// The number of the user. `None` on systems without such numbers.
pub(crate) fn id() -> Option<u32> {
    Some(geteuid().as_raw())
}
