//! The screen: what is to be shown, on its way to the editor, which draws it above the line that is being typed.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use rustyline::ExternalPrinter;

use super::drawing::Recent;
use crate::client::Lost;
use crate::client::startup::no_thread;
use crate::limits::{CLIENT_SCREEN_LINES, SCREEN_FLUSH};
use crate::protocol::SafeText;

/// Takes the cursor up and down again. The editor takes it for a line, and nothing of it is seen.
pub(super) const NOTHING: &str = "\x1b[A\n";

/// How long drawing nothing takes at most. If it takes longer, the prompt stays on the screen.
const LAST_DRAWING: Duration = Duration::from_millis(30);

/// What may be drawn: safe text, and what this program itself puts around it. Nothing else can reach the screen.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Painted(String);

impl Painted {
    /// A line in which the program speaks for itself. What it quotes is made safe here.
    fn words(words: &str) -> Self {
        Self::default().own("-- ").text(&SafeText::new(words.to_owned()))
    }

    /// Adds text as it is.
    pub(super) fn text(mut self, text: &SafeText) -> Self {
        self.0.push_str(text.as_str());
        self
    }

    /// Adds words of the program itself, which may hold what acts on a terminal.
    pub(super) fn own(mut self, words: &'static str) -> Self {
        self.0.push_str(words);
        self
    }

    /// Adds something in a style (SGR of ECMA-48).
    pub(super) fn styled(mut self, style: &Style, painted: &Self) -> Self {
        match style {
            Style::Plain => self.0.push_str(&painted.0),
            Style::Fixed(code) => self.0.extend(["\x1b[", code, "m", &painted.0, "\x1b[0m"]),
            Style::Color(color) => self.0.push_str(&format!("\x1b[38;5;{color}m{}\x1b[0m", painted.0)),
        }
        self
    }

    /// What the terminal gets.
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// How something is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Plain,
    /// Parameters of SGR.
    Fixed(&'static str),
    /// A colour of the palette of 256.
    Color(u8),
}

/// A handle for those who have something to show.
#[derive(Clone)]
pub(super) struct Screen {
    lines: Sender<Shown>,
    is_plain: bool,
}

/// The other end, before there is an editor.
pub(super) struct Showing {
    lines: Receiver<Shown>,
    recent: Recent,
}

enum Shown {
    Line(Painted),
    /// The typed line, below what a shell has written.
    Again,
    /// All that came before is to be on the screen; then this is dropped.
    Flush(mpsc::Sender<()>),
}

impl Screen {
    /// A screen that shows nothing yet. On a plain one, one's own lines stay as they were typed.
    pub(super) fn new(is_plain: bool) -> (Self, Showing) {
        let (lines, showing) = bounded(CLIENT_SCREEN_LINES);
        (Self { lines, is_plain }, Showing { lines: showing, recent: Recent::default() })
    }

    /// Shows a line. Waits when too many wait already, so that the server has to.
    pub(super) async fn show(&self, line: Painted) {
        // The other end is never dropped before the program ends.
        let _ = self.lines.send(Shown::Line(line)).await;
    }

    /// Shows a line of one's own, unless it is there already.
    pub(super) async fn show_own(&self, line: Painted) {
        if !self.is_plain {
            self.show(line).await;
        }
    }

    /// Shows words of our own at once, or not at all when too many lines wait.
    pub(super) fn say(&self, words: &str) {
        let _ = self.lines.try_send(Shown::Line(Painted::words(words)));
    }

    /// Shows words of our own that must not be lost. Waits as [`Self::show`] does.
    pub(super) async fn tell(&self, words: &str) {
        self.show(Painted::words(words)).await;
    }

    /// Has the typed line drawn again. What waits to be shown, when there is no room, has the same effect.
    pub(super) fn draw_again(&self) {
        let _ = self.lines.try_send(Shown::Again);
    }

    /// Waits until all is shown, but not for ever: the editor shows nothing while it searches.
    pub(super) fn finish(&self) {
        let (done, shown) = mpsc::channel();
        if self.lines.send_blocking(Shown::Flush(done)).is_ok() {
            let _ = shown.recv_timeout(SCREEN_FLUSH);
        }
    }
}

impl Showing {
    /// What was shown last.
    pub(super) fn recent(&self) -> Recent {
        self.recent.clone()
    }

    /// Hands everything to the editor from now on.
    ///
    /// # Errors
    /// When no thread can be started.
    pub(super) fn start(self, mut printer: impl ExternalPrinter + Send + 'static) -> Result<(), Lost> {
        let show = move || {
            while let Ok(shown) = self.lines.recv_blocking() {
                if let Shown::Again = shown {
                    let _ = printer.print(NOTHING.to_owned());
                    continue;
                }
                let (text, flush) = self.with_what_follows(shown);
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

    /// What waits goes together, so that the typed line is drawn once for all of it.
    fn with_what_follows(&self, shown: Shown) -> (String, Option<mpsc::Sender<()>>) {
        let mut text = String::new();
        let mut next = Some(shown);
        while let Some(shown) = next {
            match shown {
                Shown::Line(line) => text.extend([line.as_str(), "\n"]),
                // The lines before it have it drawn.
                Shown::Again => {}
                Shown::Flush(done) => return (text, Some(done)),
            }
            next = self.lines.try_recv().ok();
        }
        (text, None)
    }
}
