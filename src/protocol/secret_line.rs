//! A line that is a password.

use zeroize::Zeroizing;

use crate::model::{BadSecret, Secret};
use crate::protocol::{Line, Refusal};

/// The password that a line is, which is wiped. What follows a line that is too long is no password either.
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
