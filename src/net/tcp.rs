//! TCP options that both ends set.

use std::io;

use socket2::{SockRef, TcpKeepalive};

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
