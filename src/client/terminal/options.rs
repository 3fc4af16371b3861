//! What a person may set about the terminal.

use std::path::PathBuf;

/// How the person likes it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where typed lines are kept, if anywhere.
    pub history: Option<PathBuf>,
    /// Whether names and notices are told apart by colour.
    pub color: bool,
    /// Whether one's own name rings the bell.
    pub bell: bool,
    /// Whether a lost connection is made again.
    pub reconnect: bool,
    /// Whether the person is told about the connection, and how to begin.
    pub greeting: bool,
}
