//! A connection of the terminal client, from the attempt on: what is sent on it, and what happens there.
//!
//! The [app](crate::client::terminal::app) has one at a time, or none.

use std::io;
use std::pin::pin;
use std::time::Instant;

use async_channel::{Receiver, Sender, bounded};
use async_std::task;
use futures::FutureExt;
use zeroize::Zeroizing;

use crate::client::connection::{ConnectError, Incoming, Outgoing};
use crate::client::recipient::RemoteEnd;
use crate::client::session_state::SessionState;
use crate::client::terminal::delivery::Delivery;
use crate::client::{Config, connection, login_line};
use crate::limits::{CLIENT_LINK_EVENTS, WELCOME_LIMIT};
use crate::model::Name;
use crate::protocol::ServerLine;

/// A connection, from the attempt on.
pub(crate) struct Attempt {
    pub(crate) events: Receiver<Event>,
    /// Dropping it half-closes the connection.
    pub(crate) lines: Option<Sender<Zeroizing<String>>>,
    /// Something is on its way to the server, and nothing else is sent before it is there.
    pub(crate) is_sending: bool,
    /// What follows would not be read.
    pub(crate) has_quit: bool,
    pub(crate) delivery: Delivery,
    pub(crate) session_state: SessionState,
    /// The server, once the connection is made.
    pub(crate) remote_end: Option<RemoteEnd>,
    /// The server has asked for a password.
    pub(crate) was_asked_for_password: bool,
    /// It got the one that is remembered.
    pub(crate) has_remembered_password: bool,
    /// It got one that was typed for it.
    pub(crate) has_typed_password: bool,
    /// When the server should have taken the name.
    pub(crate) welcome_by: Instant,
}

/// What happens on a connection.
pub(crate) enum Event {
    NotConnected(ConnectError),
    Connected(Option<RemoteEnd>),
    Heard(Vec<u8>),
    /// What was handed over was sent. When it cannot be, that is an end.
    Sent,
    /// The server has closed the connection, or it broke.
    Ended(io::Result<()>),
}

impl Attempt {
    pub(crate) fn begin(config: &Config, name: &Name) -> Self {
        let ((events, happening), (lines, typed)) = (bounded(CLIENT_LINK_EVENTS), bounded(1));
        task::spawn(connect(config.clone(), name.clone(), typed, events));
        Self::new(happening, lines)
    }

    pub(crate) fn new(events: Receiver<Event>, lines: Sender<Zeroizing<String>>) -> Self {
        Self {
            events,
            welcome_by: Instant::now() + WELCOME_LIMIT,
            lines: Some(lines),
            has_quit: false,
            is_sending: false,
            delivery: Delivery::default(),
            session_state: SessionState::patient(),
            remote_end: None,
            was_asked_for_password: false,
            has_remembered_password: false,
            has_typed_password: false,
        }
    }

    /// Dropping the future loses nothing.
    pub(crate) async fn next(&self) -> Event {
        self.events.recv().await.unwrap_or(Event::Ended(Ok(())))
    }

    pub(crate) fn hear(&mut self, lines: &[u8]) {
        String::from_utf8_lossy(lines).lines().for_each(|line| self.session_state.hear(ServerLine::parse(line)));
    }

    /// Nobody on the way can read what is sent.
    pub(crate) fn is_private(&self) -> bool {
        self.remote_end.is_some_and(RemoteEnd::is_private)
    }

    /// The server has taken the name, it reads what it is sent, and nothing else is on its way to it.
    pub(crate) fn can_send(&self) -> bool {
        self.session_state.joined && !self.has_quit && !self.is_sending && self.lines.is_some()
    }

    /// Hands a line over. It may be on its way from now on, whatever happens to the connection.
    pub(crate) fn send(&mut self, line: impl Into<String>) {
        let line = Zeroizing::new(line.into());
        self.is_sending = true;
        // It has room for one, and the connection's end is an event of its own.
        self.lines.iter().for_each(|lines| drop(lines.try_send(line.clone())));
    }
}

/// Connects, and carries lines in both directions until one of them ends.
async fn connect(config: Config, name: Name, lines: Receiver<Zeroizing<String>>, events: Sender<Event>) {
    let connected = connection::connect(&config.endpoint).await;
    let (incoming, outgoing) = match connected {
        Ok(both) => both,
        Err(error) => return drop(events.send(Event::NotConnected(error)).await),
    };
    let _ = events.send(Event::Connected(outgoing.remote_end())).await;
    // When it fails, the other direction says so.
    let has_password = config.password.is_some() && outgoing.may_carry_password(config.allow_plain_password);
    let _ = outgoing.send(login_line(&name, has_password).as_bytes()).await;
    task::spawn(send_lines(outgoing, lines, events.clone()));
    hear_lines(incoming, events).await;
}

async fn hear_lines(mut incoming: Incoming, events: Sender<Event>) {
    let mut given_up = pin!(events.closed().fuse());
    let ended = loop {
        let next = futures::select_biased! {
            () = given_up => return incoming.cut(),
            next = incoming.next().fuse() => next,
        };
        match next {
            Ok(Some(lines)) => drop(events.send(Event::Heard(lines)).await),
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    let _ = events.send(Event::Ended(ended)).await;
}

async fn send_lines(outgoing: Outgoing, lines: Receiver<Zeroizing<String>>, events: Sender<Event>) {
    while let Ok(line) = lines.recv().await {
        let line = Zeroizing::new(format!("{}\n", *line));
        let sent = outgoing.send(line.as_bytes()).await;
        if sent.is_err() || events.send(Event::Sent).await.is_err() {
            return;
        }
    }
    outgoing.finish().await;
}
