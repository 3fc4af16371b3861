//! Detects a paste: lines that come faster than anybody types. A long paste is sent only after a question.
//!
//! Over a slow connection a paste may pause, and its next Enter could answer the question. So an Enter counts as an
//! answer only after and before a silence. Time is a parameter.

use std::time::Instant;

use crate::client::terminal::keys::{Keys, Press};
use crate::limits::{ANSWER_QUIET, PASTE_LINES, PASTE_QUIET};

/// Typed lines that have not been sent.
#[derive(Debug, Default)]
pub(crate) struct Paste {
    lines: Vec<String>,
    /// When to check for silence.
    due: Option<Instant>,
    /// When the person was asked about the lines.
    asked: Option<Instant>,
    /// When an Enter came that answers the question, unless more keys follow.
    answered: Option<Instant>,
    keys: Keys,
}

/// What to do with the lines.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Send(Vec<String>),
    Ask(usize),
}

impl Paste {
    /// `keys` tells when the last key came, and whether the editor contains text.
    pub(crate) fn new(keys: Keys) -> Self {
        Self { keys, ..Self::default() }
    }

    /// Adds a line after Enter. A bracketed paste may contain several.
    pub(crate) fn add(&mut self, text: &str, enter: Press) {
        self.lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        // If no key came after the question, the line is the end of the paste, which was left in the editor.
        let is_answer = self.asked.is_some_and(|asked| enter.before.is_none_or(|before| before <= asked));
        self.entered(enter, is_answer);
    }

    /// Enter on an empty line: it may answer the question.
    pub(crate) fn confirm(&mut self, enter: Press) {
        if self.asked.is_some() {
            self.entered(enter, enter.before.is_none_or(|before| before + ANSWER_QUIET <= enter.at));
        }
    }

    fn entered(&mut self, enter: Press, is_answer: bool) {
        self.answered = is_answer.then_some(enter.at);
        self.due = Some(enter.at + if is_answer { ANSWER_QUIET } else { PASTE_QUIET });
    }

    /// When to call [`Self::look`], if at all.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What to do now, if anything.
    pub(crate) fn look(&mut self, now: Instant) -> Option<Verdict> {
        self.due.filter(|due| *due <= now)?;
        let last = self.keys.last();
        // If more keys follow, it is not an answer.
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

    /// Decides at once, without waiting for silence. An Enter after the question counts as an answer.
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

    /// How many lines are waiting.
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }

    /// How many lines the open question is about, if there is one.
    pub(crate) fn question(&self) -> Option<usize> {
        self.asked.is_some().then_some(self.lines.len())
    }

    /// Ctrl-C: discards the lines if a question is open. Returns how many.
    pub(crate) fn discard(&mut self) -> Option<usize> {
        self.asked.take()?;
        (self.due, self.answered) = (None, None);
        Some(std::mem::take(&mut self.lines).len())
    }
}

#[cfg(test)]
mod tests;
