//! systemd, if it has started this process: what it is told (sd_notify(3)), and how long it waits (sd_watchdog_enabled(3)).
//!
//! Other service managers speak the same protocol. Without one, nothing here costs anything.

use std::io;
use std::time::Duration;

use crate::os::system::systemd as system;

/// What systemd is told about this process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// It has started, or has reloaded its files.
    Ready,
    Reloading,
    Stopping,
    /// It works. Without this for [`watchdog`], systemd ends it.
    Works,
    /// What it does, in a few words.
    Status(String),
}

/// Whether systemd wants to be told anything.
pub fn is_listening() -> bool {
    system::is_listening()
}

/// How long systemd waits for the next [`Notice::Works`]. `None` if it does not wait for that.
pub fn watchdog() -> Option<Duration> {
    system::watchdog().filter(|limit| !limit.is_zero())
}

/// Tells systemd. Blocks while it is too busy to take the notices.
///
/// # Errors
/// The error of the system.
pub fn notify(notices: &[Notice]) -> io::Result<()> {
    system::notify(notices)
}
