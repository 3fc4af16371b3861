//! Receipts: which of the lines that were sent the server has certainly taken in.
//!
//! A message has no answer, and what others say tells nothing of ours. But the server answers in the order in which it
//! takes lines in, so the client sends a `/ping`, and the pong is a receipt for all that went before. A private message
//! that was not refused until then was accepted. It knows neither the connection nor the clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{LINE_BYTES, RECEIPT_AFTER, RECEIPT_LINES, RECEIPTS_WAITING};
use crate::protocol::{Command, Line, Refusal};

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
    refusal: Option<String>,
    /// Its refusal may be one of the lines that the person missed.
    is_unsure: bool,
}

/// What became of a private message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Accepted,
    /// With this line of the server.
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
    pub(crate) fn hear(&mut self, line: &str, now: Instant) -> Heard {
        let mut heard = Heard::default();
        if let Some(at) = self.answered_by(line) {
            self.asked.drain(..=at);
            if self.asked.is_empty() && self.unasked.lines == 0 {
                self.ask_at = None;
            }
            heard.is_pong = true;
            heard.private = self.private.take().map(Private::fate);
        } else if let Some(bye) = line.strip_prefix("* Bye, ") {
            self.accepted = bye.split(' ').nth(1).and_then(|count| count.parse().ok());
            heard.private = self.last_fate();
        } else if line.starts_with("* You missed ") {
            self.private.iter_mut().for_each(|private| private.is_unsure = true);
            if self.is_waiting() {
                // The pong may be one of those lines. Another one is as good.
                self.ask_at.get_or_insert(now + RECEIPT_AFTER);
            }
        } else if let Some(private) = self.private.as_mut().filter(|_| line.starts_with("! ")) {
            private.refusal.get_or_insert_with(|| line.to_owned());
        } else if line.starts_with("! muted: ") && !line.contains("you keep your name") {
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
    fn answered_by(&self, line: &str) -> Option<usize> {
        // Not one of a command that begins with it, such as a mistyped `/pings`.
        let is_ping = |word: &str| word.trim_end_matches(|char: char| char.is_ascii_punctuation()) == "/ping";
        let is_unknown = line.starts_with("! unknown-command: ") && line.split(' ').any(is_ping);
        let token = line.strip_prefix("* Pong ");
        self.asked.iter().position(|(asked, _)| is_unknown || token == Some(asked))
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
mod tests {
    use std::time::Duration;

    use super::*;

    fn sent(lines: &[&str]) -> Delivery {
        let mut delivery = Delivery::default();
        lines.iter().for_each(|line| delivery.sent(line, Instant::now()));
        delivery
    }

    /// Sends a ping. What answers it.
    fn ask(delivery: &mut Delivery) -> String {
        let ping = delivery.ask();
        format!("* Pong {}", ping.strip_prefix("/ping ").unwrap())
    }

    fn hear(delivery: &mut Delivery, line: &str) -> bool {
        delivery.hear(line, Instant::now()).is_pong
    }

    /// Says something in private, and hears these lines. Its fate by then.
    fn fate(lines: &[&str], line: &str) -> (Delivery, Option<Fate>) {
        let mut delivery = sent(&["/msg Alice hi"]);
        let pong = ask(&mut delivery);
        lines.iter().for_each(|line| assert_eq!(delivery.hear(line, Instant::now()), Heard::default(), "{line}"));
        let line = if line == "* Pong" { &pong } else { line };
        let private = delivery.hear(line, Instant::now()).private;
        assert!(private.as_ref().is_none_or(|(line, _)| line == "/msg Alice hi"));
        assert_eq!(delivery.has_private(), private.is_none());
        (delivery, private.map(|(_, fate)| fate))
    }

    fn missing(lines: usize, first: Option<&str>) -> Option<Missing<'_>> {
        Some(Missing { lines, first })
    }

    #[test]
    fn a_pong_is_a_receipt_for_what_was_sent_before_the_ping() {
        let mut delivery = sent(&["one", "two"]);
        let pong = ask(&mut delivery);
        assert!(delivery.is_waiting());
        delivery.sent("three", Instant::now());
        assert!(!hear(&mut delivery, "Alice: tick"), "what others say is no receipt");
        assert_eq!(delivery.missing(), missing(3, Some("one")));
        assert!(hear(&mut delivery, &pong));
        assert_eq!(delivery.missing(), missing(1, Some("three")));
        let pong = ask(&mut delivery);
        assert!(hear(&mut delivery, &pong));
        assert!(delivery.missing().is_none() && !delivery.is_waiting());
        assert!(!hear(&mut delivery, &pong), "there was no ping");
    }

    #[test]
    fn it_is_asked_for_a_second_after_the_first_line_or_after_ten() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut delivery = Delivery::default();
        assert_eq!(delivery.due(), None);
        delivery.sent("one", start);
        delivery.sent("two", start + second / 2);
        assert_eq!(delivery.due(), Some(start + second));
        let first = ask(&mut delivery);
        assert_eq!(delivery.due(), None);
        (0..9).for_each(|_| delivery.sent("three", start + second));
        assert_eq!(delivery.due(), Some(start + 2 * second));
        delivery.sent("four", start + second);
        assert_eq!(delivery.due(), Some(start + second));
        let second_pong = ask(&mut delivery);
        delivery.sent("five", start + second);
        for (pong, expected) in [(first, missing(11, Some("three"))), (second_pong, missing(1, Some("five")))] {
            assert!(hear(&mut delivery, &pong));
            assert_eq!(delivery.missing(), expected);
        }
    }

    #[test]
    fn what_the_person_asks_is_answered_to_the_person() {
        let mut delivery = sent(&["/ping", "/ping 1"]);
        let pong = ask(&mut delivery);
        for own in ["* Pong", "* Pong 1", "* Pong 0000000000000000", "Alice: * Pong", "* You are Bob already."] {
            assert!(!hear(&mut delivery, own), "{own}");
        }
        assert_eq!(delivery.missing(), missing(2, Some("/ping")));
        assert!(hear(&mut delivery, &pong));
    }

    #[test]
    fn when_a_pong_may_be_lost_the_next_one_is_a_receipt_for_all() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut delivery = sent(&["one"]);
        let due = delivery.due();
        delivery.hear("* You missed 7 lines.", start + 9 * second);
        assert_eq!(delivery.due(), due, "there was no ping");
        let lost = ask(&mut delivery);
        delivery.hear("* You missed 7 lines.", start);
        assert_eq!(delivery.due(), Some(start + second));
        let pong = ask(&mut delivery);
        delivery.sent("two", start);
        assert!(hear(&mut delivery, &pong));
        assert_eq!(delivery.missing(), missing(1, Some("two")));
        assert!(!hear(&mut delivery, &lost));
        // It came although others were missed.
        let pong = ask(&mut delivery);
        delivery.hear("* You missed 7 lines.", start);
        assert!(hear(&mut delivery, &pong));
        assert_eq!((delivery.due(), delivery.missing()), (None, None));
    }

    #[test]
    fn a_server_that_answers_no_ping_gets_a_limited_number() {
        let mut delivery = sent(&["hi"]);
        let mut pongs = Vec::new();
        while delivery.due().is_some() {
            pongs.push(ask(&mut delivery));
            hear(&mut delivery, "* You missed 3 lines.");
        }
        assert_eq!(pongs.len(), RECEIPTS_WAITING);
        assert!(hear(&mut delivery, &pongs[0]));
        assert!(delivery.due().is_some(), "one has its answer, so there is room for another");
    }

    #[test]
    fn a_server_without_pings_answers_them_too() {
        const UNKNOWN: &str = "! unknown-command: there is no /ping; /help lists the commands";
        let mut delivery = sent(&["one"]);
        assert!(!hear(&mut delivery, UNKNOWN), "there was no ping");
        ask(&mut delivery);
        delivery.sent("two", Instant::now());
        for other in ["/foo", "/pings", "/pin", "/ping2", "/ping-x"] {
            let unknown = UNKNOWN.replace("/ping", other);
            assert!(!hear(&mut delivery, &unknown), "{unknown}");
        }
        assert!(hear(&mut delivery, UNKNOWN));
        assert_eq!(delivery.missing(), missing(1, Some("two")));
    }

    #[test]
    fn the_fate_of_a_private_message_is_known_with_the_pong() {
        let refused = |refusal: &str| Some(Fate::Refused(refusal.to_owned()));
        let nobody = "! no-such-user: nobody here is called Alice; /who lists all";
        let muted = "! muted: you may listen, but say nothing";
        assert_eq!(fate(&["Bob: hi", "* Zoe has left"], "* Pong").1, Some(Fate::Accepted));
        assert_eq!(fate(&["Bob: hi", nobody], "* Pong").1, refused(nobody));
        assert_eq!(fate(&[muted], "* Pong").1, refused(muted));
        assert_eq!(fate(&["* You missed 7 lines."], "* Pong").1, Some(Fate::Unknown));
        assert_eq!(fate(&["* You missed 7 lines.", nobody], "* Pong").1, refused(nobody));
    }

    #[test]
    fn without_a_pong_the_farewell_tells_the_fate_of_a_private_message() {
        let [none, one] = [0, 1].map(|count| format!("* Bye, Bob: {count} lines accepted, 0 refused."));
        let (kicked, ignored) = ("! kicked: you are sent out", "! ignored: Alice ignores you");
        assert_eq!(fate(&[], &one).1, Some(Fate::Accepted));
        assert_eq!(fate(&["* You missed 7 lines."], &one).1, Some(Fate::Accepted));
        assert_eq!(fate(&[kicked], &one).1, Some(Fate::Accepted));
        let (delivery, fate_by_then) = fate(&[ignored], &none);
        assert_eq!((fate_by_then, delivery.missing()), (Some(Fate::Refused(ignored.to_owned())), None));
        let (delivery, fate_by_then) = fate(&["* The server is shutting down"], &none);
        assert_eq!((fate_by_then, delivery.missing()), (None, missing(1, Some("/msg Alice hi"))));
    }

    #[test]
    fn after_a_private_message_a_ping_is_due_at_once() {
        let now = Instant::now();
        for (line, is_due) in [("/msg Alice hi", true), ("/MSG Nobody hi", true), ("/msg Alice", false), ("hi", false)]
        {
            let mut delivery = Delivery::default();
            delivery.sent(line, now);
            assert_eq!((delivery.due() == Some(now), delivery.has_private()), (is_due, is_due), "{line}");
        }
    }

    #[test]
    fn the_farewell_tells_how_many_were_taken_in() {
        for (accepted, expected) in [(3, None), (2, missing(1, None)), (0, missing(3, None))] {
            let mut delivery = Delivery::default();
            for (line, refusal) in [
                ("/msg Alice two", None),
                ("/msg Nobody three", Some("! no-such-user: nobody here is called Nobody; /who lists all")),
                ("/msg Deaf hi", Some("! ignored: Deaf ignores you")),
                ("/kick Nobody", Some("! not-operator: only an operator may do that")),
                (&*format!("/msg Alice {}", "x".repeat(LINE_BYTES)), Some("! line-too-long: no")),
            ] {
                delivery.sent(line, Instant::now());
                let pong = ask(&mut delivery);
                refusal.iter().for_each(|refusal| drop(delivery.hear(refusal, Instant::now())));
                hear(&mut delivery, &pong);
            }
            let too_long = "x".repeat(LINE_BYTES + 1);
            for line in ["one", "/who", "/kick Carol", "/ignore Al", &too_long, "four"] {
                delivery.sent(line, Instant::now());
            }
            hear(&mut delivery, "! no-such-user: nobody here is called Carol; /who lists all");
            hear(&mut delivery, "! line-too-long: no");
            hear(&mut delivery, &format!("* Bye, Bob: {accepted} lines accepted, 6 refused."));
            assert_eq!(delivery.missing(), expected);
        }
        let mut delivery = sent(&["one", "two"]);
        let pong = ask(&mut delivery);
        hear(&mut delivery, &pong);
        delivery.sent("three", Instant::now());
        hear(&mut delivery, "* Bye, Bob: 1 line accepted, 0 refused.");
        assert_eq!(delivery.missing(), missing(1, Some("three")), "the others have a receipt");
    }

    #[test]
    fn what_a_muted_person_said_is_refused_and_not_missing() {
        let mut delivery = sent(&["hi", "/nick Carol", "hi again"]);
        for refusal in ["may listen, but say nothing", "keep your name", "may listen, but say nothing until 2030"] {
            hear(&mut delivery, &format!("! muted: you {refusal}"));
        }
        hear(&mut delivery, "* Bye, Bob: 0 lines accepted, 3 refused.");
        assert_eq!(delivery.missing(), None);
    }
}
