//! Wrapping: where a line that is shown breaks, so that no word is cut in two at the end of a row.
//!
//! The rows are lines of their own for the terminal, which does not join them again when it gets wider. All but the first
//! one are indented below the text, so that nobody's text can look like the beginning of a line.

use unicode_width::UnicodeWidthChar;

/// The distance between the tab stops of a terminal.
const TAB: usize = 8;

/// The indentation takes at most this part of a row. A narrower terminal gets the line whole, and breaks it anywhere.
const INDENTED_PART: usize = 4;

/// Breaks a line between words, with LF, so that each row has at most this many columns. A word that is longer than a row
/// is left to the terminal, which joins its parts when they are copied. Tabs become blanks.
pub(crate) fn wrap(line: &str, columns: usize) -> String {
    let indent = line.find(' ').map_or(0, |end| width(&line[..=end]));
    let can_break = indent * INDENTED_PART <= columns;
    let (mut wrapped, mut column, mut style) = (String::with_capacity(line.len() + 16), 0, "");
    for (blanks, word) in words(line) {
        let (gap, width) = (width_of_blanks(blanks, column), width(word));
        // A word that does not fit into any row starts where it is.
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

/// Where the cursor is after a word that the terminal may have broken.
fn column_after(word: &str, column: usize, columns: usize) -> usize {
    without_colors(word).map(width_of).fold(
        column,
        |column, width| {
            if column + width > columns { width } else { column + width }
        },
    )
}

/// The style that the text after a word has. There is one at a time.
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
    fn a_line_breaks_between_words_and_its_rows_are_indented() {
        let line = "14:03 Alice: the quick brown fox jumps";
        assert_eq!(wrap(line, 38), line);
        assert_eq!(wrap(line, 37), "14:03 Alice: the quick brown fox\n      jumps");
        assert_eq!(wrap(line, 24), "14:03 Alice: the quick\n      brown fox jumps");
        assert_eq!(wrap("-- The connection is lost.", 20), "-- The connection is\n   lost.");
    }

    #[test]
    fn wide_characters_and_colors_are_counted_as_a_terminal_shows_them() {
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
    fn a_word_that_is_longer_than_a_row_is_left_to_the_terminal() {
        let address = "https://chat.example/a/very/long/address";
        let line = format!("14:03 Alice: see {address} and tell");
        // It ends at column 9 of the third row.
        assert_eq!(wrap(&line, 24), line);
        assert_eq!(wrap(&format!("{line} me more"), 24), format!("{line} me\n      more"));
        let full = format!("14:03 Alice: 1234567890 {address}");
        assert_eq!(wrap(&full, 24), format!("14:03 Alice: 1234567890\n      {address}"), "there is no column left");
    }

    #[test]
    fn blanks_at_the_end_of_a_row_are_left_out_and_tabs_become_blanks() {
        let blanks = " ".repeat(200);
        assert_eq!(wrap(&format!("14:03 Alice: hi{blanks}there{blanks}"), 40), "14:03 Alice: hi\n      there");
        assert_eq!(wrap("14:03 Alice: a\tb\t\tc", 40), "14:03 Alice: a  b               c");
    }

    /// However wide the screen is, no row but the first begins where a time would stand.
    #[test]
    fn a_message_cannot_begin_a_row_like_another_line() {
        let line = format!("14:03 Mallory: hi{}14:03 * Alice has left", " ".repeat(60));
        for columns in 24..120 {
            let wrapped = wrap(&line, columns);
            assert!(wrapped.lines().skip(1).all(|row| row.starts_with("      ")), "{columns}: {wrapped:?}");
        }
    }

    #[test]
    fn on_a_narrow_screen_a_line_stays_whole() {
        let line = "14:03 Alice: the quick brown fox";
        assert_eq!(wrap(line, 23), line);
        assert_eq!(wrap("", 80), "");
    }
}
