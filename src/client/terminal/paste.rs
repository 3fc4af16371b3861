//! A paste: lines that come faster than anybody types. Many of them are asked about before they are sent.
//!
//! Over a slow link a paste pauses, so that it could answer the question itself. An Enter is an answer only when it is
//! quiet before it and after it. It knows no clock: time is a parameter.

use std::time::Instant;

use crate::client::terminal::keys::{Keys, Press};
use crate::client::terminal::password_prompt::begins_password_flow;
use crate::limits::{ANSWER_QUIET, PASTE_LINES, PASTE_QUIET};

/// Lines that were typed and are not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Paste {
    lines: Vec<String>,
    /// When it may have been quiet for long enough.
    due: Option<Instant>,
    /// The person has been asked about the lines.
    asked: Option<Instant>,
    /// When an Enter came that answers the question, if it stays quiet.
    answered: Option<Instant>,
    keys: Keys,
    leads_to_password: bool,
}

/// What is to be done with them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send(Vec<String>),
    Ask(usize),
}

impl Paste {
    /// Nothing is pasted yet. The keys tell when it is quiet, and whether there is a rest without a line end.
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Enter was pressed; a paste with line ends of its own brings several lines.
    pub(crate) fn add(&mut self, text: &str, enter: Press) {
        self.lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        self.leads_to_password |= text.lines().any(begins_password_flow);
        // With no key since the question, the line is what the paste has left in the editor.
        let is_answer = self.asked.is_some_and(|asked| enter.before.is_none_or(|before| before <= asked));
        self.entered(enter, is_answer);
    }

    /// Enter on an empty line: an answer, if there was a question.
    pub(crate) fn confirm(&mut self, enter: Press) {
        if self.asked.is_some() {
            self.entered(enter, enter.before.is_none_or(|before| before + ANSWER_QUIET <= enter.at));
        }
    }

    fn entered(&mut self, enter: Press, is_answer: bool) {
        self.answered = is_answer.then_some(enter.at);
        self.due = Some(enter.at + if is_answer { ANSWER_QUIET } else { PASTE_QUIET });
    }

    /// When to look again, if at all.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What is to be done by now, if anything.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Verdict> {
        self.due.filter(|due| *due <= now)?;
        let last = self.keys.last();
        // Keys behind it make it none.
        self.answered.take_if(|answered| last.is_some_and(|last| last > *answered));
        if self.is_small() || self.answered.is_some() {
            return self.settle();
        }
        match last.map(|last| last + ANSWER_QUIET).filter(|quiet| *quiet > now) {
            Some(quiet) => self.due = Some(quiet),
            None => return self.settle(),
        }
        None
    }

    /// What has come, has come. Whoever has just answered is taken at their word.
    pub(crate) fn settle(&mut self) -> Option<Verdict> {
        let due = self.due.take()?;
        if self.is_small() || self.answered.take().is_some() {
            (self.asked, self.leads_to_password) = (None, false);
            return Some(Verdict::Send(std::mem::take(&mut self.lines)));
        }
        self.asked = Some(due);
        Some(Verdict::Ask(self.lines.len() + usize::from(self.keys.have_text())))
    }

    fn is_small(&self) -> bool {
        self.lines.len() <= PASTE_LINES && self.asked.is_none()
    }

    /// Whether there is a command among them that leads to a password.
    pub(crate) fn leads_to_password(&self) -> bool {
        self.leads_to_password
    }

    /// How many lines wait.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// How many lines wait for an answer, if there was a question.
    pub(crate) fn question(&self) -> Option<usize> {
        self.asked.is_some().then_some(self.lines.len())
    }

    /// Ctrl-C: how many lines are thrown away, if there was a question.
    pub(crate) fn discard(&mut self) -> Option<usize> {
        self.asked.take()?;
        (self.due, self.answered, self.leads_to_password) = (None, None, false);
        Some(std::mem::take(&mut self.lines).len())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustyline::{KeyCode, KeyEvent, Modifiers};

    use super::*;

    /// Somebody, or a paste, at the keys, on a clock of its own.
    struct Typist {
        keys: Keys,
        now: Instant,
        paste: Paste,
    }

    impl Typist {
        fn new() -> Self {
            let keys = Keys::default();
            Self { keys: keys.clone(), now: Instant::now(), paste: Paste::new(keys) }
        }

        /// So many lines at once.
        fn paste(lines: usize) -> Self {
            let mut typist = Self::new();
            (0..lines).for_each(|line| typist.line(&line.to_string()));
            typist
        }

        fn press(&self) -> Press {
            self.keys.press(KeyEvent(KeyCode::Char('x'), Modifiers::NONE), self.now)
        }

        fn line(&mut self, line: &str) {
            self.press();
            self.enter(line);
        }

        fn enter(&mut self, line: &str) {
            let press = self.press();
            if line.is_empty() { self.paste.confirm(press) } else { self.paste.add(line, press) }
        }

        /// What is done by so many milliseconds later. Keys within that time would change it.
        fn later(&mut self, milliseconds: u64) -> Option<Verdict> {
            self.now += Duration::from_millis(milliseconds);
            self.paste.look(self.now)
        }
    }

    fn sent(verdict: Option<Verdict>) -> usize {
        let Some(Verdict::Send(lines)) = verdict else { panic!("{verdict:?}") };
        lines.len()
    }

    #[test]
    fn a_few_lines_are_sent_and_many_are_asked_about_once() {
        assert_eq!(sent(Typist::paste(1).later(40)), 1);
        assert_eq!(sent(Typist::paste(5).later(40)), 5);
        let mut typist = Typist::paste(6);
        typist.enter("");
        assert_eq!((typist.later(299), typist.later(1), typist.later(1000)), (None, Some(Verdict::Ask(6)), None));
        typist.enter("");
        assert_eq!(typist.later(299), None);
        assert_eq!(sent(typist.later(1)), 6);
        typist.enter("");
        assert_eq!(typist.later(1000), None);
    }

    #[test]
    fn a_bracketed_paste_is_several_lines_and_empty_ones_do_not_count() {
        let mut typist = Typist::new();
        typist.enter("one\n\ntwo\r\n three\n");
        assert_eq!(typist.later(40), Some(Verdict::Send(vec!["one".into(), "two".into(), " three".into()])));
    }

    #[test]
    fn a_paste_that_pauses_does_not_answer() {
        let mut typist = Typist::paste(7);
        assert_eq!(typist.later(150), None);
        typist.enter("");
        typist.line("h");
        assert_eq!(typist.later(299), None);
        assert_eq!(typist.later(1), Some(Verdict::Ask(8)));
        // There are keys behind it.
        typist.later(1000);
        typist.enter("");
        typist.later(1);
        typist.press();
        assert_eq!((typist.later(299), typist.later(1)), (None, Some(Verdict::Ask(8))));
        // There are keys before it.
        typist.later(1000);
        typist.press();
        typist.later(299);
        typist.enter("");
        assert_eq!(typist.later(300), Some(Verdict::Ask(8)));
    }

    #[test]
    fn who_answers_and_leaves_at_once_has_answered() {
        let mut typist = Typist::paste(6);
        typist.later(300);
        typist.later(1000);
        typist.enter("");
        typist.press();
        assert_eq!(sent(typist.paste.settle()), 6);
        assert_eq!(typist.later(1000), None);
    }

    #[test]
    fn a_rest_without_a_line_end_belongs_to_it() {
        let mut typist = Typist::paste(7);
        typist.keys.now_typed("rest");
        assert_eq!(typist.later(300), Some(Verdict::Ask(8)));
        typist.enter("rest");
        typist.keys.now_typed("");
        assert_eq!(sent(typist.later(300)), 8);
        // It is no answer when the paste goes on behind it.
        let mut typist = Typist::paste(7);
        typist.later(300);
        typist.enter("rest");
        typist.line("more");
        assert_eq!(typist.later(300), Some(Verdict::Ask(9)));
    }

    #[test]
    fn what_is_typed_behind_a_question_waits_with_it() {
        let mut typist = Typist::paste(6);
        typist.later(300);
        typist.later(1000);
        typist.line("more");
        assert_eq!(typist.later(300), Some(Verdict::Ask(7)));
        assert_eq!((typist.paste.question(), typist.paste.discard()), (Some(7), Some(7)));
        assert_eq!(typist.paste.discard(), None);
        typist.line("another");
        assert_eq!(sent(typist.later(40)), 1);
    }

    #[test]
    fn what_was_not_asked_about_is_not_thrown_away() {
        let mut typist = Typist::paste(2);
        assert_eq!((typist.paste.question(), typist.paste.discard()), (None, None));
        assert_eq!(sent(typist.later(40)), 2);
    }
}
