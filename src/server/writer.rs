//! The writer: the one that writes to a socket.
//!
//! Before its peer has joined, the session tells it what to say; from then on it is a task of its own, which
//! follows the feed from its peer's place and sends what waits with one system call. Only its own peer can make it
//! wait.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::sync::Arc;

use async_std::net::TcpStream;
use futures::{AsyncWrite, AsyncWriteExt, FutureExt};

use super::link::Link;
use crate::journal::{Journal, Record};
use crate::protocol::Reply;
use crate::room::{PeerId, Reader};

/// The writing side of a connection.
#[derive(Debug)]
pub(super) struct Writer {
    stream: TcpStream,
    peer: PeerId,
    journal: Journal,
    link: Arc<Link>,
}

impl Writer {
    pub(super) fn new(stream: TcpStream, peer: PeerId, journal: Journal, link: Arc<Link>) -> Self {
        Self { stream, peer, journal, link }
    }

    /// Says one thing to a peer that is not in the room.
    pub(super) async fn say(&mut self, reply: &Reply<'_>) -> io::Result<()> {
        let line = format!("{reply}\n");
        self.write(&mut [IoSlice::new(line.as_bytes())]).await
    }

    /// Sends what the intake has answered to telnet commands of a peer that is not in the room.
    pub(super) async fn answer(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.link.take_answers()).await
    }

    /// Sends all that the feed has for the peer, to its farewell or the end of the feed, and then ends this side of
    /// the connection.
    ///
    /// When the connection fails, both its sides are ended, so that the session notices too.
    pub(super) async fn follow(mut self, mut reader: Reader) {
        let side = match self.follow_to_end(&mut reader).await {
            Ok(()) => Shutdown::Write,
            Err(_lost) => {
                self.link.note_broken();
                Shutdown::Both
            }
        };
        // It fails when the peer is gone already, which is just as well.
        let _ = self.stream.shutdown(side);
    }

    /// Ends this side of the connection of a peer that is not in the room.
    pub(super) fn end(self) {
        // As above.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    async fn follow_to_end(&mut self, reader: &mut Reader) -> io::Result<()> {
        loop {
            let next = futures::select_biased! {
                answers = self.link.answers().fuse() => {
                    self.stream.write_all(&answers).await?;
                    continue;
                }
                next = reader.next().fuse() => next,
            };
            let Some(portion) = next else { break };
            if portion.missed() > 0 {
                self.journal.note(Record::Missed { peer: self.peer, lines: portion.missed() });
                self.say(&Reply::Missed(portion.missed())).await?;
            }
            let (text, is_last) = portion.text();
            self.write(&mut text.into_iter().map(IoSlice::new).collect::<Vec<_>>()).await?;
            if is_last {
                break;
            }
        }
        Ok(())
    }

    async fn write(&mut self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        if self.link.wants_crlf() {
            return self.stream.write_all(&with_crlf(slices)).await;
        }
        write_all_vectored(&mut self.stream, slices).await
    }
}

/// The text with each LF as CR LF. Every LF is the end of a line, since safe text holds none.
fn with_crlf(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut text = Vec::with_capacity(slices.iter().map(|slice| slice.len() + slice.len() / 16 + 1).sum());
    for &byte in slices.iter().flat_map(|slice| slice.iter()) {
        if byte == b'\n' {
            text.push(b'\r');
        }
        text.push(byte);
    }
    text
}

async fn write_all_vectored(stream: &mut (impl AsyncWrite + Unpin), mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
    // Empty slices are left out, or a write of nothing could be taken for a closed connection.
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match stream.write_vectored(slices).await? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => IoSlice::advance_slices(&mut slices, count),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use futures::executor::block_on;

    use super::*;

    #[test]
    fn line_ends_are_mirrored_across_slices() {
        let slices = [IoSlice::new(b"a: x\nb"), IoSlice::new(b": y\n"), IoSlice::new(b"")];
        assert_eq!(with_crlf(&slices), b"a: x\r\nb: y\r\n");
    }

    /// Takes at most three bytes a call.
    struct Sip(Vec<u8>);

    impl AsyncWrite for Sip {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(3);
            self.0.extend(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn short_writes_lose_nothing() {
        let mut sip = Sip(Vec::new());
        let mut slices = ["", "a", "", "bcdefghij", "klm", ""].map(|text| IoSlice::new(text.as_bytes()));
        block_on(write_all_vectored(&mut sip, &mut slices)).unwrap();
        assert_eq!(sip.0, b"abcdefghijklm");
    }

    #[test]
    fn a_socket_that_takes_nothing_is_an_error() {
        let mut full = futures::io::Cursor::new(&mut [] as &mut [u8]);
        let error = block_on(write_all_vectored(&mut full, &mut [IoSlice::new(b"a")])).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    }
}
