//! Direct access to the standard streams. The standard library converts between UTF-8 and a console's UTF-16, whatever
//! the code page is, and ends the input at Ctrl-Z at the start of a line.

use std::io::{self, Read, Write};

/// Reads from standard input. Returns 0 at its end. Blocks.
///
/// # Errors
/// If it cannot be read.
pub(crate) fn read_input(bytes: &mut [u8]) -> io::Result<usize> {
    match io::stdin().read(bytes) {
        // All writers of the pipe are gone.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        read => read,
    }
}

/// Windows does not tell; the next write does.
///
/// # Errors
/// Always.
pub(crate) fn wait_until_output_is_unread() -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
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

/// Standard output keeps an incomplete line otherwise.
fn write_all(mut stream: impl Write, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    stream.flush()
}
