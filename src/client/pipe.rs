//! The client in a pipe: standard input is said, standard output is what the server said.

use std::cell::Cell;
use std::pin::pin;

use futures::future::{Either, select};

use super::connection::{self, Incoming, Outgoing};
use super::display::Display;
use super::input::Input;
use super::story::Story;
use super::{Config, Lost, Outcome};

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
            return visit.story.outcome();
        }
    }
    match select(pin!(send_all(input, outgoing)), pin!(visit.listen())).await {
        Either::Left(((), listening)) => {
            all_said.set(true);
            listening.await?
        }
        Either::Right((listened, _)) => listened?,
    }
    visit.story.outcome()
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
}
