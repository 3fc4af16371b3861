//! Receipts: which of the lines that were sent the server has certainly taken in.
//!
//! A message has no answer, and what others say tells nothing of ours. But the server answers in the order in which it
//! takes lines in, so it is asked something that changes nothing: `/nick` with the name that one has. The answer is a
//! receipt for all that went before. It knows neither the connection nor the clock.

use std::collections::VecDeque;
use std::time::Instant;

use crate::limits::{LINE_BYTES, RECEIPT_AFTER, RECEIPT_LINES};
use crate::protocol::{Command, Line, Name, Refusal};

/// What the server refuses a new name with in the room.
const REFUSED_RENAMES: [&str; 5] =
    ["! bad-name: ", "! name-taken: ", "! registered-only: ", "! banned: ", "! muted: you keep your name"];

/// What is known of the lines that were sent on one connection.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    /// Lines before each question that has no answer yet.
    asked: VecDeque<Batch>,
    /// Lines behind the last one.
    unasked: Batch,
    /// When to ask for those.
    ask_at: Option<Instant>,
    /// How many lines that may change the name have no answer yet; for a moment fewer than none, when an answer is here
    /// before it is known that its line was sent. They stand behind all questions: a question behind
    /// them could hold the old name, and undo the change.
    renames: i64,
    /// Answers were among the lines that the server left out. What an answer is for cannot be told any more.
    is_lost: bool,
    /// How many lines the server should count as accepted; likewise.
    messages: i64,
    /// How many it has.
    accepted: Option<i64>,
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
    /// A line of the person was sent.
    pub(super) fn sent(&mut self, line: &str, now: Instant) {
        self.unasked.lines += 1;
        self.unasked.first.get_or_insert_with(|| line.to_owned());
        if self.unasked.lines >= RECEIPT_LINES {
            self.ask_at = Some(now);
        }
        self.ask_at.get_or_insert(now + RECEIPT_AFTER);
        // A CR ends a line for the server.
        for line in line.split('\r').filter(|line| !line.is_empty() && line.len() <= LINE_BYTES) {
            match Command::parse(Line::Text(line.to_owned())) {
                // The refusal of a message to nobody is counted when it comes.
                Ok(Command::Say(_) | Command::Tell { .. }) | Err(Refusal::NoSuchUser(_)) => self.messages += 1,
                Ok(Command::Rename(_)) | Err(Refusal::BadName(_)) => self.renames += 1,
                _ => {}
            }
        }
    }

    /// When to ask, if at all.
    pub(super) fn due(&self) -> Option<Instant> {
        self.ask_at.filter(|_| !self.is_doubtful())
    }

    /// Whether an answer is on its way.
    pub(super) fn is_waiting(&self) -> bool {
        !self.asked.is_empty() && !self.is_lost
    }

    /// Whether lines that were sent may have no answer yet although no question is to be asked.
    pub(super) fn is_doubtful(&self) -> bool {
        self.renames != 0 || self.is_lost
    }

    /// The question for somebody of this name, which is sent now.
    pub(super) fn ask(&mut self, own: &Name) -> String {
        self.asked.push_back(std::mem::take(&mut self.unasked));
        self.ask_at = None;
        format!("/nick {own}")
    }

    /// Takes in a line of the server to somebody of this name, and says whether it is the answer to a question. The
    /// person has not asked, and is not to see it.
    pub(super) fn hear(&mut self, line: &str, own: &Name) -> bool {
        let own = own.as_str();
        if line.starts_with("* You missed ") {
            self.lose();
        } else if line.starts_with("! no-such-user: ") || line.starts_with("! ignored: ") {
            self.messages -= 1;
        } else if let Some(bye) = line.strip_prefix("* Bye, ") {
            self.accepted = bye.split(' ').nth(1).and_then(|count| count.parse().ok());
        } else if is_same_name(line, own) && self.asked.pop_front().is_some() {
            return true;
        } else if self.asked.is_empty() && answers_a_rename(line, own) {
            self.renames -= 1;
        }
        false
    }

    /// The lines that may not have arrived, if there are any.
    pub(super) fn missing(&self) -> Option<Missing<'_>> {
        let batches = || self.asked.iter().chain([&self.unasked]);
        let lines = batches().map(|batch| batch.lines).sum();
        let first = batches().find_map(|batch| batch.first.as_deref());
        let not_accepted =
            self.accepted.map(|accepted| usize::try_from(self.messages.saturating_sub(accepted)).unwrap_or(0));
        let missing = match not_accepted {
            Some(fewer) if fewer < lines => Missing { lines: fewer, first: None },
            _ => Missing { lines, first },
        };
        (missing.lines > 0).then_some(missing)
    }

    /// Some answers will not come. There is nothing to ask any more, and all that is open stays so.
    fn lose(&mut self) {
        if self.asked.is_empty() && self.renames == 0 {
            return;
        }
        self.is_lost = true;
        for asked in self.asked.drain(..).rev() {
            self.unasked = Batch { lines: asked.lines + self.unasked.lines, first: asked.first };
        }
    }
}

/// Whether this is the answer to `/nick` with the name that one has.
fn is_same_name(line: &str, own: &str) -> bool {
    line.strip_prefix("* You are ").and_then(|line| line.strip_suffix(" already.")) == Some(own)
}

/// Each line that may change the name has exactly one of these answers, and no other line has one.
fn answers_a_rename(line: &str, own: &str) -> bool {
    let renamed = line.strip_prefix("* ").and_then(|line| line.split_once(" is now "));
    is_same_name(line, own)
        || renamed.is_some_and(|(old, _)| old == own)
        || REFUSED_RENAMES.iter().any(|refusal| line.starts_with(refusal))
        || refuses_registered_name(line, own)
}

/// Whether `/nick` is refused a name that is registered. Of one's own name the same is the answer to `/register`.
pub(super) fn refuses_registered_name(line: &str, own: &str) -> bool {
    line.strip_prefix("! name-registered: ").is_some_and(|why| why.split(' ').next() != Some(own))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const ANSWER: &str = "* You are Bob already.";

    fn bob() -> Name {
        Name::parse("Bob").unwrap()
    }

    fn sent(lines: &[&str]) -> Receipts {
        let mut receipts = Receipts::default();
        lines.iter().for_each(|line| receipts.sent(line, Instant::now()));
        receipts
    }

    fn missing(lines: usize, first: Option<&str>) -> Option<Missing<'_>> {
        Some(Missing { lines, first })
    }

    #[test]
    fn an_answer_is_a_receipt_for_what_was_sent_before_the_question() {
        let mut receipts = sent(&["one", "two"]);
        assert_eq!(receipts.ask(&bob()), "/nick Bob");
        receipts.sent("three", Instant::now());
        assert!(!receipts.hear("Alice: tick", &bob()), "what others say is no receipt");
        assert_eq!(receipts.missing(), missing(3, Some("one")));
        assert!(receipts.hear(ANSWER, &bob()));
        assert_eq!(receipts.missing(), missing(1, Some("three")));
        receipts.ask(&bob());
        assert!(receipts.hear(ANSWER, &bob()));
        assert_eq!(receipts.missing(), None);
        assert!(!receipts.hear(ANSWER, &bob()), "there was no question");
    }

    #[test]
    fn it_is_asked_for_a_second_after_the_first_line_or_behind_ten() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut receipts = Receipts::default();
        assert_eq!(receipts.due(), None);
        receipts.sent("one", start);
        receipts.sent("two", start + second / 2);
        assert_eq!(receipts.due(), Some(start + second));
        receipts.ask(&bob());
        assert_eq!(receipts.due(), None);
        (0..9).for_each(|_| receipts.sent("three", start + second));
        assert_eq!(receipts.due(), Some(start + 2 * second));
        receipts.sent("four", start + second);
        assert_eq!(receipts.due(), Some(start + second));
        receipts.ask(&bob());
        receipts.sent("five", start + second);
        for expected in [missing(11, Some("three")), missing(1, Some("five")), missing(1, Some("five"))] {
            receipts.hear(ANSWER, &bob());
            assert_eq!(receipts.missing(), expected);
        }
    }

    /// A question with the old name would take the new one back.
    #[test]
    fn nothing_is_asked_while_the_name_may_change() {
        for (line, answer) in [
            ("/nick Carol", "* Bob is now Carol"),
            ("/NICK carol ", "! name-taken: carol is taken"),
            ("/nick ***", "! bad-name: a name cannot hold '*'"),
            ("/nick Alice", "! name-registered: Alice is registered"),
            ("/nick Carol", "! registered-only: in this room"),
            ("/nick Carol", "! banned: you are not let in"),
            ("/nick Carol", "! muted: you keep your name until 2026-11-27T00:00:00Z"),
            ("/nick Bob", ANSWER),
            ("hello\r/nick Carol", "* Bob is now Carol"),
        ] {
            let mut receipts = sent(&[line]);
            assert!(receipts.is_doubtful());
            for other in [
                "* Alice is now Carol",
                "! no-such-user: nobody",
                "! name-registered: Bob is registered",
                "Alice: * Bob is now Carol",
            ] {
                receipts.hear(other, &bob());
                assert_eq!(receipts.due(), None, "{line} has no answer");
            }
            assert!(!receipts.hear(answer, &bob()), "the person asked this");
            assert!(receipts.due().is_some() && !receipts.is_doubtful(), "{answer} answers {line}");
        }
        for line in ["/nick", "//nick Carol", "/nickel Carol", &format!("/nick {}", "x".repeat(LINE_BYTES))] {
            assert!(sent(&[line]).due().is_some(), "{line} changes no name");
        }
    }

    #[test]
    fn what_the_person_asks_behind_a_question_is_answered_to_the_person() {
        let mut receipts = sent(&["hello"]);
        receipts.ask(&bob());
        receipts.sent("/nick Bob", Instant::now());
        assert!(receipts.hear(ANSWER, &bob()));
        assert_eq!(receipts.due(), None);
        assert!(!receipts.hear(ANSWER, &bob()));
        assert!(receipts.due().is_some());
    }

    /// The server is quicker than the task that says that the line was sent.
    #[test]
    fn an_answer_may_come_before_it_is_known_that_its_line_was_sent() {
        let mut receipts = Receipts::default();
        receipts.hear("! no-such-user: nobody here is called Nobody; /who lists all", &bob());
        receipts.hear("* Bob is now Carol", &bob());
        ["/msg Nobody hi", "/nick Carol"].iter().for_each(|line| receipts.sent(line, Instant::now()));
        assert!(receipts.due().is_some(), "the rename is answered");
        receipts.hear("* Bye, Carol: 0 lines accepted, 1 refused.", &bob());
        assert_eq!(receipts.missing(), None);
    }

    #[test]
    fn when_answers_were_left_out_nothing_is_taken_for_a_receipt() {
        let mut receipts = sent(&["one"]);
        receipts.hear("* You missed 7 lines.", &bob());
        assert!(receipts.due().is_some() && !receipts.is_doubtful(), "no answer was among them");
        for line in ["two", "three"] {
            receipts.ask(&bob());
            receipts.sent(line, Instant::now());
        }
        receipts.hear("* You missed 7 lines.", &bob());
        assert!(receipts.due().is_none() && receipts.is_doubtful());
        assert!(!receipts.hear(ANSWER, &bob()));
        assert_eq!(receipts.missing(), missing(3, Some("one")));
    }

    #[test]
    fn the_farewell_tells_how_many_were_taken_in() {
        let lines = ["one", "/msg Alice two", "/who", "/msg Nobody three", "/msg Deaf hi", "/ignore Al", "four"];
        for (accepted, expected) in [(3, None), (2, missing(1, None)), (0, missing(3, None))] {
            let mut receipts = sent(&lines);
            receipts.hear("! no-such-user: nobody here is called Nobody; /who lists all", &bob());
            receipts.hear("! ignored: Deaf ignores you", &bob());
            receipts.hear(&format!("* Bye, Bob: {accepted} lines accepted, 2 refused."), &bob());
            assert_eq!(receipts.missing(), expected);
        }
        let mut receipts = sent(&["one", "two"]);
        receipts.ask(&bob());
        receipts.hear(ANSWER, &bob());
        receipts.sent("three", Instant::now());
        receipts.hear("* Bye, Bob: 1 line accepted, 0 refused.", &bob());
        assert_eq!(receipts.missing(), missing(1, Some("three")), "the others have a receipt");
    }
}
