//! Runs blocking work on another thread.

use std::io;
use std::thread;

use futures::channel::oneshot;

/// Runs the work on a new thread. The runtime's pool would wait forever if no thread can be started.
///
/// # Errors
///
/// When no thread can be started, or when the work fails.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    thread::Builder::new().spawn(move || drop(done.send(work())))?;
    result.await.map_err(io::Error::other)?
}
