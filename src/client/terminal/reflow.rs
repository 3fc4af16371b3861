//! Repairs the typed line after the terminal has reflowed it.
//!
//! When the number of columns changes, most terminals reflow the screen, and the editor redraws its line. But it clears
//! as many rows as the line had before. If the line has more rows now, some stay; if it has fewer, messages above it
//! are cleared. This module repairs that with output before the prompt.
//!
//! The typed line is always at the bottom of the screen, so the effect of a reflow is known.
//!
//! A key between the resize and its signal is drawn with the old width, and may leave some rows behind.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::env;
use std::io::{self, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use unicode_width::UnicodeWidthChar;

use crate::client::terminal::wrap::without_colors;
use crate::limits::{CLIENT_RECENT_LINES, RESIZE_DRAWN, RESIZE_LOOK};
use crate::model::SafeText;
use crate::os::system::terminal;

/// The lines above the typed line, as they were shown.
#[derive(Clone, Default)]
pub(crate) struct Recent {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// The number of columns when the editor last drew.
    columns: Arc<AtomicUsize>,
}

impl Recent {
    /// Records lines that are shown, without bells, so that a repair does not ring them again.
    pub(crate) fn add(&self, text: &str) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.extend(text.lines().map(|line| line.replace('\x07', "")));
        let surplus = lines.len().saturating_sub(CLIENT_RECENT_LINES);
        lines.drain(..surplus);
    }

    /// The size of the screen. After a resize, this waits until the editor has redrawn its line. A message before that
    /// would be drawn in the wrong row.
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

    /// Moves the cursor to the bottom of the screen. What is above counts as blank.
    ///
    /// # Errors
    ///
    /// When the terminal cannot be written.
    pub(crate) fn start_at_bottom(&self) -> io::Result<()> {
        let rows = size().rows;
        self.add(&"\n".repeat(rows));
        let mut stdout = io::stdout();
        write!(stdout, "\x1b[{rows}B")?;
        stdout.flush()
    }

    /// Redraws this many rows above the cursor.
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

/// What the editor has drawn below the messages.
pub(crate) struct Reflow {
    prompt: RefCell<String>,
    line: RefCell<String>,
    /// A byte offset in the line.
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

    /// Called when the editor draws a prompt. Returns what to write before it.
    pub(crate) fn prompt(&self, prompt: &str) -> String {
        let new = size().columns;
        let old = self.recent.columns.swap(new, Ordering::Relaxed);
        let mend = if old == new || !self.wraps_anew { String::new() } else { self.mend(old, new) };
        prompt.clone_into(&mut self.prompt.borrow_mut());
        mend
    }

    /// Called when the editor draws the line. Returns whether it must draw all of it. Keys that are drawn one by one
    /// end each full row with a line break, and a terminal would not join these rows.
    pub(crate) fn line(&self, line: &str, cursor: usize) -> bool {
        line.clone_into(&mut self.line.borrow_mut());
        self.cursor.set(cursor);
        self.endpoint(line, self.recent.columns.load(Ordering::Relaxed)).0 > 0 || matches!(visible(line), Cow::Owned(_))
    }

    /// Called before the editor measures its line with another prompt.
    pub(crate) fn begin(&self, prompt: &str) {
        prompt.clone_into(&mut self.prompt.borrow_mut());
    }

    /// What clears the line if the cursor is in the row below it.
    pub(crate) fn clear(&self) -> String {
        up(self.endpoint(&self.line.borrow(), self.recent.columns.load(Ordering::Relaxed)).0 + 1)
    }

    /// The editor has moved to the last row of the line and up to its first, counted in old rows, and has cleared them.
    /// This clears the rest of the line, and redraws messages that were cleared by mistake.
    fn mend(&self, old: usize, new: usize) -> String {
        let line = self.line.borrow();
        let before = &line[..self.cursor.get()];
        let end = self.rows(&line, true, old, new);
        let cursor = self.rows(before, before.len() == line.len(), old, new);
        // It cannot move below the screen, and the line ends at the bottom.
        let lowest = (cursor.new + (end.old - cursor.old)).min(end.new);
        if lowest >= end.old { up(lowest - end.old) } else { self.recent.draw(end.old - lowest, new) }
    }

    /// The row after this text, before and after the reflow.
    fn rows(&self, text: &str, is_all: bool, old: usize, new: usize) -> Rows {
        let (old, old_column) = self.endpoint(text, old);
        let (new, new_column) = self.endpoint(text, new);
        // After a full last row, the editor moves the cursor with a line break, which stays. The terminal itself would
        // leave the cursor in the full row.
        let was_moved = old > 0 && old_column == 0;
        let would_be_moved = new > 0 && new_column == 0;
        let new = match (was_moved, would_be_moved) {
            (true, false) if is_all => new + 1,
            (false, true) if is_all => new - 1,
            _ => new,
        };
        Rows { old, new }
    }

    /// Where the editor believes that the cursor is after the prompt and this text: the row and the column.
    fn endpoint(&self, text: &str, columns: usize) -> (usize, usize) {
        endpoint(self.prompt.borrow().chars().chain(visible(text).chars()), columns)
    }
}

/// Removes everything from typed or pasted text that acts on the terminal. The editor counts control characters and
/// escape sequences as zero columns wide, so nothing replaces them.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if text.chars().all(may_be_drawn) {
        return text.into();
    }
    let mut drawn = String::with_capacity(text.len());
    // As the editor parses them: ESC and a character, or ESC [, digits and semicolons, and a character.
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

/// The number of a row before and after a resize.
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

/// How many rows a shown line has. Colours have no width.
fn rows_of(line: &str, columns: usize) -> usize {
    let (row, column) = endpoint(without_colors(line), columns);
    if column > 0 || row == 0 { row + 1 } else { row }
}

fn size() -> Size {
    let size = terminal::size();
    // Some terminals report no size, and then the editor assumes this one.
    let (columns, rows) = if size.0 == 0 { (80, 24) } else { size };
    Size { columns: columns.into(), rows: rows.into() }
}

/// Whether the terminal reflows the screen after a resize. xterm, screen and the Linux console do not. For tmux, the
/// terminal around it does not matter.
fn wraps_anew() -> bool {
    let is_set = |variable| env::var_os(variable).is_some();
    let is_console = env::var_os("TERM").is_some_and(|term| term == "linux");
    is_set("TMUX") || !(is_set("XTERM_VERSION") || is_set("STY") || is_console)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_as_a_terminal_fills_them() {
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
    fn typed_control_sequences_are_not_drawn() {
        assert!(matches!(visible("Grüße,\t世界 👩‍👧\nx"), Cow::Borrowed(_)));
        assert_eq!(visible("a\x1b[12;3Hb\x1b]c\x07d\u{9b}e\x1b"), "abcde");
        assert_eq!(visible("a\u{202e}b\x7f"), "ab");
        let reflow = Reflow::new(Recent::default());
        assert!(!reflow.line("abc", 3));
        assert!(reflow.line("a\x1b", 2), "the editor would write it as it is");
    }

    #[test]
    fn the_rows_above_are_redrawn() {
        let recent = Recent::default();
        recent.add("first\nsecond\n");
        recent.add("third\x07\n");
        assert_eq!(recent.draw(1, 80), "third\n");
        assert_eq!(recent.draw(2, 80), "second\nthird\n");
        assert_eq!(recent.draw(9, 80), "first\nsecond\nthird\n");
        // The second line has two rows, and one of them is left.
        assert_eq!(recent.draw(2, 5), "\x1b[1A\r\x1b[Jsecond\nthird\n");
        (0..CLIENT_RECENT_LINES).for_each(|_| recent.add("new\n"));
        assert!(!recent.draw(CLIENT_RECENT_LINES, 80).contains("third"));
    }
}
