//! The client: one person or script in the room.
//!
//! [`input`] brings what is typed or piped, [`connection`] carries it, [`display`] shows what comes back; none of
//! them knows the others. [`run`] joins them and reads, in what the server says, how it all went.

pub mod connection;
pub mod display;
pub mod input;

use std::cell::Cell;
use std::io;
use std::pin::pin;

use futures::future::{Either, select};
use thiserror::Error;

use crate::fault;
use crate::protocol::{Name, SafeText};
use connection::{ConnectError, Incoming, Outgoing};
use display::Display;
use input::Input;

/// Who wants to talk, and where.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name to join with.
    pub name: Name,
    /// The server's address or name.
    pub host: String,
    /// Its port.
    pub port: u16,
}

/// How a visit ended that the server saw to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was said, and the server said goodbye.
    Left,
    /// The server refused the name.
    NameRefused(SafeText),
    /// The server refused so many lines; the last one with these words.
    LinesRefused(u64, SafeText),
}

/// Why a visit did not come to its end.
#[derive(Debug, Error)]
pub enum Lost {
    /// There was no connection to begin with.
    #[error(transparent)]
    NotConnected(#[from] ConnectError),
    /// The server went away, so not all that was sent may have been accepted.
    #[error("the server was shut down")]
    ShutDown,
    /// The connection ended without a goodbye.
    #[error("the connection was lost")]
    Cut,
    /// The connection failed.
    #[error("the connection was lost: {}", fault::describe(.0))]
    Failed(io::Error),
    /// What the server said could not be shown, and there may have been more to say.
    #[error("cannot write to standard output: {}", fault::describe(.0))]
    Output(io::Error),
}

/// Joins the room, sends what the input brings, and shows what the server says until it closes the connection.
///
/// # Errors
/// [`Lost`], when it is not certain that everything was said.
pub async fn run(config: &Config, input: Input, mut display: Display) -> Result<Outcome, Lost> {
    let (incoming, outgoing) = connection::connect(&config.host, config.port).await?;
    display.connected().await.map_err(Lost::Output)?;
    let all_said = Cell::new(false);
    let mut visit = Visit { incoming, display, story: Story::default(), all_said: &all_said };
    outgoing.send(format!("{}\n", config.name).as_bytes()).await.map_err(Lost::Failed)?;
    // Not before the server has taken the name: if it refuses, the next line would be taken for another name.
    while !visit.story.joined {
        if !visit.step().await? {
            return visit.outcome();
        }
    }
    match select(pin!(send_all(input, outgoing)), pin!(visit.listen())).await {
        Either::Left(((), listening)) => {
            all_said.set(true);
            listening.await?
        }
        Either::Right((listened, _)) => listened?,
    }
    visit.outcome()
}

/// Sends the whole input and then says that this was all. The other direction notices when the connection fails.
async fn send_all(mut input: Input, outgoing: Outgoing) {
    while let Some(bytes) = input.next().await {
        if outgoing.send(&bytes).await.is_err() {
            return;
        }
    }
    outgoing.finish();
}

struct Visit<'a> {
    incoming: Incoming,
    display: Display,
    story: Story,
    /// Nothing more is to be sent.
    all_said: &'a Cell<bool>,
}

impl Visit<'_> {
    async fn listen(&mut self) -> Result<(), Lost> {
        while self.step().await? {}
        Ok(())
    }

    /// Shows what comes next; false at the end.
    async fn step(&mut self) -> Result<bool, Lost> {
        let Some(mut lines) = self.incoming.next().await.map_err(Lost::Failed)? else { return Ok(false) };
        let mut heard = 0;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            self.story.hear(line);
            heard += line.len();
            if self.story.is_turned_away() {
                break; // Another name is asked for, and there is none.
            }
        }
        lines.truncate(heard);
        match self.display.show(&lines).await {
            // Nobody wants to see it, but the farewell is still waited for.
            Err(_) if self.all_said.get() => {}
            shown => shown.map_err(Lost::Output)?,
        }
        Ok(!self.story.is_turned_away())
    }

    fn outcome(self) -> Result<Outcome, Lost> {
        let story = self.story;
        let turned_away = story.is_turned_away();
        let last_refusal = SafeText::new(story.last_refusal);
        if turned_away {
            Ok(Outcome::NameRefused(last_refusal))
        } else if story.stopping {
            Err(Lost::ShutDown)
        } else if !story.bye {
            Err(Lost::Cut)
        } else if story.refused > 0 {
            Ok(Outcome::LinesRefused(story.refused, last_refusal))
        } else {
            Ok(Outcome::Left)
        }
    }
}

/// What the server's lines say about the visit. No user can forge the beginnings that it goes by.
#[derive(Debug, Default)]
struct Story {
    joined: bool,
    refused: u64,
    last_refusal: String,
    stopping: bool,
    bye: bool,
}

impl Story {
    /// The name was refused.
    fn is_turned_away(&self) -> bool {
        !self.joined && self.refused > 0
    }

    fn hear(&mut self, line: &[u8]) {
        if let Some(refusal) = line.strip_prefix(b"! ") {
            self.refused += 1;
            self.last_refusal = String::from_utf8_lossy(refusal).trim_end().to_owned();
        }
        self.joined |= line.starts_with(b"* Welcome, ");
        self.stopping |= line.starts_with(b"* The server is shutting down");
        self.bye |= line.starts_with(b"* Bye, ");
    }
}
