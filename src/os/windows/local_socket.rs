//! There are no Unix sockets: Windows has some since 2018, but async-io cannot wait for them, and nothing tells which
//! user is at the other end.

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{AsyncRead, AsyncWrite};

/// A connection that cannot exist.
#[derive(Debug)]
pub(crate) struct LocalStream(pub(crate) Infallible);

/// # Errors
/// Always.
pub(crate) fn connect(_: &Path, _: Duration) -> io::Result<LocalStream> {
    Err(unsupported())
}

pub(crate) fn peer_user(stream: &LocalStream) -> io::Result<u32> {
    match stream.0 {}
}

pub(crate) fn unsupported() -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, "there are no Unix sockets on Windows")
}

impl AsyncRead for &LocalStream {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }
}

impl AsyncWrite for &LocalStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        match self.0 {}
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.0 {}
    }
}
