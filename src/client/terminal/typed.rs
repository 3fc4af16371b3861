//! What a person did at the keyboard.

use crate::client::terminal::keys::Press;
use crate::model::{BadSecret, Secret};

/// What a person did.
#[derive(Debug, Clone)]
pub(crate) enum Typed {
    /// Enter. A paste can hold several lines.
    Line(String, Press),
    /// Enter on a line that is not valid UTF-8, with U+FFFD for the invalid bytes.
    Unreadable(String),
    /// Enter, and there was nothing to send.
    Nothing(Press),
    /// Enter, while a password is typed.
    Secret(Result<Secret, BadSecret>),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Ctrl-C on a line that was not empty, and is now.
    Cleared,
    /// Ctrl-D on an empty line, or the terminal is gone.
    Leave,
}
