//! Standard input: a terminal or a pipe.

use std::io::{self, IsTerminal};
use std::thread;

use async_channel::{Receiver, Sender, bounded};
use thiserror::Error;

use crate::cli::stdio;
use crate::limits::READ_BYTES;
use crate::os::io_error;
use crate::os::text_file::{UTF8_MARK, Utf16, without_mark};

/// The byte order marks of UTF-8 and UTF-16, which may start the input.
const MARKS: [&[u8]; 3] = [UTF8_MARK, b"\xff\xfe", b"\xfe\xff"];

/// Why the input cannot be sent.
#[derive(Debug, Error)]
pub enum InputError {
    /// It starts with a UTF-16 byte order mark.
    #[error("standard input is UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8")]
    Utf16,
    /// Reading failed: it is a directory, or the disk failed.
    #[error("cannot read standard input: {}", io_error::describe(.0))]
    Failed(#[from] io::Error),
}

/// Standard input. From a terminal it arrives line by line, because the terminal buffers a line until Enter.
#[derive(Debug, Default)]
pub struct Input {
    /// What the reader thread has read, once that has started.
    incoming: Option<Receiver<io::Result<Vec<u8>>>>,
    beginning: Beginning,
}

/// Whether the start has been checked for a byte order mark.
#[derive(Debug, Default)]
enum Beginning {
    #[default]
    Unread,
    /// Read by [`Input::check`], before [`Input::next`] was called.
    Ahead(Result<Option<Vec<u8>>, InputError>),
    Over,
}

impl Input {
    /// The standard input of this process.
    pub fn standard() -> Self {
        Self::default()
    }

    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// Checks the start for a byte order mark, if it can be read without waiting, as from a file.
    ///
    /// # Errors
    ///
    /// When it is UTF-16. [`next`](Self::next) returns any other error.
    pub async fn check(&mut self) -> Result<(), InputError> {
        if !stdio::has_input() {
            return Ok(());
        }
        match self.first().await {
            Err(InputError::Utf16) => Err(InputError::Utf16),
            first => {
                self.beginning = Beginning::Ahead(first);
                Ok(())
            }
        }
    }

    /// The next bytes; `None` at the end (Ctrl-D at a terminal).
    ///
    /// # Errors
    ///
    /// [`InputError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        match std::mem::replace(&mut self.beginning, Beginning::Over) {
            Beginning::Unread => self.first().await,
            Beginning::Ahead(first) => first,
            Beginning::Over => self.read().await,
        }
    }

    /// The first bytes, without a UTF-8 byte order mark.
    async fn first(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        let mut bytes = Vec::new();
        while may_become_mark(&bytes) {
            match self.read().await? {
                Some(more) => bytes.extend(more),
                None if bytes.is_empty() => return Ok(None),
                None => break,
            }
        }
        match without_mark(&bytes) {
            Ok(text) => Ok(Some(text.to_vec())),
            Err(Utf16) => Err(InputError::Utf16),
        }
    }

    async fn read(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        let incoming = match &mut self.incoming {
            Some(incoming) => incoming,
            none => none.insert(start()?),
        };
        // The reader thread stops at the end of the input.
        Ok(incoming.recv().await.ok().transpose()?)
    }
}

/// Whether these bytes may be the start of an incomplete byte order mark.
fn may_become_mark(bytes: &[u8]) -> bool {
    MARKS.iter().any(|mark| bytes.len() < mark.len() && mark.starts_with(bytes))
}

/// Starts a thread that reads. A read may block forever.
fn start() -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, incoming) = bounded(1);
    thread::Builder::new().name("input".to_owned()).spawn(move || read_to_end(&sender))?;
    Ok(incoming)
}

fn read_to_end(sender: &Sender<io::Result<Vec<u8>>>) {
    loop {
        let mut bytes = vec![0; READ_BYTES];
        let read = stdio::read_input(&mut bytes);
        bytes.truncate(*read.as_ref().unwrap_or(&0));
        let is_over = bytes.is_empty();
        if let Err(error) = read {
            let _ = sender.send_blocking(Err(error));
        } else if !is_over && sender.send_blocking(Ok(bytes)).is_err() {
            return; // The receiver was dropped.
        }
        if is_over {
            return;
        }
    }
}
