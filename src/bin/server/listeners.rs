//! The sockets that this server listens on.

use std::io::{self, Write};
use std::sync::Arc;

use linechat::server::admin::Control;
use linechat::server::listen::{Listener, Tls};

#[derive(Debug)]
pub struct Listeners {
    pub listeners: Vec<Listener>,
    /// The control socket.
    pub control: Option<Control>,
    /// The certificate of the TLS listener.
    pub tls: Option<Arc<Tls>>,
}

impl Listeners {
    /// Prints the addresses to standard output, the plain port first, and then the fingerprint of the certificate.
    pub fn announce(&self) {
        // Standard output may be closed. The server runs anyway.
        let _ = self.write(&mut io::stdout());
    }

    /// The addresses that other machines can reach, if there are any.
    pub fn reachable(&self) -> Option<String> {
        let reachable = self.listeners.iter().filter(|listener| listener.is_reachable());
        let listeners: Vec<_> = reachable.map(Listener::to_string).collect();
        (!listeners.is_empty()).then(|| listeners.join(", "))
    }

    fn write(&self, to: &mut impl Write) -> io::Result<()> {
        for listener in &self.listeners {
            writeln!(to, "Server listening on {listener}")?;
        }
        if let Some(tls) = &self.tls {
            writeln!(to, "Certificate fingerprint (SHA-256): {}", tls.fingerprint())?;
        }
        to.flush()
    }
}
