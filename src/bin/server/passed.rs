//! The sockets that systemd has opened for the server (socket activation), and what each is for.

use std::sync::Arc;

use anyhow::bail;
use linechat::os::systemd::PassedSocket;
use linechat::server::listen::{Listener, Tls};

/// Listeners in place of those that the server would open.
#[derive(Debug, Default)]
pub struct Passed {
    pub plain: Vec<Listener>,
    pub tls: Vec<Listener>,
    pub unix: Vec<Listener>,
}

impl Passed {
    /// Sorts the sockets by their names. A socket without a name of its own has that of its unit: then TCP is plain.
    ///
    /// # Errors
    /// Which of them cannot be used, and why.
    pub fn new(sockets: Vec<PassedSocket>, certificate: Option<&Arc<Tls>>) -> anyhow::Result<Self> {
        let mut passed = Self::default();
        for socket in sockets {
            let name = socket.name.clone();
            let listener = Listener::pass(socket)?;
            let is_unnamed = name.is_empty() || name == "unknown" || name.ends_with(".socket");
            match (name.as_str(), listener.address().is_some(), certificate) {
                ("tls", true, Some(tls)) => passed.tls.push(listener.with_tls(Arc::clone(tls))),
                ("tls", true, None) => bail!("{listener} is for TLS, which needs --tls-cert and --tls-key"),
                ("plain", true, _) => passed.plain.push(listener),
                ("unix", false, _) => passed.unix.push(listener),
                (_, true, _) if is_unnamed => passed.plain.push(listener),
                (_, false, _) if is_unnamed => passed.unix.push(listener),
                _ => bail!(
                    "{listener} has FileDescriptorName={name}; write plain or tls for a TCP port, or unix for a Unix socket"
                ),
            }
        }
        Ok(passed)
    }
}
