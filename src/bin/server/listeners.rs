//! The places where this server listens.

use std::io::{self, Write};
use std::sync::Arc;

use linechat::server::admin::Control;
use linechat::server::listen::{Listener, Tls};

/// Sockets that listen, and what can be changed about them.
#[derive(Debug)]
pub struct Listeners {
    pub listeners: Vec<Listener>,
    /// Where it is told what to do.
    pub control: Option<Control>,
    /// What the one for TLS has.
    pub tls: Option<Arc<Tls>>,
}

impl Listeners {
    /// Says on standard output where they are, the plain port first, and by what a client knows the certificate.
    pub fn announce(&self) {
        // Whoever started us may have closed our standard output; we serve all the same.
        let _ = self.write(&mut io::stdout());
    }

    /// Where others than this machine can connect, if they can.
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
