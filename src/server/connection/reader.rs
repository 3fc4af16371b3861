//! Reads one socket and decodes its bytes into lines for the session.
//!
//! It owns the unfinished line, so a cancelled read loses nothing. It holds no buffer while the peer is silent, so an
//! idle connection costs only its unfinished line.

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
    /// Complete lines that wait to be handled.
    lines: VecDeque<Line>,
    /// Bytes that were read but not decoded yet, because there are already enough lines.
    rest: Vec<u8>,
    end: Option<End>,
    /// The last line had no line ending at the end of input.
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
    /// By a half-close or a telnet EOF. The peer may still read.
    Said,
    /// The connection broke.
    ClientError,
}

thread_local! {
    /// A buffer between the socket and the decoder. It is never held while a task waits, so each thread needs only one.
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

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The number of complete lines that wait to be handled.
    pub(crate) fn waiting(&self) -> usize {
        self.lines.len()
    }

    /// Takes the next complete line.
    ///
    /// # Errors
    /// [`Refusal::UnfinishedPassword`] for an unfinished line at the end of input, if a secret is expected.
    pub(crate) fn next_line(&mut self) -> Option<Result<Line, Refusal>> {
        let line = self.lines.pop_front()?;
        let is_unfinished = self.is_last_unfinished && self.lines.is_empty();
        Some(if is_unfinished && self.expects_secret { Err(Refusal::UnfinishedPassword) } else { Ok(line) })
    }

    /// How the input has ended, if it has. Lines may still be waiting.
    pub(crate) fn end(&self) -> Option<End> {
        self.end
    }

    /// Whether the peer has sent anything after the lines that were taken.
    pub(crate) fn has_more(&self) -> bool {
        !self.lines.is_empty() || !self.rest.is_empty() || self.decoder.is_inside_line() || self.end.is_some()
    }

    /// The number of bytes that were read and wait to be handled.
    pub(crate) fn waiting_bytes(&self) -> usize {
        self.lines.iter().map(Line::bytes).sum::<usize>() + self.rest.len()
    }

    /// The other protocol that the peer speaks, according to its first bytes or to the next line, which should be a
    /// name.
    pub(crate) fn stranger(&self) -> Option<OtherProtocol> {
        self.opening.stranger().or_else(|| match self.lines.front() {
            Some(Line::Text(line)) => OtherProtocol::of_line(line),
            _ => None,
        })
    }

    /// Waits for bytes and decodes them into lines: often one, or none if it is incomplete. Returns the number of bytes
    /// read from the socket. Cancel-safe. It must not be called after the end of input.
    ///
    /// An unfinished line counts as a line at the end of input, but not if the connection breaks. Silence ends neither
    /// a secret nor a discarded line, because half of it could become a message.
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

    /// Expects a secret as the next line, and makes a telnet client stop echoing what is typed. A telnet client is
    /// recognised by its commands or by CR LF: on ports other than its own, it does not send commands first.
    pub(crate) fn hide_typing(&mut self) {
        self.expects_secret = true;
        if self.may_be_telnet() {
            self.state.answer(&self.telnet.hide_typing());
        }
    }

    /// Expects an ordinary line next, and makes a telnet client echo again.
    pub(crate) fn show_typing(&mut self) {
        self.expects_secret = false;
        if self.may_be_telnet() {
            self.state.answer(&self.telnet.show_typing());
        }
    }

    fn may_be_telnet(&self) -> bool {
        matches!(self.transport, Transport::Tcp(_)) && self.state.wants_crlf()
    }

    /// Discards everything that has arrived and was not handled, including data in the socket and the rest of an
    /// unfinished line. Returns the number of lines.
    pub(crate) fn discard(&mut self) -> usize {
        let (mut count, mut reads) = (0, 0);
        loop {
            count += self.lines.drain(..).count();
            // Everything that was read must be decoded, or more could follow the discarded line.
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

    /// Waits briefly for the peer to close its side, and discards what it sends. Closing with unread input would
    /// destroy data that the peer has yet to read.
    pub(crate) async fn linger(&mut self) {
        // After the time limit, the connection is closed as it is.
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

    /// Whether the input ended because the connection broke, and not by a half-close.
    ///
    /// The kernel may report a reset only once, possibly to the writer. Then it shows us a normal end of input, and
    /// only [`Transport::is_reset`] tells the difference.
    pub(crate) fn is_broken(&self) -> bool {
        self.state.is_broken() || self.transport.is_reset()
    }

    /// Closes the connection at once, whatever is still in flight.
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

    /// Handles the end of input.
    fn finish(&mut self) {
        let count = self.lines.len();
        self.decoder.finish(&mut self.lines);
        self.is_last_unfinished |= self.lines.len() > count;
        self.end = Some(End::Said);
    }

    /// Decodes bytes into lines, and keeps the rest when there are enough lines.
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

    /// Passes the kind of line ending and replies to telnet commands to the writer.
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

/// Waits for bytes and passes them to `look`. Returns their number, which is 0 at the end of input.
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
