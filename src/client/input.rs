//! What is typed at the terminal, or comes through a pipe.

use std::io;

use async_std::io::{Stdin, stdin};
use futures::AsyncReadExt;

use crate::limits::READ_BYTES;

/// Standard input. At a terminal it brings a line at a time, since the terminal keeps a line until Enter.
#[derive(Debug)]
pub struct Input {
    stdin: Stdin,
}

impl Input {
    /// The input of this process.
    pub fn standard() -> Self {
        Self { stdin: stdin() }
    }

    /// The next bytes; `None` at the end (Ctrl-D at a terminal).
    ///
    /// # Errors
    /// When it cannot be read, as when it is a directory or a disk that fails.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; READ_BYTES];
        let count = self.stdin.read(&mut bytes).await?;
        bytes.truncate(count);
        Ok((count > 0).then_some(bytes))
    }
}
