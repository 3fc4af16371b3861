//! Receipts: which of the lines that were sent the server has certainly taken in.
//!
//! A message has no answer, and what others say tells nothing of ours. But the server answers in the order in which it
//! takes lines in, so the client sends a `/ping`, and the pong is a receipt for all that went before. A private message
//! that was not refused until then was accepted. It knows neither the connection nor the clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{LINE_BYTES, RECEIPT_AFTER, RECEIPT_LINES, RECEIPTS_WAITING};
use crate::protocol::{Command, Line, Refusal, ServerLine};

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
    private: Option<Private>,
}

#[derive(Debug)]
struct Private {
    line: String,
    /// The code of its refusal.
    refusal: Option<String>,
    /// Its refusal may be one of the lines that the person missed.
    is_unsure: bool,
}

/// What became of a private message.
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

/// Lines without a receipt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing<'a> {
    pub(crate) lines: usize,
    /// The first of them, if it is known which they are.
    pub(crate) first: Option<&'a str>,
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
            self.private = Some(Private { line: line.to_owned(), refusal: None, is_unsure: false });
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
            heard.private = self.private.take().map(Private::fate);
        } else if let ServerLine::Bye { accepted, .. } = line {
            self.accepted = accepted.and_then(|accepted| accepted.try_into().ok());
            heard.private = self.last_fate();
        } else if let ServerLine::Missed(_) = line {
            self.private.iter_mut().for_each(|private| private.is_unsure = true);
            if self.is_waiting() {
                // The pong may be one of those lines. Another one is as good.
                self.ask_at.get_or_insert(now + RECEIPT_AFTER);
            }
        } else if let (ServerLine::Refused { code, .. }, Some(private)) = (line, &mut self.private) {
            private.refusal.get_or_insert_with(|| code.to_owned());
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
            return self.private.take().map(|private| (private.line, Fate::Accepted));
        }
        self.private.take_if(|private| private.refusal.is_some()).map(Private::fate)
    }

    /// Which ping is answered by this line. A server that does not know `/ping` refuses each of them in its order.
    fn answered_by(&self, line: ServerLine<'_>) -> Option<usize> {
        let is_unknown = line.unknown_command() == Some("/ping");
        self.asked.iter().position(|(asked, _)| is_unknown || line == ServerLine::Pong(Some(asked)))
    }

    /// The lines that may not have arrived, if there are any.
    pub(crate) fn missing(&self) -> Option<Missing<'_>> {
        let batches = || self.asked.iter().map(|(_, batch)| batch).chain([&self.unasked]);
        let lines = batches().map(|batch| batch.lines).sum();
        let first = batches().find_map(|batch| batch.first.as_deref());
        let not_accepted = self.accepted.map(|accepted| self.messages.saturating_sub(accepted));
        let missing = match not_accepted {
            Some(fewer) if fewer < lines => Missing { lines: fewer, first: None },
            _ => Missing { lines, first },
        };
        (missing.lines > 0).then_some(missing)
    }
}

impl Private {
    fn fate(self) -> (String, Fate) {
        let fate = match self.refusal {
            Some(refusal) => Fate::Refused(refusal),
            None if self.is_unsure => Fate::Unknown,
            None => Fate::Accepted,
        };
        (self.line, fate)
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
