//! Splits lines into words, and counts lines in words.

use std::fmt::Display;

use crate::model::text::is_invisible;

/// Finds the `/` of a command or the first one of `//`: it must be the first visible character.
///
/// If another `/` is inserted there, the line is sent as the message that it was.
pub(crate) fn find_slash(line: &str) -> Option<usize> {
    let (at, first) = line.char_indices().find(|&(_, char)| !is_invisible(char))?;
    (first == '/').then_some(at)
}

/// Splits off the first word of `text`, without the white space after it and at the end.
pub(crate) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_end();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}

/// Formats a number of lines: `1 line`, `2 lines`.
pub(crate) fn lines<N: Display + PartialEq + From<u8>>(count: N) -> String {
    if count == N::from(1) { "1 line".to_owned() } else { format!("{count} lines") }
}
