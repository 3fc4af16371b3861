//! The lines to be sent, and which of the sent lines the server has handled.
//!
//! The server does not confirm a message, but it handles lines in order. So the client sends a `/ping`, and the pong
//! confirms all lines before it. A private message that was not refused by then was accepted. This module knows neither
//! the connection nor the clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::client::terminal::account::AccountRequest;
use crate::limits::{CLIENT_UNSENT_LINES, LINE_BYTES, RECEIPT_AFTER, RECEIPT_LINES, RECEIPTS_WAITING};
use crate::protocol::{Command, Line, Refusal, ServerLine};

/// The lines that have not been sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<ToSend>);

#[derive(Debug)]
pub(crate) enum ToSend {
    Line(String),
    Account(AccountRequest),
    /// Sent by the client itself. It is never queued.
    Ping(String),
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds lines. Returns those that do not fit.
    pub(crate) fn add(&mut self, mut lines: Vec<String>) -> Vec<String> {
        let refused = lines.split_off(lines.len().min(CLIENT_UNSENT_LINES.saturating_sub(self.0.len())));
        self.0.extend(lines.into_iter().map(ToSend::Line));
        refused
    }

    pub(crate) fn add_account(&mut self, request: AccountRequest) {
        self.0.push_back(ToSend::Account(request));
    }

    /// Removes what was meant only for the lost connection. False if there was nothing.
    pub(crate) fn drop_account_requests(&mut self) -> bool {
        let count = self.0.len();
        self.0.retain(|unsent| matches!(unsent, ToSend::Line(_)));
        self.0.len() < count
    }

    /// Takes the next line to send. It is never sent again, because the server may have received it.
    pub(crate) fn next(&mut self, delivery: &mut Delivery, is_leaving: bool, now: Instant) -> Option<ToSend> {
        let first = self.0.front();
        // Its refusal must not be mixed up with that of another line.
        let is_alone = first.is_some_and(|first| matches!(first, ToSend::Account(_)) || is_private(first.line()));
        let is_due = delivery.due().is_some_and(|due| is_alone || due <= now);
        // When leaving, the goodbye gives more information than a pong.
        if is_due && !(is_leaving && first.is_none()) {
            return Some(ToSend::Ping(delivery.ask()));
        }
        if delivery.has_private() || is_alone && delivery.is_waiting() {
            return None;
        }
        let next = self.0.pop_front()?;
        // Recorded before the first byte is written: after a loss, nobody knows whether it was written.
        delivery.sent(next.line(), now);
        Some(next)
    }
}

impl ToSend {
    pub(crate) fn line(&self) -> &str {
        match self {
            Self::Line(line) | Self::Ping(line) => line,
            Self::Account(request) => request.line(),
        }
    }
}

/// What is known about the lines that were sent on one connection.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// The unanswered pings, each with its token and the lines before it.
    asked: VecDeque<(String, Batch)>,
    /// The lines after the last ping.
    unasked: Batch,
    /// When to send the next ping.
    ask_at: Option<Instant>,
    /// How many lines the server should have accepted.
    messages: usize,
    /// How many the server says it has accepted.
    accepted: Option<usize>,
    /// The private message whose fate is unknown. Everything before it has been answered, and only pings follow it. So
    /// a refusal belongs to it.
    private: Option<(String, Fate)>,
}

/// Whether a private message was accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    /// The code of the refusal.
    Refused(String),
    /// The refusal may have been lost.
    Unknown,
}

/// What a line of the server says about the sent lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// It answers a ping of the client itself, and is not shown.
    pub(crate) is_pong: bool,
    /// The private message whose fate is known now.
    pub(crate) private: Option<(String, Fate)>,
}

#[derive(Debug, Default)]
struct Batch {
    lines: usize,
    first: Option<String>,
}

impl Delivery {
    /// Records a line that is about to be sent.
    pub(crate) fn sent(&mut self, line: &str, now: Instant) {
        self.unasked.lines += 1;
        self.unasked.first.get_or_insert_with(|| line.to_owned());
        if self.unasked.lines >= RECEIPT_LINES {
            self.ask_at = Some(now);
        }
        self.ask_at.get_or_insert(now + RECEIPT_AFTER);
        let is_private = is_private(line);
        if is_private {
            self.ask_at = Some(now);
            self.private = Some((line.to_owned(), Fate::Accepted));
        }
        // A line that is too long is refused. A private message is counted once it is accepted.
        let is_said = || line.len() <= LINE_BYTES && matches!(parse(line), Ok(Command::Say(_)));
        self.messages += usize::from(is_private || is_said());
    }

    /// When to send the next ping, if any. A server that does not answer gets only a limited number of pings.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.ask_at.filter(|_| self.asked.len() < RECEIPTS_WAITING)
    }

    /// Whether a ping is unanswered.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether the fate of a private message is unknown.
    pub(crate) fn has_private(&self) -> bool {
        self.private.is_some()
    }

    /// Makes a ping, to be sent now. Its token is random, so a `/ping` that the person types cannot match it.
    pub(crate) fn ask(&mut self) -> String {
        let token = format!("{:016x}", fastrand::u64(..));
        let ping = format!("/ping {token}");
        self.asked.push_back((token, std::mem::take(&mut self.unasked)));
        self.ask_at = None;
        ping
    }

    /// Handles a line of the server.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>, now: Instant) -> Heard {
        let mut heard = Heard::default();
        if let Some(at) = self.answered_by(line) {
            self.asked.drain(..=at);
            if self.asked.is_empty() && self.unasked.lines == 0 {
                self.ask_at = None;
            }
            heard.is_pong = true;
            heard.private = self.private.take();
        } else if let ServerLine::Bye { accepted, .. } = line {
            self.accepted = accepted.and_then(|accepted| accepted.try_into().ok());
            heard.private = self.last_fate();
        } else if let ServerLine::Missed(_) = line {
            if let Some((_, fate @ Fate::Accepted)) = &mut self.private {
                *fate = Fate::Unknown;
            }
            if self.is_waiting() {
                // The pong may be among the lost lines. Another one confirms just as much.
                self.ask_at.get_or_insert(now + RECEIPT_AFTER);
            }
        } else if let (ServerLine::Refused { code, .. }, Some((_, fate))) = (line, &mut self.private) {
            if !matches!(fate, Fate::Refused(_)) {
                *fate = Fate::Refused(code.to_owned());
            }
        } else if line.refuses_muted_message() {
            self.messages = self.messages.saturating_sub(1);
        }
        if matches!(heard.private, Some((_, Fate::Refused(_)))) {
            self.messages = self.messages.saturating_sub(1);
        }
        heard
    }

    /// Derives the fate of a private message without a pong from the count in the goodbye. A refusal may be about the
    /// person, as after `/kick`, but then the message is counted.
    fn last_fate(&mut self) -> Option<(String, Fate)> {
        if self.accepted.is_some_and(|accepted| accepted >= self.messages) {
            return self.private.take().map(|(line, _)| (line, Fate::Accepted));
        }
        self.private.take_if(|(_, fate)| matches!(fate, Fate::Refused(_)))
    }

    /// Which ping this line answers. A server without `/ping` refuses the pings in order.
    fn answered_by(&self, line: ServerLine<'_>) -> Option<usize> {
        let is_unknown = line.unknown_command() == Some("/ping");
        self.asked.iter().position(|(asked, _)| is_unknown || line == ServerLine::Pong(Some(asked)))
    }

    /// How many lines may not have arrived, if any, and the first of them if it is known.
    pub(crate) fn missing(&self) -> Option<(usize, Option<&str>)> {
        let batches = || self.asked.iter().map(|(_, batch)| batch).chain([&self.unasked]);
        let lines = batches().map(|batch| batch.lines).sum();
        let first = batches().find_map(|batch| batch.first.as_deref());
        let not_accepted = self.accepted.map(|accepted| self.messages.saturating_sub(accepted));
        let missing = match not_accepted {
            Some(fewer) if fewer < lines => (fewer, None),
            _ => (lines, first),
        };
        (missing.0 > 0).then_some(missing)
    }
}

/// Whether a line is a private message, even to an invalid name. (This includes an operator's command with an invalid
/// name, which is refused in any case.)
pub(crate) fn is_private(line: &str) -> bool {
    matches!(parse(line), Ok(Command::Tell { .. }) | Err(Refusal::NoSuchUser(_)))
}

fn parse(line: &str) -> Result<Command, Refusal> {
    Command::parse(Line::Text(line.to_owned()))
}

#[cfg(test)]
mod tests;
