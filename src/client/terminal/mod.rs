//! The client at a terminal: a person types while others talk.
//!
//! One thread edits the line (`editor`), and the main thread talks to the server (`app`). A third passes output to the
//! editor, which alone draws (`screen`). Only the third waits for the screen. At a plain terminal, a line reader
//! replaces the editor (`plain`).

mod account;
mod app;
mod completion;
mod editor;
mod foreground;
mod history;
mod keys;
mod login;
mod outbox;
mod password_prompt;
mod paste;
mod plain;
mod prompt;
mod reconnect;
mod reflow;
mod rooms;
mod screen;
mod theme;
mod wrap;

use std::cell::Cell;
use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::process::exit;

use async_channel::bounded;
use async_std::task::{block_on, spawn};
use futures::StreamExt;
use futures::future::{Either, select};
use jiff::ZonedDateTime;
use jiff::civil::Date;

use crate::cli::status;
use crate::client::terminal::app::App;
use crate::client::terminal::completion::Completion;
use crate::client::terminal::editor::Editing;
use crate::client::terminal::foreground::{before_panic, is_foreground, take_back_after, until_foreground};
use crate::client::terminal::history::History;
use crate::client::terminal::keys::{Keys, Typed};
use crate::client::terminal::password_prompt::{CANCELLED, PasswordPrompt};
use crate::client::terminal::paste::Paste;
use crate::client::terminal::plain::PlainPrinter;
use crate::client::terminal::screen::Screen;
use crate::client::terminal::theme::Theme;
use crate::client::{ClientError, Config, Outcome};
use crate::limits::CLIENT_TYPED_LINES;
use crate::os::signals::{Signal, Signals};
use crate::os::system::terminal;
use crate::os::system::terminal::{SavedModes, make_blocking, never_stop};

/// It fits into 80 columns.
const GREETING: &str = "Connected. Enter sends, Tab completes, /help lists commands, Ctrl-D leaves.";

/// Options of the terminal client.
#[derive(Debug, Clone)]
pub struct Options {
    /// The history file, if any.
    pub history: Option<PathBuf>,
    /// Whether names and notices have different colours.
    pub color: bool,
    /// Whether a mention of the person's name rings the bell.
    pub bell: bool,
    /// Whether to reconnect after a loss.
    pub reconnect: bool,
    /// Whether to greet the person with a short help text.
    pub greeting: bool,
}

/// Joins the room and stays until the person leaves or the session fails.
///
/// # Errors
///
/// [`ClientError`], when the terminal cannot be used, or there is no connection. After a loss, only without
/// `reconnect`.
pub fn run(config: &Config, options: &Options) -> Result<Outcome, ClientError> {
    take_terminal()?;
    let modes = SavedModes::save().map_err(ClientError::Output)?;
    let at_panic = modes.clone();
    before_panic(move || at_panic.restore());
    let (history, complaint) = History::open(options.history.clone());
    let completion = Completion::default();
    let (screen, showing) = Screen::new(false, today);
    let theme = Theme::new(config.name.clone(), options.color, options.bell);
    let (editing, typed) = Editing::new(completion.clone(), history, screen.clone(), theme.prompt.clone());
    let paste = Paste::new(editing.keys.clone());
    let typing = (typed, completion, paste, editing.password_prompt.clone());
    let app = App::new(config.clone(), options.reconnect, (screen.clone(), theme), typing);
    let start_terminal = |is_welcome: bool| {
        let recent = showing.recent();
        recent.start_at_bottom().map_err(ClientError::Output)?;
        let printer = editing.start(modes.clone(), recent.clone())?;
        showing.start(printer, move || Some(recent.size()))?;
        complaint.iter().for_each(|complaint| screen.say(complaint));
        if is_welcome && options.greeting {
            screen.say(GREETING);
        }
        Ok(())
    };
    let (ours, shown) = (modes.clone(), screen.clone());
    let take_back = move || {
        ours.take_back();
        shown.draw_again();
    };
    let done = stay(app.run(start_terminal), |_| true, take_back, || modes.restore());
    screen.finish();
    modes.restore();
    done
}

/// The same as [`run`], at a terminal that only appends lines and edits the typed line itself. There is no history.
///
/// # Errors
///
/// The same as [`run`].
pub fn run_plain(config: &Config, options: &Options) -> Result<Outcome, ClientError> {
    take_terminal()?;
    let (keys, completion, password_prompt) = (Keys::default(), Completion::default(), PasswordPrompt::default());
    let (typing, typed) = bounded(CLIENT_TYPED_LINES);
    let paste = Paste::new(keys.clone());
    let theme = Theme::new(config.name.clone(), options.color, options.bell);
    let (screen, showing) = Screen::new(true, today);
    let typed = (typed, completion, paste, password_prompt.clone());
    let app = App::new(config.clone(), options.reconnect, (screen.clone(), theme), typed);
    let (has_started, interrupts) = (Cell::new(false), typing.clone());
    let start_terminal = |is_welcome: bool| {
        has_started.set(true);
        if is_welcome && options.greeting {
            plain::greet()?;
        }
        plain::start(typing, keys, password_prompt.clone(), screen.clone())?;
        showing.start(PlainPrinter, || None)
    };
    let ends = |signal| {
        // Ctrl-C. The terminal has discarded the typed text.
        let is_key = signal == Signal::Int && has_started.get() && is_foreground();
        if is_key && password_prompt.cancel() {
            screen.say(CANCELLED);
        } else if is_key {
            let _ = interrupts.try_send(Typed::Interrupt);
        }
        !is_key
    };
    let (at_panic, at_return) = (password_prompt.clone(), password_prompt.clone());
    before_panic(move || at_panic.close());
    let done = stay(app.run(start_terminal), ends, move || at_return.take_back(), || password_prompt.close());
    screen.finish();
    password_prompt.close();
    done
}

/// Waits until the process is in the foreground, where it may use the terminal. Signals still end the process.
fn take_terminal() -> Result<(), ClientError> {
    never_stop();
    if !is_foreground() {
        status::say("client: waiting in the background; bring it to the foreground (fg, or timeout --foreground)");
        let foreground = async {
            until_foreground().await;
            Ok(Outcome::Left)
        };
        stay(foreground, |_| true, || {}, || {})?;
    }
    make_blocking();
    Ok(())
}

/// Runs the session to its end. A signal for which `ends` is true calls `restore` and ends the process. After a stop,
/// `take_back` is called when the process continues, but never after the session.
fn stay(
    talking: impl Future<Output = Result<Outcome, ClientError>>,
    ends: impl Fn(Signal) -> bool,
    take_back: impl Fn() + Send + 'static,
    restore: impl FnOnce(),
) -> Result<Outcome, ClientError> {
    block_on(async {
        let signals =
            Signals::new([Signal::Term, Signal::Hup, Signal::Int, Signal::Quit]).map_err(ClientError::Output)?;
        let mut ending = pin!(signals.filter_map(async |signal| signal.ok().filter(|&signal| ends(signal))));
        let continued = Signals::new([Signal::Cont]).map_err(ClientError::Output)?;
        // A task of its own, because what is typed after a stop may be a password, and the session may be busy.
        let taking_back = spawn(take_back_after(continued, take_back));
        let done = select(Box::pin(talking), ending.next()).await;
        taking_back.cancel().await;
        match done {
            Either::Left((done, _)) => done,
            Either::Right((signal, _)) => {
                restore();
                exit(128 + signal.map_or(0, |signal| signal as i32));
            }
        }
    })
}

fn today() -> Date {
    ZonedDateTime::now().date()
}

/// Whether a person is at the terminal: standard input and output are both terminals.
pub fn is_there() -> bool {
    use std::io::IsTerminal;
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Whether the terminal cannot move its cursor.
pub fn is_dumb() -> bool {
    terminal::is_dumb()
}
