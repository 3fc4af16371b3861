//! The screen: what is to be shown, on its way to the editor, which draws it above the line that is being typed.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use rustyline::ExternalPrinter;

use super::drawing::Recent;
use crate::limits::{CLIENT_SCREEN_LINES, SCREEN_FLUSH};

/// Takes the cursor up and down again. The editor takes it for a line, and nothing of it is seen.
const NOTHING: &str = "\x1b[A\n";

/// How long drawing nothing takes at most. If it takes longer, the prompt stays on the screen.
const LAST_DRAWING: Duration = Duration::from_millis(30);

/// A handle for those who have something to show.
#[derive(Clone)]
pub(super) struct Screen {
    lines: Sender<Shown>,
}

/// The other end, before there is an editor.
pub(super) struct Showing {
    lines: Receiver<Shown>,
    recent: Recent,
}

enum Shown {
    Line(String),
    /// All that came before is to be on the screen; then this is dropped.
    Flush(mpsc::Sender<()>),
}

impl Screen {
    /// A screen that shows nothing yet.
    pub(super) fn new() -> (Self, Showing) {
        let (lines, showing) = bounded(CLIENT_SCREEN_LINES);
        (Self { lines }, Showing { lines: showing, recent: Recent::default() })
    }

    /// Shows a line. Waits when too many wait already, so that the server has to.
    pub(super) async fn show(&self, line: String) {
        // The other end is never dropped before the program ends.
        let _ = self.lines.send(Shown::Line(line)).await;
    }

    /// Shows words of our own at once, or not at all when too many lines wait.
    pub(super) fn say(&self, words: &str) {
        let _ = self.lines.try_send(Shown::Line(format!("-- {words}")));
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
    pub(super) fn start(self, mut printer: impl ExternalPrinter + Send + 'static) {
        thread::spawn(move || {
            while let Ok(shown) = self.lines.recv_blocking() {
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
        });
    }

    /// What waits goes together, so that the typed line is drawn once for all of it.
    fn with_what_follows(&self, shown: Shown) -> (String, Option<mpsc::Sender<()>>) {
        let mut text = String::new();
        let mut next = Some(shown);
        while let Some(shown) = next {
            match shown {
                Shown::Line(line) => text.extend([line.as_str(), "\n"]),
                Shown::Flush(done) => return (text, Some(done)),
            }
            next = self.lines.try_recv().ok();
        }
        (text, None)
    }
}
