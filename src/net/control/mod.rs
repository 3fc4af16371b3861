//! The channel between `server admin` and a running server: a Unix socket in the data folder. On Windows it is a loopback
//! port, and a file in the data folder that has the port and a token. Whoever can read that file may use the channel, as
//! with a named pipe; but a pipe needs unsafe code or one more library, and a port is a `Transport` like any other.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io::{self, Read, Write};
use std::net::Shutdown;
#[cfg(windows)]
use std::net::TcpStream as Stream;
#[cfg(unix)]
use std::os::unix::net::UnixStream as Stream;
use std::path::{Path, PathBuf};

#[cfg(unix)]
pub(crate) use unix::ControlListener;
#[cfg(windows)]
pub(crate) use windows::ControlListener;

/// The administrator's end.
#[derive(Debug)]
pub struct ControlStream(Stream);

impl ControlStream {
    /// Sends the request.
    ///
    /// # Errors
    /// The error of the system.
    pub fn send(&mut self, request: &[u8]) -> io::Result<()> {
        self.0.write_all(request)?;
        self.0.shutdown(Shutdown::Write)
    }
}

impl Read for ControlStream {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

/// The path of the control socket of a server with this data folder.
pub fn path(folder: &Path) -> PathBuf {
    folder.join("control")
}
