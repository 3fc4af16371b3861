//! The plain terminal: it only appends lines, and edits the typed line itself until Enter.
//!
//! It is for screen readers, script(1) and terminals that cannot move the cursor. Everything else works as at any other
//! terminal.

use std::borrow::Cow;
use std::io::{self, BufRead, Write};
use std::thread;
use std::time::Instant;

use async_channel::Sender;
use rustyline::{ExternalPrinter, KeyCode, KeyEvent, Modifiers};
use zeroize::Zeroizing;

use crate::client::ClientError;
use crate::client::startup::no_thread;
use crate::client::terminal::foreground::{is_foreground, wait_for_foreground};
use crate::client::terminal::keys::{Keys, Typed};
use crate::client::terminal::password_prompt::PasswordPrompt;
use crate::client::terminal::screen::{NOTHING, Screen};
use crate::limits::LINE_BYTES;
use crate::os::system::terminal;

const GREETING: &str = "Connected to server. You can start typing messages.\n";

/// Greets the person.
///
/// # Errors
///
/// When the terminal cannot be written.
pub(crate) fn greet() -> Result<(), ClientError> {
    write(GREETING).map_err(ClientError::Output)
}

/// Starts a thread that passes on typed lines.
///
/// # Errors
///
/// When no thread can be started.
pub(crate) fn start(
    typed: Sender<Typed>,
    keys: Keys,
    password_prompt: PasswordPrompt,
    screen: Screen,
) -> Result<(), ClientError> {
    password_prompt.control_echo();
    thread::Builder::new().spawn(move || read_lines(&typed, &keys, &password_prompt, &screen)).map_err(no_thread)?;
    Ok(())
}

/// Reads lines until Ctrl-D is pressed twice, or the terminal is gone.
fn read_lines(typed: &Sender<Typed>, keys: &Keys, password_prompt: &PasswordPrompt, screen: &Screen) {
    let mut ends = 0;
    while ends < 2 {
        // The line may be a password, so the buffer must not grow. A terminal returns at most this much at once.
        let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES));
        wait_for_foreground();
        let read = io::stdin().lock().read_until(b'\n', &mut line);
        if read.is_err() && !is_foreground() {
            continue; // EIO: the process was moved to the background while it waited.
        }
        let is_hidden = password_prompt.is_open();
        if let Some(secret) = line.strip_suffix(b"\n").filter(|_| is_hidden) {
            // A Windows console ends lines with CR LF.
            let secret = secret.strip_suffix(b"\r").unwrap_or(secret);
            if !secret.is_empty() {
                match password_prompt.enter(secret) {
                    Ok(entered) => drop(typed.send_blocking(entered)),
                    Err(words) => screen.say(&words),
                }
            }
            continue;
        }
        let text = if is_hidden { "".into() } else { String::from_utf8_lossy(&line) };
        let is_readable = matches!(text, Cow::Borrowed(_));
        let text = text.trim_end_matches(['\r', '\n']).to_owned();
        let (enter, now) = (KeyEvent(KeyCode::Enter, Modifiers::NONE), Instant::now());
        if !text.is_empty() {
            // The keys before this Enter were not seen. Without them, a line after a question would answer it.
            keys.press(enter, now);
        }
        let enter = keys.press(enter, now);
        if !is_readable {
            // The terminal may have displayed these bytes differently.
            screen.say(&format!("Not sent: invalid UTF-8: {text}"));
            continue;
        }
        if let Some(question) = password_prompt.open(&text) {
            screen.say(question);
            continue;
        }
        if !text.trim().is_empty() {
            let _ = typed.send_blocking(Typed::Line(text, enter));
        } else if !line.is_empty() {
            let _ = typed.send_blocking(Typed::Nothing(enter));
        }
        if read.is_err() || !line.ends_with(b"\n") {
            ends += 1;
            let _ = typed.send_blocking(Typed::Leave);
            // A terminal that is gone returns the end of input every time, which must not count as a second Ctrl-D.
            if read.is_err() || terminal::has_echo().is_err() {
                return;
            }
        }
    }
}

/// Prints by appending to the screen.
#[derive(Debug)]
pub(crate) struct PlainPrinter;

impl ExternalPrinter for PlainPrinter {
    fn print(&mut self, text: String) -> rustyline::Result<()> {
        if text == NOTHING {
            return Ok(()); // There is no typed line to draw again.
        }
        // Half a line may be typed, which cannot be detected. Without echo, it is not visible and needs no line break.
        let may_be_typed = terminal::has_echo().unwrap_or(false);
        let start = if may_be_typed { "\n" } else { "" };
        Ok(write(&format!("{start}{text}"))?)
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}
