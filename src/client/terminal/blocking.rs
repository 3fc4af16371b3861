//! Standard streams in blocking mode.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::OpenOptionsExt;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// Reopens the terminal for each standard stream that is one, in blocking mode. Another program may have set
/// O_NONBLOCK, which all programs that share the stream inherit.
pub(crate) fn make_blocking() {
    own(io::stdin(), dup2_stdin);
    own(io::stdout(), dup2_stdout);
    own(io::stderr(), dup2_stderr);
}

fn own(stream: impl AsFd + AsRawFd + IsTerminal, replace: impl FnOnce(File) -> rustix::io::Result<()>) {
    if stream.is_terminal() && open_again(&stream).map(|file| replace(file).is_ok()).is_err() {
        // The terminal belongs to another user (su), or there is no /proc.
        let _ = fcntl_getfl(&stream).and_then(|flags| fcntl_setfl(&stream, flags - OFlags::NONBLOCK));
    }
}

fn open_again(stream: &impl AsRawFd) -> io::Result<File> {
    let flags = OFlags::NOCTTY.bits().cast_signed();
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}
