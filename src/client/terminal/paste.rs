//! A paste: lines that come faster than anybody types. Many of them are asked about before they are sent.
//!
//! Over a slow link a paste pauses, so that it could answer the question itself. An Enter is an answer only when it is
//! quiet before it and after it. It knows no clock: time is a parameter.

use std::time::Instant;

use crate::client::terminal::keys::{Keys, Press};
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
            self.asked = None;
            return Some(Verdict::Send(std::mem::take(&mut self.lines)));
        }
        self.asked = Some(due);
        Some(Verdict::Ask(self.lines.len() + usize::from(self.keys.have_text())))
    }

    fn is_small(&self) -> bool {
        self.lines.len() <= PASTE_LINES && self.asked.is_none()
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
        (self.due, self.answered) = (None, None);
        Some(std::mem::take(&mut self.lines).len())
    }
}

#[cfg(test)]
mod tests;
