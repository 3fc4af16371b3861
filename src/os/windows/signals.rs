//! Events of the console, as signals.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::task::{Context, Poll};
use std::thread;

use async_channel::{Receiver, Sender};
use futures::Stream;

use crate::os::windows::api::{self, ConsoleEvent};

/// The signals that the programs know. Only the first two occur; the numbers are those of Unix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Ctrl-C or Ctrl-Break.
    Int = 2,
    /// The console is closing, the user logs off, or the machine shuts down. The system ends the process after 5
    /// seconds.
    Term = 15,
    Hup = 1,
    Quit = 3,
    Cont = 18,
}

/// The events that have happened since this was created.
#[derive(Debug)]
pub struct Signals(Pin<Box<Receiver<Signal>>>);

/// Where the system's thread puts events.
static LISTENERS: Mutex<Vec<(Vec<Signal>, Sender<Signal>)>> = Mutex::new(Vec::new());

impl Signals {
    /// # Errors
    /// The error of the system.
    pub fn new(signals: impl IntoIterator<Item = Signal>) -> io::Result<Self> {
        static STARTED: OnceLock<Result<(), io::ErrorKind>> = OnceLock::new();
        STARTED
            .get_or_init(|| api::handle_console_events(pass_on).map_err(|error| error.kind()))
            .map_err(io::Error::from)?;
        let (sender, receiver) = async_channel::unbounded();
        LISTENERS.lock().unwrap_or_else(PoisonError::into_inner).push((signals.into_iter().collect(), sender));
        Ok(Self(Box::pin(receiver)))
    }
}

impl Stream for Signals {
    type Item = io::Result<Signal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context).map(|signal| signal.map(Ok))
    }
}

/// Runs on a thread of the system's. When it returns after a closing event, the system ends the process, so it does not
/// return while anybody handles that event.
fn pass_on(event: ConsoleEvent) -> bool {
    let signal = match event {
        ConsoleEvent::Interrupt => Signal::Int,
        ConsoleEvent::Closing => Signal::Term,
    };
    let mut listeners = LISTENERS.lock().unwrap_or_else(PoisonError::into_inner);
    listeners.retain(|(_, sender)| !sender.is_closed());
    let concerned: Vec<_> = listeners.iter().filter(|(signals, _)| signals.contains(&signal)).collect();
    let is_handled = !concerned.is_empty();
    for (_, sender) in concerned {
        // The receiver may have been dropped just now.
        let _ = sender.try_send(signal);
    }
    drop(listeners);
    while is_handled && event == ConsoleEvent::Closing {
        thread::park();
    }
    is_handled
}

/// Closing the console is an event of its own.
pub fn has_terminal() -> bool {
    true
}

pub fn is_hangup_ignored() -> bool {
    false
}
