//! An arrival: a connection that was accepted, before anything was said on it.

use std::sync::Arc;
use std::time::Instant;

use async_std::future::timeout;
use async_std::net::TcpStream;
use futures::FutureExt;
use futures::channel::oneshot;

use super::House;
use super::session::turn_away;
use super::tls::Tls;
use crate::fault;
use crate::journal::Record;
use crate::origin::Origin;
use crate::protocol::{Refusal, SafeText};
use crate::room::PeerId;
use crate::transport::Transport;

/// A connection, and what is known of it.
pub(super) struct Arrival {
    pub(super) transport: Transport,
    pub(super) peer: PeerId,
    pub(super) from: Origin,
    /// With what it is to become private, if its port is for that.
    pub(super) tls: Option<Arc<Tls>>,
}

/// The first byte of a TLS connection (RFC 8446, section 5.1: a record of the type handshake).
const HANDSHAKE: u8 = 0x16;

/// What the peer began with.
enum Greeting {
    Secured(Transport),
    /// It does not speak TLS.
    Plain,
}

impl Arrival {
    /// The connection, once TLS is negotiated where that is wanted. `None`: it came to nothing, and is closed.
    pub(super) async fn secure(
        self,
        house: &House,
        evicted: &mut oneshot::Receiver<()>,
        deadline: Instant,
    ) -> Option<Transport> {
        if self.tls.is_none() {
            return Some(self.transport);
        }
        // It is large, and plain connections need not have room for it.
        Box::pin(self.negotiate(house, evicted, deadline)).await
    }

    async fn negotiate(
        self,
        house: &House,
        evicted: &mut oneshot::Receiver<()>,
        deadline: Instant,
    ) -> Option<Transport> {
        let (Some(tls), Transport::Tcp(socket)) = (&self.tls, &self.transport) else { return Some(self.transport) };
        let left = deadline.saturating_duration_since(Instant::now());
        let greeted = futures::select_biased! {
            () = house.stop.clone().fuse() => return None,
            _ = &mut *evicted => return None,
            greeted = timeout(left, greet(tls, socket)).fuse() => greeted.ok()?,
        };
        match greeted {
            Ok(Greeting::Secured(transport)) => return Some(transport),
            Ok(Greeting::Plain) => {
                let (peer, from) = (self.peer, self.from);
                house.journal.note(Record::Refused { peer, from, code: Refusal::NotTls.code() });
                turn_away(self.transport, &Refusal::NotTls).await;
            }
            Err(error) => {
                let why = SafeText::new(fault::describe(&error));
                house.journal.note(Record::HandshakeFailed { peer: self.peer, from: self.from, why });
            }
        }
        None
    }
}

/// Waits for the first byte, and negotiates TLS if it is one of that.
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
