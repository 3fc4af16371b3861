//! Output to the user, or to the next program in a pipe.
//!
//! The client trusts no server, so a terminal only gets safe text. A pipe gets exactly the bytes that the server sent,
//! and nothing else.

use std::future::pending;
use std::io::{self, IsTerminal};
use std::thread;

use async_channel::{Receiver, Sender, bounded};
use futures::channel::oneshot;

use crate::cli::status;
use crate::cli::status::Verbosity;
use crate::model::SafeText;
use crate::os::system::stdio;

/// Standard output and standard error.
#[derive(Debug)]
pub struct Display {
    /// The writer thread, once it has started.
    writer: Option<Writer>,
    to_terminal: bool,
    interactive: bool,
    verbosity: Verbosity,
}

/// A thread that writes one item at a time. A write may block forever.
#[derive(Debug)]
struct Writer {
    work: Sender<(Stream, Vec<u8>)>,
    written: Receiver<io::Result<()>>,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Output,
    Error,
}

impl Display {
    /// The standard output and standard error of this process.
    pub fn standard(verbosity: Verbosity) -> Self {
        let to_terminal = io::stdout().is_terminal();
        let interactive = to_terminal && io::stdin().is_terminal();
        Self { writer: None, to_terminal, interactive, verbosity }
    }

    /// The same output without a person at the terminal, as for a bot.
    pub fn unattended(self) -> Self {
        Self { interactive: false, ..self }
    }

    /// Whether a person types and reads here. If not, status messages go to standard error.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Tells a person, or a user of `--verbose`, that the connection is established.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub async fn connected(&mut self) -> io::Result<()> {
        match self.verbosity {
            Verbosity::Normal | Verbosity::Verbose if self.interactive => {
                let greeting = b"Connected to server. You can start typing messages.\n";
                self.write(Stream::Output, greeting.to_vec()).await?;
            }
            // cron mails everything on standard error.
            Verbosity::Quiet | Verbosity::Normal => {}
            Verbosity::Verbose => status::say("Connected to server."),
        }
        Ok(())
    }

    /// Writes lines from the server to standard output.
    ///
    /// # Errors
    ///
    /// When standard output cannot be written.
    pub async fn show(&mut self, lines: &[u8]) -> io::Result<()> {
        let lines = if self.to_terminal { safe(lines).into_bytes() } else { lines.to_vec() };
        self.write(Stream::Output, lines).await
    }

    /// Writes lines from the server to standard error. An error is ignored.
    pub async fn warn(&mut self, lines: &[u8]) {
        let _ = self.write(Stream::Error, safe(lines).into_bytes()).await;
    }

    /// Resolves when nobody reads standard output any more, even while nothing is written.
    ///
    /// # Errors
    ///
    /// When no thread can be started.
    pub fn until_unread(&self) -> io::Result<impl Future<Output = ()> + use<>> {
        let (unread, until_unread) = oneshot::channel();
        let watch = move || {
            if stdio::wait_until_output_is_unread().is_ok() {
                let _ = unread.send(());
            }
        };
        thread::Builder::new().name("watch output".to_owned()).spawn(watch)?;
        Ok(async {
            if until_unread.await.is_err() {
                pending().await
            }
        })
    }

    /// Waits until the bytes are written.
    async fn write(&mut self, stream: Stream, bytes: Vec<u8>) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let writer = match &mut self.writer {
            Some(writer) => writer,
            none => none.insert(Writer::start()?),
        };
        let _ = writer.work.send((stream, bytes)).await;
        writer.written.recv().await.map_err(io::Error::other)?
    }
}

impl Writer {
    fn start() -> io::Result<Self> {
        let (work, to_write) = bounded::<(Stream, Vec<u8>)>(1);
        let (done, written) = bounded(1);
        let write = move || {
            while let Ok((stream, bytes)) = to_write.recv_blocking() {
                let result = match stream {
                    Stream::Output => stdio::write_output(&bytes),
                    Stream::Error => stdio::write_error(&bytes),
                };
                if done.send_blocking(result).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("output".to_owned()).spawn(write)?;
        Ok(Self { work, written })
    }
}

/// Makes lines safe for a terminal. Invalid UTF-8 becomes U+FFFD.
fn safe(lines: &[u8]) -> String {
    let lines = String::from_utf8_lossy(lines);
    lines.lines().map(|line| format!("{}\n", SafeText::new(line.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_sequences_from_the_server_become_visible_text() {
        assert_eq!(safe(b"a\x1b]0;owned\x07\r\nb\rc\n\xff\n"), "a^[]0;owned^G\nb^Mc\n\u{fffd}\n");
    }
}
