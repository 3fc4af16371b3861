//! The client at a terminal: a person types while others talk.
//!
//! A thread of its own edits the line (`editor`), the main thread talks to the server (`talk`), and a third one hands
//! what is to be shown to the editor, which alone draws (`screen`). None of them waits for the screen but the last.

mod drawing;
mod editor;
mod history;
mod keys;
mod look;
mod modes;
mod paste;
mod people;
mod receipts;
mod screen;
mod talk;

use std::io;
use std::path::PathBuf;
use std::process::exit;

use async_signal::{Signal, Signals};
use async_std::task::block_on;
use futures::StreamExt;
use futures::future::{Either, select};

use super::{Config, Lost, Outcome};
use editor::Editing;
use history::History;
use look::Look;
use modes::Modes;
use people::People;
use screen::Screen;
use talk::Talk;

/// How the person likes it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where typed lines are kept, if anywhere.
    pub history: Option<PathBuf>,
    /// Whether names and notices are told apart by colour.
    pub color: bool,
    /// Whether one's own name rings the bell.
    pub bell: bool,
    /// Whether a lost connection is made again.
    pub reconnect: bool,
}

/// Joins the room and stays until the person leaves, or cannot stay.
///
/// # Errors
/// [`Lost`], when the connection cannot be made, or is lost and not to be made again, or there is no terminal.
pub fn run(config: &Config, options: &Options) -> Result<Outcome, Lost> {
    let modes = Modes::save().map_err(Lost::Output)?;
    let (history, complaint) = History::open(options.history.clone());
    let people = People::default();
    let (editing, typed) = Editing::new(people.clone(), history);
    let look = Look::new(config.name.clone(), options);
    let prompt = look.prompt();
    let (screen, showing) = Screen::new();
    let talk = Talk::new(config.clone(), options.reconnect, (screen.clone(), look), (typed, people));
    let done = block_on(async {
        let talking = talk.run(|| {
            let printer = editing.start(prompt, showing.recent())?;
            showing.start(printer);
            complaint.iter().for_each(|complaint| screen.say(complaint));
            Ok(())
        });
        let mut signals = Signals::new([Signal::Term, Signal::Hup, Signal::Int, Signal::Quit]).map_err(Lost::Output)?;
        match select(Box::pin(talking), signals.next()).await {
            Either::Left((done, _)) => done,
            Either::Right((signal, _)) => {
                modes.restore();
                exit(128 + signal.and_then(Result::ok).map_or(0, |signal| signal as i32));
            }
        }
    });
    screen.finish();
    modes.restore();
    done
}

/// Whether a person sits at both ends: they type here and read here, at something that can move its cursor.
pub fn is_there() -> bool {
    use std::io::IsTerminal;
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
    io::stdin().is_terminal() && io::stdout().is_terminal() && !is_dumb
}
