//! The drawing: how the typed line is on the screen, so that it can be mended when the terminal wraps it anew.
//!
//! When the number of columns changes, most terminals wrap what is on the screen anew, and the editor then draws the line
//! again. But it clears the rows that the line had before: too few of them when it has more rows now, and messages above
//! it when it has fewer. This puts before the prompt what makes that good.
//!
//! The typed line is always at the bottom of the screen, so it is known what the terminal moves when it wraps.
//!
//! A key that is drawn between the resize and its signal is drawn in rows that are no more, and may leave some of them.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::env;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use rustix::termios::tcgetwinsize;
use unicode_width::UnicodeWidthChar;

use crate::client::terminal::wrap::without_colors;
use crate::limits::{CLIENT_RECENT_LINES, RESIZE_DRAWN, RESIZE_LOOK};
use crate::model::SafeText;

/// The lines that stand above the typed line, as they were shown.
#[derive(Clone, Default)]
pub(crate) struct Recent {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// How many columns the screen had when the editor last drew.
    columns: Arc<AtomicUsize>,
}

impl Recent {
    /// Takes in lines that are shown. A bell does not ring again.
    pub(crate) fn add(&self, text: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend(text.lines().map(|line| line.replace('\x07', "")));
        let surplus = lines.len().saturating_sub(CLIENT_RECENT_LINES);
        lines.drain(..surplus);
    }

    /// The size of the screen. After a resize this waits until the editor has drawn the line at the new size. A message that
    /// is shown before that would be drawn at the wrong row.
    pub(crate) fn size(&self) -> Size {
        let deadline = Instant::now() + RESIZE_DRAWN;
        loop {
            let size = size();
            if size.columns == self.columns.load(Ordering::Relaxed) || Instant::now() >= deadline {
                return size;
            }
            thread::sleep(RESIZE_LOOK);
        }
    }

    /// Moves the cursor to the bottom of the screen. What is above it counts as blank.
    ///
    /// # Errors
    /// When the terminal cannot be written.
    pub(crate) fn start_at_bottom(&self) -> io::Result<()> {
        let rows = size().rows;
        self.add(&"\n".repeat(rows));
        let mut stdout = io::stdout();
        write!(stdout, "\x1b[{rows}B")?;
        stdout.flush()
    }

    /// Draws again what stood in so many rows above the cursor.
    fn draw(&self, rows: usize, columns: usize) -> String {
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut first, mut held) = (lines.len(), 0);
        while held < rows && first > 0 {
            first -= 1;
            held += rows_of(&lines[first], columns);
        }
        let drawn: String = lines.iter().skip(first).flat_map(|line| [line, "\n"]).collect();
        up(held.saturating_sub(rows)) + &drawn
    }
}

/// What the editor has drawn below them.
pub(crate) struct Reflow {
    prompt: RefCell<String>,
    line: RefCell<String>,
    /// Where in the line, in bytes.
    cursor: Cell<usize>,
    recent: Recent,
    wraps_anew: bool,
}

impl Reflow {
    pub(crate) fn new(recent: Recent) -> Self {
        recent.columns.store(size().columns, Ordering::Relaxed);
        Self {
            prompt: RefCell::default(),
            line: RefCell::default(),
            cursor: Cell::new(0),
            recent,
            wraps_anew: wraps_anew(),
        }
    }

    /// The editor draws a prompt. What has to be written before it.
    pub(crate) fn prompt(&self, prompt: &str) -> String {
        let new = size().columns;
        let old = self.recent.columns.swap(new, Ordering::Relaxed);
        let mend = if old == new || !self.wraps_anew { String::new() } else { self.mend(old, new) };
        prompt.clone_into(&mut self.prompt.borrow_mut());
        mend
    }

    /// The editor draws the line. Whether it has to draw all of it: what it draws key by key goes to the terminal as it
    /// is, and has line ends of its own where a row ends, so that the terminal would not join the rows again.
    pub(crate) fn line(&self, line: &str, cursor: usize) -> bool {
        line.clone_into(&mut self.line.borrow_mut());
        self.cursor.set(cursor);
        self.endpoint(line, self.recent.columns.load(Ordering::Relaxed)).0 > 0 || matches!(visible(line), Cow::Owned(_))
    }

    /// The editor has gone down to the last row of the line and up to its first, reckoned in the old rows, and has cleared
    /// them. What is left of the line is cleared, and what was wrongly cleared above it is drawn again.
    fn mend(&self, old: usize, new: usize) -> String {
        let line = self.line.borrow();
        let before = &line[..self.cursor.get()];
        let end = self.rows(&line, true, old, new);
        let cursor = self.rows(before, before.len() == line.len(), old, new);
        // It cannot go down further than the screen, and the line ends at the bottom.
        let lowest = (cursor.new + (end.old - cursor.old)).min(end.new);
        if lowest >= end.old { up(lowest - end.old) } else { self.recent.draw(end.old - lowest, new) }
    }

    /// The row behind this text, before and after the terminal has wrapped it anew.
    fn rows(&self, text: &str, is_all: bool, old: usize, new: usize) -> Rows {
        let (old, old_column) = self.endpoint(text, old);
        let (new, new_column) = self.endpoint(text, new);
        // Below a full last row the editor moves the cursor with a line end, which stays there. The terminal itself leaves
        // the cursor in the row that it has just filled.
        let was_moved = old > 0 && old_column == 0;
        let would_be_moved = new > 0 && new_column == 0;
        let new = match (was_moved, would_be_moved) {
            (true, false) if is_all => new + 1,
            (false, true) if is_all => new - 1,
            _ => new,
        };
        Rows { old, new }
    }

    /// Where the cursor is behind the prompt and this text, as the editor reckons: the row and the column.
    fn endpoint(&self, text: &str, columns: usize) -> (usize, usize) {
        endpoint(self.prompt.borrow().chars().chain(visible(text).chars()), columns)
    }
}

/// What may be drawn of a text that was typed or pasted: nothing that acts on the terminal. The editor reckons that a control
/// character, or the beginning of an escape sequence, has no width, so nothing stands in their place.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(may_be_drawn) {
        return text.into();
    }
    let mut drawn = String::with_capacity(text.len());
    // As the editor knows them: ESC and a character, or ESC [, digits and semicolons, and a character.
    let mut sequence = "";
    for char in text.chars() {
        sequence = match (sequence, char) {
            ("ESC", '[') => "CSI",
            ("CSI", '0'..='9' | ';') => "CSI",
            ("ESC" | "CSI", _) => "",
            (_, '\x1b') => "ESC",
            _ => {
                match may_be_drawn(char) {
                    true => drawn.push(char),
                    false => drawn.extend(std::iter::repeat_n('?', char.width().unwrap_or(0))),
                }
                ""
            }
        };
    }
    drawn.into()
}

fn may_be_drawn(char: char) -> bool {
    matches!(char, ' '..='~' | '\t' | '\n') || SafeText::new(char.to_string()).as_str().chars().eq([char])
}

#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) columns: usize,
    pub(crate) rows: usize,
}

/// A row below the first one of the line, before and after a resize.
struct Rows {
    old: usize,
    new: usize,
}

/// Moves up, and clears everything from there.
fn up(rows: usize) -> String {
    if rows == 0 { String::new() } else { format!("\x1b[{rows}A\r\x1b[J") }
}

fn endpoint(text: impl Iterator<Item = char>, columns: usize) -> (usize, usize) {
    let (mut row, mut column) = (0, 0);
    for char in text {
        if char == '\n' {
            (row, column) = (row + 1, 0);
            continue;
        }
        let width = char.width().unwrap_or(0);
        column += width;
        if column > columns {
            (row, column) = (row + 1, width);
        }
    }
    if column == columns { (row + 1, 0) } else { (row, column) }
}

/// How many rows a line has that was shown. Its colours have no width.
fn rows_of(line: &str, columns: usize) -> usize {
    let (row, column) = endpoint(without_colors(line), columns);
    if column > 0 || row == 0 { row + 1 } else { row }
}

fn size() -> Size {
    let size = tcgetwinsize(io::stdout()).map_or((0, 0), |size| (size.ws_col, size.ws_row));
    // Some terminals do not know, and the editor takes this then.
    let (columns, rows) = if size.0 == 0 { (80, 24) } else { size };
    Size { columns: columns.into(), rows: rows.into() }
}

/// Whether the terminal wraps anew what is on the screen. Few do not: xterm, screen, and the console of Linux. In tmux it
/// does not matter where tmux runs.
fn wraps_anew() -> bool {
    let is_set = |variable| env::var_os(variable).is_some();
    let is_console = env::var_os("TERM").is_some_and(|term| term == "linux");
    is_set("TMUX") || !(is_set("XTERM_VERSION") || is_set("STY") || is_console)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_reckoned_as_a_terminal_fills_them() {
        let endpoint = |text: &str| super::endpoint(text.chars(), 4);
        assert_eq!(endpoint(""), (0, 0));
        assert_eq!(endpoint("abc"), (0, 3));
        assert_eq!(endpoint("abcd"), (1, 0));
        assert_eq!(endpoint("abcde"), (1, 1));
        assert_eq!(endpoint("abc世"), (1, 2), "a wide character is not split");
        assert_eq!(endpoint("a\nb"), (1, 1));
        assert_eq!(["", "abcd", "abcde", "\x1b[2mab\x1b[0mcd", "abc世"].map(|line| rows_of(line, 4)), [1, 1, 2, 1, 2]);
    }

    #[test]
    fn nothing_is_drawn_that_acts_on_the_terminal() {
        assert!(matches!(visible("Grüße,\t世界 👩‍👧\nx"), Cow::Borrowed(_)));
        assert_eq!(visible("a\x1b[12;3Hb\x1b]c\x07d\u{9b}e\x1b"), "abcde");
        assert_eq!(visible("a\u{202e}b\x7f"), "ab");
        let reflow = Reflow::new(Recent::default());
        assert!(!reflow.line("abc", 3));
        assert!(reflow.line("a\x1b", 2), "the editor would write it as it is");
    }

    #[test]
    fn what_stood_in_the_rows_above_is_drawn_again() {
        let recent = Recent::default();
        recent.add("first\nsecond\n");
        recent.add("third\x07\n");
        assert_eq!(recent.draw(1, 80), "third\n");
        assert_eq!(recent.draw(2, 80), "second\nthird\n");
        assert_eq!(recent.draw(9, 80), "first\nsecond\nthird\n");
        // Of the second line, one row of two was left.
        assert_eq!(recent.draw(2, 5), "\x1b[1A\r\x1b[Jsecond\nthird\n");
        (0..CLIENT_RECENT_LINES).for_each(|_| recent.add("new\n"));
        assert!(!recent.draw(CLIENT_RECENT_LINES, 80).contains("third"));
    }
}
