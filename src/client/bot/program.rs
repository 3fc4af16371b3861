//! The program that `--exec` runs for a message. It gets the message in its environment, without a shell.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use crate::client::PASSWORD_VARIABLE;
use crate::client::message::Message;
use crate::limits::{EXEC_OUTPUT_BYTES, EXEC_SILENCE, READ_BYTES};
use crate::os::system::{paths, process_1};

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
    paths::check_program(path)
}

impl Program {
    /// Runs it for a message and waits until it has ended. This blocks.
    ///
    /// # Errors
    ///
    /// When it cannot be started, or its output cannot be read.
    pub(crate) fn run(&self, message: &Message, keep_output: bool) -> io::Result<Ran> {
        let (mut child, output) = process_1::spawn(|| {
            let mut child = self.start(message, keep_output)?;
            let output = child.stdout.take().map(read_output).transpose();
            Ok((child, output))
        })?;
        // Wait even after an error, or the program would stay as a zombie.
        let status = process_1::wait_for(&mut child)?;
        let (output, is_cut) = output?.map(collect).unwrap_or_default();
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
            .env("LINECHAT_ROOM", message.room.as_str())
            .env("LINECHAT_PRIVATE", if message.private { "1" } else { "0" })
            .stdin(Stdio::null())
            .stdout(stdout)
            .spawn()
    }
}

/// Starts a thread that reads the output up to the limit. At the limit the pipe is closed, which ends most programs.
fn read_output(stdout: ChildStdout) -> io::Result<Receiver<Vec<u8>>> {
    let (sender, output) = channel();
    let mut stdout = stdout.take(EXEC_OUTPUT_BYTES as u64 + 1);
    let read = move || {
        let mut bytes = vec![0; READ_BYTES];
        while let Ok(count @ 1..) = stdout.read(&mut bytes) {
            if sender.send(bytes[..count].to_vec()).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().spawn(read)?;
    Ok(output)
}

/// The output of a program that has ended, and whether there was more.
///
/// A background process may keep the pipe open forever, so a silence ends the output too.
fn collect(pieces: Receiver<Vec<u8>>) -> (Vec<u8>, bool) {
    let mut output = Vec::new();
    while let Ok(piece) = pieces.recv_timeout(EXEC_SILENCE) {
        output.extend(piece);
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
    (output, is_cut)
}
