//! The standard streams, read and written directly.
//!
//! Another program may have left one of them in non-blocking mode (O_NONBLOCK). That mode belongs to the open file, which
//! other programs share, so it stays as it is: a stream that is not ready is waited for.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};

/// Reads from standard input; 0 at its end. This blocks.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn read_input(bytes: &mut [u8]) -> io::Result<usize> {
    let stdin = io::stdin();
    // A standard input that is not open for reading has no input, as in the standard library.
    try_until_ready(&stdin, PollFlags::IN, || read(&stdin, &mut *bytes)).map(|count| count.unwrap_or(0))
}

/// Whether standard input can be read at once, be it to find its end.
pub(crate) fn has_input() -> bool {
    let stdin = io::stdin();
    poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&Default::default())).is_ok_and(|ready| ready > 0)
}

/// Waits until nobody can read what is written to standard output. This blocks.
///
/// # Errors
/// When the kernel does not tell.
pub(crate) fn wait_until_output_is_unread() -> io::Result<()> {
    let stdout = io::stdout();
    loop {
        // poll(2) reports a hang-up and an error even when it is asked for nothing else.
        match poll(&mut [PollFd::new(&stdout, PollFlags::empty())], None) {
            Err(Errno::INTR) => {}
            polled => return Ok(polled.map(drop)?),
        }
    }
}

/// Whether a write failed because nobody reads what is written.
pub(crate) fn is_unread(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Writes all of it to standard output or standard error. This blocks.
///
/// # Errors
/// When it cannot be written.
pub(crate) fn write_all(stream: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = try_until_ready(&stream, PollFlags::OUT, || write(&stream, bytes))?;
        // One that is not open for writing takes everything, as in the standard library.
        bytes = &bytes[count.unwrap_or(bytes.len())..];
    }
    Ok(())
}

/// Waits and tries again while the stream is not ready. `None` when it is not open for this.
fn try_until_ready<T>(
    stream: impl AsFd,
    ready: PollFlags,
    mut attempt: impl FnMut() -> Result<T, Errno>,
) -> io::Result<Option<T>> {
    loop {
        match attempt() {
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&stream, ready)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            },
            Err(Errno::BADF) => return Ok(None),
            done => return Ok(Some(done?)),
        }
    }
}
