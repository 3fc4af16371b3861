//! TCP options.

use std::io;
use std::time::Duration;

use socket2::{SockRef, Socket, TcpKeepalive};

use crate::limits::KEEPALIVE;

/// Sends lines without delay, and makes the kernel check whether a silent peer is alive, because nc cannot answer a
/// ping of ours.
pub(crate) fn set_up(socket: &SockRef<'_>) -> io::Result<()> {
    // Delayed acknowledgements would add 40 ms to a line.
    socket.set_tcp_nodelay(true)?;
    let (time, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
    socket.set_tcp_keepalive(&keepalive)
}

/// Prepares a socket that will listen.
#[cfg(unix)]
pub(crate) fn set_up_listener(socket: &Socket) -> io::Result<()> {
    // Otherwise a restarted server must wait until connections of the previous one time out.
    socket.set_reuse_address(true)?;
    // It must be set before a connection is made. Accepted sockets inherit it.
    socket.set_tcp_mss(crate::limits::SEGMENT_BYTES)
}

/// Prepares a socket that will listen. With SO_REUSEADDR, Windows would let any program take over the port.
#[cfg(windows)]
pub(crate) fn set_up_listener(socket: &Socket) -> io::Result<()> {
    crate::os::windows::api::set_exclusive_address_use(socket)
}

/// Sets how long sent data may stay unacknowledged.
#[cfg(target_os = "linux")]
pub(crate) fn limit_unacknowledged(socket: &SockRef<'_>, time: Duration) -> io::Result<()> {
    socket.set_tcp_user_timeout(Some(time))
}

/// Only Linux has such a limit (TCP_USER_TIMEOUT). Elsewhere the kernel gives up by its own rules, and the server when
/// a write has waited for the stall limit.
#[cfg(not(target_os = "linux"))]
pub(crate) fn limit_unacknowledged(_: &SockRef<'_>, _: Duration) -> io::Result<()> {
    Ok(())
}
