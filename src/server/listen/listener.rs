//! The listener: accepts connections.
//!
//! It starts a session for each connection, and does not know what is said there. A failed `accept` never ends it.

use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_std::net::TcpListener;
use async_std::task;
use futures::FutureExt;
use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::limits::{ACCEPT_PAUSE, LISTEN_BACKLOG, RECEIVE_BUFFER, SEND_BUFFER, UNACKNOWLEDGED};
use crate::log::Record;
use crate::model::address::PeerAddr;
use crate::net::resolve::resolve;
use crate::net::tcp;
use crate::net::transport::Transport;
use crate::os::io_error;
use crate::os::io_error::AcceptFailure;
use crate::os::local_socket::SocketFile;
use crate::os::systemd::PassedSocket;
use crate::os::yielding::Budget;
use crate::server::connection::handshake::Accepted;
use crate::server::connection::session;
use crate::server::connection::turn_away::turn_away;
use crate::server::listen::{BindError, Tls};
use crate::server::shared::Shared;

/// A socket that listens. `Display` shows its address or path.
#[derive(Debug)]
pub struct Listener {
    socket: ListenSocket,
    tls: Option<Arc<Tls>>,
    /// systemd has opened it.
    is_passed: bool,
}

#[derive(Debug)]
enum ListenSocket {
    Net(TcpListener, SocketAddr),
    Path(SocketFile),
}

impl Listener {
    /// Listens on the first address of `host` that works. Port 0 means any free port; `::` also listens on IPv4.
    ///
    /// # Errors
    /// [`BindError`], worded for the person who starts the server.
    pub fn bind(host: &str, port: u16) -> Result<Self, BindError> {
        let addresses =
            resolve(host, port).map_err(|source| BindError::UnknownHost { host: host.to_owned(), source })?;
        let mut error = None;
        for address in addresses {
            match listen(address) {
                Ok(socket) => {
                    let address = socket.local_addr().map_err(|source| BindError::new(address, source))?;
                    return Ok(Self { socket: ListenSocket::Net(socket, address), tls: None, is_passed: false });
                }
                Err(source) => error = Some(BindError::new(address, source)),
            }
        }
        Err(error.expect("a host that resolves has an address"))
    }

    /// Checks that `host` has an address. It listens nowhere.
    ///
    /// # Errors
    /// [`BindError`], worded for the person who starts the server.
    pub fn check(host: &str, port: u16) -> Result<(), BindError> {
        let resolved = resolve(host, port).map(drop);
        resolved.map_err(|source| BindError::UnknownHost { host: host.to_owned(), source })
    }

    /// Listens at a path of the file system. The file gets this mode. A stale socket is replaced, and the file is
    /// removed on drop.
    ///
    /// # Errors
    /// [`BindError`], worded for the person who starts the server.
    pub fn bind_path(path: &Path, mode: u32) -> Result<Self, BindError> {
        let file = SocketFile::bind(path, mode).map_err(|error| BindError::at(path, error))?;
        Ok(Self { socket: ListenSocket::Path(file), tls: None, is_passed: false })
    }

    /// Uses a socket that systemd has opened, with the options of our own as far as they can still be set.
    ///
    /// # Errors
    /// [`BindError`], worded for the person who starts the server.
    pub fn pass(PassedSocket { name, socket }: PassedSocket) -> Result<Self, BindError> {
        let socket = ListenSocket::pass(socket).map_err(|source| BindError::Passed { name, source })?;
        Ok(Self { socket, tls: None, is_passed: true })
    }

    /// Requires TLS. For addresses only, not for paths.
    pub fn with_tls(self, tls: Arc<Tls>) -> Self {
        Self { tls: Some(tls), ..self }
    }

    /// The actual address. `None` for a path.
    pub fn address(&self) -> Option<SocketAddr> {
        match self.socket {
            ListenSocket::Net(_, address) => Some(address),
            ListenSocket::Path(_) => None,
        }
    }

    /// Whether other machines can connect to it.
    pub fn is_reachable(&self) -> bool {
        self.address().is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }

    /// Starts a session for each connection, forever. Dropping the future stops listening, but the sessions continue.
    pub(crate) async fn accept_all(self, shared: Arc<Shared>) -> Infallible {
        let mut recovery = Recovery::new();
        let mut budget = Budget::default();
        loop {
            // Before a connection is accepted: if the server stops meanwhile, it is still there for the next server.
            shared.connection_limits.wait_for_evicted().await;
            match self.socket.accept().await {
                Ok((transport, from)) => {
                    recovery.pause = ACCEPT_PAUSE.0;
                    let accepted = Accepted { transport, from, peer: shared.next_peer(), tls: self.tls.clone() };
                    admit(accepted, &shared);
                }
                Err(error) => {
                    shared.log.note(Record::AcceptFailed { error: io_error::describe(&error) });
                    recovery.from(&error, &self.socket).await;
                }
            }
            // When many clients connect at once, the sessions that already have input must get their turn.
            budget.spend().await;
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            ListenSocket::Net(_, address) => address.fmt(f)?,
            ListenSocket::Path(file) => file.path().display().fmt(f)?,
        }
        f.write_str(if self.tls.is_some() { " with TLS" } else { "" })?;
        f.write_str(if self.is_passed { " (opened by systemd)" } else { "" })
    }
}

impl ListenSocket {
    fn pass(socket: Socket) -> io::Result<Self> {
        let address = socket.local_addr()?.as_socket();
        if address.is_some() {
            tcp::set_up_listener(&socket)?;
        }
        // It only changes the backlog. It fails if the socket is a connection.
        socket.listen(LISTEN_BACKLOG)?;
        match address {
            Some(address) => Ok(Self::Net(std::net::TcpListener::from(socket).into(), address)),
            None => Ok(Self::Path(SocketFile::adopt(socket)?)),
        }
    }

    async fn accept(&self) -> io::Result<(Transport, PeerAddr)> {
        match self {
            Self::Net(socket, _) => {
                let (stream, from) = socket.accept().await?;
                Ok((Transport::Tcp(stream), from.into()))
            }
            Self::Path(file) => {
                let (stream, user) = file.accept().await?;
                Ok((Transport::Unix(Arc::new(stream)), PeerAddr::Unix { user }))
            }
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    tcp::set_up_listener(&socket)?;
    socket.bind(&address.into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(TcpListener::from(std::net::TcpListener::from(socket)))
}

/// Recovers from errors of `accept`.
#[derive(Debug)]
struct Recovery {
    spare: Spare,
    /// How long to pause after the next error that retrying at once would not solve.
    pause: Duration,
}

impl Recovery {
    fn new() -> Self {
        Self { spare: Spare::new(), pause: ACCEPT_PAUSE.0 }
    }

    /// Handles an error. Then `accept` may be called again.
    async fn from(&mut self, error: &io::Error, socket: &ListenSocket) {
        match AcceptFailure::of(error) {
            AcceptFailure::Connection => return,
            AcceptFailure::Exhausted => self.spare.turn_one_away(socket),
            AcceptFailure::Other => {}
        }
        task::sleep(self.pause).await;
        self.pause = longer(self.pause);
    }
}

/// A spare descriptor. When there are none left, it is used to accept and close a waiting connection, so that the
/// client notices.
#[derive(Debug)]
struct Spare(Option<File>);

impl Spare {
    fn new() -> Self {
        Self(File::open("/dev/null").ok())
    }

    fn turn_one_away(&mut self, socket: &ListenSocket) {
        self.0 = None;
        drop(socket.accept().now_or_never());
        *self = Self::new();
    }
}

fn admit(accepted: Accepted, shared: &Arc<Shared>) {
    let Accepted { peer, from, .. } = accepted;
    shared.log.note(Record::Connected { peer, from });
    // This fails if the connection is already gone. Its session will notice.
    let _ = set_up(&accepted.transport);
    let may_connect = shared.auth.policy.may_connect(from, SystemTime::now());
    match may_connect.and_then(|()| shared.connection_limits.enter(peer, from)) {
        Ok(entered) => {
            task::spawn(session::attend(accepted, Arc::clone(shared), entered));
        }
        Err(refusal) => {
            shared.log.note(Record::Refused { peer, from, code: refusal.code() });
            // A client that expects TLS could not read the reason.
            if accepted.tls.is_none()
                && let Some(turn) = shared.connection_limits.turn()
            {
                task::spawn(async move {
                    turn_away(accepted.transport, &refusal).await;
                    drop(turn);
                });
            }
        }
    }
}

fn set_up(transport: &Transport) -> io::Result<()> {
    let socket = SockRef::from(transport);
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    if transport.tcp().is_some() {
        tcp::set_up(&socket)?;
        tcp::limit_unacknowledged(&socket, UNACKNOWLEDGED)?;
    }
    Ok(())
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(ACCEPT_PAUSE.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::os::system::errors;

    #[cfg(target_os = "linux")]
    #[test]
    fn accepted_sockets_have_the_right_options() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let _client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let stream = Transport::Tcp(listener.accept().unwrap().0.into());
        set_up(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        // Linux doubles the requested size.
        assert_eq!(socket.send_buffer_size().unwrap(), 2 * SEND_BUFFER);
        assert_eq!(socket.recv_buffer_size().unwrap(), 2 * RECEIVE_BUFFER);
        assert!(socket.keepalive().unwrap());
        let (time, interval, retries) = crate::limits::KEEPALIVE;
        assert_eq!(socket.tcp_keepalive_time().unwrap(), time);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), interval);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), retries);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(UNACKNOWLEDGED));
    }

    #[test]
    fn an_address_in_use_is_reported_with_a_solution() {
        let first = Listener::bind("127.0.0.1", 0).unwrap();
        let error = Listener::bind("127.0.0.1", first.address().unwrap().port()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{first} is in use")), "{error}");
        assert!(error.contains("--port"), "{error}");
    }

    #[test]
    fn an_unknown_host_is_reported() {
        let error = Listener::bind("no.such.host.invalid", 0).unwrap_err().to_string();
        assert!(error.starts_with("cannot find the host \"no.such.host.invalid\": "), "{error}");
    }

    #[test]
    fn an_address_of_another_machine_is_refused() {
        let error = Listener::bind("192.0.2.1", 0).unwrap_err().to_string();
        assert_eq!(
            error,
            "192.0.2.1:0 is not an address of this machine; use --host 0.0.0.0 for all IPv4 addresses, or --host :: for IPv6 too"
        );
    }

    /// A listener, and a client that waits to be accepted.
    fn waiting() -> (Listener, std::net::TcpStream) {
        let listener = Listener::bind("127.0.0.1", 0).unwrap();
        let client = std::net::TcpStream::connect(listener.address().unwrap()).unwrap();
        (listener, client)
    }

    #[test]
    fn the_failure_of_one_connection_neither_pauses_nor_closes_the_next() {
        let (listener, _client) = waiting();
        let mut recovery = Recovery::new();
        for &code in errors::CONNECTION_FAILED {
            let error = io::Error::from_raw_os_error(code);
            let recovered = recovery.from(&error, &listener.socket).now_or_never();
            assert!(recovered.is_some(), "it pauses after {error}");
        }
        assert_eq!(recovery.pause, ACCEPT_PAUSE.0);
        assert!(task::block_on(listener.socket.accept()).is_ok(), "the client that waits is still there");
    }

    #[test]
    fn without_descriptors_or_memory_it_closes_one_connection_and_pauses() {
        for &code in errors::EXHAUSTED {
            let (listener, mut client) = waiting();
            let (mut recovery, error) = (Recovery::new(), io::Error::from_raw_os_error(code));
            assert_eq!(recovery.from(&error, &listener.socket).now_or_never(), None, "it pauses after {error}");
            client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            assert_eq!(std::io::Read::read(&mut client, &mut [0]).unwrap(), 0, "the client knows");
        }
    }

    #[test]
    fn any_other_error_pauses_and_closes_no_connection() {
        let (listener, _client) = waiting();
        let mut recovery = Recovery::new();
        assert_eq!(recovery.from(&io::ErrorKind::InvalidInput.into(), &listener.socket).now_or_never(), None);
        assert!(task::block_on(listener.socket.accept()).is_ok());
    }

    #[test]
    fn the_pause_grows_up_to_its_limit() {
        let pauses: Vec<_> =
            std::iter::successors(Some(ACCEPT_PAUSE.0), |&pause| Some(longer(pause))).take(9).collect();
        assert!(pauses.is_sorted());
        assert_eq!(pauses.last(), Some(&ACCEPT_PAUSE.1));
    }
}
