//! Reads one socket and decodes its bytes into lines for the session.
//!
//! It owns the unfinished line, so a read that is cancelled loses nothing. While the peer is silent it holds no buffer: an
//! idle connection costs no more than its unfinished line.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use async_std::future::timeout;
use futures::future::poll_fn;
use futures::{AsyncRead, FutureExt};

use crate::limits::{DECODE_BYTES, LAST_READS, LINGER_BYTES, LINGER_LIMIT, READ_BYTES, READ_LINES};
use crate::net::transport::Transport;
use crate::protocol::{Line, LineDecoder, OtherProtocol, Piece, Refusal, Sniffer, Telnet};
use crate::server::connection::state::ConnectionState;

/// The reading side of a connection.
#[derive(Debug)]
pub(crate) struct LineReader {
    transport: Transport,
    telnet: Telnet,
    decoder: LineDecoder,
    /// The lines that are complete and wait to be handled.
    lines: VecDeque<Line>,
    /// What was read and is not decoded yet, because it held too many lines.
    rest: Vec<u8>,
    end: Option<End>,
    /// The last of the lines is one whose end did not come before the end of input.
    is_last_unfinished: bool,
    /// The next line is a secret.
    expects_secret: bool,
    opening: Sniffer,
    idle_line: Option<Duration>,
    state: Arc<ConnectionState>,
}

/// How a peer's input ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// The peer has said everything, by a half-close or in telnet. It may still listen.
    Said,
    /// The connection broke.
    ClientError,
}

thread_local! {
    /// Where bytes stay between the socket and the decoder, while no one waits: one for each thread instead of each
    /// peer.
    static BYTES: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
}

impl LineReader {
    pub(crate) fn new(transport: Transport, idle_line: Option<Duration>, state: Arc<ConnectionState>) -> Self {
        Self {
            transport,
            telnet: Telnet::default(),
            decoder: LineDecoder::default(),
            lines: VecDeque::new(),
            rest: Vec::new(),
            end: None,
            is_last_unfinished: false,
            expects_secret: false,
            opening: Sniffer::default(),
            idle_line,
            state,
        }
    }

    /// The connection.
    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// How many lines are complete and wait to be handled.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.len()
    }

    /// Takes the next of these lines.
    ///
    /// # Errors
    /// [`Refusal::UnfinishedPassword`] in place of an unfinished line at the end of input, when a secret is expected.
    pub(crate) fn next_line(&mut self) -> Option<Result<Line, Refusal>> {
        let line = self.lines.pop_front()?;
        let is_unfinished = self.is_last_unfinished && self.lines.is_empty();
        Some(if is_unfinished && self.expects_secret { Err(Refusal::UnfinishedPassword) } else { Ok(line) })
    }

    /// How the peer's input has ended, once it has. There may still be lines that wait.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether the peer has sent anything beyond the lines that were taken.
    pub(crate) fn has_more(&self) -> bool {
        !self.lines.is_empty() || !self.rest.is_empty() || self.decoder.is_inside_line() || self.end.is_some()
    }

    /// How many bytes of it were read and wait to be handled.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.lines.iter().map(Line::bytes).sum::<usize>() + self.rest.len()
    }

    /// The protocol that the peer speaks instead of ours, if its first bytes have shown one, or the next line, which
    /// should be a name.
    pub(crate) fn stranger(&self) -> Option<OtherProtocol> {
        self.opening.stranger().or_else(|| match self.lines.front() {
            Some(Line::Text(line)) => OtherProtocol::of_line(line),
            _ => None,
        })
    }

    /// Waits for bytes and makes lines of them: often one, and none of a part of one. Says how many bytes came from
    /// the socket. Dropping the future loses nothing. Once the input has ended it must not be called.
    ///
    /// When all is said an unfinished line counts as a line; when the connection breaks it does not. Silence does not end
    /// a secret, nor a line that was thrown away: half of it could become a message.
    pub(crate) async fn fill(&mut self) -> usize {
        if !self.rest.is_empty() {
            let rest = std::mem::take(&mut self.rest);
            self.decode(&rest);
            return 0;
        }
        match self.idle_line {
            Some(silence) if self.decoder.is_inside_line() && !self.expects_secret && !self.decoder.is_discarding() => {
                let read = timeout(silence, self.read()).await;
                read.unwrap_or_else(|_silent| {
                    self.decoder.finish(&mut self.lines);
                    0
                })
            }
            _ => self.read().await,
        }
    }

    /// The next line is a secret. Has a telnet client not show what its person types. It is known by its commands, or by its
    /// line ends, since telnet is silent on a port other than its own.
    pub(crate) fn hide_typing(&mut self) {
        self.expects_secret = true;
        if self.may_be_telnet() {
            self.state.answer(&self.telnet.hide_typing());
        }
    }

    /// The next line is not a secret. Has a telnet client show that again.
    pub(crate) fn show_typing(&mut self) {
        self.expects_secret = false;
        if self.may_be_telnet() {
            self.state.answer(&self.telnet.show_typing());
        }
    }

    fn may_be_telnet(&self) -> bool {
        matches!(self.transport, Transport::Tcp(_)) && self.state.wants_crlf()
    }

    /// Throws away what has arrived and was not looked at, be it in the socket yet, with the rest of a line that has begun.
    /// Says how many lines that were.
    pub(crate) fn discard(&mut self) -> usize {
        let (mut count, mut reads) = (0, 0);
        loop {
            count += self.lines.drain(..).count();
            // What was read is decoded to its end, or more could follow the line that is thrown away.
            if !self.rest.is_empty() {
                let rest = std::mem::take(&mut self.rest);
                self.decode(&rest);
                continue;
            }
            reads += 1;
            if self.end.is_some() || reads > LAST_READS || self.fill().now_or_never().is_none() {
                break;
            }
        }
        count + self.lines.drain(..).count() + usize::from(self.decoder.discard())
    }

    /// Waits a moment for the peer to close its side too, and throws away what it sends until then: so that closing
    /// ours destroys nothing that it has yet to read.
    pub(crate) async fn linger(&mut self) {
        // Time is up: the connection is closed as it is.
        let _ = timeout(LINGER_LIMIT, self.drain()).await;
    }

    async fn drain(&mut self) {
        let mut drained = 0;
        while drained < LINGER_BYTES {
            match read_bytes(&mut self.transport, |_| ()).await {
                Ok(0) | Err(_) => return,
                Ok(count) => drained += count,
            }
        }
    }

    /// Whether the input has ended with the connection, and not by a half-close.
    ///
    /// The error of a reset is told once, and the writer may have got it: the kernel then shows us a plain end, but has
    /// forgotten the peer's address.
    pub(crate) fn is_broken(&self) -> bool {
        self.state.is_broken() || self.transport.is_reset()
    }

    /// Ends the connection as it is, whatever is still on its way.
    pub(crate) fn cut(&self) {
        self.transport.cut();
    }

    async fn read(&mut self) -> usize {
        let mut transport = self.transport.clone();
        match read_bytes(&mut transport, |bytes| self.decode(bytes)).await {
            Ok(0) if !self.is_broken() => {
                self.finish();
                0
            }
            Ok(0) | Err(_) => {
                self.end = Some(End::ClientError);
                0
            }
            Ok(count) => count,
        }
    }

    /// The peer has said everything.
    fn finish(&mut self) {
        let count = self.lines.len();
        self.decoder.finish(&mut self.lines);
        self.is_last_unfinished |= self.lines.len() > count;
        self.end = Some(End::Said);
    }

    /// Makes lines of bytes, and keeps what would make too many.
    fn decode(&mut self, bytes: &[u8]) {
        let Self { telnet, decoder, lines, opening, .. } = self;
        let mut chunks = bytes.chunks(DECODE_BYTES);
        while lines.len() < READ_LINES
            && let Some(chunk) = chunks.next()
        {
            telnet.decode(chunk, |piece| match piece {
                Piece::Text(text) => {
                    opening.read(text);
                    decoder.decode(text, lines);
                }
                Piece::EraseCharacter => decoder.erase_character(),
                Piece::EraseLine => decoder.erase_line(),
            });
        }
        self.rest = chunks.flatten().copied().collect();
        if self.telnet.has_ended() {
            self.finish();
        }
        self.tell_writer();
    }

    /// Hands on what concerns the other side of the connection.
    fn tell_writer(&mut self) {
        if self.decoder.wants_crlf() || self.telnet.is_spoken() {
            self.state.want_crlf();
        }
        let answers = self.telnet.take_answers();
        if !answers.is_empty() {
            self.state.answer(&answers);
        }
    }
}

/// Waits for bytes, shows them to `look`, and says how many there were; none at the end of input.
async fn read_bytes(transport: &mut Transport, mut look: impl FnMut(&[u8])) -> io::Result<usize> {
    poll_fn(|context| {
        BYTES.with_borrow_mut(|buffer| {
            let count = ready!(Pin::new(&mut *transport).poll_read(context, buffer))?;
            look(&buffer[..count]);
            Poll::Ready(Ok(count))
        })
    })
    .await
}
