//! Text in files that people make, on any system.

use thiserror::Error;

/// The byte order mark of UTF-8, with which some editors begin a file.
pub(crate) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// Text in another encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it is UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8")]
pub struct Utf16;

/// The text of a file without its byte order mark.
///
/// # Errors
/// When the mark is one of UTF-16.
pub(crate) fn without_mark(bytes: &[u8]) -> Result<&[u8], Utf16> {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Err(Utf16),
        _ => Ok(bytes.strip_prefix(UTF8_MARK).unwrap_or(bytes)),
    }
}
