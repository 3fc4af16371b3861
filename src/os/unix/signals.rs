//! Signals of the system.

use std::fs::{self, File};

use rustix::io::Errno;

pub use async_signal::{Signal, Signals};

/// Whether this process has a controlling terminal. A closed one does not count: the kernel removes it (ENXIO) or
/// refuses to open it (EIO). Other errors do not tell.
pub fn has_terminal() -> bool {
    let errno = File::open("/dev/tty").err().and_then(|error| Errno::from_io_error(&error));
    !matches!(errno, Some(Errno::NXIO | Errno::IO))
}

/// Whether SIGHUP is ignored, according to proc(5). Without /proc it counts as not ignored.
pub fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 != 0)
}
