//! The program that `--exec` runs for a message. It gets the message in its environment, and no shell reads it.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::client::message::Message;
use crate::client::{PASSWORD_VARIABLE, process_1};
use crate::limits::EXEC_OUTPUT_BYTES;

/// A program and its arguments.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path, or a name that is looked up in `PATH`.
    pub path: OsString,
    /// What it is always given.
    pub arguments: Vec<OsString>,
}

/// What became of a program that ran.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    /// What it wrote, if that was asked for.
    pub(crate) output: Vec<u8>,
    /// It wrote more than [`EXEC_OUTPUT_BYTES`], and lost its reader there.
    pub(crate) is_cut: bool,
}

/// Whether there is such a program at this moment, so that a mistyped one is told before the first message.
///
/// # Errors
/// Why it cannot be run, as far as one can know without running it.
pub fn check(path: &OsStr) -> io::Result<()> {
    if path.as_bytes().contains(&b'/') {
        return is_executable(Path::new(path));
    }
    // Like execvp(3), which looks nowhere else for a name without a slash.
    let folders = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let places: Vec<PathBuf> = std::env::split_paths(&folders).map(|folder| folder.join(path)).collect();
    if path.is_empty() || !places.iter().any(|endpoint| is_executable(endpoint).is_ok()) {
        return Err(io::Error::other("there is no such program in PATH"));
    }
    Ok(())
}

fn is_executable(path: &Path) -> io::Result<()> {
    let file = path.metadata()?;
    if !file.is_file() || file.permissions().mode() & 0o111 == 0 {
        return Err(Errno::ACCESS.into());
    }
    Ok(())
}

impl Program {
    /// Runs it for a message and waits until it has ended. This blocks.
    ///
    /// # Errors
    /// When it cannot be started or read.
    pub(crate) fn run(&self, message: &Message, keep_output: bool) -> io::Result<Ran> {
        let (mut child, end) = process_1::spawn(|| {
            let child = self.start(message, keep_output)?;
            let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
            Ok((child, end))
        })?;
        let output = read_output(&mut child, end);
        // In any case, or it would stay as a zombie.
        let status = process_1::wait_for(&mut child)?;
        let (output, is_cut) = output?;
        Ok(Ran { status, output, is_cut })
    }

    fn start(&self, message: &Message, keep_output: bool) -> io::Result<Child> {
        // Our standard output is what the server said, and nothing else.
        let stdout = if keep_output { Stdio::piped() } else { Stdio::from(io::stderr()) };
        Command::new(&self.path)
            .args(&self.arguments)
            .env("LINECHAT_FROM", message.from.as_str())
            .env("LINECHAT_TEXT", &message.text)
            .env_remove(PASSWORD_VARIABLE)
            .env("LINECHAT_PRIVATE", if message.private { "1" } else { "0" })
            .stdin(Stdio::null())
            .stdout(stdout)
            .spawn()
    }
}

/// What it writes until it has ended, up to the limit, and whether there was more. Then nobody reads it any more, which
/// ends most programs.
///
/// Its own end counts, and not that of the pipe: what it has left behind in the background may hold that for ever.
fn read_output(child: &mut Child, end: Result<OwnedFd, Errno>) -> io::Result<(Vec<u8>, bool)> {
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        read_until_it_ends(&end?, stdout, &mut output)?;
    }
    let is_cut = output.len() > EXEC_OUTPUT_BYTES;
    output.truncate(EXEC_OUTPUT_BYTES);
    // Half a character at the end would be said as U+FFFD.
    if is_cut
        && let Err(error) = std::str::from_utf8(&output)
        && error.error_len().is_none()
    {
        output.truncate(error.valid_up_to());
    }
    Ok((output, is_cut))
}

fn read_until_it_ends(end: &OwnedFd, mut stdout: ChildStdout, output: &mut Vec<u8>) -> io::Result<()> {
    ioctl_fionbio(&stdout, true)?;
    loop {
        let mut ready = [PollFd::new(end, PollFlags::IN), PollFd::new(&stdout, PollFlags::IN)];
        match poll(&mut ready, None) {
            Err(Errno::INTR) => continue,
            polled => polled?,
        };
        // Looked at before the pipe: what it wrote before it ended is there by now.
        let has_ended = !ready[0].revents().is_empty();
        let room = (EXEC_OUTPUT_BYTES + 1 - output.len()) as u64;
        match stdout.by_ref().take(room).read_to_end(output) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            // It is full, or all who could write have closed the pipe.
            Ok(_) => return Ok(()),
        }
        if has_ended {
            return Ok(());
        }
    }
}
