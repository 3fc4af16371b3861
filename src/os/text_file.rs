//! Text files from any system.

use thiserror::Error;

/// The byte order mark of UTF-8. Some editors put it at the start of a file.
pub(crate) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8")]
pub struct Utf16;

/// The text of a file without its byte order mark.
///
/// # Errors
/// If the mark is one of UTF-16.
pub(crate) fn without_mark(bytes: &[u8]) -> Result<&[u8], Utf16> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(Utf16),
        _ => Ok(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes)),
    }
}
