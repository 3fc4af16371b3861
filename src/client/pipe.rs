//! The client in a pipe: sends standard input, and writes the server's lines to standard output.

use std::cell::Cell;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use async_std::future::timeout;
use futures::FutureExt;
use futures::future::{Either, select};

use crate::client::connection::Outgoing;
use crate::client::display::Display;
use crate::client::input::{Input, InputError};
use crate::client::session::Session;
use crate::client::{ClientError, Config, Outcome};

/// Options of the pipe client.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Write only messages to standard output; refusals, and the number of missed lines, go to standard error.
    pub lines_only: bool,
    /// How long to stay after the end of the input.
    pub wait: Duration,
}

/// Joins the room, sends the input, and shows the server's lines until the server closes the connection.
///
/// # Errors
///
/// [`ClientError`], when some of the input may not have been sent.
pub async fn run(config: &Config, options: &Options, input: Input, display: Display) -> Result<Outcome, ClientError> {
    let all_said = Cell::new(false);
    let (mut session, outgoing) = Session::join(config, options.lines_only, display, None, &all_said).await?;
    let Some(outgoing) = outgoing else { return session.outcome() };
    let unshown = session.until_unshown()?.shared();
    let talk = talk(input, outgoing, options.wait, &all_said, unshown);
    let mut read = Ok(());
    match select(pin!(talk), pin!(session.listen())).await {
        Either::Left((talked, listening)) => {
            read = talked;
            listening.await?;
        }
        Either::Right((listened, _)) => listened?,
    }
    let outcome = session.outcome()?;
    read.map_err(ClientError::Input)?;
    Ok(outcome)
}

/// Sends the whole input, stays for `wait`, and half-closes the connection.
///
/// # Errors
///
/// When the input cannot be read or sent. What came before the error was sent.
async fn talk(
    input: Input,
    outgoing: Outgoing,
    wait: Duration,
    all_said: &Cell<bool>,
    unshown: impl Future<Output = ()> + Clone,
) -> Result<(), InputError> {
    let read = send_all(input, &outgoing, unshown.clone()).await;
    all_said.set(true);
    // The wait is over, or nobody reads the output any more.
    let _ = timeout(wait, unshown).await;
    outgoing.finish().await;
    read
}

/// Sends the whole input. If the connection fails, the receiving half reports that.
async fn send_all(mut input: Input, outgoing: &Outgoing, unshown: impl Future<Output = ()>) -> Result<(), InputError> {
    // A person who types would wait in vain. Any other input has to be sent to its end.
    let unshown = if input.is_terminal() { Either::Left(unshown) } else { Either::Right(pending()) };
    let mut unshown = pin!(unshown);
    loop {
        let read = match select(pin!(input.next()), &mut unshown).await {
            Either::Left((read, _)) => read?,
            Either::Right(((), _)) => None,
        };
        let Some(bytes) = read else { return Ok(()) };
        if outgoing.send(&bytes).await.is_err() {
            return Ok(());
        }
    }
}
