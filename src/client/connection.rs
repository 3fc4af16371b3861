//! The connection to the server: lines out, lines in.

use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use async_io::Async;
use async_std::future::timeout;
use async_std::net::TcpStream;
use async_std::task::spawn_blocking;
use futures::{AsyncReadExt, AsyncWriteExt};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use thiserror::Error;

use super::place::Place;
use super::tls::{TlsError, shake_hands};
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
    #[error("cannot find the host {host:?}: {}", fault::describe(.source))]
    UnknownHost {
        /// The host as given.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("cannot connect to {0}: connection refused; is the server running there?")]
    Refused(Place),
    /// No answer within [`CONNECT_LIMIT`].
    #[error("cannot connect to {at}: no answer within {limit} s{hint}", at = .0, limit = CONNECT_LIMIT.as_secs(), hint = where_else(.0))]
    Silent(Place),
    /// There is nothing at that path.
    #[error("cannot connect to {0}: there is no such socket; check the path, and whether the server is running")]
    Missing(Place),
    /// The socket is not for everybody.
    #[error("not allowed to connect to {0}; its owner decides who is, by the modes of it and of the folders above it")]
    Forbidden(Place),
    /// There is no way to be private.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Anything else.
    #[error("cannot connect to {place}: {}", fault::describe(.source))]
    Other {
        /// Where.
        place: Place,
        /// Why.
        source: io::Error,
    },
}

/// What the server says.
#[derive(Debug)]
pub struct Incoming {
    transport: Transport,
    /// The beginning of a line whose end has not come.
    unfinished: Vec<u8>,
}

/// What the server is told.
#[derive(Debug)]
pub struct Outgoing {
    transport: Transport,
}

/// Connects to the first address of the place that answers.
///
/// # Errors
/// [`ConnectError`], worded for the person at the client.
pub async fn connect(place: &Place) -> Result<(Incoming, Outgoing), ConnectError> {
    let transport = match place {
        Place::Tcp { host, port } => {
            let addresses = look_up(host, *port).await?;
            answered(place, async { Ok(Transport::Tcp(reach(place, &addresses).await?)) }).await
        }
        Place::Tls { host, port, trust } => {
            let addresses = look_up(host, *port).await?;
            let secured = async {
                let socket = reach(place, &addresses).await?;
                Ok(shake_hands(socket, host, *port, trust).await?)
            };
            answered(place, secured).await
        }
        Place::Unix(path) => open(path).await.map_err(|source| ConnectError::new(place, source)),
    }?;
    Ok((Incoming { transport: transport.clone(), unfinished: Vec::new() }, Outgoing { transport }))
}

/// Gives it up when the server takes too long to answer.
async fn answered(
    place: &Place,
    connecting: impl Future<Output = Result<Transport, ConnectError>>,
) -> Result<Transport, ConnectError> {
    let in_time = timeout(CONNECT_LIMIT, connecting).await;
    in_time.unwrap_or_else(|_elapsed| Err(ConnectError::Silent(place.clone())))
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let lookup = host.to_owned();
    let addresses = spawn_blocking(move || resolve(&lookup, port)).await;
    addresses.map_err(|source| ConnectError::UnknownHost { host: host.to_owned(), source })
}

async fn reach(place: &Place, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let socket = TcpStream::connect(addresses).await.map_err(|source| ConnectError::new(place, source))?;
    // A connection that is gone already is found out by the first read. There is no TCP_USER_TIMEOUT: Linux counts the
    // time of a closed window towards it, and would end the connection to a server that reads no faster than its pace
    // allows.
    let _ = tcp::set_up(&SockRef::from(&socket));
    Ok(socket)
}

/// Connects to a socket of the file system. It blocks on a thread for that, since only so the kernel waits when too many
/// wait for the server already, and for so long.
async fn open(path: &Path) -> io::Result<Transport> {
    let address = SockAddr::unix(path)?;
    let socket = spawn_blocking(move || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_write_timeout(Some(CONNECT_LIMIT))?;
        socket.connect(&address)?;
        Ok::<_, io::Error>(socket)
    });
    let socket = Async::new(UnixStream::from(socket.await?))?;
    Ok(Transport::Unix(Arc::new(socket)))
}

impl ConnectError {
    fn new(place: &Place, source: io::Error) -> Self {
        let is_path = matches!(place, Place::Unix(_));
        let place = place.clone();
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(place),
            io::ErrorKind::NotFound if is_path => Self::Missing(place),
            io::ErrorKind::PermissionDenied if is_path => Self::Forbidden(place),
            io::ErrorKind::WouldBlock if is_path => Self::Silent(place),
            _ => Self::Other { place, source },
        }
    }
}

/// What else to try when nobody answers.
fn where_else(place: &Place) -> &'static str {
    match place {
        Place::Tcp { .. } | Place::Tls { .. } => "; check the host and the port",
        Place::Unix(_) => "",
    }
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
        self.transport.cut();
    }

    /// Reads what comes. The kernel asks only a silent server whether it lives, and does not ask while something is on
    /// its way to it; so this looks whether that is acknowledged. A server that only rests acknowledges what it is sent.
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Ok(read) = timeout(LINK_LOOK, self.transport.read(bytes)).await {
                return read.map_err(worded);
            }
            // When the kernel does not tell, its own patience of a quarter of an hour is all that is left.
            if diagnose(&self.transport).is_ok_and(|health| health.unacknowledged >= UNACKNOWLEDGED) {
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
        let mut transport = self.transport.clone();
        transport.write_all(bytes).await?;
        transport.flush().await
    }

    /// Whether nobody on the way can read what is sent: it is encrypted, or leaves this machine not at all.
    pub fn is_private(&self) -> bool {
        match &self.transport {
            Transport::Tcp(socket) => socket.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback()),
            Transport::Tls(_) | Transport::Unix(_) => true,
        }
    }

    /// Says that this was all, and goes on listening: a half-close.
    pub async fn finish(mut self) {
        // When it fails the connection is broken, which the other direction finds out.
        let _ = self.transport.close().await;
    }
}

/// rustls says it to programmers.
fn worded(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it was cut off, for TLS was not ended"),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use async_std::task::block_on;

    use super::*;
    use crate::limits::KEEPALIVE;

    fn connected(port: u16) -> (Incoming, Outgoing) {
        block_on(connect(&Place::Tcp { host: "127.0.0.1".to_owned(), port })).unwrap()
    }

    #[test]
    fn lines_come_whole_however_they_are_split() {
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let (mut incoming, _outgoing) = connected(port);
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
        let (incoming, _outgoing) = connected(server.local_addr().unwrap().port());
        let socket = SockRef::from(&incoming.transport);
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
        let (mut incoming, _outgoing) = connected(port);
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
