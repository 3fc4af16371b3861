//! Work that blocks, off the thread that waits for it.

use std::io;
use std::thread;

use futures::channel::oneshot;

/// Does it on a thread of its own. On the runtime's pool it would wait forever when no thread can be started.
///
/// # Errors
/// When no thread can be started, and those of the work.
pub(crate) async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (done, result) = oneshot::channel();
    thread::Builder::new().spawn(move || drop(done.send(work())))?;
    result.await.map_err(io::Error::other)?
}
