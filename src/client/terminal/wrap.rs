//! Wraps shown lines between words.
//!
//! The terminal sees each row as a line, and does not join them when it gets wider. All rows but the first are
//! indented, so that a text cannot look like the start of a line.

use unicode_width::UnicodeWidthChar;

const TAB: usize = 8;

/// The indentation takes at most this fraction of a row. In a narrower terminal, the line is left to the terminal,
/// which breaks it anywhere.
const INDENTED_PART: usize = 4;

/// Breaks a line between words, with LF, so that each row fits into `columns`. The terminal breaks a word that is
/// longer than a row, and joins its parts again when copied. Tabs become spaces.
pub(crate) fn wrap(line: &str, columns: usize) -> String {
    let indent = line.find(' ').map_or(0, |end| width(&line[..=end]));
    let can_break = indent * INDENTED_PART <= columns;
    let (mut wrapped, mut column, mut style) = (String::with_capacity(line.len() + 16), 0, "");
    for (blanks, word) in words(line) {
        let (gap, width) = (width_of_blanks(blanks, column), width(word));
        // A word that fits into no row starts where it is.
        let needed = if indent + width <= columns { width } else { 1 };
        if !can_break || column + gap + needed <= columns {
            wrapped.extend(std::iter::repeat_n(' ', gap));
            column += gap;
        } else if width > 0 && column > 0 {
            let reset = if style.is_empty() { "" } else { "\x1b[0m" };
            wrapped.extend([reset, "\n", &" ".repeat(indent), style]);
            column = indent;
        }
        wrapped.push_str(word);
        column = column_after(word, column, columns);
        style = style_after(word, style);
    }
    wrapped
}

/// The words of a line, each with the blanks before it.
fn words(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let start = rest.find(|char| !is_blank(char)).unwrap_or(rest.len());
        let end = rest[start..].find(is_blank).map_or(rest.len(), |end| start + end);
        let next = (&rest[..start], &rest[start..end]);
        rest = &rest[end..];
        (end > 0).then_some(next)
    })
}

fn is_blank(char: char) -> bool {
    matches!(char, ' ' | '\t')
}

fn width_of_blanks(blanks: &str, column: usize) -> usize {
    blanks.chars().fold(column, |at, char| if char == '\t' { at + TAB - at % TAB } else { at + 1 }) - column
}

/// The characters of a text without its colours.
pub(crate) fn without_colors(text: &str) -> impl Iterator<Item = char> {
    let mut parts = text.split('\x1b');
    let first = parts.next().unwrap_or_default();
    let others = parts.map(|part| part.split_once('m').map_or("", |(_, text)| text));
    std::iter::once(first).chain(others).flat_map(str::chars)
}

fn width(text: &str) -> usize {
    without_colors(text).map(width_of).sum()
}

fn width_of(char: char) -> usize {
    char.width().unwrap_or(0)
}

/// The column after a word, which the terminal may have broken.
fn column_after(word: &str, column: usize, columns: usize) -> usize {
    without_colors(word).map(width_of).fold(
        column,
        |column, width| {
            if column + width > columns { width } else { column + width }
        },
    )
}

/// The style after a word. Styles are not nested.
fn style_after<'a>(word: &'a str, style: &'a str) -> &'a str {
    let Some(start) = word.rfind('\x1b') else { return style };
    let end = word[start..].find('m').map_or(word.len(), |end| start + end + 1);
    match &word[start..end] {
        "\x1b[0m" => "",
        style => style,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_rows_are_indented() {
        let line = "14:03 Alice: the quick brown fox jumps";
        assert_eq!(wrap(line, 38), line);
        assert_eq!(wrap(line, 37), "14:03 Alice: the quick brown fox\n      jumps");
        assert_eq!(wrap(line, 24), "14:03 Alice: the quick\n      brown fox jumps");
        assert_eq!(wrap("-- The connection is lost.", 20), "-- The connection is\n   lost.");
    }

    #[test]
    fn wide_characters_and_colors_have_their_width_on_a_terminal() {
        assert_eq!(wrap("14:03 Alice: 世界 世界 x", 24), "14:03 Alice: 世界 世界 x");
        assert_eq!(wrap("14:03 Alice: 世界 世界 世", 24), "14:03 Alice: 世界 世界\n      世");
        assert_eq!(
            wrap("\x1b[2m14:03\x1b[0m Alice: e\u{301} hi all!", 24),
            "\x1b[2m14:03\x1b[0m Alice: e\u{301} hi all!"
        );
    }

    #[test]
    fn each_row_has_the_style_of_its_text_and_ends_it() {
        assert_eq!(
            wrap("\x1b[2m14:03\x1b[0m \x1b[38;5;99mAlice\x1b[0m: \x1b[1mhey bob, how are you?\x1b[0m\x07", 24),
            "\x1b[2m14:03\x1b[0m \x1b[38;5;99mAlice\x1b[0m: \x1b[1mhey bob,\x1b[0m\n      \x1b[1mhow are you?\x1b[0m\x07"
        );
    }

    #[test]
    fn the_terminal_breaks_a_word_that_is_longer_than_a_row() {
        let address = "https://chat.example/a/very/long/address";
        let line = format!("14:03 Alice: see {address} and tell");
        // It ends at column 9 of the third row.
        assert_eq!(wrap(&line, 24), line);
        assert_eq!(wrap(&format!("{line} me more"), 24), format!("{line} me\n      more"));
        let full = format!("14:03 Alice: 1234567890 {address}");
        assert_eq!(wrap(&full, 24), format!("14:03 Alice: 1234567890\n      {address}"), "there is no column left");
    }

    #[test]
    fn trailing_blanks_are_dropped_and_tabs_become_spaces() {
        let blanks = " ".repeat(200);
        assert_eq!(wrap(&format!("14:03 Alice: hi{blanks}there{blanks}"), 40), "14:03 Alice: hi\n      there");
        assert_eq!(wrap("14:03 Alice: a\tb\t\tc", 40), "14:03 Alice: a  b               c");
    }

    /// At any width, only the first row starts where a time would be.
    #[test]
    fn a_message_cannot_imitate_the_start_of_a_line() {
        let line = format!("14:03 Mallory: hi{}14:03 * Alice has left", " ".repeat(60));
        for columns in 24..120 {
            let wrapped = wrap(&line, columns);
            assert!(wrapped.lines().skip(1).all(|row| row.starts_with("      ")), "{columns}: {wrapped:?}");
        }
    }

    #[test]
    fn a_narrow_screen_does_not_wrap() {
        let line = "14:03 Alice: the quick brown fox";
        assert_eq!(wrap(line, 23), line);
        assert_eq!(wrap("", 80), "");
    }
}
