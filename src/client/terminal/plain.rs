//! The plain terminal: it only ever adds lines, and keeps the typed line itself until Enter.
//!
//! It is for screen readers, script(1) and terminals without a cursor to move. The talk is the same as at any other.

use std::io::{self, BufRead, Write};
use std::thread;
use std::time::Instant;

use async_channel::Sender;
use async_signal::{Signal, Signals};
use async_std::task;
use futures::StreamExt;
use rustix::termios::{LocalModes, tcgetattr};
use rustyline::{ExternalPrinter, KeyCode, KeyEvent, Modifiers};

use super::editor::Typed;
use super::keys::Keys;
use super::screen::NOTHING;
use crate::client::Lost;

const GREETING: &str = "Connected to server. You can start typing messages.\n";

/// Greets the person, and passes on what they type from now on.
///
/// # Errors
/// When the terminal cannot be used.
pub(super) fn start(typed: Sender<Typed>, keys: Keys) -> Result<(), Lost> {
    write(GREETING).map_err(Lost::Output)?;
    let mut interrupts = Signals::new([Signal::Int]).map_err(Lost::Input)?;
    let interrupted = typed.clone();
    task::spawn(async move {
        // The terminal has thrown away what was on the line.
        while interrupts.next().await.is_some() {
            let _ = interrupted.try_send(Typed::Interrupt);
        }
    });
    thread::spawn(move || read_lines(&typed, &keys));
    Ok(())
}

/// Reads lines until Ctrl-D has been pressed twice, or the terminal is gone.
fn read_lines(typed: &Sender<Typed>, keys: &Keys) {
    let mut ends = 0;
    while ends < 2 {
        let mut line = Vec::new();
        let read = io::stdin().lock().read_until(b'\n', &mut line);
        let text = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        let (enter, now) = (KeyEvent(KeyCode::Enter, Modifiers::NONE), Instant::now());
        if !text.is_empty() {
            // The keys before this Enter were not seen: without them a line behind a question would answer it.
            keys.press(enter, now);
        }
        let enter = keys.press(enter, now);
        if !text.trim().is_empty() {
            let _ = typed.send_blocking(Typed::Line(text, enter));
        } else if !line.is_empty() {
            let _ = typed.send_blocking(Typed::Nothing(enter));
        }
        if read.is_err() || !line.ends_with(b"\n") {
            ends += 1;
            let _ = typed.send_blocking(Typed::Leave);
            // A terminal that is gone has an end at every look, and nobody is impatient there.
            if read.is_err() || tcgetattr(io::stdin()).is_err() {
                return;
            }
        }
    }
}

/// What is shown goes to the end of it.
#[derive(Debug)]
pub(super) struct Paper;

impl ExternalPrinter for Paper {
    fn print(&mut self, text: String) -> rustyline::Result<()> {
        if text == NOTHING {
            return Ok(()); // There is no typed line to draw again.
        }
        // Nobody can know whether half a line stands there. A terminal that shows none of it needs no line of its own.
        let may_be_typed = tcgetattr(io::stdin()).is_ok_and(|modes| modes.local_modes.contains(LocalModes::ECHO));
        let start = if may_be_typed { "\n" } else { "" };
        Ok(write(&format!("{start}{text}"))?)
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
