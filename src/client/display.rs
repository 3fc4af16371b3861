//! What a person, or the next program in a pipe, gets to see.
//!
//! A terminal is shown safe text only, whatever the server sent: the client trusts no server. A pipe gets what the
//! server said, byte for byte, and nothing else.

use std::io::{self, IsTerminal};

use async_std::io::{Stderr, Stdout, stderr, stdout};
use futures::AsyncWriteExt;

use super::status::{self, Verbosity};
use crate::protocol::SafeText;

/// Standard output and standard error.
#[derive(Debug)]
pub struct Display {
    stdout: Stdout,
    stderr: Stderr,
    to_terminal: bool,
    interactive: bool,
    verbosity: Verbosity,
}

impl Display {
    /// The output of this process.
    pub fn standard(verbosity: Verbosity) -> Self {
        let to_terminal = io::stdout().is_terminal();
        let interactive = to_terminal && io::stdin().is_terminal();
        Self { stdout: stdout(), stderr: stderr(), to_terminal, interactive, verbosity }
    }

    /// The same output when nobody types here, though a terminal may be there: what a bot runs at.
    pub fn unattended(self) -> Self {
        Self { interactive: false, ..self }
    }

    /// Whether a person types and reads here. Otherwise status belongs on standard error.
    pub fn is_interactive(&self) -> bool {
        self.interactive
    }

    /// Says that the connection stands, to a person or if it is asked for.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub async fn connected(&mut self) -> io::Result<()> {
        match self.verbosity {
            Verbosity::Normal | Verbosity::Verbose if self.interactive => {
                self.write(b"Connected to server. You can start typing messages.\n").await?;
            }
            // cron sends each word on standard error by mail.
            Verbosity::Quiet | Verbosity::Normal => {}
            Verbosity::Verbose => status::say("Connected to server."),
        }
        Ok(())
    }

    /// Shows lines of the server at once.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub async fn show(&mut self, lines: &[u8]) -> io::Result<()> {
        if self.to_terminal { self.write(safe(lines).as_bytes()).await } else { self.write(lines).await }
    }

    /// Shows lines of the server on standard error. Whether anybody reads that does not matter.
    pub async fn warn(&mut self, lines: &[u8]) {
        let _ = self.stderr.write_all(safe(lines).as_bytes()).await;
    }

    async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stdout.write_all(bytes).await?;
        self.stdout.flush().await
    }
}

/// Lines with nothing in them that acts on a terminal. Bytes that are not UTF-8 become U+FFFD.
fn safe(lines: &[u8]) -> String {
    let lines = String::from_utf8_lossy(lines);
    lines.lines().map(|line| format!("{}\n", SafeText::new(line.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_server_cannot_reach_the_terminal() {
        assert_eq!(safe(b"a\x1b]0;owned\x07\r\nb\rc\n\xff\n"), "a^[]0;owned^G\nb^Mc\n\u{fffd}\n");
    }
}
