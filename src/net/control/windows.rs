//! The control channel over a loopback port.

use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_std::io::timeout;
use async_std::net::TcpListener;
use futures::AsyncReadExt;
use subtle::ConstantTimeEq;

use crate::limits::{CONTROL_TOKEN_BYTES, CONTROL_TOKEN_LIMIT};
use crate::net::control::{ControlStream, path};
use crate::net::tls::provider;
use crate::net::transport::Transport;
use crate::os::local_socket::ListenError;
use crate::os::safe_file::lock;

/// The server's end. The file is removed on drop.
#[derive(Debug)]
pub(crate) struct ControlListener {
    socket: TcpListener,
    path: PathBuf,
    token: String,
}

impl ControlListener {
    /// Listens, and writes the port and a new token to a file in the data folder.
    pub(crate) fn bind(folder: &Path) -> Result<Self, ListenError> {
        let socket = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let mut bytes = [0; CONTROL_TOKEN_BYTES];
        provider().secure_random.fill(&mut bytes).map_err(|_| io::Error::other("the system has no random numbers"))?;
        let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let (path, new) = (path(folder), folder.join("control.new"));
        fs::write(&new, format!("{}\n{token}\n", socket.local_addr()?))?;
        fs::rename(new, &path)?;
        Ok(Self { socket: socket.into(), path, token })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The next connection. `None` if it does not send the token at once. The system does not tell its user.
    pub(crate) async fn accept(&self) -> io::Result<Option<(Transport, Option<u32>)>> {
        let (stream, _) = self.socket.accept().await?;
        let mut stream = Transport::Tcp(stream);
        let mut token = [0; 2 * CONTROL_TOKEN_BYTES];
        let is_sent = timeout(CONTROL_TOKEN_LIMIT, stream.read_exact(&mut token)).await.is_ok();
        let may_enter = is_sent && bool::from(token.ct_eq(self.token.as_bytes()));
        Ok(may_enter.then_some((stream, None)))
    }
}

impl Drop for ControlListener {
    fn drop(&mut self) {
        // If it cannot be removed, the next server replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

impl ControlStream {
    /// Connects to a server with this data folder.
    ///
    /// # Errors
    /// The error of the system, or that no server is running: another program may listen at the port of one that was
    /// killed, and would get the token and the password that is typed.
    pub fn connect(folder: &Path, patience: Duration) -> io::Result<Self> {
        let text = fs::read_to_string(path(folder))?;
        if lock(&folder.join("lock"))?.is_some() {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut lines = text.lines();
        let (address, token) = (lines.next().and_then(|line| line.parse::<SocketAddr>().ok()), lines.next());
        let (Some(address), Some(token)) = (address, token) else {
            return Err(io::Error::other("the file is not one of a linechat server"));
        };
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(patience))?;
        stream.write_all(token.as_bytes())?;
        Ok(Self(stream))
    }
}
