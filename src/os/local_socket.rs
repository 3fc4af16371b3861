//! Sockets in the file system (unix(7)), for systems that have them. On others, every call fails.

use std::io;

pub(crate) use crate::os::system::local_socket::{LocalStream, connect, peer_user};
pub(crate) use crate::os::system::socket_file::SocketFile;

/// Why a server cannot listen at a path.
#[derive(Debug)]
#[cfg_attr(windows, expect(dead_code, reason = "there are no Unix sockets on Windows"))]
pub(crate) enum ListenError {
    /// Another program listens there.
    InUse,
    /// The path exists and is not a socket, so it is not replaced.
    NoSocket,
    Io(io::Error),
}

impl From<io::Error> for ListenError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}
