//! The connection to the server: lines out, lines in.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use async_io::Async;
use async_std::future::timeout;
use async_std::net::TcpStream;
use futures::stream::FuturesUnordered;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use rustix::net::sockopt::socket_peercred;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};
use thiserror::Error;

use crate::client::Endpoint;
use crate::client::off_thread::off_thread;
use crate::client::recipient::RemoteEnd;
use crate::client::tls::{TlsError, shake_hands};
use crate::limits::{CLIENT_LINE_BYTES, CONNECT_LIMIT, LINK_LOOK, NEXT_ADDRESS_AFTER, READ_BYTES, UNACKNOWLEDGED};
use crate::net::resolve::{lacks_zone, resolve};
use crate::net::tcp;
use crate::net::tcp_info::diagnose;
use crate::net::transport::Transport;
use crate::os::io_error;
use crate::protocol::IAC;

/// Why there is no connection, and what to do about it.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The host is no address, and no name that is known.
    #[error("cannot find the host {host:?}: {}", io_error::describe(.source))]
    UnknownHost {
        /// The host as given.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Nobody listens there.
    #[error("cannot connect to {0}: connection refused; is the server running there?")]
    Refused(Endpoint),
    /// No answer within [`CONNECT_LIMIT`].
    #[error("cannot connect to {at}: no answer within {limit} s{hint}", at = .0, limit = CONNECT_LIMIT.as_secs(), hint = where_else(.0))]
    Silent(Endpoint),
    /// Each of several networks may have that link-local address, and nothing says which network is meant.
    #[error("cannot connect to {0}: a link-local address needs its zone, as in fe80::1%eth0")]
    Zoneless(Endpoint),
    /// There is nothing at that path.
    #[error("cannot connect to {0}: there is no such socket; check the path, and whether the server is running")]
    Missing(Endpoint),
    /// The socket is not for everybody.
    #[error("not allowed to connect to {0}; its owner decides who is, by the modes of it and of the folders above it")]
    Forbidden(Endpoint),
    /// There is no way to be private.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Anything else.
    #[error("cannot connect to {endpoint}: {}", io_error::describe(.source))]
    Other {
        /// Where.
        endpoint: Endpoint,
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

/// Connects to the place, by whichever of its addresses answers first.
///
/// # Errors
/// [`ConnectError`], worded for the person at the client.
pub async fn connect(endpoint: &Endpoint) -> Result<(Incoming, Outgoing), ConnectError> {
    let transport = match endpoint {
        Endpoint::Tcp { host, port } => {
            let addresses = look_up(host, *port).await?;
            answered(endpoint, async { Ok(Transport::Tcp(reach(endpoint, &addresses).await?)) }).await
        }
        Endpoint::Tls { host, port, trust } => {
            let addresses = look_up(host, *port).await?;
            let secured = async {
                let socket = reach(endpoint, &addresses).await?;
                Ok(shake_hands(socket, host, *port, trust).await?)
            };
            answered(endpoint, secured).await
        }
        Endpoint::Unix(path) => open(path).await.map_err(|source| ConnectError::new(endpoint, source)),
    }?;
    Ok((Incoming { transport: transport.clone(), unfinished: Vec::new() }, Outgoing { transport }))
}

/// Gives it up when the server takes too long to answer.
async fn answered(
    endpoint: &Endpoint,
    connecting: impl Future<Output = Result<Transport, ConnectError>>,
) -> Result<Transport, ConnectError> {
    let in_time = timeout(CONNECT_LIMIT, connecting).await;
    in_time.unwrap_or_else(|_elapsed| Err(ConnectError::Silent(endpoint.clone())))
}

async fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, ConnectError> {
    let lookup = host.to_owned();
    let addresses = off_thread(move || resolve(&lookup, port)).await;
    addresses.map_err(|source| ConnectError::UnknownHost { host: host.to_owned(), source })
}

async fn reach(endpoint: &Endpoint, addresses: &[SocketAddr]) -> Result<TcpStream, ConnectError> {
    let socket = race(addresses).await.map_err(|source| match addresses.first() {
        Some(address) if lacks_zone(address) => ConnectError::Zoneless(endpoint.clone()),
        _ => ConnectError::new(endpoint, source),
    })?;
    // A connection that is gone already is found out by the first read. There is no TCP_USER_TIMEOUT: Linux counts the
    // time of a closed window towards it, and would end the connection to a server that reads no faster than its pace
    // allows.
    let _ = tcp::set_up(&SockRef::from(&socket));
    Ok(socket)
}

/// Connects to one of several addresses of a host, as RFC 8305 (section 5) describes. When an attempt has failed, or has
/// had no answer for [`NEXT_ADDRESS_AFTER`], the next address is tried as well. The first connection wins, and the other
/// attempts end. The caller limits the time.
///
/// # Errors
/// When all attempts have failed: the error of the first address, which the system prefers.
async fn race(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut untried = interleave(addresses).into_iter().enumerate();
    let mut attempts = FuturesUnordered::new();
    let mut first_error = None;
    loop {
        if let Some((index, address)) = untried.next() {
            attempts.push(async move { (index, TcpStream::connect(address).await) });
        }
        let patience = if untried.len() == 0 { CONNECT_LIMIT } else { NEXT_ADDRESS_AFTER };
        match timeout(patience, attempts.next()).await {
            Ok(Some((_, Ok(socket)))) => return Ok(socket),
            Ok(Some((0, Err(error)))) => first_error = Some(error),
            Ok(Some((_, Err(_)))) | Err(_) => {}
            Ok(None) => return Err(first_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
        }
    }
}

/// The addresses with their families in turn, from the family of the first one on, otherwise in the same order (RFC 8305,
/// section 4). So a family that does not work costs one attempt only.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_first_family = |address: &SocketAddr| address.is_ipv6() == addresses[0].is_ipv6();
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(is_first_family);
    let longer = first.len().max(second.len());
    (0..longer).flat_map(|at| first.get(at).into_iter().chain(second.get(at))).copied().collect()
}

/// Connects to a socket of the file system. It blocks on a thread for that, since only so the kernel waits when too many
/// wait for the server already, and for so long.
async fn open(path: &Path) -> io::Result<Transport> {
    let address = SockAddr::unix(path)?;
    let socket = off_thread(move || {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_write_timeout(Some(CONNECT_LIMIT))?;
        // A signal interrupts it, with the time limit also one that is only handled (signal(7)).
        while let Err(error) = socket.connect(&address) {
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
        Ok::<_, io::Error>(socket)
    });
    let socket = Async::new(UnixStream::from(socket.await?))?;
    Ok(Transport::Unix(Arc::new(socket)))
}

impl ConnectError {
    fn new(endpoint: &Endpoint, source: io::Error) -> Self {
        let is_path = matches!(endpoint, Endpoint::Unix(_));
        let endpoint = endpoint.clone();
        match source.kind() {
            io::ErrorKind::ConnectionRefused => Self::Refused(endpoint),
            io::ErrorKind::NotFound if is_path => Self::Missing(endpoint),
            io::ErrorKind::PermissionDenied if is_path => Self::Forbidden(endpoint),
            io::ErrorKind::WouldBlock if is_path => Self::Silent(endpoint),
            _ => Self::Other { endpoint, source },
        }
    }
}

/// What else to try when nobody answers.
fn where_else(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Tcp { .. } | Endpoint::Tls { .. } => "; check the host and the port",
        Endpoint::Unix(_) => "",
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
    /// Sends bytes as data. To telnet, a byte 0xFF starts a command unless there are two of them (RFC 854).
    ///
    /// # Errors
    /// When the connection is broken.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut transport = self.transport.clone();
        transport.write_all(&escape_iac(bytes)).await?;
        transport.flush().await
    }

    /// The other end. `None` if the connection is broken.
    pub(crate) fn remote_end(&self) -> Option<RemoteEnd> {
        match &self.transport {
            Transport::Tls(_) => Some(RemoteEnd::Verified),
            Transport::Unix(socket) => {
                Some(RemoteEnd::Unix(socket_peercred(&**socket).ok().map(|server| server.uid.as_raw())))
            }
            Transport::Tcp(socket) => {
                Some(RemoteEnd::Tcp { local: socket.local_addr().ok()?, peer: socket.peer_addr().ok()? })
            }
        }
    }

    /// Whether a password may be sent here.
    pub(crate) fn may_carry_password(&self, allow_plain_password: bool) -> bool {
        allow_plain_password || self.remote_end().is_some_and(RemoteEnd::is_private)
    }

    /// Says that this was all, and goes on listening: a half-close.
    pub async fn finish(mut self) {
        // When it fails the connection is broken, which the other direction finds out.
        let _ = self.transport.close().await;
    }
}

/// The bytes, with each IAC (0xFF) doubled. There is none in UTF-8.
fn escape_iac(bytes: &[u8]) -> Cow<'_, [u8]> {
    let mut escaped = Vec::new();
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(IAC, rest) {
        escaped.extend_from_slice(&rest[..=at]);
        escaped.push(IAC);
        rest = &rest[at + 1..];
    }
    if escaped.is_empty() {
        return Cow::Borrowed(bytes);
    }
    escaped.extend_from_slice(rest);
    Cow::Owned(escaped)
}

/// rustls says it to programmers.
fn worded(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it was cut off, for TLS was not ended"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
