//! Standard input: a terminal or a pipe.

use std::io::{self, IsTerminal};
use std::thread;

use async_channel::{Receiver, Sender, bounded};
use thiserror::Error;

use crate::limits::READ_BYTES;
use crate::os::io_error;
use crate::os::system::stdio;
use crate::os::text_file::TextDecoder;

/// Reading standard input failed: it is a directory, or the disk failed.
#[derive(Debug, Error)]
#[error("cannot read standard input: {}", io_error::describe(.0))]
pub struct InputError(#[from] io::Error);

/// Standard input. From a terminal it arrives line by line, because the terminal buffers a line until Enter.
#[derive(Debug, Default)]
pub struct Input {
    /// What the reader thread has read, once that has started.
    incoming: Option<Receiver<io::Result<Vec<u8>>>>,
}

impl Input {
    /// The standard input of this process.
    pub fn standard() -> Self {
        Self::default()
    }

    pub fn is_terminal(&self) -> bool {
        io::stdin().is_terminal()
    }

    /// The next bytes, in UTF-8 if they are text; `None` at the end (Ctrl-D at a terminal).
    ///
    /// # Errors
    ///
    /// [`InputError`].
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, InputError> {
        let incoming = match &mut self.incoming {
            Some(incoming) => incoming,
            none => none.insert(start()?),
        };
        // The reader thread stops at the end of the input.
        Ok(incoming.recv().await.ok().transpose()?)
    }
}

/// Starts a thread that reads. A read may block forever.
fn start() -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, incoming) = bounded(1);
    thread::Builder::new().name("input".to_owned()).spawn(move || read_to_end(&sender))?;
    Ok(incoming)
}

fn read_to_end(sender: &Sender<io::Result<Vec<u8>>>) {
    let mut decoder = TextDecoder::default();
    let mut bytes = vec![0; READ_BYTES];
    loop {
        let read = stdio::read_input(&mut bytes);
        let is_over = !matches!(read, Ok(1..));
        let (text, error) = match read {
            Ok(0) => (decoder.finish(), None),
            Ok(count) => (decoder.decode(&bytes[..count]), None),
            Err(error) => (decoder.finish(), Some(error)),
        };
        if !text.is_empty() && sender.send_blocking(Ok(text.to_vec())).is_err() {
            return; // The receiver was dropped.
        }
        if let Some(error) = error {
            let _ = sender.send_blocking(Err(error));
        }
        if is_over {
            return;
        }
    }
}
