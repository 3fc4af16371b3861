//! systemd, if it has started this process: what it is told (sd_notify(3)), how long it waits (sd_watchdog_enabled(3)), and
//! which sockets it has opened for this process (sd_listen_fds(3)).
//!
//! Other service managers speak the same protocol. Without one, nothing here costs anything.

use std::io;
use std::time::Duration;

use socket2::Socket;
use thiserror::Error;

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

/// A socket that systemd has opened for this process.
#[derive(Debug)]
pub struct PassedSocket {
    /// What it is for: `FileDescriptorName=` of its socket unit.
    pub name: String,
    /// For TCP or a Unix stream. It is not inherited by child processes.
    pub socket: Socket,
}

/// systemd has passed something else.
#[derive(Debug, Error)]
#[error("systemd has passed {name:?}, which is not a TCP or Unix stream socket that listens (Accept=no)")]
pub struct BadSocket {
    pub name: String,
}

/// Takes the sockets that systemd has passed, in its order. They can be taken once, and only while the process has no
/// other thread, because this changes the environment.
///
/// # Errors
/// If one is of the wrong kind.
pub fn take_sockets() -> Result<Vec<PassedSocket>, BadSocket> {
    system::take_sockets()
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
