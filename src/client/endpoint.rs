//! The place: where the server is, and how one can tell that it is the one that was meant.

use std::fmt;
use std::path::PathBuf;

use crate::client::Trust;

/// Where a client connects.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// Plain TCP.
    Tcp {
        /// The server's address or name.
        host: String,
        /// Its port.
        port: u16,
    },
    /// TLS over TCP.
    Tls {
        /// The server's address or name, which its certificate has to hold too.
        host: String,
        /// Its port.
        port: u16,
        /// Which certificates will do.
        trust: Trust,
    },
    /// A socket of the file system.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } | Self::Tls { host, port, .. } => write!(f, "{host}, port {port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}
