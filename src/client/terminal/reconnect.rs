//! The connection of the terminal client, and the pauses between attempts to make it again.
//!
//! The [app](crate::client::terminal::app) has one connection at a time, or none. It knows nothing of what is said on it.

use std::io;
use std::pin::pin;
use std::time::Duration;

use async_channel::{Receiver, Sender, bounded};
use async_std::task;
use futures::FutureExt;
use jiff::ZonedDateTime;
use zeroize::Zeroizing;

use crate::client::connection::{ConnectError, Incoming, Outgoing};
use crate::client::recipient::{Recipient, RemoteEnd};
use crate::client::session_state::SessionState;
use crate::client::{Endpoint, connection, login_line};
use crate::limits::{CLIENT_LINK_EVENTS, RECONNECT_PAUSE};
use crate::model::Name;
use crate::protocol::ServerLine;

/// A connection, from the attempt on.
pub(crate) struct Connection {
    events: Receiver<Event>,
    /// Dropping it half-closes the connection.
    lines: Option<Sender<Zeroizing<String>>>,
    /// Something is on its way to the server, and nothing else is sent before it is there.
    pub(crate) is_sending: bool,
    pub(crate) session_state: SessionState,
    /// The server, once the connection is made.
    pub(crate) remote_end: Option<RemoteEnd>,
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

impl Connection {
    /// Begins to connect. A password follows the name if there `is_password`, and it may be sent there.
    pub(crate) fn begin(endpoint: Endpoint, name: Name, is_password: bool, allow_plain_password: bool) -> Self {
        let ((events, happening), (lines, typed)) = (bounded(CLIENT_LINK_EVENTS), bounded(1));
        task::spawn(async move {
            let (incoming, outgoing) = match connection::connect(&endpoint).await {
                Ok(both) => both,
                Err(error) => return drop(events.send(Event::NotConnected(error)).await),
            };
            let _ = events.send(Event::Connected(outgoing.remote_end())).await;
            let has_password = is_password && outgoing.may_carry_password(allow_plain_password);
            // When it fails, the other direction says so.
            let _ = outgoing.send(login_line(&name, has_password).as_bytes()).await;
            task::spawn(send_lines(outgoing, typed, events.clone()));
            hear_lines(incoming, events).await;
        });
        Self::new(happening, lines)
    }

    pub(crate) fn new(events: Receiver<Event>, lines: Sender<Zeroizing<String>>) -> Self {
        let session_state = SessionState::patient();
        Self { events, lines: Some(lines), is_sending: false, session_state, remote_end: None }
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

    pub(crate) fn recipient(&self) -> Option<Recipient> {
        self.remote_end.map(RemoteEnd::recipient)
    }

    /// Nothing else is on its way to the server.
    pub(crate) fn can_send(&self) -> bool {
        !self.is_sending && self.lines.is_some()
    }

    /// Hands a line over. It may be on its way from now on, whatever happens to the connection.
    pub(crate) fn send(&mut self, line: &str) {
        self.is_sending = true;
        // It has room for one, and the connection's end is an event of its own.
        self.lines.iter().for_each(|lines| drop(lines.try_send(Zeroizing::new(line.to_owned()))));
    }

    /// Half-closes the connection: that was all.
    pub(crate) fn finish(&mut self) {
        self.lines = None;
    }
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

/// The time since the connection was lost.
pub(crate) struct Absence {
    /// When it began, as the person is told.
    pub(crate) since: String,
    /// How long the next pause may be.
    longest_pause: Duration,
    /// The person knows that the name is taken.
    pub(crate) told_of_ghost: bool,
    /// And that the server is not trusted.
    pub(crate) told_of_distrust: bool,
}

impl Absence {
    pub(crate) fn new() -> Self {
        let since = ZonedDateTime::now().strftime("%H:%M").to_string();
        Self { since, longest_pause: RECONNECT_PAUSE.0, told_of_ghost: false, told_of_distrust: false }
    }

    /// The pause before the next attempt: up to twice the one before, with half of it left to chance (from 0 to 1), so that
    /// all clients of a server that comes back do not come at once.
    pub(crate) fn pause(&mut self, chance: f64) -> Duration {
        let longest = self.longest_pause;
        self.longest_pause = (2 * longest).min(RECONNECT_PAUSE.1);
        longest.mul_f64(0.5 + chance / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_half_a_second_up_to_half_a_minute() {
        let mut absence = Absence::new();
        let pauses: Vec<_> = (0..10).map(|_| absence.pause(1.0).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn half_of_each_pause_is_left_to_chance() {
        let mut absence = Absence::new();
        assert_eq!([0.0, 0.5, 0.0].map(|chance| absence.pause(chance).as_millis()), [250, 750, 1000]);
    }
}
