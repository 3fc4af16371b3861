//! The program that `--exec` runs for a message. It gets the message in its environment, without a shell.

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

#[derive(Debug, Clone)]
pub struct Program {
    /// A path, or a name that is looked up in `PATH`.
    pub path: OsString,
    /// The arguments of every run.
    pub arguments: Vec<OsString>,
}

/// The result of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    /// Its output; empty if it was not kept.
    pub(crate) output: Vec<u8>,
    /// It wrote more than [`EXEC_OUTPUT_BYTES`], and the rest was not read.
    pub(crate) is_cut: bool,
}

/// Checks that the program exists, so that a typing error is reported before the first message.
///
/// # Errors
///
/// Why it cannot be run, as far as that is known without running it.
pub fn check(path: &OsStr) -> io::Result<()> {
    if path.as_bytes().contains(&b'/') {
        return is_executable(Path::new(path));
    }
    // Like execvp(3), which searches only `PATH` for a name without a slash.
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
    ///
    /// When it cannot be started, or its output cannot be read.
    pub(crate) fn run(&self, message: &Message, keep_output: bool) -> io::Result<Ran> {
        let (mut child, end) = process_1::spawn(|| {
            let child = self.start(message, keep_output)?;
            let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
            Ok((child, end))
        })?;
        let output = read_output(&mut child, end);
        // Wait even after an error, or the program would stay as a zombie.
        let status = process_1::wait_for(&mut child)?;
        let (output, is_cut) = output?;
        Ok(Ran { status, output, is_cut })
    }

    fn start(&self, message: &Message, keep_output: bool) -> io::Result<Child> {
        // Our standard output is only for the server's lines.
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

/// Reads the output until the program ends, up to the limit. Returns whether there was more. At the limit the pipe is
/// closed, which ends most programs.
///
/// The end of the program counts, not that of the pipe: a background process may keep the pipe open forever.
fn read_output(child: &mut Child, end: Result<OwnedFd, Errno>) -> io::Result<(Vec<u8>, bool)> {
    let mut output = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        read_until_it_ends(&end?, stdout, &mut output)?;
    }
    let is_cut = output.len() > EXEC_OUTPUT_BYTES;
    output.truncate(EXEC_OUTPUT_BYTES);
    // An incomplete character at the end would be sent as U+FFFD.
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
        // Checked before the pipe is read: everything that it wrote is in the pipe by now.
        let has_ended = !ready[0].revents().is_empty();
        let room = (EXEC_OUTPUT_BYTES + 1 - output.len()) as u64;
        match stdout.by_ref().take(room).read_to_end(output) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
            // The limit is reached, or all writers have closed the pipe.
            Ok(_) => return Ok(()),
        }
        if has_ended {
            return Ok(());
        }
    }
}
