//! What is typed at the terminal, or comes through a pipe.

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

    /// The next bytes; `None` at the end (Ctrl-D at a terminal), and when it cannot be read.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; READ_BYTES];
        // An unreadable input is an empty one: there is nothing to say.
        let count = self.stdin.read(&mut bytes).await.unwrap_or(0);
        bytes.truncate(count);
        (count > 0).then_some(bytes)
    }
}
