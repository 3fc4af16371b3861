//! The client as a bot: a program is run for each message, and what it writes can be said.
//!
//! Programs run one at a time and in the order of the messages. Meanwhile everything that the server says is read and
//! shown; what comes too fast for the program waits in a bounded queue, and what does not fit is not run, and counted.

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;

use async_channel::{Receiver, Sender, bounded};
use futures::future::{Either, select};

use super::connection::Outgoing;
use super::display::Display;
use super::message::Message;
use super::off_thread::off_thread;
use super::program::{Program, Ran};
use super::visit::Visit;
use super::{Config, Lost, Outcome, answer, status};
use crate::limits::{EXEC_MESSAGES, EXEC_OUTPUT_BYTES};
use crate::protocol::Name;

/// What the bot does.
#[derive(Debug, Clone)]
pub struct Options {
    /// What is run for each message.
    pub program: Program,
    /// What it writes is said.
    pub reply: bool,
    /// Only messages go to standard output; refusals, and how much was missed, to standard error.
    pub lines_only: bool,
}

/// Joins the room and runs the program for each message, until the server closes the connection.
///
/// # Errors
/// [`Lost`], as soon as the bot cannot go on. The server has no other end for it.
pub async fn run(config: &Config, options: Options, display: Display) -> Result<Outcome, Lost> {
    let all_said = Cell::new(false);
    let (ears, backlog) = ears();
    let (mut visit, outgoing) = Visit::join(config, options.lines_only, display, Some(ears), &all_said).await?;
    let Some(outgoing) = outgoing else { return visit.outcome() };
    let unshown = visit.until_unshown()?;
    let path = options.program.path.to_string_lossy().into_owned();
    let talk = async {
        match select(pin!(visit.listen()), pin!(work(options, &backlog, &outgoing))).await {
            Either::Left((listened, _)) => listened,
            Either::Right(((), listening)) => listening.await,
        }
    };
    let listened = match select(pin!(talk), unshown).await {
        Either::Left((listened, _)) => listened,
        Either::Right(((), _)) => Err(Lost::Output(io::ErrorKind::BrokenPipe.into())),
    };
    report_unrun(&path, backlog.left(), "the visit ended before");
    listened?;
    visit.outcome()
}

/// Takes in what is said, for as much of it as can wait.
#[derive(Debug)]
pub(super) struct Ears {
    messages: Sender<Message>,
    unrun: Rc<Cell<usize>>,
    /// The end of the line before has not come. (No line of our server is that long.)
    within_line: bool,
}

/// What waits for the program.
struct Backlog {
    messages: Receiver<Message>,
    /// How many did not fit.
    unrun: Rc<Cell<usize>>,
}

fn ears() -> (Ears, Backlog) {
    let (sender, receiver) = bounded(EXEC_MESSAGES);
    let unrun = Rc::new(Cell::new(0));
    let ears = Ears { messages: sender, unrun: unrun.clone(), within_line: false };
    (ears, Backlog { messages: receiver, unrun })
}

impl Ears {
    /// Takes in a line of the server, or a piece of one.
    pub(super) fn hear(&mut self, line: &[u8]) {
        let is_piece = std::mem::replace(&mut self.within_line, !line.ends_with(b"\n"));
        let Some(line) = line.strip_suffix(b"\n").filter(|_| !is_piece) else { return };
        let Some(message) = Message::parse(line.strip_suffix(b"\r").unwrap_or(line)) else { return };
        if self.messages.try_send(message).is_err() {
            self.unrun.set(self.unrun.get() + 1);
        }
    }
}

impl Backlog {
    /// How many messages have not been run, and will not be.
    fn left(&self) -> usize {
        self.messages.len() + self.unrun.take()
    }
}

/// Runs the program for one message after the other, for as long as what it writes can be said.
async fn work(options: Options, backlog: &Backlog, outgoing: &Outgoing) {
    let Options { program, reply, .. } = options;
    let path = program.path.to_string_lossy().into_owned();
    let program = Arc::new(program);
    while let Ok(message) = backlog.messages.recv().await {
        let message = Arc::new(message);
        let running = (program.clone(), message.clone());
        let ran = off_thread(move || running.0.run(&running.1, reply)).await;
        report_unrun(&path, backlog.unrun.take(), "it is slower than they come");
        let ran = match ran {
            Ok(ran) => ran,
            Err(error) => {
                status::complain(&format!("cannot run {path}: {}", crate::fault::describe(&error)));
                continue;
            }
        };
        report_trouble(&path, &message.from, &ran);
        for line in answer::lines(&message, &ran.output) {
            if outgoing.send(line.as_bytes()).await.is_err() {
                return; // The other direction finds out why.
            }
        }
    }
}

fn report_trouble(path: &str, from: &Name, ran: &Ran) {
    if ran.is_cut {
        status::complain(&format!("{path} wrote more than {EXEC_OUTPUT_BYTES} bytes; the rest is not said"));
    } else if !ran.status.success() {
        status::complain(&format!("{path} failed for a message of {from}: {}", ran.status));
    }
}

fn report_unrun(path: &str, count: usize, why: &str) {
    match count {
        0 => {}
        1 => status::complain(&format!("{path} was not run for 1 message: {why}")),
        _ => status::complain(&format!("{path} was not run for {count} messages: {why}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_a_line_is_no_message() {
        let (mut ears, backlog) = ears();
        let lines = ["* so long that ", "Mallory: it comes in pieces ", "Mallory: like these\n"];
        for line in lines.into_iter().chain(["Alice: hi\r\n", "Alice: "]) {
            ears.hear(line.as_bytes());
        }
        let message = backlog.messages.try_recv().unwrap();
        assert_eq!((message.from.as_str(), message.text.as_slice()), ("Alice", b"hi".as_slice()));
        assert_eq!(backlog.left(), 0);
    }
}
