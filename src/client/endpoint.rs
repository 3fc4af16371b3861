//! The endpoint: where the server is, and how to verify its identity.

use std::fmt;
use std::path::PathBuf;

use crate::client::Trust;

#[derive(Debug, Clone)]
pub enum Endpoint {
    Tcp {
        /// A name or an IP address. With TLS, the certificate must be valid for it.
        host: String,
        port: u16,
        /// Which certificates are accepted. `None` without TLS.
        trust: Option<Trust>,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, .. } => write!(f, "{host}, port {port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}
