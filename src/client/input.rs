//! What is typed at the terminal, or comes through a pipe.

use std::io;
use std::thread;

use async_channel::{Receiver, Sender, bounded};

use super::streams;
use crate::limits::READ_BYTES;

/// Standard input. At a terminal it brings a line at a time, since the terminal keeps a line until Enter.
#[derive(Debug, Default)]
pub struct Input {
    /// What its thread has read, once it has been started.
    incoming: Option<Receiver<io::Result<Vec<u8>>>>,
}

impl Input {
    /// The input of this process.
    pub fn standard() -> Self {
        Self::default()
    }

    /// The next bytes; `None` at the end (Ctrl-D at a terminal).
    ///
    /// # Errors
    /// When it cannot be read, as when it is a directory or a disk that fails.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let incoming = match &mut self.incoming {
            Some(incoming) => incoming,
            none => none.insert(start()?),
        };
        // Its thread ends at the end of the input.
        incoming.recv().await.ok().transpose()
    }
}

/// Starts a thread that reads, since a read may wait forever.
fn start() -> io::Result<Receiver<io::Result<Vec<u8>>>> {
    let (sender, incoming) = bounded(1);
    thread::Builder::new().name("input".to_owned()).spawn(move || read_to_end(&sender))?;
    Ok(incoming)
}

fn read_to_end(sender: &Sender<io::Result<Vec<u8>>>) {
    loop {
        let mut bytes = vec![0; READ_BYTES];
        let read = streams::read_input(&mut bytes);
        bytes.truncate(*read.as_ref().unwrap_or(&0));
        let is_over = bytes.is_empty();
        if let Err(error) = read {
            let _ = sender.send_blocking(Err(error));
        } else if !is_over && sender.send_blocking(Ok(bytes)).is_err() {
            return; // Nobody wants more of it.
        }
        if is_over {
            return;
        }
    }
}
