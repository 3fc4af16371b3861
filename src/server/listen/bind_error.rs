//! Why the server cannot listen.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::net::resolve::lacks_zone;
use crate::os::io_error;
use crate::os::local_socket::ListenError;

/// Why the server cannot listen, and what to do about it.
#[derive(Debug, Error)]
pub enum BindError {
    /// The host is neither an address nor a known name.
    #[error("cannot find the host {host:?}: {}; --host takes an address of this machine, such as 0.0.0.0 or ::", io_error::describe(.source))]
    UnknownHost { host: String, source: io::Error },
    /// Another program listens there.
    #[error("{0} is in use; is another server running? Choose another port with --port (0 takes any free one)")]
    InUse(SocketAddr),
    /// Ports below 1024 are for root.
    #[error("not allowed to listen on {0}; choose a port above 1023 with --port")]
    Forbidden(SocketAddr),
    /// The address belongs to another machine.
    #[error(
        "{0} is not an address of this machine; use --host 0.0.0.0 for all IPv4 addresses, or --host :: for IPv6 too"
    )]
    NotHere(SocketAddr),
    /// Several networks may have that link-local address, and the zone that tells them apart is missing.
    #[error("cannot listen on {0}: a link-local address needs its zone, as in fe80::1%eth0")]
    Zoneless(SocketAddr),
    /// Anything else.
    #[error("cannot listen on {address}: {}", io_error::describe(.source))]
    Other { address: SocketAddr, source: io::Error },
    /// Another program listens at that path.
    #[error("{} is in use; is another server running?", .0.display())]
    PathInUse(PathBuf),
    /// The path exists and is not a socket, so it is not removed.
    #[error("{} exists and is not a socket; choose another path", .0.display())]
    NoSocket(PathBuf),
    /// systemd has opened the socket.
    #[error("cannot listen on the socket {name:?} of systemd: {}; a socket unit needs Accept=no", io_error::describe(.source))]
    Passed { name: String, source: io::Error },
    /// Anything else about a path.
    #[error("cannot listen at {}: {}", .path.display(), io_error::describe_at(.path, .source))]
    Path { path: PathBuf, source: io::Error },
}

impl BindError {
    pub(crate) fn new(address: SocketAddr, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::AddrInUse => Self::InUse(address),
            io::ErrorKind::PermissionDenied => Self::Forbidden(address),
            io::ErrorKind::AddrNotAvailable => Self::NotHere(address),
            _ if lacks_zone(&address) => Self::Zoneless(address),
            _ => Self::Other { address, source },
        }
    }

    pub(crate) fn at(path: &Path, error: ListenError) -> Self {
        let path = path.to_owned();
        match error {
            ListenError::InUse => Self::PathInUse(path),
            ListenError::NoSocket => Self::NoSocket(path),
            ListenError::Io(source) => Self::Path { path, source },
        }
    }
}
