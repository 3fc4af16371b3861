//! The dialogue about a password: what the server asks for, and what the person has typed for it.
//!
//! While one is open, whatever is sent is taken for a password: nothing else may be. In the room only a command of the
//! person's own opens one, and never a server that would like to have a password.

use std::collections::VecDeque;

use super::receipts::refuses_registered_name;
use crate::limits::CLIENT_SECRETS;
use crate::protocol::{Name, Secret};

/// Refusals that only other lines get. (`not-kept` and `line-too-long` are everybody's.)
const OF_OTHER_LINES: [&str; 13] = [
    "bad-name",
    "name-taken",
    "registered-only",
    "banned",
    "muted",
    "unknown-command",
    "bad-arguments",
    "no-such-user",
    "ignored",
    "too-many-ignored",
    "not-ignored",
    "not-operator",
    "not-sanctioned",
];

/// The dialogue on the connection, or none.
#[derive(Debug, Default)]
pub(super) struct Dialogue {
    is_open: bool,
    /// Lines before the command may have no answer yet, so a refusal may be that of one of them.
    is_doubtful: bool,
    /// Such a refusal has ended it. If it was none of its own, the question is still to come.
    may_come_back: bool,
    /// The server waits for a password.
    is_asked: bool,
    /// What was typed ahead.
    secrets: VecDeque<Secret>,
    /// What was sent last.
    sent: Option<Secret>,
}

impl Dialogue {
    /// The command that leads to it is sent, perhaps behind lines that have no answer yet.
    pub(super) fn begin(&mut self, is_doubtful: bool) {
        (self.is_open, self.is_asked) = (true, false);
        (self.is_doubtful, self.may_come_back) = (is_doubtful, false);
    }

    /// The server asks for a password. It answers in order, so all that was sent before has its answer.
    pub(super) fn ask(&mut self) {
        (self.is_open, self.is_asked) = (true, true);
        (self.is_doubtful, self.may_come_back) = (false, false);
    }

    pub(super) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether it is the person who is waited for.
    pub(super) fn waits(&self) -> bool {
        self.is_asked && self.secrets.is_empty()
    }

    /// Takes in a password for the next question. False when too many wait.
    pub(super) fn add(&mut self, secret: Secret) -> bool {
        let has_room = self.secrets.len() < CLIENT_SECRETS;
        if has_room {
            self.secrets.push_back(secret);
        }
        has_room
    }

    /// What is to be sent now, if anything.
    pub(super) fn answer(&mut self) -> Option<Secret> {
        let secret = if self.is_asked { self.secrets.pop_front()? } else { return None };
        self.is_asked = false;
        self.sent = Some(secret.clone());
        Some(secret)
    }

    /// Takes in a line of the server in the room to somebody of this name. The password that the name has from now on, if
    /// it says so.
    pub(super) fn hear(&mut self, line: &str, own: &Name) -> Option<Secret> {
        if is_question(line) && (self.is_open || self.may_come_back) {
            self.ask();
        } else if !self.is_open {
            return None;
        } else if line.starts_with("* Registered: ") || line.starts_with("* Password changed: ") {
            return self.end();
        } else if line.starts_with("* Unregistered: ") {
            self.end();
        } else if line.starts_with("! ") && !(self.is_doubtful && is_of_another_line(line, own)) {
            let may_come_back = self.is_doubtful;
            self.end();
            self.may_come_back = may_come_back;
        }
        None
    }

    /// It is over. What was sent last.
    pub(super) fn end(&mut self) -> Option<Secret> {
        std::mem::take(self).sent
    }
}

/// Whether the server asks somebody in the room for a password.
pub(super) fn is_question(line: &str) -> bool {
    line.starts_with("* Send the password") || line.starts_with("* Send the new password")
}

/// Whether a refusal is none of a command that leads to a password.
fn is_of_another_line(line: &str, own: &Name) -> bool {
    let refusal = line.strip_prefix("! ").unwrap_or_default();
    let code = refusal.split_once(": ").map_or(refusal, |(code, _)| code);
    OF_OTHER_LINES.contains(&code) || refuses_registered_name(line, own.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bob() -> Name {
        Name::parse("Bob").unwrap()
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    fn answer(dialogue: &mut Dialogue) -> Option<String> {
        dialogue.answer().map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn each_question_gets_one_answer_and_the_last_one_is_the_new_password() {
        let mut dialogue = Dialogue::default();
        dialogue.begin(false);
        assert!(dialogue.add(secret("old one")) && dialogue.add(secret("new one")));
        assert_eq!(answer(&mut dialogue), None, "it was not asked for");
        dialogue.hear("* Send the password of Bob as the next line.", &bob());
        assert!(!dialogue.waits());
        assert_eq!((answer(&mut dialogue).as_deref(), answer(&mut dialogue)), (Some("old one"), None));
        dialogue.hear("* Send the new password as the next line.", &bob());
        assert_eq!(answer(&mut dialogue).as_deref(), Some("new one"));
        assert!(dialogue.is_open() && dialogue.hear("Alice: * Password changed: no", &bob()).is_none());
        let changed = dialogue.hear("* Password changed: Bob has another one.", &bob());
        assert!(changed.unwrap().is(&secret("new one")) && !dialogue.is_open());
    }

    #[test]
    fn a_refusal_ends_it_and_what_was_typed_ahead_is_not_sent() {
        let mut dialogue = Dialogue::default();
        dialogue.begin(false);
        dialogue.add(secret("too early"));
        assert!(dialogue.hear("! unprotected: others could read it", &bob()).is_none() && !dialogue.is_open());
        dialogue.hear("* 2 lines that were sent behind it were thrown away.", &bob());
        dialogue.begin(false);
        dialogue.hear("* Send the password as the next line.", &bob());
        assert_eq!(answer(&mut dialogue), None);
        assert!(dialogue.waits());
    }

    #[test]
    fn a_question_that_no_command_has_led_to_opens_none() {
        let mut dialogue = Dialogue::default();
        let is_opened = |dialogue: &mut Dialogue| {
            dialogue.hear("* Send the password as the next line.", &bob());
            dialogue.hear("* Send the new password as the next line.", &bob());
            dialogue.is_open()
        };
        assert!(!is_opened(&mut dialogue));
        for end in ["! busy: try again", "* Unregistered: Bob", "* Registered: Bob", "* Password changed: Bob"] {
            dialogue.begin(false);
            assert!(is_opened(&mut dialogue));
            dialogue.hear(end, &bob());
            assert!(!is_opened(&mut dialogue), "{end}");
        }
    }

    /// They are late, and the server waits for a password behind them.
    #[test]
    fn a_refusal_of_a_line_before_the_command_ends_nothing() {
        for late in OF_OTHER_LINES.into_iter().chain(["name-registered"]) {
            let mut dialogue = Dialogue::default();
            dialogue.begin(true);
            dialogue.add(secret("open sesame"));
            dialogue.hear(&format!("! {late}: Alice is taken"), &bob());
            assert!(dialogue.is_open(), "{late}");
            dialogue.hear("* Send the password as the next line.", &bob());
            assert_eq!(answer(&mut dialogue).as_deref(), Some("open sesame"));
            // All that was sent before is answered.
            dialogue.hear(&format!("! {late}: Alice is taken"), &bob());
            assert!(!dialogue.is_open(), "{late}");
        }
    }

    #[test]
    fn where_a_refusal_may_be_its_own_or_not_it_is_over_until_a_question_says_that_it_was_not() {
        let question = "* Send the new password as the next line.";
        for either in ["not-kept: the disk", "line-too-long: no", "name-registered: Bob is registered", "busy: no"] {
            let refusal = format!("! {either}");
            let mut dialogue = Dialogue::default();
            dialogue.begin(true);
            dialogue.add(secret("too early"));
            dialogue.hear(&refusal, &bob());
            assert!(!dialogue.is_open(), "{either}");
            dialogue.hear(question, &bob());
            assert_eq!(answer(&mut dialogue), None);
            assert!(dialogue.waits(), "{either}");
            // That is known for certain, and so is the end of it.
            dialogue.hear(&refusal, &bob());
            dialogue.hear(question, &bob());
            assert!(!dialogue.is_open(), "{either}");
        }
    }

    #[test]
    fn nobody_can_type_ahead_without_end() {
        let mut dialogue = Dialogue::default();
        (0..CLIENT_SECRETS).for_each(|_| assert!(dialogue.add(secret("again"))));
        assert!(!dialogue.add(secret("again")));
    }
}
