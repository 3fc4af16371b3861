//! The connection to the server: lines out, lines in.

use std::borrow::Cow;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_std::future::timeout;
use async_std::net::TcpStream;
use futures::stream::FuturesUnordered;
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use socket2::SockRef;
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
use crate::os::local_socket;
use crate::protocol::IAC;

/// Why there is no connection, and what to do about it.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The host is not an IP address, and its name cannot be resolved.
    #[error("cannot find the host {host:?}: {}", io_error::describe(.source))]
    UnknownHost { host: String, source: io::Error },
    /// The server refused the connection.
    #[error("cannot connect to {0}: connection refused; is the server running there?")]
    Refused(Endpoint),
    /// No answer within [`CONNECT_LIMIT`].
    #[error("cannot connect to {at}: no answer within {limit} s{hint}", at = .0, limit = CONNECT_LIMIT.as_secs(), hint = where_else(.0))]
    Silent(Endpoint),
    /// A link-local address without a zone, which several networks may have.
    #[error("cannot connect to {0}: a link-local address needs its zone, as in fe80::1%eth0")]
    Zoneless(Endpoint),
    /// The path does not exist.
    #[error("cannot connect to {0}: no such socket; check the path and whether the server is running")]
    Missing(Endpoint),
    /// The permissions of the socket or its directories forbid it.
    #[error("cannot connect to {0}: permission denied; check the permissions of the socket and its directories")]
    Forbidden(Endpoint),
    /// The TLS handshake failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error("cannot connect to {endpoint}: {}", io_error::describe(.source))]
    Other { endpoint: Endpoint, source: io::Error },
}

/// The receiving half of the connection.
#[derive(Debug)]
pub struct Incoming {
    transport: Transport,
    /// The start of a line that has not ended yet.
    unfinished: Vec<u8>,
}

/// The sending half of the connection.
#[derive(Debug)]
pub struct Outgoing {
    transport: Transport,
}

/// Connects to the endpoint, using the first of its addresses that answers.
///
/// # Errors
///
/// [`ConnectError`], worded for the user.
pub async fn connect(endpoint: &Endpoint) -> Result<(Incoming, Outgoing), ConnectError> {
    let transport = match endpoint {
        Endpoint::Tcp { host, port, trust } => {
            let addresses = look_up(host, *port).await?;
            let connecting = async {
                let socket = reach(endpoint, &addresses).await?;
                match trust {
                    Some(trust) => Ok(shake_hands(socket, host, *port, trust).await?),
                    None => Ok(Transport::Tcp(socket)),
                }
            };
            // Too slow an answer is an error, too.
            let in_time = timeout(CONNECT_LIMIT, connecting).await;
            in_time.unwrap_or_else(|_elapsed| Err(ConnectError::Silent(endpoint.clone())))
        }
        Endpoint::Unix(path) => open(path).await.map_err(|source| ConnectError::new(endpoint, source)),
    }?;
    Ok((Incoming { transport: transport.clone(), unfinished: Vec::new() }, Outgoing { transport }))
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
    // If the connection is gone already, the first read reports it. TCP_USER_TIMEOUT is not used: Linux also counts the
    // time of a closed window. It would close the connection to a server that reads slowly because of its rate limit.
    let _ = tcp::set_up(&SockRef::from(&socket));
    Ok(socket)
}

/// Connects to one of several addresses of a host, as in RFC 8305 (section 5). When an attempt fails, or has no answer
/// after [`NEXT_ADDRESS_AFTER`], the next one starts as well. The first connection wins, and the other attempts are
/// dropped. The caller limits the time.
///
/// # Errors
///
/// When all attempts fail: the error of the first address, which the system prefers.
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

/// Alternates the address families, starting with that of the first address (RFC 8305, section 4). The order within a
/// family stays the same. A broken family then costs only one attempt.
fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let is_first_family = |address: &SocketAddr| address.is_ipv6() == addresses[0].is_ipv6();
    let (first, second): (Vec<_>, Vec<_>) = addresses.iter().copied().partition(is_first_family);
    let longer = first.len().max(second.len());
    (0..longer).flat_map(|at| first.get(at).into_iter().chain(second.get(at))).copied().collect()
}

/// Connects to a Unix socket, with a blocking call on another thread.
async fn open(path: &Path) -> io::Result<Transport> {
    let path = path.to_owned();
    let socket = off_thread(move || local_socket::connect(&path, CONNECT_LIMIT)).await?;
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

/// What to check when there is no answer.
fn where_else(endpoint: &Endpoint) -> &'static str {
    match endpoint {
        Endpoint::Tcp { .. } => "; check the host and the port",
        Endpoint::Unix(_) => "",
    }
}

impl Incoming {
    /// The next complete lines, with their line endings. At the end of input: an incomplete line if there is one, then
    /// `None`.
    ///
    /// # Errors
    ///
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
                // Our server sends no line that long. Passing it on in pieces bounds the memory.
                None if bytes.len() > CLIENT_LINE_BYTES => {}
                None => {
                    self.unfinished = bytes;
                    continue;
                }
            }
            return Ok(Some(bytes));
        }
    }

    /// Closes both directions, which ends all pending reads and writes.
    pub fn cut(&self) {
        self.transport.cut();
    }

    /// Reads from the connection, and detects a dead server. TCP keepalive probes only an idle connection: it sends no
    /// probe while data is unacknowledged. So this checks for unacknowledged data. A slow but live server still
    /// acknowledges data.
    async fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Ok(read) = timeout(LINK_LOOK, self.transport.read(bytes)).await {
                return read.map_err(worded);
            }
            // If the kernel gives no information, its own timeout of about 15 minutes applies.
            if diagnose(&self.transport).is_ok_and(|health| health.unacknowledged >= UNACKNOWLEDGED) {
                self.cut();
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
    }
}

impl Outgoing {
    /// Sends bytes. In telnet, a byte 0xFF starts a command unless it is doubled (RFC 854).
    ///
    /// # Errors
    ///
    /// When the connection is broken.
    pub async fn send(&self, bytes: &[u8]) -> io::Result<()> {
        let mut transport = self.transport.clone();
        transport.write_all(&escape_iac(bytes)).await?;
        transport.flush().await
    }

    /// The remote end. `None` if the connection is broken.
    pub(crate) fn remote_end(&self) -> Option<RemoteEnd> {
        match &self.transport {
            Transport::Tls(_) => Some(RemoteEnd::Verified),
            Transport::Unix(socket) => Some(RemoteEnd::Unix(local_socket::peer_user(&**socket).ok())),
            Transport::Tcp(socket) => {
                Some(RemoteEnd::Tcp { local: socket.local_addr().ok()?, peer: socket.peer_addr().ok()? })
            }
        }
    }

    /// Whether a password may be sent on this connection.
    pub(crate) fn may_carry_password(&self, allow_plain_password: bool) -> bool {
        allow_plain_password || self.remote_end().is_some_and(RemoteEnd::is_private)
    }

    /// Half-closes the connection: the server learns that nothing more comes, and can still reply.
    pub async fn finish(mut self) {
        // If this fails, the connection is broken, and the reading half reports that.
        let _ = self.transport.close().await;
    }
}

/// Doubles each IAC (0xFF). UTF-8 text contains none.
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

/// Replaces the message of rustls, which is written for programmers.
fn worded(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(error.kind(), "it was cut off without a TLS close_notify"),
        _ => error,
    }
}

#[cfg(test)]
mod tests;
