use std::time::Duration;

use rustyline::{KeyCode, KeyEvent, Modifiers};

use super::*;

/// A person or a paste at the keyboard, with a simulated clock.
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

    /// A paste of this many lines.
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

    /// The verdict this many milliseconds later. Keys within that time would change it.
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
fn a_few_lines_are_sent_and_many_cause_one_question() {
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
fn a_bracketed_paste_is_split_into_lines_and_empty_ones_are_dropped() {
    let mut typist = Typist::new();
    typist.enter("one\n\ntwo\r\n three\n");
    assert_eq!(typist.later(40), Some(Verdict::Send(vec!["one".into(), "two".into(), " three".into()])));
}

#[test]
fn a_paste_that_pauses_does_not_answer_the_question() {
    let mut typist = Typist::paste(7);
    assert_eq!(typist.later(150), None);
    typist.enter("");
    typist.line("h");
    assert_eq!(typist.later(299), None);
    assert_eq!(typist.later(1), Some(Verdict::Ask(8)));
    // Keys follow it.
    typist.later(1000);
    typist.enter("");
    typist.later(1);
    typist.press();
    assert_eq!((typist.later(299), typist.later(1)), (None, Some(Verdict::Ask(8))));
    // Keys precede it.
    typist.later(1000);
    typist.press();
    typist.later(299);
    typist.enter("");
    assert_eq!(typist.later(300), Some(Verdict::Ask(8)));
}

#[test]
fn an_answer_counts_even_when_leaving_at_once() {
    let mut typist = Typist::paste(6);
    typist.later(300);
    typist.later(1000);
    typist.enter("");
    typist.press();
    assert_eq!(sent(typist.paste.settle()), 6);
    assert_eq!(typist.later(1000), None);
}

#[test]
fn an_unfinished_last_line_belongs_to_the_paste() {
    let mut typist = Typist::paste(7);
    typist.keys.now_typed("rest");
    assert_eq!(typist.later(300), Some(Verdict::Ask(8)));
    typist.enter("rest");
    typist.keys.now_typed("");
    assert_eq!(sent(typist.later(300)), 8);
    // It is not an answer if the paste continues after it.
    let mut typist = Typist::paste(7);
    typist.later(300);
    typist.enter("rest");
    typist.line("more");
    assert_eq!(typist.later(300), Some(Verdict::Ask(9)));
}

#[test]
fn lines_typed_after_a_question_wait_with_the_paste() {
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
fn lines_without_a_question_are_not_discarded() {
    let mut typist = Typist::paste(2);
    assert_eq!((typist.paste.question(), typist.paste.discard()), (None, None));
    assert_eq!(sent(typist.later(40)), 2);
}
