//! Direct access to the standard streams.
//!
//! Another program may have left a stream in non-blocking mode (O_NONBLOCK). Other programs share that mode, so it is
//! not changed. Instead, this waits until the stream is ready.

use std::io;
use std::os::fd::AsFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, read, write};

/// Reads from standard input. Returns 0 at its end. Blocks.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_input(bytes: &mut [u8]) -> io::Result<usize> {
    let stdin = io::stdin();
    // A standard input that is not open for reading is empty, as in the standard library.
    try_until_ready(&stdin, PollFlags::IN, || read(&stdin, &mut *bytes)).map(|count| count.unwrap_or(0))
}

/// Waits until nobody can read standard output any more. Blocks.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn wait_until_output_is_unread() -> io::Result<()> {
    let stdout = io::stdout();
    loop {
        // poll(2) always reports hang-ups and errors.
        match poll(&mut [PollFd::new(&stdout, PollFlags::empty())], None) {
            Err(Errno::INTR) => {}
            polled => return Ok(polled.map(drop)?),
        }
    }
}

/// Writes everything to standard output. Blocks.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_output(bytes: &[u8]) -> io::Result<()> {
    write_all(io::stdout(), bytes)
}

/// Writes everything to standard error. Blocks.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn write_error(bytes: &[u8]) -> io::Result<()> {
    write_all(io::stderr(), bytes)
}

fn write_all(stream: impl AsFd, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let count = try_until_ready(&stream, PollFlags::OUT, || write(&stream, bytes))?;
        // A stream that is not open for writing discards everything, as in the standard library.
        bytes = &bytes[count.unwrap_or(bytes.len())..];
    }
    Ok(())
}

/// Waits and retries while the stream is not ready. `None` if it is not open for this.
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
