//! Lines that are passwords.

use zeroize::Zeroizing;

use crate::model::{BadSecret, Secret};
use crate::protocol::{Line, Refusal};

/// Turns a line into a password and wipes the line. The rest of a line that is too long is not a password either.
///
/// # Errors
/// [`Refusal::LineTooLong`].
pub(crate) fn read_secret(line: Line) -> Result<Result<Secret, BadSecret>, Refusal> {
    match line {
        Line::Text(text) => Ok(Secret::parse(&Zeroizing::new(text))),
        Line::NotUtf8 => Ok(Err(BadSecret::NotText)),
        Line::TooLong | Line::Endless => Err(Refusal::LineTooLong),
    }
}
