//! The lines to be sent, and which of the sent lines the server has handled.
//!
//! An accepted message comes back with its number, which is the receipt. The server does not confirm other lines, but it
//! handles lines in order. So the client sends a `/ping`, and the pong confirms all lines before it. A private message
//! that was not refused by then was accepted. So was a command that changes the rooms, before which all messages are
//! confirmed: so it is known in which room each of them was said. This module knows neither the connection nor the clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::client::message::room_of;
use crate::client::terminal::account::AccountRequest;
use crate::limits::{CLIENT_UNSENT_LINES, LINE_BYTES, RECEIPT_AFTER, RECEIPTS_WAITING};
use crate::model::{Name, RoomName, SafeText};
use crate::protocol::{Command, Line, Refusal, ServerLine};

/// The lines that have not been sent.
#[derive(Debug, Default)]
pub(crate) struct Outbox(VecDeque<ToSend>);

#[derive(Debug)]
pub(crate) enum ToSend {
    Line(String),
    /// A message that was sent before, on a connection that was lost. It is on the screen already.
    Again(String),
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

    /// Puts messages before all others, to be sent again. The limit does not count.
    pub(crate) fn add_first(&mut self, lines: Vec<String>) {
        lines.into_iter().rev().for_each(|line| self.0.push_front(ToSend::Again(line)));
    }

    /// Removes the lines that were meant for a room where the person is not.
    pub(crate) fn take_lines(&mut self) -> Vec<String> {
        let (accounts, lines) =
            std::mem::take(&mut self.0).into_iter().partition(|unsent| matches!(unsent, ToSend::Account(_)));
        self.0 = accounts;
        lines.iter().map(|unsent: &ToSend| unsent.line().to_owned()).collect()
    }

    pub(crate) fn add_account(&mut self, request: AccountRequest) {
        self.0.push_back(ToSend::Account(request));
    }

    /// Removes what was meant only for the lost connection. False if there was nothing.
    pub(crate) fn drop_account_requests(&mut self) -> bool {
        let count = self.0.len();
        self.0.retain(|unsent| !matches!(unsent, ToSend::Account(_)));
        self.0.len() < count
    }

    /// Takes the next line to send from this room.
    pub(crate) fn next(
        &mut self,
        delivery: &mut Delivery,
        room: &RoomName,
        is_leaving: bool,
        now: Instant,
    ) -> Option<ToSend> {
        let first = self.0.front();
        // Its refusal must not be mixed up with that of another line.
        let is_alone = first.is_some_and(|first| matches!(first, ToSend::Account(_)) || goes_alone(first.line()));
        let is_due = delivery.due().is_some_and(|due| is_alone || due <= now);
        // When leaving, the goodbye gives more information than a pong.
        if is_due && !(is_leaving && first.is_none()) {
            return Some(ToSend::Ping(delivery.ask()));
        }
        if delivery.has_alone() || is_alone && delivery.is_waiting() {
            return None;
        }
        let next = self.0.pop_front()?;
        // Recorded before the first byte is written: after a loss, nobody knows whether it was written.
        delivery.sent(next.line(), room, now);
        Some(next)
    }
}

impl ToSend {
    pub(crate) fn line(&self) -> &str {
        match self {
            Self::Line(line) | Self::Again(line) | Self::Ping(line) => line,
            Self::Account(request) => request.line(),
        }
    }
}

/// What was sent on one connection and is not answered yet, in order.
#[derive(Debug, Default)]
pub(crate) struct Delivery {
    sent: VecDeque<Sent>,
    /// When to send the next ping.
    ask_at: Option<Instant>,
}

#[derive(Debug)]
struct Sent {
    line: String,
    kind: Kind,
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    /// A message that comes back when it is accepted.
    Said(Said),
    /// A private message, or a command that changes the rooms. Everything before it has been answered, and only pings
    /// follow it. So a refusal belongs to it.
    Alone(Fate),
    /// A ping of the client itself, with its token.
    Ping(String),
    /// Any other line.
    Other,
}

/// What comes back when a message is accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) room: RoomName,
    pub(crate) text: SafeText,
    /// It is on the screen already. What is said with `/say` is shown when it comes back, because it may be refused.
    pub(crate) is_shown: bool,
}

/// Whether a line that goes alone was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    /// It is a receipt: an answer to a ping of the client itself, or a message of this person.
    pub(crate) is_receipt: bool,
    /// The receipt is a message that is not on the screen yet.
    pub(crate) is_new: bool,
    /// The line that was sent alone, and whose fate is known now.
    pub(crate) alone: Option<(String, Fate)>,
}

impl Delivery {
    /// Records a line that is about to be sent from this room.
    pub(crate) fn sent(&mut self, line: &str, room: &RoomName, now: Instant) {
        let kind = match parse(line) {
            _ if goes_alone(line) => Kind::Alone(Fate::Accepted),
            // A line that is too long is refused.
            Ok(Command::Say(text)) if line.len() <= LINE_BYTES => {
                Kind::Said(Said { room: room.clone(), text, is_shown: true })
            }
            Ok(Command::SayIn(room, text)) if line.len() <= LINE_BYTES => {
                Kind::Said(Said { room, text, is_shown: false })
            }
            _ => Kind::Other,
        };
        if matches!(kind, Kind::Alone(_)) {
            self.ask_at = Some(now);
        }
        self.ask_at.get_or_insert(now + RECEIPT_AFTER);
        self.sent.push_back(Sent { line: line.to_owned(), kind });
    }

    /// When to send the next ping, if any. A server that does not answer gets only a limited number of pings.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.ask_at.filter(|_| self.pings().count() < RECEIPTS_WAITING)
    }

    /// Whether a ping is unanswered.
    pub(crate) fn is_waiting(&self) -> bool {
        self.pings().next().is_some()
    }

    fn pings(&self) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(|sent| matches!(sent.kind, Kind::Ping(_)))
    }

    /// Whether the fate of a line that goes alone is unknown.
    pub(crate) fn has_alone(&self) -> bool {
        self.sent.iter().any(|sent| matches!(sent.kind, Kind::Alone(_)))
    }

    /// Takes the command that changes the rooms, if its fate is unknown.
    pub(crate) fn take_move(&mut self) -> Option<String> {
        let at = self.sent.iter().position(|sent| is_move(&sent.line))?;
        self.sent.remove(at).map(|sent| sent.line)
    }

    /// Makes a ping, to be sent now. Its token is random, so a `/ping` that the person types cannot match it.
    pub(crate) fn ask(&mut self) -> String {
        let token = format!("{:016x}", fastrand::u64(..));
        let line = format!("/ping {token}");
        self.sent.push_back(Sent { line: line.clone(), kind: Kind::Ping(token) });
        self.ask_at = None;
        line
    }

    /// Handles a line of the server. `own` is the name of this person.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>, own: &Name, now: Instant) -> Heard {
        if let Some(at) = self.answered_by(line, own) {
            let is_new = matches!(&self.sent[at].kind, Kind::Said(said) if !said.is_shown);
            return Heard { is_receipt: true, is_new, alone: self.answer(at + 1) };
        }
        match line {
            ServerLine::Missed { room, .. } => {
                // No refusal belongs to a room that the person only hears.
                let fates = self.sent.iter_mut().filter_map(|sent| match &mut sent.kind {
                    Kind::Alone(fate) => Some(fate),
                    _ => None,
                });
                fates.filter(|fate| **fate == Fate::Accepted && room.is_none()).for_each(|fate| *fate = Fate::Unknown);
                if self.missing().is_some() {
                    // A receipt may be among the lost lines. Another one confirms just as much.
                    self.ask_at.get_or_insert(now + RECEIPT_AFTER);
                }
            }
            ServerLine::Refused { code, .. } => {
                if let Some(Sent { kind: Kind::Alone(fate @ (Fate::Accepted | Fate::Unknown)), .. }) =
                    self.sent.iter_mut().find(|sent| matches!(sent.kind, Kind::Alone(_)))
                {
                    *fate = Fate::Refused(code.to_owned());
                } else if line.refuses_message()
                    && let Some(at) = self.sent.iter().position(|sent| matches!(sent.kind, Kind::Said(_)))
                {
                    self.sent.remove(at);
                }
            }
            _ => {}
        }
        Heard::default()
    }

    /// The server has said goodbye after all of them, so it has handled all but the messages that did not come back.
    pub(crate) fn all_handled(&mut self) -> Option<(String, Fate)> {
        let (said, others) =
            std::mem::take(&mut self.sent).into_iter().partition(|sent| matches!(sent.kind, Kind::Said(_)));
        self.sent = others;
        let alone = self.answer(self.sent.len());
        self.sent = said;
        alone
    }

    /// The server has handled the first lines.
    fn answer(&mut self, count: usize) -> Option<(String, Fate)> {
        let alone = self.sent.drain(..count).fold(None, |found, sent| match sent.kind {
            Kind::Alone(fate) => Some((sent.line, fate)),
            _ => found,
        });
        if self.sent.iter().all(|sent| matches!(sent.kind, Kind::Ping(_))) {
            self.ask_at = None;
        }
        alone
    }

    /// Which line this is the receipt for. A server without `/ping` refuses the pings in order.
    fn answered_by(&self, line: ServerLine<'_>, own: &Name) -> Option<usize> {
        let is_unknown = line.unknown_command() == Some("/ping");
        self.sent.iter().position(|sent| match (&sent.kind, line) {
            (Kind::Said(said), ServerLine::Numbered { .. }) => said.came_back(line, own),
            (Kind::Ping(token), ServerLine::Pong(Some(answered))) => answered == token,
            (Kind::Ping(_), _) => is_unknown,
            _ => false,
        })
    }

    /// The messages that the server may not have accepted. Only its history tells.
    pub(crate) fn uncertain(&mut self) -> Vec<Uncertain> {
        let mut uncertain = Vec::new();
        self.sent.retain_mut(|sent| {
            let Kind::Said(said) = &sent.kind else { return true };
            uncertain.push(Uncertain { line: std::mem::take(&mut sent.line), said: said.clone() });
            false
        });
        uncertain
    }

    /// How many lines may not have arrived, if any, and the first of them.
    pub(crate) fn missing(&self) -> Option<(usize, &str)> {
        let mut lines = self.sent.iter().filter(|sent| !matches!(sent.kind, Kind::Ping(_)));
        let first = lines.next()?;
        Some((1 + lines.count(), &first.line))
    }
}

/// A message that was sent on a lost connection, and that the server may have accepted.
#[derive(Debug)]
pub(crate) struct Uncertain {
    pub(crate) line: String,
    pub(crate) said: Said,
}

impl Said {
    /// Whether the server has accepted it, according to this line.
    pub(crate) fn came_back(&self, line: ServerLine<'_>, own: &Name) -> bool {
        let ServerLine::Numbered { room, from, text, .. } = line else { return false };
        from == own.as_str() && text == self.text.as_str() && room_of(room).as_ref() == Some(&self.room)
    }
}

/// Whether a line is sent only when everything before it has been answered, and everything after it waits for its answer.
fn goes_alone(line: &str) -> bool {
    is_private(line) || is_move(line)
}

/// Whether a line changes where the person is, or what they hear. It has the same effect when it is sent again.
fn is_move(line: &str) -> bool {
    parse(line).is_ok_and(|command| command.moves())
}

/// Whether a line is a private message, even to an invalid name. (This includes an operator's command with an invalid
/// name, which is refused in any case.)
pub(crate) fn is_private(line: &str) -> bool {
    matches!(parse(line), Ok(Command::Tell { .. }) | Err(Refusal::NoSuchUser(_)))
}

pub(crate) fn parse(line: &str) -> Result<Command, Refusal> {
    Command::parse(Line::Text(line.to_owned()))
}

#[cfg(test)]
mod tests;
