//! There are no Unix sockets to listen on.

use std::convert::Infallible;
use std::io;
use std::path::Path;

use socket2::Socket;

use crate::os::local_socket::ListenError;
use crate::os::windows::local_socket::{LocalStream, unsupported};

/// A socket that cannot exist.
#[derive(Debug)]
pub(crate) struct SocketFile(Infallible);

impl SocketFile {
    /// # Errors
    /// Always.
    pub(crate) fn bind(_: &Path, _: u32) -> Result<Self, ListenError> {
        Err(unsupported().into())
    }

    /// # Errors
    /// Always.
    pub(crate) fn adopt(_: Socket) -> io::Result<Self> {
        Err(unsupported())
    }

    pub(crate) fn path(&self) -> &Path {
        match self.0 {}
    }

    pub(crate) async fn accept(&self) -> io::Result<(LocalStream, u32)> {
        match self.0 {}
    }
}
