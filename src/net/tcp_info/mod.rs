//! What the kernel knows about a connection: whether the peer still acknowledges data, and which user owns the other end
//! on this machine.
//!
//! A peer that has stopped reading and a peer whose connection is lost look the same to a waiting write. The kernel can
//! tell them apart: the first one acknowledges data, the second does not.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::time::Duration;

use crate::net::transport::Transport;

#[cfg(target_os = "linux")]
pub(crate) use linux::{diagnose, owner_of_peer};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{diagnose, owner_of_peer};

/// The state of the bytes that were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Health {
    /// How long the peer has acknowledged nothing, if data is in flight.
    pub(crate) unacknowledged: Duration,
    /// Everything in flight is acknowledged, but the peer accepts no more, and more is waiting.
    pub(crate) is_resting: bool,
    /// The total number of bytes that the peer has acknowledged.
    pub(crate) acknowledged: u64,
}

/// The user who owns the other end of a local TCP connection. See [`owner_of_peer`].
pub(crate) fn user_of_peer(transport: &Transport) -> Option<u32> {
    let socket = transport.tcp()?;
    owner_of_peer(socket.local_addr().ok()?, socket.peer_addr().ok()?)
}
