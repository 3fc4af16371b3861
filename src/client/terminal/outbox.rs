//! Lines that are to be sent, and which of the sent lines the server has certainly handled.
//!
//! The server does not answer a message. But it answers in the order of the lines, so the client sends a `/ping`, and the
//! pong acknowledges all lines before it. A private message that was not refused by then was accepted. This file knows
//! neither the connection nor the clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::client::terminal::account::AccountRequest;
use crate::limits::{CLIENT_UNSENT_LINES, LINE_BYTES, RECEIPT_AFTER, RECEIPT_LINES, RECEIPTS_WAITING};
use crate::protocol::{Command, Line, Refusal, ServerLine};

/// What is to be sent. The server certainly has nothing of it.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<ToSend>);

#[derive(Debug)]
pub(crate) enum ToSend {
    Line(String),
    Account(AccountRequest),
    /// The client's own, which never waits.
    Ping(String),
}

impl Outbox {
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Adds lines. Returns those for which there is no room.
    pub(crate) fn add(&mut self, mut lines: Vec<String>) -> Vec<String> {
        let refused = lines.split_off(lines.len().min(CLIENT_UNSENT_LINES.saturating_sub(self.0.len())));
        self.0.extend(lines.into_iter().map(ToSend::Line));
        refused
    }

    pub(crate) fn add_account(&mut self, request: AccountRequest) {
        self.0.push_back(ToSend::Account(request));
    }

    /// Removes what was meant for the lost connection only. False if there was nothing.
    pub(crate) fn drop_account_requests(&mut self) -> bool {
        let count = self.0.len();
        self.0.retain(|unsent| matches!(unsent, ToSend::Line(_)));
        self.0.len() < count
    }

    /// Takes out what is to be sent now. It is never sent again, because the server may have it.
    pub(crate) fn next(&mut self, delivery: &mut Delivery, is_leaving: bool, now: Instant) -> Option<ToSend> {
        let first = self.0.front();
        // Its refusal has to be told from those of other lines.
        let is_alone = first.is_some_and(|first| matches!(first, ToSend::Account(_)) || is_private(first.line()));
        let is_due = delivery.due().is_some_and(|due| is_alone || due <= now);
        // Who leaves gets a farewell, which is better.
        if is_due && !(is_leaving && first.is_none()) {
            return Some(ToSend::Ping(delivery.ask()));
        }
        if delivery.has_private() || is_alone && delivery.is_waiting() {
            return None;
        }
        let next = self.0.pop_front()?;
        // Before the first byte can be written: after a loss nobody knows whether it was.
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

/// What is known of the lines that were sent on one connection.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    /// Lines before each ping that has no answer yet, and its token.
    asked: VecDeque<(String, Batch)>,
    /// Lines after the last ping.
    unasked: Batch,
    /// When to send the next ping.
    ask_at: Option<Instant>,
    /// How many lines the server should count as accepted.
    messages: usize,
    /// How many it has.
    accepted: Option<usize>,
    /// The private message whose fate is not known yet. All that was sent before it has its answer, and nothing but pings is
    /// sent after it, so a refusal is its own.
    private: Option<(String, Fate)>,
}

/// What became of a private message, as far as the server has said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    /// With this code.
    Refused(String),
    /// Its refusal may have been missed.
    Unknown,
}

/// What a line of the server says about what was sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Heard {
    /// It answers a ping of the client's own. The person has not asked for that, and is not to see it.
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
    /// A line of the person may be sent from now on.
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
        // One that is too long is refused. That of a private message is counted when it comes.
        let is_said = || line.len() <= LINE_BYTES && matches!(parse(line), Ok(Command::Say(_)));
        self.messages += usize::from(is_private || is_said());
    }

    /// When to send a ping, if at all. A server that answers none gets no more of them after a while.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.ask_at.filter(|_| self.asked.len() < RECEIPTS_WAITING)
    }

    /// Whether a pong is on its way.
    pub(crate) fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// Whether the fate of a private message is not known yet.
    pub(crate) fn has_private(&self) -> bool {
        self.private.is_some()
    }

    /// The ping, which is sent now. Nobody can guess its token, so no `/ping` of the person's is taken for it.
    pub(crate) fn ask(&mut self) -> String {
        let token = format!("{:016x}", fastrand::u64(..));
        let ping = format!("/ping {token}");
        self.asked.push_back((token, std::mem::take(&mut self.unasked)));
        self.ask_at = None;
        ping
    }

    /// Takes in a line of the server.
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
                // The pong may be one of those lines. Another one is as good.
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

    /// What the count in the farewell says about a private message that has no pong. A refusal may also be that of the
    /// person, as by `/kick`, but then the message counts.
    fn last_fate(&mut self) -> Option<(String, Fate)> {
        if self.accepted.is_some_and(|accepted| accepted >= self.messages) {
            return self.private.take().map(|(line, _)| (line, Fate::Accepted));
        }
        self.private.take_if(|(_, fate)| matches!(fate, Fate::Refused(_)))
    }

    /// Which ping is answered by this line. A server that does not know `/ping` refuses each of them in its order.
    fn answered_by(&self, line: ServerLine<'_>) -> Option<usize> {
        let is_unknown = line.unknown_command() == Some("/ping");
        self.asked.iter().position(|(asked, _)| is_unknown || line == ServerLine::Pong(Some(asked)))
    }

    /// How many lines may not have arrived, if there are any, and the first of them, if it is known which they are.
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

/// Whether a line is a private message, perhaps to a name that nobody can have. (An operator's command to such a name is
/// taken for one, too. It is refused in any case.)
pub(crate) fn is_private(line: &str) -> bool {
    matches!(parse(line), Ok(Command::Tell { .. }) | Err(Refusal::NoSuchUser(_)))
}

fn parse(line: &str) -> Result<Command, Refusal> {
    Command::parse(Line::Text(line.to_owned()))
}

#[cfg(test)]
mod tests;
