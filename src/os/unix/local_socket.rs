//! Connections over Unix sockets.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use async_io::Async;
use socket2::{Domain, SockAddr, Socket, Type};

pub(crate) type LocalStream = Async<UnixStream>;

/// Connects within this time. Blocks: only a blocking connect waits while the server's accept queue is full.
///
/// # Errors
/// The error of the system; [`io::ErrorKind::WouldBlock`] if the time is over.
pub(crate) fn connect(path: &Path, limit: Duration) -> io::Result<LocalStream> {
    let address = SockAddr::unix(path)?;
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_write_timeout(Some(limit))?;
    // Because of the timeout, even a signal that has a handler interrupts it (signal(7)).
    while let Err(error) = socket.connect(&address) {
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Async::new(UnixStream::from(socket))
}

/// The user at the other end.
///
/// # Errors
/// If the kernel does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn peer_user(stream: impl std::os::fd::AsFd) -> io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// The user at the other end (getpeereid(3)).
///
/// # Errors
/// If the kernel does not tell.
#[cfg(not(target_os = "linux"))]
pub(crate) fn peer_user(stream: impl std::os::fd::AsFd) -> io::Result<u32> {
    Ok(nix::unistd::getpeereid(stream)?.0.as_raw())
}
