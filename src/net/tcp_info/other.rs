//! Other systems than Linux, where nothing portable tells.

use std::io;
use std::net::SocketAddr;

use crate::net::tcp_info::Health;
use crate::net::transport::Transport;

/// # Errors
/// Always.
pub(crate) fn diagnose(_: &Transport) -> io::Result<Health> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Always `None`.
pub(crate) fn owner_of_peer(_: SocketAddr, _: SocketAddr) -> Option<u32> {
    None
}
