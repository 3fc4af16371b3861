//! The intake: bytes of one socket to lines, for its session.
//!
//! It owns the unfinished line, so that a read which is given up half-way loses nothing, and holds no buffer while
//! its peer is silent: an idle connection costs no more than its unfinished line.

use std::cell::RefCell;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use async_std::future::timeout;
use async_std::net::TcpStream;
use futures::AsyncRead;
use futures::future::poll_fn;

use super::link::Link;
use crate::limits::READ_BYTES;
use crate::protocol::{Line, LineDecoder, Telnet};

/// The reading side of a connection.
#[derive(Debug)]
pub(super) struct Intake {
    stream: TcpStream,
    telnet: Telnet,
    decoder: LineDecoder,
    idle_line: Option<Duration>,
    link: Arc<Link>,
}

/// What one read brought.
#[derive(Debug)]
pub(super) struct Read {
    /// The lines that were completed by it; often one, and none when it held only a part of one.
    pub(super) lines: Vec<Line>,
    /// Whether the peer will send nothing more, and how that came.
    pub(super) end: Option<End>,
}

/// How a peer's input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// The peer has said everything. It may still listen.
    HalfClose,
    /// The connection broke.
    Lost,
}

thread_local! {
    /// Where bytes stay between the socket and the decoder, while no one waits: one for each thread instead of each
    /// peer.
    static BYTES: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

impl Intake {
    pub(super) fn new(stream: TcpStream, idle_line: Option<Duration>, link: Arc<Link>) -> Self {
        Self { stream, telnet: Telnet::default(), decoder: LineDecoder::default(), idle_line, link }
    }

    /// Whether the peer has begun a line and not ended it.
    pub(super) fn is_inside_line(&self) -> bool {
        self.decoder.is_inside_line()
    }

    /// Waits for bytes and makes lines of them. Dropping the future loses nothing.
    ///
    /// At a half-close an unfinished line counts as a line; when the connection breaks it does not.
    pub(super) async fn read(&mut self) -> Read {
        let mut lines = Vec::new();
        let end = match self.idle_line {
            Some(silence) if self.is_inside_line() => match timeout(silence, self.read_lines(&mut lines)).await {
                Ok(end) => end,
                Err(_silent) => {
                    self.decoder.finish(&mut lines);
                    None
                }
            },
            _ => self.read_lines(&mut lines).await,
        };
        Read { lines, end }
    }

    /// Reads and throws away up to `limit` bytes, until the peer ends its side or the connection breaks.
    pub(super) async fn drain(&mut self, limit: usize) {
        let mut drained = 0;
        while drained < limit {
            match read_bytes(&mut self.stream, |_| ()).await {
                Ok(0) | Err(_) => return,
                Ok(count) => drained += count,
            }
        }
    }

    /// Whether the input has ended with the connection, and not by a half-close.
    ///
    /// The error of a reset is told once, and the writer may have got it: the kernel then shows us a plain end, but has
    /// forgotten the peer's address.
    fn is_broken(&self) -> bool {
        self.link.is_broken() || self.stream.peer_addr().is_err()
    }

    /// Ends the connection as it is, whatever is still on its way.
    pub(super) fn cut(&self) {
        // It fails when the peer is gone already, which is just as well.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    async fn read_lines(&mut self, lines: &mut Vec<Line>) -> Option<End> {
        let Self { stream, telnet, decoder, .. } = self;
        match read_bytes(stream, |bytes| decoder.decode(&telnet.strip(bytes), lines)).await {
            Ok(0) if self.is_broken() => Some(End::Lost),
            Ok(0) => {
                self.decoder.finish(lines);
                Some(End::HalfClose)
            }
            Ok(_) => {
                if self.decoder.wants_crlf() || self.telnet.is_spoken() {
                    self.link.want_crlf();
                }
                None
            }
            Err(_) => Some(End::Lost),
        }
    }
}

/// Waits for bytes, shows them to `look`, and says how many there were; none at the end of input.
async fn read_bytes(stream: &mut TcpStream, mut look: impl FnMut(&[u8])) -> io::Result<usize> {
    poll_fn(|context| {
        BYTES.with_borrow_mut(|buffer| {
            let count = ready!(Pin::new(&mut *stream).poll_read(context, buffer))?;
            look(&buffer[..count]);
            Poll::Ready(Ok(count))
        })
    })
    .await
}
