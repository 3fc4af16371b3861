//! The client as a bot: runs a program for each message, and can send its output.
//!
//! One program runs at a time, in the order of the messages. Meanwhile the client reads and shows what the server says.
//! Messages that arrive too fast wait in a bounded queue. Those that do not fit are dropped and counted.

pub mod program;
pub(crate) mod queue;
mod reply;

use std::cell::Cell;
use std::io;
use std::pin::pin;
use std::sync::Arc;

use futures::future::{Either, select};

use crate::cli::status;
use crate::client::bot::program::{Program, Ran};
use crate::client::bot::queue::{Backlog, message_queue};
use crate::client::connection::Outgoing;
use crate::client::display::Display;
use crate::client::off_thread::off_thread;
use crate::client::session::Session;
use crate::client::{ClientError, Config, Outcome};
use crate::limits::EXEC_OUTPUT_BYTES;
use crate::model::Name;

/// Options of the bot.
#[derive(Debug, Clone)]
pub struct Options {
    /// The program to run for each message.
    pub program: Program,
    /// Send the program's output.
    pub reply: bool,
    /// Write only messages to standard output; refusals, and the number of missed lines, go to standard error.
    pub lines_only: bool,
}

/// Joins the room and runs the program for each message, until the server closes the connection.
///
/// # Errors
///
/// [`ClientError`], when the bot cannot continue. It has no other way to end.
pub async fn run(config: &Config, options: Options, display: Display) -> Result<Outcome, ClientError> {
    let all_said = Cell::new(false);
    let (queue, backlog) = message_queue();
    let (mut session, outgoing) = Session::join(config, options.lines_only, display, Some(queue), &all_said).await?;
    let Some(outgoing) = outgoing else { return session.outcome() };
    let unshown = session.until_unshown()?;
    let path = options.program.path.to_string_lossy().into_owned();
    let talk = async {
        match select(pin!(session.listen()), pin!(work(options, &backlog, &outgoing))).await {
            Either::Left((listened, _)) => listened,
            Either::Right(((), listening)) => listening.await,
        }
    };
    let listened = match select(pin!(talk), unshown).await {
        Either::Left((listened, _)) => listened,
        Either::Right(((), _)) => Err(ClientError::Output(io::ErrorKind::BrokenPipe.into())),
    };
    report_unrun(&path, backlog.left(), "the session ended first");
    listened?;
    session.outcome()
}

/// Runs the program for one message after another, as long as the output can be sent.
async fn work(options: Options, backlog: &Backlog, outgoing: &Outgoing) {
    let Options { program, reply, .. } = options;
    let path = program.path.to_string_lossy().into_owned();
    let program = Arc::new(program);
    while let Ok(message) = backlog.messages.recv().await {
        let message = Arc::new(message);
        let running = (program.clone(), message.clone());
        let ran = off_thread(move || running.0.run(&running.1, reply)).await;
        report_unrun(&path, backlog.unrun.take(), "messages arrive faster than it runs");
        let ran = match ran {
            Ok(ran) => ran,
            Err(error) => {
                status::complain(&format!("cannot run {path}: {}", crate::os::io_error::describe(&error)));
                continue;
            }
        };
        report_trouble(&path, &message.from, &ran);
        let room = backlog.room.borrow().clone();
        for line in reply::lines(&message, &ran.output, &room) {
            if outgoing.send(line.as_bytes()).await.is_err() {
                return; // The receiving half reports why.
            }
        }
    }
}

fn report_trouble(path: &str, from: &Name, ran: &Ran) {
    if ran.is_cut {
        status::complain(&format!("{path} wrote more than {EXEC_OUTPUT_BYTES} bytes; the rest is not sent"));
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
