//! Receipts: which of the lines that were sent the server has certainly taken in.
//!
//! A message has no answer, and what others say tells nothing of ours. But the server answers in the order in which it
//! takes lines in, so the client sends a `/ping`, and the pong is a receipt for all that went before. It knows neither the
//! connection nor the clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{LINE_BYTES, RECEIPT_AFTER, RECEIPT_LINES};
use crate::protocol::{Command, Line, Refusal};

/// What is known of the lines that were sent on one connection.
#[derive(Debug, Default)]
pub(super) struct Receipts {
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
}

#[derive(Debug, Default)]
struct Batch {
    lines: usize,
    first: Option<String>,
}

/// Lines without a receipt.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Missing<'a> {
    pub(super) lines: usize,
    /// The first of them, if it is known which they are.
    pub(super) first: Option<&'a str>,
}

impl Receipts {
    /// A line of the person may be sent from now on.
    pub(super) fn sent(&mut self, line: &str, now: Instant) {
        self.unasked.lines += 1;
        self.unasked.first.get_or_insert_with(|| line.to_owned());
        if self.unasked.lines >= RECEIPT_LINES {
            self.ask_at = Some(now);
        }
        self.ask_at.get_or_insert(now + RECEIPT_AFTER);
        let command = Command::parse(Line::Text(line.to_owned()));
        // The refusal of a message to an impossible name is counted when it comes, as any other.
        let is_message = matches!(command, Ok(Command::Say(_) | Command::Tell { .. }) | Err(Refusal::NoSuchUser(_)));
        self.messages += usize::from(is_message && line.len() <= LINE_BYTES);
    }

    /// When to send a ping, if at all.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ask_at
    }

    /// Whether a pong is on its way.
    pub(super) fn is_waiting(&self) -> bool {
        !self.asked.is_empty()
    }

    /// The ping, which is sent now. Nobody can guess its token, so no `/ping` of the person's is taken for it.
    pub(super) fn ask(&mut self) -> String {
        let token = format!("{:016x}", fastrand::u64(..));
        let ping = format!("/ping {token}");
        self.asked.push_back((token, std::mem::take(&mut self.unasked)));
        self.ask_at = None;
        ping
    }

    /// Takes in a line of the server, and says whether it is the answer to a ping of the client's. The person has not asked
    /// for that, and is not to see it.
    pub(super) fn hear(&mut self, line: &str, now: Instant) -> bool {
        if line.starts_with("* You missed ") && self.is_waiting() {
            // The pong may be one of those lines. Another one is as good.
            self.ask_at.get_or_insert(now + RECEIPT_AFTER);
        } else if is_refused_message(line) {
            self.messages = self.messages.saturating_sub(1);
        } else if let Some(bye) = line.strip_prefix("* Bye, ") {
            self.accepted = bye.split(' ').nth(1).and_then(|count| count.parse().ok());
        } else if let Some(at) = self.answered_by(line) {
            self.asked.drain(..=at);
            if self.asked.is_empty() && self.unasked.lines == 0 {
                self.ask_at = None;
            }
            return true;
        }
        false
    }

    /// Which ping is answered by this line. A server that does not know `/ping` refuses each of them in its order.
    fn answered_by(&self, line: &str) -> Option<usize> {
        let is_unknown = line.starts_with("! unknown-command: ") && line.contains("/ping");
        let token = line.strip_prefix("* Pong ");
        self.asked.iter().position(|(asked, _)| is_unknown || token == Some(asked))
    }

    /// The lines that may not have arrived, if there are any.
    pub(super) fn missing(&self) -> Option<Missing<'_>> {
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

/// Whether a message was refused. A muted person is also refused another name, in other words.
fn is_refused_message(line: &str) -> bool {
    let is_muted = line.starts_with("! muted: ") && !line.contains("you keep your name");
    is_muted || line.starts_with("! no-such-user: ") || line.starts_with("! ignored: ")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn sent(lines: &[&str]) -> Receipts {
        let mut receipts = Receipts::default();
        lines.iter().for_each(|line| receipts.sent(line, Instant::now()));
        receipts
    }

    /// Sends a ping. What answers it.
    fn ask(receipts: &mut Receipts) -> String {
        let ping = receipts.ask();
        format!("* Pong {}", ping.strip_prefix("/ping ").unwrap())
    }

    fn hear(receipts: &mut Receipts, line: &str) -> bool {
        receipts.hear(line, Instant::now())
    }

    fn missing(lines: usize, first: Option<&str>) -> Option<Missing<'_>> {
        Some(Missing { lines, first })
    }

    #[test]
    fn a_pong_is_a_receipt_for_what_was_sent_before_the_ping() {
        let mut receipts = sent(&["one", "two"]);
        let pong = ask(&mut receipts);
        assert!(receipts.is_waiting());
        receipts.sent("three", Instant::now());
        assert!(!hear(&mut receipts, "Alice: tick"), "what others say is no receipt");
        assert_eq!(receipts.missing(), missing(3, Some("one")));
        assert!(hear(&mut receipts, &pong));
        assert_eq!(receipts.missing(), missing(1, Some("three")));
        let pong = ask(&mut receipts);
        assert!(hear(&mut receipts, &pong));
        assert!(receipts.missing().is_none() && !receipts.is_waiting());
        assert!(!hear(&mut receipts, &pong), "there was no ping");
    }

    #[test]
    fn it_is_asked_for_a_second_after_the_first_line_or_after_ten() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut receipts = Receipts::default();
        assert_eq!(receipts.due(), None);
        receipts.sent("one", start);
        receipts.sent("two", start + second / 2);
        assert_eq!(receipts.due(), Some(start + second));
        let first = ask(&mut receipts);
        assert_eq!(receipts.due(), None);
        (0..9).for_each(|_| receipts.sent("three", start + second));
        assert_eq!(receipts.due(), Some(start + 2 * second));
        receipts.sent("four", start + second);
        assert_eq!(receipts.due(), Some(start + second));
        let second_pong = ask(&mut receipts);
        receipts.sent("five", start + second);
        for (pong, expected) in [(first, missing(11, Some("three"))), (second_pong, missing(1, Some("five")))] {
            assert!(hear(&mut receipts, &pong));
            assert_eq!(receipts.missing(), expected);
        }
    }

    #[test]
    fn what_the_person_asks_is_answered_to_the_person() {
        let mut receipts = sent(&["/ping", "/ping 1"]);
        let pong = ask(&mut receipts);
        for own in ["* Pong", "* Pong 1", "* Pong 0000000000000000", "Alice: * Pong", "* You are Bob already."] {
            assert!(!hear(&mut receipts, own), "{own}");
        }
        assert_eq!(receipts.missing(), missing(2, Some("/ping")));
        assert!(hear(&mut receipts, &pong));
    }

    #[test]
    fn when_a_pong_may_be_lost_the_next_one_is_a_receipt_for_all() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut receipts = sent(&["one"]);
        let due = receipts.due();
        receipts.hear("* You missed 7 lines.", start + 9 * second);
        assert_eq!(receipts.due(), due, "there was no ping");
        let lost = ask(&mut receipts);
        receipts.hear("* You missed 7 lines.", start);
        assert_eq!(receipts.due(), Some(start + second));
        let pong = ask(&mut receipts);
        receipts.sent("two", start);
        assert!(hear(&mut receipts, &pong));
        assert_eq!(receipts.missing(), missing(1, Some("two")));
        assert!(!hear(&mut receipts, &lost));
        // It came although others were missed.
        let pong = ask(&mut receipts);
        receipts.hear("* You missed 7 lines.", start);
        assert!(hear(&mut receipts, &pong));
        assert_eq!((receipts.due(), receipts.missing()), (None, None));
    }

    #[test]
    fn a_server_without_pings_answers_them_too() {
        const UNKNOWN: &str = "! unknown-command: there is no /ping; /help lists the commands";
        let mut receipts = sent(&["one"]);
        assert!(!hear(&mut receipts, UNKNOWN), "there was no ping");
        ask(&mut receipts);
        receipts.sent("two", Instant::now());
        assert!(!hear(&mut receipts, "! unknown-command: there is no /foo"));
        assert!(hear(&mut receipts, UNKNOWN));
        assert_eq!(receipts.missing(), missing(1, Some("two")));
    }

    #[test]
    fn the_farewell_tells_how_many_were_taken_in() {
        let lines = ["one", "/msg Alice two", "/who", "/msg Nobody three", "/msg Deaf hi", "/ignore Al", "four"];
        for (accepted, expected) in [(3, None), (2, missing(1, None)), (0, missing(3, None))] {
            let mut receipts = sent(&lines);
            hear(&mut receipts, "! no-such-user: nobody here is called Nobody; /who lists all");
            hear(&mut receipts, "! ignored: Deaf ignores you");
            hear(&mut receipts, &format!("* Bye, Bob: {accepted} lines accepted, 2 refused."));
            assert_eq!(receipts.missing(), expected);
        }
        let mut receipts = sent(&["one", "two"]);
        let pong = ask(&mut receipts);
        hear(&mut receipts, &pong);
        receipts.sent("three", Instant::now());
        hear(&mut receipts, "* Bye, Bob: 1 line accepted, 0 refused.");
        assert_eq!(receipts.missing(), missing(1, Some("three")), "the others have a receipt");
    }

    #[test]
    fn what_a_muted_person_said_is_refused_and_not_missing() {
        let mut receipts = sent(&["hi", "/nick Carol", "/msg Alice hi"]);
        for refusal in ["may listen, but say nothing", "keep your name", "may listen, but say nothing until 2030"] {
            hear(&mut receipts, &format!("! muted: you {refusal}"));
        }
        hear(&mut receipts, "* Bye, Bob: 0 lines accepted, 3 refused.");
        assert_eq!(receipts.missing(), None);
    }
}
