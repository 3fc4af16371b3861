//! What the server's lines say about a visit. No user can forge the beginnings that it goes by.

use crate::client::{Lost, Outcome};
use crate::protocol::SafeText;

/// How a visit goes, as far as the server has said.
#[derive(Debug, Default)]
pub(super) struct Story {
    /// The server has taken the name.
    pub(super) joined: bool,
    refused: u64,
    last_refusal: String,
    stopping: bool,
    bye: bool,
}

impl Story {
    /// The name was refused.
    pub(super) fn is_turned_away(&self) -> bool {
        !self.joined && self.refused > 0
    }

    /// The server has said goodbye, and not because it stops.
    pub(super) fn was_dismissed(&self) -> bool {
        self.bye && !self.stopping
    }

    /// The server has said goodbye.
    pub(super) fn is_over(&self) -> bool {
        self.bye
    }

    /// Takes in a line, with or without its end.
    pub(super) fn hear(&mut self, line: &[u8]) {
        if let Some(refusal) = line.strip_prefix(b"! ") {
            self.refused += 1;
            self.last_refusal = String::from_utf8_lossy(refusal).trim_end().to_owned();
        }
        self.joined |= line.starts_with(b"* Welcome, ");
        self.stopping |= line.starts_with(b"* The server is shutting down");
        self.bye |= line.starts_with(b"* Bye, ");
    }

    /// How it all went, when the server has closed the connection.
    pub(super) fn outcome(self) -> Result<Outcome, Lost> {
        let turned_away = self.is_turned_away();
        let last_refusal = SafeText::new(self.last_refusal);
        if turned_away {
            Ok(Outcome::NameRefused(last_refusal))
        } else if self.stopping {
            Err(Lost::ShutDown)
        } else if !self.bye {
            Err(Lost::Cut)
        } else if self.refused > 0 {
            Ok(Outcome::LinesRefused(self.refused, last_refusal))
        } else {
            Ok(Outcome::Left)
        }
    }
}
