//! Connections over TCP, TLS or Unix sockets, as one type for both ends.
//!
//! Code that reads and writes lines does not know which of them it uses. Clones share the connection, so one task may
//! read while another writes. The input ends when the peer says so: by a half-close, or in TLS by a close_notify (RFC
//! 8446, section 6.1). A TLS stream that ends without it is an error, like a reset, because anybody on the way could
//! have cut it. A call interrupted by a signal is repeated: neither the system nor async-io does that.

use std::io::{self, IoSlice};
#[cfg(windows)]
use std::mem::MaybeUninit;
use std::net::Shutdown;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(windows)]
use std::os::windows::io::{AsSocket, BorrowedSocket};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use async_std::net::TcpStream;
use futures::{AsyncRead, AsyncWrite};
use futures_rustls::TlsStream;
use socket2::SockRef;

use crate::limits::TLS_BUFFER_BYTES;
use crate::os::local_socket::LocalStream;

#[derive(Debug, Clone)]
pub(crate) enum Transport {
    Tcp(TcpStream),
    Tls(Arc<Tls>),
    Unix(Arc<LocalStream>),
}

/// A TLS connection after its handshake.
#[derive(Debug)]
pub(crate) struct Tls {
    socket: TcpStream,
    /// It is never held while waiting.
    stream: Mutex<TlsStream<Uninterrupted<TcpStream>>>,
}

/// A stream that repeats calls interrupted by a signal (EINTR).
#[derive(Debug)]
pub(crate) struct Uninterrupted<S>(pub(crate) S);

impl Transport {
    pub(crate) fn tls(socket: TcpStream, mut stream: TlsStream<Uninterrupted<TcpStream>>) -> Self {
        // Limits the encrypted bytes that are not sent yet. The default is 64 KiB per connection.
        match &mut stream {
            TlsStream::Client(stream) => stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES)),
            TlsStream::Server(stream) => stream.get_mut().1.set_buffer_limit(Some(TLS_BUFFER_BYTES)),
        }
        Self::Tls(Arc::new(Tls { socket, stream: Mutex::new(stream) }))
    }

    /// Whether nobody on the way can read or change the data.
    pub(crate) fn is_encrypted(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// The underlying TCP connection, if there is one.
    pub(crate) fn tcp(&self) -> Option<&TcpStream> {
        match self {
            Self::Tcp(socket) => Some(socket),
            Self::Tls(tls) => Some(&tls.socket),
            Self::Unix(_) => None,
        }
    }

    /// Whether the kernel has forgotten the peer, as after a reset.
    #[cfg(unix)]
    pub(crate) fn is_reset(&self) -> bool {
        self.tcp().is_some_and(|socket| socket.peer_addr().is_err())
    }

    /// Whether the connection was reset. Windows still knows the peer then, but each read reports the reset.
    #[cfg(windows)]
    pub(crate) fn is_reset(&self) -> bool {
        let peek = |socket| SockRef::from(socket).peek(&mut [MaybeUninit::uninit()]);
        self.tcp().is_some_and(|socket| peek(socket).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset))
    }

    /// Ends both directions at once, whatever is still in transit.
    pub(crate) fn cut(&self) {
        // This fails if the peer is already gone, which is fine.
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

#[cfg(unix)]
impl AsFd for Transport {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(socket) => socket.as_fd(),
            Self::Tls(tls) => tls.socket.as_fd(),
            Self::Unix(socket) => socket.as_fd(),
        }
    }
}

#[cfg(windows)]
impl AsSocket for Transport {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        match self {
            Self::Tcp(socket) => socket.as_socket(),
            Self::Tls(tls) => tls.socket.as_socket(),
            Self::Unix(socket) => match socket.0 {},
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

/// With TLS, written data is sent only after a flush.
impl AsyncWrite for Transport {
    /// This is send(2), which costs less than writev(2) of one piece.
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(socket) => Pin::new(&mut Uninterrupted(socket)).poll_write(context, bytes),
            Self::Tls(tls) => Pin::new(&mut *tls.stream()).poll_write(context, bytes),
            Self::Unix(socket) => Pin::new(&mut Uninterrupted(&**socket)).poll_write(context, bytes),
        }
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

    /// Half-closes the connection: no more data follows, but the other direction stays open. (async-std's would only
    /// flush.)
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

    /// Fails every other call, starting with the first, as if a signal had arrived.
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
