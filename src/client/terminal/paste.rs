//! A paste: lines that come faster than anybody types. Many of them are asked about before they are sent.
//!
//! It knows no clock: time is a parameter.

use std::time::Instant;

use crate::limits::{PASTE_LINES, PASTE_QUIET};

/// Lines that were typed and are not sent yet.
#[derive(Debug, Default)]
pub(super) struct Paste {
    lines: Vec<String>,
    /// When it will have been quiet for long enough.
    due: Option<Instant>,
    /// The person has been asked about so many lines.
    asked: bool,
}

/// What is to be done with them.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Send(Vec<String>),
    Ask(usize),
}

impl Paste {
    /// Enter was pressed; a paste with line ends of its own brings several lines.
    pub(super) fn add(&mut self, text: &str, now: Instant) {
        self.lines.extend(text.lines().filter(|line| !line.trim().is_empty()).map(str::to_owned));
        self.due = Some(now + PASTE_QUIET);
    }

    /// When to look again, if at all.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It has been quiet: what has come, has come.
    pub(super) fn settle(&mut self) -> Option<Verdict> {
        self.due.take()?;
        if self.lines.len() <= PASTE_LINES && !self.asked {
            return Some(Verdict::Send(std::mem::take(&mut self.lines)));
        }
        self.asked = true;
        Some(Verdict::Ask(self.lines.len()))
    }

    /// How many lines wait.
    pub(super) fn len(&self) -> usize {
        self.lines.len()
    }

    /// How many lines wait for an answer, if there was a question.
    pub(super) fn question(&self) -> Option<usize> {
        self.asked.then_some(self.lines.len())
    }

    /// Enter on an empty line: an answer, if there was a question.
    pub(super) fn confirm(&mut self) -> Option<Vec<String>> {
        std::mem::take(&mut self.asked).then(|| std::mem::take(&mut self.lines))
    }

    /// Ctrl-C: how many lines are thrown away, if there was a question.
    pub(super) fn discard(&mut self) -> Option<usize> {
        // What is not asked about yet is still to come.
        let lines = self.confirm()?;
        self.due = None;
        Some(lines.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(lines: usize) -> Paste {
        let mut paste = Paste::default();
        (0..lines).for_each(|line| paste.add(&line.to_string(), Instant::now()));
        paste
    }

    #[test]
    fn a_few_lines_are_sent_and_many_are_asked_about_once() {
        assert_eq!(typed(1).settle(), Some(Verdict::Send(vec!["0".into()])));
        assert!(matches!(typed(5).settle(), Some(Verdict::Send(lines)) if lines.len() == 5));
        let mut paste = typed(6);
        assert_eq!(paste.confirm(), None, "nothing was asked");
        assert_eq!((paste.settle(), paste.settle()), (Some(Verdict::Ask(6)), None));
        assert_eq!(paste.confirm().map(|lines| lines.len()), Some(6));
        assert_eq!(paste.confirm(), None);
    }

    #[test]
    fn a_bracketed_paste_is_several_lines_and_empty_ones_do_not_count() {
        let mut paste = Paste::default();
        paste.add("one\n\ntwo\r\n three\n", Instant::now());
        assert_eq!(paste.settle(), Some(Verdict::Send(vec!["one".into(), "two".into(), " three".into()])));
    }

    #[test]
    fn without_a_question_nothing_is_thrown_away() {
        let mut paste = typed(2);
        assert_eq!((paste.question(), paste.discard()), (None, None));
        assert!(matches!(paste.settle(), Some(Verdict::Send(lines)) if lines.len() == 2));
        let mut paste = typed(6);
        paste.settle();
        assert_eq!(paste.question(), Some(6));
    }

    #[test]
    fn what_is_typed_behind_a_question_waits_with_it() {
        let mut paste = typed(6);
        paste.settle();
        paste.add("more", Instant::now());
        assert_eq!(paste.settle(), Some(Verdict::Ask(7)));
        assert_eq!(paste.discard(), Some(7));
        assert_eq!(paste.discard(), None);
        assert!(matches!(typed(1).settle(), Some(Verdict::Send(_))));
    }
}
