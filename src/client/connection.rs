//! The connection to the server: lines out, lines in.

use std::io;
use std::net::Shutdown;

use async_std::future::timeout;
use async_std::net::TcpStream;
use async_std::task::spawn_blocking;
use futures::{AsyncReadExt, AsyncWriteExt};
use socket2::SockRef;
use thiserror::Error;

use crate::address::resolve;
use crate::diagnosis::diagnose;
use crate::fault;
use crate::limits::{CLIENT_LINE_BYTES, CONNECT_LIMIT, LINK_LOOK, READ_BYTES, UNACKNOWLEDGED};
use crate::tcp;
use crate::transport::Transport;

/// Why there is no connection, and what to do about it.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The host is no address, and no name that is known.
    #[error("cannot find the host {host:?}: {}; check --host", fault::describe(.source))]
    UnknownHost {
        /// The host as given.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("cannot connect to {host}, port {port}: connection refused; is the server running there?")]
    Refused {
        /// The host as given.
        host: String,
        /// The port as given.
        port: u16,
    },
    /// No answer within [`CONNECT_LIMIT`].
    #[error("cannot connect to {host}, port {port}: no answer within {} s; check --host and --port", CONNECT_LIMIT.as_secs())]
    Silent {
        /// The host as given.
        host: String,
        /// The port as given.
        port: u16,
    },
    /// Anything else.
    #[error("cannot connect to {host}, port {port}: {}", fault::describe(.source))]
    Other {
        /// The host as given.
        host: String,
        /// The port as given.
        port: u16,
        /// Why.
        source: io::Error,
    },
}

/// What the server says.
#[derive(Debug)]
pub struct Incoming {
    stream: TcpStream,
    /// The beginning of a line whose end has not come.
    unfinished: Vec<u8>,
}

/// What the server is told.
#[derive(Debug)]
pub struct Outgoing {
    stream: TcpStream,
}

/// Connects to the first address of `host` that answers.
///
/// # Errors
/// [`ConnectError`], worded for the person at the client.
pub async fn connect(host: &str, port: u16) -> Result<(Incoming, Outgoing), ConnectError> {
    let host = host.to_owned();
    let lookup = host.clone();
    let addresses = match spawn_blocking(move || resolve(&lookup, port)).await {
        Ok(addresses) => addresses,
        Err(source) => return Err(ConnectError::UnknownHost { host, source }),
    };
    let stream = match timeout(CONNECT_LIMIT, TcpStream::connect(&addresses[..])).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            return Err(ConnectError::Refused { host, port });
        }
        Ok(Err(source)) => return Err(ConnectError::Other { host, port, source }),
        Err(_elapsed) => return Err(ConnectError::Silent { host, port }),
    };
    // A connection that is gone already is found out by the first read. There is no TCP_USER_TIMEOUT: Linux counts the
    // time of a closed window towards it, and would end the connection to a server that reads no faster than its pace
    // allows.
    let _ = tcp::set_up(&SockRef::from(&stream));
    Ok((Incoming { stream: stream.clone(), unfinished: Vec::new() }, Outgoing { stream }))
}

impl Incoming {
    /// The next whole lines, with their ends; at the end of input also an unfinished one, and then `None`.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            let mut bytes = std::mem::take(&mut self.unfinished);
            let start = bytes.len();
            bytes.resize(start + READ_BYTES, 0);
            let count = self.read(&mut bytes[start..]).await?;
            bytes.truncate(start + count);
            if count == 0 {
                return Ok((!bytes.is_empty()).then_some(bytes));
            }
            match memchr::memrchr(b'\n', &bytes) {
                Some(end) => self.unfinished = bytes.split_off(end + 1),
                // No line of our server is that long: whoever this is, it costs no more memory.
                None if bytes.len() > CLIENT_LINE_BYTES => {}
                None => {
                    self.unfinished = bytes;
                    continue;
                }
            }
            return Ok(Some(bytes));
        }
    }

    /// Ends both sides, so that nobody waits for them any more.
    pub fn cut(&self) {
        // It fails when they have ended already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Reads what comes. The kernel asks only a silent server whether it lives, and does not ask while something is on
    /// its way to it; so this looks whether that is acknowledged. A server that only rests acknowledges what it is sent.
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Ok(read) = timeout(LINK_LOOK, self.stream.read(bytes)).await {
                return read;
            }
            // When the kernel does not tell, its own patience of a quarter of an hour is all that is left.
            if diagnose(&Transport::Tcp(self.stream.clone()))
                .is_ok_and(|health| health.unacknowledged >= UNACKNOWLEDGED)
            {
                self.cut();
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl Outgoing {
    /// Sends bytes as they are.
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        (&self.stream).write_all(bytes).await
    }

    /// Says that this was all, and goes on listening: a half-close. (async-std's `close` would only flush.)
    pub fn finish(self) {
        // When it fails the connection is broken, which the other direction finds out.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use async_std::task::block_on;

    use super::*;
    use crate::limits::KEEPALIVE;

    #[test]
    fn lines_come_whole_however_they_are_split() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let (mut incoming, _outgoing) = block_on(connect("127.0.0.1", port)).unwrap();
        let mut peer = server.accept().unwrap().0;
        peer.write_all(b"one\ntwo\nth").unwrap();
        assert_eq!(block_on(incoming.next()).unwrap().unwrap(), b"one\ntwo\n");
        peer.write_all(b"ree\nfo").unwrap();
        assert_eq!(block_on(incoming.next()).unwrap().unwrap(), b"three\n");
        drop(peer);
        assert_eq!(block_on(incoming.next()).unwrap().unwrap(), b"fo");
        assert_eq!(block_on(incoming.next()).unwrap(), None);
    }

    #[test]
    fn a_connection_is_quick_and_watched_and_its_server_may_rest() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let (incoming, _outgoing) = block_on(connect("127.0.0.1", server.local_addr().unwrap().port())).unwrap();
        let socket = SockRef::from(&incoming.stream);
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        let (time, interval, retries) = KEEPALIVE;
        assert_eq!(socket.tcp_keepalive_time().unwrap(), time);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), interval);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), retries);
        assert_eq!(socket.tcp_user_timeout().unwrap(), None);
    }

    #[test]
    fn a_server_that_ends_no_line_costs_no_memory() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let (mut incoming, _outgoing) = block_on(connect("127.0.0.1", port)).unwrap();
        let mut peer = server.accept().unwrap().0;
        let sender = std::thread::spawn(move || peer.write_all(&vec![b'x'; 1 << 20]).unwrap());
        let mut got = 0;
        while let Some(bytes) = block_on(incoming.next()).unwrap() {
            assert!(bytes.len() <= CLIENT_LINE_BYTES + READ_BYTES);
            got += bytes.len();
        }
        sender.join().unwrap();
        assert_eq!(got, 1 << 20);
    }
}
