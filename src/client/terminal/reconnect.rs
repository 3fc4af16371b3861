//! The connection of the terminal client, and the pauses between attempts to reconnect.
//!
//! The [app](crate::client::terminal::app) has at most one connection at a time. This module does not interpret the
//! lines.

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

/// A connection, starting with the attempt to connect.
pub(crate) struct Connection {
    events: Receiver<Event>,
    /// Dropping it half-closes the connection.
    lines: Option<Sender<Zeroizing<String>>>,
    /// A line is being sent. Nothing else may be sent before that is done.
    pub(crate) is_sending: bool,
    pub(crate) session_state: SessionState,
    /// The remote end, once connected.
    pub(crate) remote_end: Option<RemoteEnd>,
}

pub(crate) enum Event {
    NotConnected(ConnectError),
    Connected(Option<RemoteEnd>),
    Heard(Vec<u8>),
    /// The line was sent. If sending fails, [`Event::Ended`] follows instead.
    Sent,
    /// The server closed the connection, or it broke.
    Ended(io::Result<()>),
}

impl Connection {
    /// Starts connecting, to log in with the name and options. If `is_password` and a password may be sent, announces it.
    pub(crate) fn begin(
        endpoint: Endpoint,
        (name, options): (Name, String),
        is_password: bool,
        allow_plain_password: bool,
    ) -> Self {
        let ((events, happening), (lines, typed)) = (bounded(CLIENT_LINK_EVENTS), bounded(1));
        task::spawn(async move {
            let (incoming, outgoing) = match connection::connect(&endpoint).await {
                Ok(both) => both,
                Err(error) => return drop(events.send(Event::NotConnected(error)).await),
            };
            let _ = events.send(Event::Connected(outgoing.remote_end())).await;
            let has_password = is_password && outgoing.may_carry_password(allow_plain_password);
            // If this fails, the receiving half reports it.
            let _ = outgoing.send(login_line(&name, &options, has_password).as_bytes()).await;
            task::spawn(send_lines(outgoing, typed, events.clone()));
            hear_lines(incoming, events).await;
        });
        Self::new(happening, lines)
    }

    pub(crate) fn new(events: Receiver<Event>, lines: Sender<Zeroizing<String>>) -> Self {
        let session_state = SessionState::of_a_person();
        Self { events, lines: Some(lines), is_sending: false, session_state, remote_end: None }
    }

    /// The next event. The future may be dropped without losing an event.
    pub(crate) async fn next(&self) -> Event {
        self.events.recv().await.unwrap_or(Event::Ended(Ok(())))
    }

    pub(crate) fn hear(&mut self, lines: &[u8]) {
        String::from_utf8_lossy(lines).lines().for_each(|line| self.session_state.hear(ServerLine::parse(line)));
    }

    /// Whether nobody else can read what is sent.
    pub(crate) fn is_private(&self) -> bool {
        self.remote_end.is_some_and(RemoteEnd::is_private)
    }

    pub(crate) fn recipient(&self) -> Option<Recipient> {
        self.remote_end.map(RemoteEnd::recipient)
    }

    /// Whether no other line is being sent.
    pub(crate) fn can_send(&self) -> bool {
        !self.is_sending && self.lines.is_some()
    }

    /// Starts sending a line. From now on the server may receive it, whatever happens to the connection.
    pub(crate) fn send(&mut self, line: &str) {
        self.is_sending = true;
        // The channel has room for one line. A lost connection is reported as an event.
        self.lines.iter().for_each(|lines| drop(lines.try_send(Zeroizing::new(line.to_owned()))));
    }

    /// Half-closes the connection.
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
    /// The time of the loss, as shown to the person.
    pub(crate) since: String,
    /// The upper limit of the next pause.
    longest_pause: Duration,
    /// The person was told that the name is taken.
    pub(crate) told_of_ghost: bool,
    /// The person was told that the server is not trusted.
    pub(crate) told_of_distrust: bool,
}

impl Absence {
    pub(crate) fn new() -> Self {
        let since = ZonedDateTime::now().strftime("%H:%M").to_string();
        Self { since, longest_pause: RECONNECT_PAUSE.0, told_of_ghost: false, told_of_distrust: false }
    }

    /// The pause before the next attempt. Its limit doubles each time. Half of it depends on `chance` (from 0 to 1), so
    /// that not all clients reconnect to a restarted server at once.
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
    fn pauses_double_from_half_a_second_to_half_a_minute() {
        let mut absence = Absence::new();
        let pauses: Vec<_> = (0..10).map(|_| absence.pause(1.0).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn half_of_each_pause_is_random() {
        let mut absence = Absence::new();
        assert_eq!([0.0, 0.5, 0.0].map(|chance| absence.pause(chance).as_millis()), [250, 750, 1000]);
    }
}
