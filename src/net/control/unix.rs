//! The control channel over a Unix socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::net::control::{ControlStream, path};
use crate::net::transport::Transport;
use crate::os::local_socket::{ListenError, SocketFile, peer_user};
use crate::os::unix::user;

/// The server's end.
#[derive(Debug)]
pub(crate) struct ControlListener(SocketFile);

impl ControlListener {
    /// Listens in the data folder. Only root and the user who runs the server can connect.
    pub(crate) fn bind(folder: &Path) -> Result<Self, ListenError> {
        SocketFile::bind(&path(folder), 0o600).map(Self)
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The next connection, and its user. `None` if it may not be used.
    pub(crate) async fn accept(&self) -> io::Result<Option<(Transport, Option<u32>)>> {
        let (stream, user) = self.0.accept().await?;
        // The file's mode keeps others out, unless someone has changed it.
        let may_enter = user == 0 || Some(user) == user::id();
        Ok(may_enter.then(|| (Transport::Unix(Arc::new(stream)), Some(user))))
    }
}

impl ControlStream {
    /// Connects to a server with this data folder. To connect, send or receive takes at most `patience`.
    ///
    /// # Errors
    /// The error of the system, or whose server it is: it would get the password that is typed.
    pub fn connect(folder: &Path, patience: Duration) -> io::Result<Self> {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_read_timeout(Some(patience))?;
        // Also for connecting, while too many others wait for the server.
        socket.set_write_timeout(Some(patience))?;
        socket.connect(&SockAddr::unix(path(folder))?)?;
        let stream = UnixStream::from(socket);
        let (owner, own) = (peer_user(&stream)?, user::id());
        if owner != 0 && Some(owner) != own && own != Some(0) {
            let why = format!("it belongs to user {owner}; only that user and root can administer it");
            return Err(io::Error::other(why));
        }
        Ok(Self(stream))
    }
}
