//! The screen: what is to be shown, on its way to the editor, which draws it above the line that is being typed.

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

/// Takes the cursor up and down again. The editor takes it for a line, and nothing of it is seen.
pub(crate) const NOTHING: &str = "\x1b[A\n";

/// How long drawing nothing takes at most. If it takes longer, the prompt stays on the screen.
const LAST_DRAWING: Duration = Duration::from_millis(30);

/// What may be drawn: safe text, and what this program itself puts around it. Nothing else can reach the screen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Painted(String);

impl Painted {
    /// A line in which the program speaks for itself. What it quotes is made safe here.
    fn words(words: &str) -> Self {
        Self::default().own("-- ").text(&SafeText::new(words.to_owned()))
    }

    /// Adds text as it is.
    pub(crate) fn text(mut self, text: &SafeText) -> Self {
        self.0.push_str(text.as_str());
        self
    }

    /// Adds words of the program itself, which may hold what acts on a terminal.
    pub(crate) fn own(mut self, words: &'static str) -> Self {
        self.0.push_str(words);
        self
    }

    /// Adds what is painted already.
    pub(crate) fn add(self, painted: &Self) -> Self {
        self.styled(&Style::Plain, painted)
    }

    /// Adds something in a style (SGR of ECMA-48).
    pub(crate) fn styled(mut self, style: &Style, painted: &Self) -> Self {
        match style {
            Style::Plain => self.0.push_str(&painted.0),
            Style::Fixed(code) => self.0.extend(["\x1b[", code, "m", &painted.0, "\x1b[0m"]),
            Style::Color(color) => self.0.push_str(&format!("\x1b[38;5;{color}m{}\x1b[0m", painted.0)),
        }
        self
    }

    /// What the terminal gets.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How something is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    /// Parameters of SGR.
    Fixed(&'static str),
    /// A colour of the palette of 256.
    Color(u8),
}

/// A handle for those who have something to show.
#[derive(Clone)]
pub(crate) struct Screen {
    lines: Sender<Shown>,
    is_plain: bool,
    /// The clock of the person.
    today: fn() -> Date,
}

/// The other end, before there is an editor.
pub(crate) struct Showing {
    lines: Receiver<Shown>,
    recent: Recent,
}

enum Shown {
    /// A line of this day.
    Line(Date, Painted),
    /// The typed line, below what a shell has written.
    Again,
    /// Everything above the typed line goes up, until it is no longer on the screen.
    Clear,
    /// All that came before is to be on the screen; then this is dropped.
    Flush(mpsc::Sender<()>),
}

impl Screen {
    /// A screen that shows nothing yet. On a plain one, one's own lines stay as they were typed.
    pub(crate) fn new(is_plain: bool, today: fn() -> Date) -> (Self, Showing) {
        let (lines, showing) = bounded(CLIENT_SCREEN_LINES);
        (Self { lines, is_plain, today }, Showing { lines: showing, recent: Recent::default() })
    }

    /// Shows a line. Waits when too many wait already, so that the server has to.
    pub(crate) async fn show(&self, line: Painted) {
        // The other end is never dropped before the program ends.
        let _ = self.lines.send(Shown::Line((self.today)(), line)).await;
    }

    /// Shows a line of one's own, unless it is there already.
    pub(crate) async fn show_own(&self, line: Painted) {
        if !self.is_plain {
            self.show(line).await;
        }
    }

    /// Shows words of our own at once, or not at all when too many lines wait.
    pub(crate) fn say(&self, words: &str) {
        let _ = self.lines.try_send(Shown::Line((self.today)(), Painted::words(words)));
    }

    /// Shows words of our own that must not be lost. Waits as [`Self::show`] does.
    pub(crate) async fn tell(&self, words: &str) {
        self.show(Painted::words(words)).await;
    }

    /// Has the typed line drawn again. What waits to be shown, when there is no room, has the same effect.
    pub(crate) fn draw_again(&self) {
        let _ = self.lines.try_send(Shown::Again);
    }

    /// Clears the screen, unless too many lines wait. Nothing is lost: it can be scrolled back to.
    pub(crate) fn clear(&self) {
        let _ = self.lines.try_send(Shown::Clear);
    }

    /// Waits until all is shown, but not for ever: the editor shows nothing while it searches. In the
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
    /// What was shown last.
    pub(crate) fn recent(&self) -> Recent {
        self.recent.clone()
    }

    /// Hands everything to the printer from now on. Lines are wrapped to the size of the screen; without one they stay
    /// whole.
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
                // It fails when the terminal is gone, and the program with it.
                if !text.is_empty() {
                    self.recent.add(&text);
                    let _ = printer.print(text);
                }
                if flush.is_some() {
                    // Each is taken when the one before it has been drawn; the last two take but a moment.
                    (0..3).for_each(|_| drop(printer.print(NOTHING.to_owned())));
                    thread::sleep(LAST_DRAWING);
                }
            }
        };
        thread::Builder::new().spawn(show).map_err(no_thread)?;
        Ok(())
    }

    /// What waits goes together, so that the typed line is drawn once for all of it. `day` is that of the last line.
    ///
    /// It ends after [`CLIENT_DRAWN_BYTES`]: more may come as fast as it is taken.
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
                // The lines before it have it drawn.
                Shown::Again => {}
                Shown::Clear => text.push_str(&"\n".repeat(size.map_or(0, |size| size.rows.saturating_sub(1)))),
                Shown::Flush(done) => return (text, Some(done)),
            }
            next = if text.len() < CLIENT_DRAWN_BYTES { self.lines.try_recv().ok() } else { None };
        }
        (text, None)
    }
}

/// The line before the first one of a new day.
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

    /// What is shown of everything that waits.
    fn shown(showing: &Showing, day: &mut Option<Date>, size: Option<Size>) -> String {
        showing.with_what_follows(showing.lines.try_recv().unwrap(), day, size).0
    }

    #[test]
    fn the_first_line_of_a_new_day_follows_its_date() {
        let (screen, showing) = Screen::new(false, || TODAY.get());
        let mut day = None;
        screen.say("one");
        screen.say("two");
        TODAY.set(date(2026, 11, 27));
        screen.say("three");
        screen.say("four");
        assert_eq!(shown(&showing, &mut day, None), "-- one\n-- two\n-- Friday, 27 November 2026\n-- three\n-- four\n");
        // Nobody said anything for two days.
        TODAY.set(date(2026, 11, 29));
        screen.say("five");
        assert_eq!(shown(&showing, &mut day, None), "-- Sunday, 29 November 2026\n-- five\n");
    }

    #[test]
    fn what_is_drawn_at_once_is_bounded_however_much_waits() {
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
    fn lines_are_wrapped_where_the_size_of_the_screen_is_known() {
        let (screen, showing) = Screen::new(false, || TODAY.get());
        screen.say("one two three");
        let size = Some(Size { columns: 12, rows: 3 });
        assert_eq!(shown(&showing, &mut None, size), "-- one two\n   three\n");
        screen.clear();
        assert_eq!(shown(&showing, &mut None, size), "\n\n", "the typed line has the third row");
    }
}
