//! What both ends of a connection want of TCP.

use std::io;

use socket2::{SockRef, TcpKeepalive};

use crate::limits::KEEPALIVE;

/// Makes lines quick, and has the kernel ask whether a silent peer lives: nc cannot answer a ping of ours.
pub(crate) fn set_up(socket: &SockRef<'_>) -> io::Result<()> {
    // Delayed acknowledgements add 40 ms to a line otherwise.
    socket.set_tcp_nodelay(true)?;
    let (time, interval, retries) = KEEPALIVE;
    let keepalive = TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(retries);
    socket.set_tcp_keepalive(&keepalive)
}
