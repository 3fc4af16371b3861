//! Transports: TCP, TLS over it, and sockets of the file system, behind one type for both ends of a connection.
//!
//! Whoever reads and writes lines does not know which of them carries these. Clones are the same connection: one task
//! may read from one while another writes to the other. The end of input is what the peer said to be one: a half-close,
//! or in TLS a close_notify (RFC 8446, section 6.1). A TLS stream that ends without that is an error, as a reset is, for
//! anybody on the way could have cut it. A call that a signal has interrupted is made again: neither the system nor
//! async-io does that.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use async_io::Async;
use async_std::net::TcpStream;
use futures::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use socket2::SockRef;

use crate::limits::TLS_BUFFER_BYTES;

/// A connection.
#[derive(Debug, Clone)]
pub(crate) enum Transport {
    /// Plain TCP.
    Tcp(TcpStream),
    /// TLS over TCP.
    Tls(Arc<Tls>),
    /// A socket of the file system.
    Unix(Arc<Async<UnixStream>>),
}

/// A connection whose handshake is over.
#[derive(Debug)]
pub(crate) struct Tls {
    socket: TcpStream,
    /// Nobody waits while holding it.
    stream: Mutex<TlsStream<Uninterrupted<TcpStream>>>,
}

/// A stream whose calls are made again when a signal has interrupted them (EINTR).
#[derive(Debug)]
pub(crate) struct Uninterrupted<S>(pub(crate) S);

impl Transport {
    /// TLS that was negotiated on this socket.
    pub(crate) fn tls(socket: TcpStream, mut stream: TlsStream<Uninterrupted<TcpStream>>) -> Self {
        // What is encrypted and not sent yet: without a limit of ours it is 64 KiB for each connection.
        match &mut stream {
            TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES)),
            TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES)),
        }
        Self::Tls(Arc::new(Tls { socket, stream: Mutex::new(stream) }))
    }

    /// Whether nobody on the way can read or change what it carries.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The TCP connection below, if there is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Tls(tls) => Some(&tls.socket),
            Self::Unix(_) => None,
        }
    }

    /// Whether the kernel has forgotten the peer, as it does after a reset.
    pub(crate) fn is_reset(&self) -> bool {
        self.tcp().is_some_and(|socket| socket.peer_addr().is_err())
    }

    /// Ends both sides as they are, whatever is still on its way.
    pub(crate) fn cut(&self) {
        // It fails when the peer is gone already, which is just as well.
        let _ = SockRef::from(self).shutdown(Shutdown::Both);
    }

    fn end_output(&self) -> io::Result<()> {
        SockRef::from(self).shutdown(Shutdown::Write)
    }
}

impl Tls {
    fn stream(&self) -> MutexGuard<'_, TlsStream<Uninterrupted<TcpStream>>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Tls(tls) => tls.socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(&mut Uninterrupted(socket)).poll_read(context, bytes),
            Self::Tls(tls) => Pin::new(&mut *tls.stream()).poll_read(context, bytes),
            Self::Unix(socket) => Pin::new(&mut Uninterrupted(&**socket)).poll_read(context, bytes),
        }
    }
}

/// With TLS, what was written is on its way only when it was flushed too.
impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(&mut Uninterrupted(socket)).poll_write_vectored(context, slices),
            Self::Tls(tls) => Pin::new(&mut *tls.stream()).poll_write_vectored(context, slices),
            Self::Unix(socket) => Pin::new(&mut Uninterrupted(&**socket)).poll_write_vectored(context, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tls(tls) => Pin::new(&mut *tls.stream()).poll_flush(context),
            // The kernel has it.
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    /// Says that this was all, and leaves the other direction open: a half-close. (async-std's would only flush.)
    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Self::Tls(tls) = &*self {
            ready!(Pin::new(&mut *tls.stream()).poll_close(context))?;
        }
        Poll::Ready(self.end_output())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Uninterrupted<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        retry(|| Pin::new(&mut self.0).poll_read(context, bytes))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Uninterrupted<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        retry(|| Pin::new(&mut self.0).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        retry(|| Pin::new(&mut self.0).poll_write_vectored(context, slices))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        retry(|| Pin::new(&mut self.0).poll_flush(context))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        retry(|| Pin::new(&mut self.0).poll_close(context))
    }
}

fn retry<T>(mut call: impl FnMut() -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
    loop {
        match call() {
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::Interrupted => {}
            done => return done,
        }
    }
}

#[cfg(test)]
mod tests {
    use async_std::task::block_on;
    use futures::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// Fails every other call, the first one included, as if a signal had come.
    struct Interrupted<S> {
        stream: S,
        is_next: bool,
    }

    impl<S> Interrupted<S> {
        fn new(stream: S) -> Self {
            Self { stream, is_next: true }
        }

        fn call<T>(&mut self, call: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>>
        where
            S: Unpin,
        {
            let is_now = self.is_next;
            self.is_next = !is_now;
            if is_now { Poll::Ready(Err(io::ErrorKind::Interrupted.into())) } else { call(Pin::new(&mut self.stream)) }
        }
    }

    impl AsyncRead for Interrupted<&[u8]> {
        fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
            self.call(|stream| stream.poll_read(context, bytes))
        }
    }

    impl AsyncWrite for Interrupted<Vec<u8>> {
        fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
            self.call(|stream| stream.poll_write(context, bytes))
        }

        fn poll_write_vectored(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            slices: &[IoSlice<'_>],
        ) -> Poll<io::Result<usize>> {
            self.call(|stream| stream.poll_write_vectored(context, slices))
        }

        fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.call(|stream| stream.poll_flush(context))
        }

        fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.call(|stream| stream.poll_close(context))
        }
    }

    #[test]
    fn a_call_that_a_signal_interrupts_is_made_again() {
        block_on(async {
            let mut input = Uninterrupted(Interrupted::new(&b"one"[..]));
            let mut bytes = [0; 3];
            assert_eq!(input.read(&mut bytes).await.unwrap(), 3);
            assert_eq!(&bytes, b"one");
            let mut output = Uninterrupted(Interrupted::new(Vec::new()));
            assert_eq!(output.write(b"two").await.unwrap(), 3);
            assert_eq!(output.write_vectored(&[IoSlice::new(b", "), IoSlice::new(b"three")]).await.unwrap(), 7);
            output.flush().await.unwrap();
            output.close().await.unwrap();
            assert_eq!(output.0.stream, b"two, three");
        });
    }
}
