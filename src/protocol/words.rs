//! The words of a line.

use crate::model::text::is_invisible;

/// Where the `/` of a command is, or the first one of `//`: at the first character of the line that can be seen.
///
/// A second `/` inserted there makes the line a message that is said as it was.
pub(crate) fn find_slash(line: &str) -> Option<usize> {
    let (at, first) = line.char_indices().find(|&(_, char)| !is_invisible(char))?;
    (first == '/').then_some(at)
}

/// The first word of `text` and what follows it, without the blanks between and at the end.
pub(crate) fn split_word(text: &str) -> (&str, &str) {
    let text = text.trim_end();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}
