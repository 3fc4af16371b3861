//! A connection from `accept` to the end of the TLS handshake, if its port requires one.

use std::sync::Arc;
use std::time::Instant;

use async_std::future::timeout;
use async_std::net::TcpStream;
use futures::FutureExt;
use futures::channel::oneshot;

use crate::log::Record;
use crate::model::address::PeerAddr;
use crate::model::{PeerId, SafeText};
use crate::net::transport::Transport;
use crate::os::io_error;
use crate::protocol::Refusal;
use crate::server::connection::turn_away::turn_away;
use crate::server::listen::Tls;
use crate::server::shared::Shared;

/// An accepted connection.
pub(crate) struct Accepted {
    pub(crate) transport: Transport,
    pub(crate) peer: PeerId,
    pub(crate) from: PeerAddr,
    /// The TLS configuration, if the port requires TLS.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// The first byte of a TLS connection (RFC 8446, section 5.1: a record of the type handshake).
const HANDSHAKE: u8 = 0x16;

/// How the peer began.
enum Greeting {
    Secured(Transport),
    /// It does not speak TLS.
    Plain,
}

impl Accepted {
    /// The connection, after TLS was negotiated if the port requires it. `None` if that failed; the connection is then
    /// closed.
    pub(crate) async fn handshake(
        self,
        shared: &Shared,
        evicted: &mut oneshot::Receiver<()>,
        deadline: Instant,
    ) -> Option<Transport> {
        if self.tls.is_none() {
            return Some(self.transport);
        }
        // The future is large, and plain connections should not need memory for it.
        Box::pin(self.negotiate(shared, evicted, deadline)).await
    }

    async fn negotiate(
        self,
        shared: &Shared,
        evicted: &mut oneshot::Receiver<()>,
        deadline: Instant,
    ) -> Option<Transport> {
        let (Some(tls), Transport::Tcp(socket)) = (&self.tls, &self.transport) else { return Some(self.transport) };
        let left = deadline.saturating_duration_since(Instant::now());
        let greeted = futures::select_biased! {
            () = shared.stop.clone().fuse() => return None,
            _ = &mut *evicted => return None,
            greeted = timeout(left, greet(tls, socket)).fuse() => greeted.ok()?,
        };
        match greeted {
            Ok(Greeting::Secured(transport)) => return Some(transport),
            Ok(Greeting::Plain) => {
                let (peer, from) = (self.peer, self.from);
                shared.log.note(Record::Refused { peer, from, code: Refusal::NotTls.code() });
                turn_away(self.transport, &Refusal::NotTls).await;
            }
            Err(error) => {
                let why = SafeText::new(io_error::describe(&error));
                shared.log.note(Record::HandshakeFailed { peer: self.peer, from: self.from, why });
            }
        }
        None
    }
}

/// Waits for the first byte, and negotiates TLS if it starts a TLS handshake.
async fn greet(tls: &Tls, socket: &TcpStream) -> std::io::Result<Greeting> {
    let mut first = [HANDSHAKE];
    while let Err(error) = socket.peek(&mut first).await {
        if error.kind() != std::io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    if first != [HANDSHAKE] {
        return Ok(Greeting::Plain);
    }
    tls.shake_hands(socket.clone()).await.map(Greeting::Secured)
}
