//! The queue of output for the editor, which draws it above the typed line.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use jiff::civil::Date;
use rustyline::ExternalPrinter;

use crate::client::ClientError;
use crate::client::startup::no_thread;
use crate::client::terminal::foreground::{is_foreground, wait_for_foreground};
use crate::client::terminal::reflow::{Recent, Size};
use crate::client::terminal::wrap::wrap;
use crate::limits::{CLIENT_DRAWN_BYTES, CLIENT_SCREEN_LINES, SCREEN_FLUSH};
use crate::model::SafeText;

/// Moves the cursor up and down again. The editor treats it as a line, but nothing is visible.
pub(crate) const NOTHING: &str = "\x1b[A\n";

/// How long drawing nothing may take. After that, the prompt stays on the screen.
const LAST_DRAWING: Duration = Duration::from_millis(30);

/// Text that may be drawn: safe text, and the program's own words and styles around it. Nothing else can reach the
/// screen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Painted(String);

impl Painted {
    /// A notice of the program itself. Quoted text is made safe here.
    fn words(words: &str) -> Self {
        Self::default().own("-- ").text(&SafeText::new(words.to_owned()))
    }

    /// Adds text as it is.
    pub(crate) fn text(mut self, text: &SafeText) -> Self {
        self.0.push_str(text.as_str());
        self
    }

    /// Adds the program's own words, which may contain control sequences.
    pub(crate) fn own(mut self, words: &'static str) -> Self {
        self.0.push_str(words);
        self
    }

    pub(crate) fn add(self, painted: &Self) -> Self {
        self.styled(&Style::Plain, painted)
    }

    /// Adds text in a style (SGR of ECMA-48).
    pub(crate) fn styled(mut self, style: &Style, painted: &Self) -> Self {
        match style {
            Style::Plain => self.0.push_str(&painted.0),
            Style::Fixed(code) => self.0.extend(["\x1b[", code, "m", &painted.0, "\x1b[0m"]),
            Style::Color(color) => self.0.push_str(&format!("\x1b[38;5;{color}m{}\x1b[0m", painted.0)),
        }
        self
    }

    /// What is written to the terminal.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    /// SGR parameters.
    Fixed(&'static str),
    /// A colour of the 256-colour palette.
    Color(u8),
}

/// The sending end of the queue.
#[derive(Clone)]
pub(crate) struct Screen {
    lines: Sender<Shown>,
    is_plain: bool,
    /// The clock, for the date lines.
    today: fn() -> Date,
}

/// The receiving end of the queue, until the editor has started.
pub(crate) struct Showing {
    lines: Receiver<Shown>,
    recent: Recent,
}

enum Shown {
    /// A line, and the day when it was queued.
    Line(Date, Painted),
    /// Redraw the typed line, below what a shell has written.
    Again,
    /// Scroll everything above the typed line off the screen.
    Clear,
    /// Show everything before this, and then drop it.
    Flush(mpsc::Sender<()>),
}

impl Screen {
    /// A screen that shows nothing yet. On a plain one, typed lines stay where they were typed.
    pub(crate) fn new(is_plain: bool, today: fn() -> Date) -> (Self, Showing) {
        let (lines, showing) = bounded(CLIENT_SCREEN_LINES);
        (Self { lines, is_plain, today }, Showing { lines: showing, recent: Recent::default() })
    }

    /// Shows a line. Waits while the queue is full, which slows down the server.
    pub(crate) async fn show(&self, line: Painted) {
        self.show_at((self.today)(), line).await;
    }

    /// Shows a line of this day.
    pub(crate) async fn show_at(&self, day: Date, line: Painted) {
        // The receiving end is not dropped before the program ends.
        let _ = self.lines.send(Shown::Line(day, line)).await;
    }

    /// Shows a line that this person sent, unless the terminal shows it already.
    pub(crate) async fn show_own(&self, line: Painted) {
        if !self.is_plain {
            self.show(line).await;
        }
    }

    /// Shows a notice, or drops it if the queue is full.
    pub(crate) fn say(&self, words: &str) {
        let _ = self.lines.try_send(Shown::Line((self.today)(), Painted::words(words)));
    }

    /// Shows a notice that must not be lost. Waits like [`Self::show`].
    pub(crate) async fn tell(&self, words: &str) {
        self.show(Painted::words(words)).await;
    }

    /// Redraws the typed line. If the queue is full, the next line does the same.
    pub(crate) fn draw_again(&self) {
        let _ = self.lines.try_send(Shown::Again);
    }

    /// Clears the screen, unless the queue is full. Everything stays in the scrollback.
    pub(crate) fn clear(&self) {
        let _ = self.lines.try_send(Shown::Clear);
    }

    /// Waits until everything is shown, but with a time limit: the editor shows nothing during a search. In the
    /// background nothing is shown.
    pub(crate) fn finish(&self) {
        if !is_foreground() {
            return;
        }
        let (done, shown) = mpsc::channel();
        if self.lines.send_blocking(Shown::Flush(done)).is_ok() {
            let _ = shown.recv_timeout(SCREEN_FLUSH);
        }
    }
}

impl Showing {
    /// The lines that were shown last.
    pub(crate) fn recent(&self) -> Recent {
        self.recent.clone()
    }

    /// Starts a thread that passes the queue to the printer. Lines are wrapped to the size of the screen, if it is
    /// known.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(crate) fn start(
        self,
        mut printer: impl ExternalPrinter + Send + 'static,
        size: impl Fn() -> Option<Size> + Send + 'static,
    ) -> Result<(), ClientError> {
        let show = move || {
            let mut day = None;
            while let Ok(shown) = self.lines.recv_blocking() {
                wait_for_foreground();
                if let Shown::Again = shown {
                    let _ = printer.print(NOTHING.to_owned());
                    continue;
                }
                let (text, flush) = self.with_what_follows(shown, &mut day, size());
                // It fails when the terminal is gone. The program ends then.
                if !text.is_empty() {
                    self.recent.add(&text);
                    let _ = printer.print(text);
                }
                if flush.is_some() {
                    // Each is accepted when the one before it has been drawn. The last two take only a moment.
                    (0..3).for_each(|_| drop(printer.print(NOTHING.to_owned())));
                    thread::sleep(LAST_DRAWING);
                }
            }
        };
        thread::Builder::new().spawn(show).map_err(no_thread)?;
        Ok(())
    }

    /// Joins the waiting lines, so that the typed line is redrawn only once. `day` is the day of the last line.
    ///
    /// It stops after [`CLIENT_DRAWN_BYTES`], because lines may arrive as fast as they are taken.
    fn with_what_follows(
        &self,
        shown: Shown,
        day: &mut Option<Date>,
        size: Option<Size>,
    ) -> (String, Option<mpsc::Sender<()>>) {
        let mut text = String::new();
        let mut next = Some(shown);
        while let Some(shown) = next {
            match shown {
                Shown::Line(today, line) => {
                    if day.replace(today).is_some_and(|day| day != today) {
                        text.extend([&*date_line(today), "\n"]);
                    }
                    match size {
                        Some(size) => text.push_str(&wrap(line.as_str(), size.columns)),
                        None => text.push_str(line.as_str()),
                    }
                    text.push('\n');
                }
                // The lines before it redraw the typed line.
                Shown::Again => {}
                Shown::Clear => text.push_str(&"\n".repeat(size.map_or(0, |size| size.rows.saturating_sub(1)))),
                Shown::Flush(done) => return (text, Some(done)),
            }
            next = if text.len() < CLIENT_DRAWN_BYTES { self.lines.try_recv().ok() } else { None };
        }
        (text, None)
    }
}

/// The line before the first line of a new day.
fn date_line(day: Date) -> String {
    day.strftime("-- %A, %-d %B %Y").to_string()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use jiff::civil::date;

    use super::*;

    thread_local! {
        static TODAY: Cell<Date> = const { Cell::new(Date::constant(2026, 11, 26)) };
    }

    /// Everything that is waiting, as it is shown.
    fn shown(showing: &Showing, day: &mut Option<Date>, size: Option<Size>) -> String {
        showing.with_what_follows(showing.lines.try_recv().unwrap(), day, size).0
    }

    #[test]
    fn a_date_precedes_the_first_line_of_a_new_day() {
        let (screen, showing) = Screen::new(false, || TODAY.get());
        let mut day = None;
        screen.say("one");
        screen.say("two");
        TODAY.set(date(2026, 11, 27));
        screen.say("three");
        screen.say("four");
        assert_eq!(shown(&showing, &mut day, None), "-- one\n-- two\n-- Friday, 27 November 2026\n-- three\n-- four\n");
        // Two days pass without a message.
        TODAY.set(date(2026, 11, 29));
        screen.say("five");
        assert_eq!(shown(&showing, &mut day, None), "-- Sunday, 29 November 2026\n-- five\n");
    }

    #[test]
    fn the_amount_drawn_at_once_is_bounded() {
        let (screen, showing) = Screen::new(false, || TODAY.get());
        let line = "x".repeat(CLIENT_DRAWN_BYTES / 4);
        (0..8).for_each(|_| screen.say(&line));
        let mut day = None;
        let each = "-- ".len() + line.len() + "\n".len();
        assert_eq!(shown(&showing, &mut day, None).len(), 4 * each);
        assert_eq!(shown(&showing, &mut day, None).len(), 4 * each);
        assert!(showing.lines.is_empty());
    }

    #[test]
    fn lines_are_wrapped_if_the_screen_size_is_known() {
        let (screen, showing) = Screen::new(false, || TODAY.get());
        screen.say("one two three");
        let size = Some(Size { columns: 12, rows: 3 });
        assert_eq!(shown(&showing, &mut None, size), "-- one two\n   three\n");
        screen.clear();
        assert_eq!(shown(&showing, &mut None, size), "\n\n", "the typed line has the third row");
    }
}
