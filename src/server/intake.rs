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
use crate::limits::{DECODE_BYTES, READ_BYTES, READ_LINES};
use crate::protocol::{Line, LineDecoder, Piece, Stranger, Telnet};

/// The reading side of a connection.
#[derive(Debug)]
pub(super) struct Intake {
    stream: TcpStream,
    telnet: Telnet,
    decoder: LineDecoder,
    /// What was read and is not decoded, because it held too many lines.
    rest: Vec<u8>,
    opening: Opening,
    idle_line: Option<Duration>,
    link: Arc<Link>,
}

/// What the first bytes of a connection tell.
#[derive(Debug, Default)]
struct Opening {
    seen: bool,
    stranger: Option<Stranger>,
}

/// What one read brought.
#[derive(Debug)]
pub(super) struct Read {
    /// The lines that were completed by it; often one, and none when it held only a part of one.
    pub(super) lines: Vec<Line>,
    /// How many bytes it brought, those of no line included.
    pub(super) bytes: usize,
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
        let (telnet, decoder, rest, opening) = Default::default();
        Self { stream, telnet, decoder, rest, opening, idle_line, link }
    }

    /// Whether the peer has sent more than the lines that were handed on.
    pub(super) fn is_inside_line(&self) -> bool {
        self.decoder.is_inside_line() || !self.rest.is_empty()
    }

    /// The protocol that the peer speaks instead of ours, if its first bytes have shown one.
    pub(super) fn stranger(&self) -> Option<Stranger> {
        self.opening.stranger
    }

    /// Waits for bytes and makes lines of them. Dropping the future loses nothing.
    ///
    /// At a half-close an unfinished line counts as a line; when the connection breaks it does not.
    pub(super) async fn read(&mut self) -> Read {
        match self.idle_line {
            Some(silence) if self.is_inside_line() => match timeout(silence, self.read_lines()).await {
                Ok(read) => read,
                Err(_silent) => self.finish_line(None),
            },
            _ => self.read_lines().await,
        }
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

    /// Ends the connection as it is, whatever is still on its way.
    pub(super) fn cut(&self) {
        // It fails when the peer is gone already, which is just as well.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    async fn read_lines(&mut self) -> Read {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            return Read { lines: self.decode(&rest), bytes: 0, end: None };
        }
        let mut lines = Vec::new();
        let mut stream = self.stream.clone();
        match read_bytes(&mut stream, |bytes| lines = self.decode(bytes)).await {
            Ok(0) if self.link.is_broken() => Read { lines, bytes: 0, end: Some(End::Lost) },
            Ok(0) => self.finish_line(Some(End::HalfClose)),
            Ok(bytes) => Read { lines, bytes, end: None },
            Err(_) => Read { lines, bytes: 0, end: Some(End::Lost) },
        }
    }

    /// Makes lines of bytes, and keeps what would make too many.
    fn decode(&mut self, bytes: &[u8]) -> Vec<Line> {
        let Self { telnet, decoder, opening, .. } = self;
        if !std::mem::replace(&mut opening.seen, true) {
            opening.stranger = Stranger::recognise(bytes);
        }
        let mut lines = Vec::new();
        let mut pieces = bytes.chunks(DECODE_BYTES);
        while lines.len() < READ_LINES
            && let Some(piece) = pieces.next()
        {
            telnet.decode(piece, |piece| match piece {
                Piece::Text(text) => decoder.decode(text, &mut lines),
                Piece::EraseCharacter => decoder.erase_character(),
                Piece::EraseLine => decoder.erase_line(),
            });
        }
        self.rest = pieces.flatten().copied().collect();
        self.tell_writer();
        lines
    }

    /// Takes the unfinished line as complete.
    fn finish_line(&mut self, end: Option<End>) -> Read {
        let mut lines = Vec::new();
        self.decoder.finish(&mut lines);
        Read { lines, bytes: 0, end }
    }

    /// Hands on what concerns the other side of the connection.
    fn tell_writer(&mut self) {
        if self.decoder.wants_crlf() || self.telnet.is_spoken() {
            self.link.want_crlf();
        }
        let answers = self.telnet.take_answers();
        if !answers.is_empty() {
            self.link.answer(&answers);
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
