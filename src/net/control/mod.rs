//! The channel between `server admin` and a running server: a Unix socket in the data folder. On Windows it is a loopback
//! port, and a file in the data folder that has the port and a token. Whoever can read that file may use the channel, as
//! with a named pipe; but a pipe needs unsafe code or one more library, and a port is a `Transport` like any other.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::path::{Path, PathBuf};

#[cfg(unix)]
pub use unix::ControlStream;
#[cfg(windows)]
pub use windows::ControlStream;

#[cfg(unix)]
pub(crate) use unix::ControlListener;
#[cfg(windows)]
pub(crate) use windows::ControlListener;

/// The path of the control socket of a server with this data folder.
pub fn path(folder: &Path) -> PathBuf {
    folder.join("control")
}
