//! Hides a password: while it is typed, nothing of it is shown or kept.
//!
//! The editor gets a star for each character and never sees these, so neither its undo nor what it has cut can bring them
//! back. A plain terminal shows nothing instead. The [app](crate::client::terminal::app) says whether a password is wanted; that one will
//! be, is known here from the moment in which a command is typed that leads to one.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use rustyline::{Cmd, KeyCode, KeyEvent, Modifiers, Movement, RepeatCount};
use zeroize::{Zeroize, Zeroizing};

use crate::client::terminal::foreground::is_foreground;
use crate::limits::LINE_BYTES;
use crate::protocol::words::find_slash;
use crate::protocol::{Command, Line};

/// Shared by the reader of the keys and the app.
#[derive(Clone, Default)]
pub(crate) struct PasswordPrompt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// How many commands that lead to a password were typed, and not seen by the app yet.
    coming: usize,
    is_wanted: bool,
    /// The editor is under it.
    hidden: Option<Hidden>,
    /// There is no editor.
    is_plain: bool,
    /// The terminal showed what is typed, and does not at this moment.
    is_muted: bool,
}

/// What is typed while it is hidden.
struct Hidden {
    text: Zeroizing<String>,
    /// What was in the editor before.
    draft: String,
    paste: Pasting,
}

/// Where in a paste, in brackets, the keys are.
#[derive(Debug, PartialEq, Eq)]
enum Pasting {
    No,
    FirstLine,
    /// It is not taken.
    Rest,
}

/// What a key does.
#[derive(Debug)]
pub(crate) enum Deed {
    /// What it always does.
    AsUsual,
    /// This.
    Instead(Cmd),
    /// The editor holds this, with the cursor behind it.
    Put(String),
    /// Enter: this was typed while hidden.
    Entered(Zeroizing<String>),
}

/// Whether a line is a command to which the server answers with the question for a password.
pub(crate) fn begins_password_flow(line: &str) -> bool {
    // The first test is cheap, and nearly always enough.
    find_slash(line).is_some() && matches!(Command::parse(Line::Text(line.to_owned())), Ok(Command::Account(_)))
}

/// Lines up to the first one that begins a dialogue, and what is behind it: that was meant as a password.
pub(crate) fn split_at_password_flow(lines: &str) -> (&str, Option<&str>) {
    let mut end = 0;
    for line in lines.split_inclusive('\n') {
        end += line.len();
        if begins_password_flow(line) {
            return (&lines[..end], Some(&lines[end..]));
        }
    }
    (lines, None)
}

fn mute() {
    let Ok(mut modes) = tcgetattr(io::stdin()) else { return };
    modes.local_modes -= LocalModes::ECHO;
    let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
}

impl PasswordPrompt {
    /// The terminal keeps the typed line itself from now on, and shows it or not.
    pub(crate) fn rule_echo(&self) {
        self.change(|state| state.is_plain = true);
    }

    /// The terminal shows nothing, if it is not to, whatever another program has made of it meanwhile.
    pub(crate) fn take_back(&self) {
        let mut state = self.lock();
        if state.is_muted {
            mute();
        } else {
            state.set_echo();
        }
    }

    /// A command that leads to a password was typed.
    pub(crate) fn expect(&self) {
        self.change(|state| state.coming += 1);
    }

    /// The app has seen so many of those, and knows whether a password is wanted.
    pub(crate) fn settle(&self, seen: usize, is_wanted: bool) {
        self.change(|state| {
            state.coming = state.coming.saturating_sub(seen);
            state.is_wanted = is_wanted;
        });
    }

    /// Whether what is typed from now on is, or may be, a password.
    pub(crate) fn is_called_for(&self) -> bool {
        self.lock().is_called_for()
    }

    /// The terminal shows again what is typed, as at the end of the program. What is half typed was meant as a password, and
    /// is thrown away: a shell would show it.
    pub(crate) fn lift(&self) {
        let mut state = self.lock();
        (state.coming, state.is_wanted) = (0, false);
        if state.is_muted && is_foreground() {
            // It fails when the terminal is gone.
            let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        }
        state.set_echo();
    }

    /// A key at the editor, which holds this line; so many times.
    pub(crate) fn press(&self, key: KeyEvent, times: RepeatCount, line: &str, in_search: bool) -> Deed {
        let mut state = self.lock();
        match state.is_called_for() {
            true if state.hidden.is_none() => state.fall(key, times, line, in_search),
            // What is half typed was meant as a password, whoever has lost interest in it meanwhile.
            false if line.is_empty() => state.rise(key),
            _ => match &mut state.hidden {
                Some(hidden) => hidden.press(key, times, line),
                None => Deed::AsUsual,
            },
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.lock();
        change(&mut state);
        state.set_echo();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_called_for(&self) -> bool {
        self.is_wanted || self.coming > 0
    }

    /// Hiding begins with the first key, which is hidden already. What was in the editor is laid aside.
    fn fall(&mut self, key: KeyEvent, times: RepeatCount, line: &str, in_search: bool) -> Deed {
        if !line.is_empty() && acts_on_line(key) {
            return Deed::AsUsual;
        }
        // With room for all of it from the start, no copy is left behind by a buffer that grew.
        let text = Zeroizing::new(String::with_capacity(LINE_BYTES));
        let hidden = self.hidden.insert(Hidden { text, draft: line.to_owned(), paste: Pasting::No });
        let deed = hidden.press(key, times, "");
        if line.is_empty() && !in_search {
            return deed;
        }
        Deed::Put("*".repeat(hidden.text.chars().count()))
    }

    /// Hiding ends before the first key after it. What was laid aside comes back.
    fn rise(&mut self, key: KeyEvent) -> Deed {
        let draft = self.hidden.take().map(|hidden| hidden.draft).unwrap_or_default();
        match key {
            _ if draft.is_empty() => Deed::AsUsual,
            KeyEvent(KeyCode::Char(char), Modifiers::NONE) => Deed::Instead(Cmd::Insert(1, format!("{draft}{char}"))),
            _ => Deed::Instead(Cmd::Insert(1, draft)),
        }
    }

    /// It fails when the terminal is gone. In the background the terminal is left alone; `take_back` sets it later.
    fn set_echo(&mut self) {
        let be_mute = self.is_plain && self.is_called_for();
        if be_mute == self.is_muted || !is_foreground() {
            return;
        }
        let Ok(mut modes) = tcgetattr(io::stdin()) else { return };
        if be_mute && !modes.local_modes.contains(LocalModes::ECHO) {
            return; // It shows nothing anyway, and is not to begin with it.
        }
        modes.local_modes.set(LocalModes::ECHO, !be_mute);
        self.is_muted = be_mute;
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }
}

impl Hidden {
    /// The cursor never leaves the end of the stars, so that each of them goes with its character.
    fn press(&mut self, key: KeyEvent, times: RepeatCount, stars: &str) -> Deed {
        match key {
            KeyEvent(KeyCode::BracketedPasteStart, _) => self.paste = Pasting::FirstLine,
            KeyEvent(KeyCode::BracketedPasteEnd, _) => self.paste = Pasting::No,
            _ if self.paste == Pasting::Rest => {}
            key if is_enter(key) => return self.enter(),
            KeyEvent(KeyCode::Char(char), Modifiers::NONE) => return self.add(char, times),
            KeyEvent(KeyCode::Backspace, Modifiers::NONE) | KeyEvent(KeyCode::Char('H'), Modifiers::CTRL) => {
                for _ in 0..times {
                    self.text.pop();
                }
                return Deed::Instead(Cmd::Kill(Movement::BackwardChar(times)));
            }
            KeyEvent(KeyCode::Char('U'), Modifiers::CTRL) => {
                self.text.zeroize();
                return Deed::Instead(Cmd::Kill(Movement::WholeBuffer));
            }
            KeyEvent(KeyCode::Char('C'), Modifiers::CTRL) => {
                self.text.zeroize();
                return Deed::AsUsual;
            }
            // To leave, to clear the screen, to stop the client for a while.
            KeyEvent(KeyCode::Char('D'), Modifiers::CTRL) if stars.is_empty() => return Deed::AsUsual,
            KeyEvent(KeyCode::Char('L' | 'Z'), Modifiers::CTRL) => return Deed::AsUsual,
            _ => {}
        }
        Deed::Instead(Cmd::Noop)
    }

    fn enter(&mut self) -> Deed {
        if self.text.is_empty() {
            return Deed::Instead(Cmd::Noop);
        }
        if self.paste == Pasting::FirstLine {
            self.paste = Pasting::Rest;
            return Deed::Instead(Cmd::Noop);
        }
        let empty = Zeroizing::new(String::with_capacity(LINE_BYTES));
        Deed::Entered(std::mem::replace(&mut self.text, empty))
    }

    fn add(&mut self, char: char, times: RepeatCount) -> Deed {
        if self.text.len() + usize::from(times) * char.len_utf8() > LINE_BYTES {
            return Deed::Instead(Cmd::Noop);
        }
        (0..times).for_each(|_| self.text.push(char));
        Deed::Instead(Cmd::SelfInsert(times, '*'))
    }
}

fn is_enter(key: KeyEvent) -> bool {
    matches!(key, KeyEvent(KeyCode::Enter, _) | KeyEvent(KeyCode::Char('J' | 'M'), Modifiers::CTRL))
}

/// Keys that do something with the line that is in the editor, rather than add to it.
fn acts_on_line(key: KeyEvent) -> bool {
    is_enter(key) || matches!(key, KeyEvent(KeyCode::Char('C' | 'D'), Modifiers::CTRL))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An editor that does as it is told.
    struct Desk {
        password_prompt: PasswordPrompt,
        line: String,
    }

    impl Desk {
        fn new() -> Self {
            Self { password_prompt: PasswordPrompt::default(), line: String::new() }
        }

        fn press(&mut self, key: KeyEvent) -> Deed {
            let deed = self.password_prompt.press(key, 1, &self.line, false);
            match &deed {
                Deed::Instead(Cmd::SelfInsert(1, char)) => self.line.push(*char),
                Deed::Instead(Cmd::Insert(1, text)) => self.line.push_str(text),
                Deed::Put(text) => self.line.clone_from(text),
                Deed::Instead(Cmd::Kill(Movement::WholeBuffer)) | Deed::Entered(_) => self.line.clear(),
                Deed::Instead(Cmd::Kill(Movement::BackwardChar(1))) => drop(self.line.pop()),
                Deed::Instead(Cmd::Noop) => {}
                Deed::Instead(other) => panic!("{other:?}"),
                Deed::AsUsual => match key {
                    KeyEvent(KeyCode::Char(char), Modifiers::NONE) => self.line.push(char),
                    KeyEvent(KeyCode::Char('C'), Modifiers::CTRL) => self.line.clear(),
                    _ => {}
                },
            }
            deed
        }

        fn type_in(&mut self, text: &str) {
            text.chars().for_each(|char| drop(self.press(KeyEvent(KeyCode::Char(char), Modifiers::NONE))));
        }

        fn paste(&mut self, text: &str) {
            self.press(KeyEvent(KeyCode::BracketedPasteStart, Modifiers::NONE));
            for char in text.chars() {
                match char {
                    '\r' => drop(self.press(KeyEvent(KeyCode::Enter, Modifiers::NONE))),
                    _ => self.type_in(&char.to_string()),
                }
            }
            self.press(KeyEvent(KeyCode::BracketedPasteEnd, Modifiers::NONE));
        }

        /// What Enter gives.
        fn enter(&mut self) -> Option<String> {
            match self.press(KeyEvent(KeyCode::Enter, Modifiers::NONE)) {
                Deed::Entered(text) => Some(text.to_string()),
                _ => None,
            }
        }
    }

    #[test]
    fn the_editor_sees_stars_and_every_key_that_could_show_more_does_nothing() {
        let mut desk = Desk::new();
        desk.password_prompt.settle(0, true);
        desk.type_in("zöe");
        for key in ["\t", "\x12", "\x19", "\x1f", "\x18", "\x17", "\x0b", "\x01", "\x02", "\x10", "\x16"] {
            desk.press(KeyEvent::new(key.chars().next().unwrap(), Modifiers::NONE));
        }
        for code in [KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Home, KeyCode::Tab, KeyCode::Delete] {
            desk.press(KeyEvent(code, Modifiers::NONE));
        }
        assert_eq!(desk.line, "***");
        desk.press(KeyEvent(KeyCode::Backspace, Modifiers::NONE));
        desk.type_in("ë 1");
        assert_eq!(desk.line, "*****");
        assert_eq!(desk.enter().as_deref(), Some("zöë 1"));
        assert_eq!(desk.enter(), None);
        assert_eq!(desk.line, "");
    }

    #[test]
    fn it_is_there_from_the_command_on_until_the_talk_has_seen_it_end() {
        let mut desk = Desk::new();
        desk.type_in("seen");
        assert_eq!(desk.line, "seen");
        desk.line.clear();
        desk.password_prompt.expect();
        // The app was busy with something else when the command was typed.
        desk.password_prompt.settle(0, false);
        desk.type_in("un");
        desk.password_prompt.settle(1, true);
        desk.type_in("seen");
        assert_eq!(desk.line, "******");
        // It has ended, but half a password is there.
        desk.password_prompt.settle(0, false);
        desk.type_in("!");
        assert_eq!(desk.line, "*******");
        assert_eq!(desk.enter().as_deref(), Some("unseen!"));
        desk.type_in("seen");
        assert_eq!(desk.line, "seen");
    }

    #[test]
    fn what_was_in_the_editor_is_laid_aside_and_comes_back() {
        let mut desk = Desk::new();
        desk.type_in("half a li");
        desk.password_prompt.settle(0, true);
        desk.type_in("ab");
        assert_eq!(desk.line, "**");
        assert_eq!(desk.enter().as_deref(), Some("ab"));
        desk.password_prompt.settle(0, false);
        desk.type_in("ne");
        assert_eq!(desk.line, "half a line");
        // Whoever finishes a line in this moment sends it.
        desk.password_prompt.settle(0, true);
        assert!(matches!(desk.press(KeyEvent(KeyCode::Enter, Modifiers::NONE)), Deed::AsUsual));
    }

    #[test]
    fn of_a_paste_the_first_line_is_taken() {
        let mut desk = Desk::new();
        desk.password_prompt.settle(0, true);
        desk.paste("\rhunter2\rnot this\r");
        assert_eq!(desk.line, "*******");
        desk.type_in("!");
        assert_eq!(desk.enter().as_deref(), Some("hunter2!"));
    }

    #[test]
    fn ctrl_c_and_ctrl_u_throw_it_away() {
        let mut desk = Desk::new();
        desk.password_prompt.settle(0, true);
        for key in [KeyEvent::ctrl('C'), KeyEvent::ctrl('U')] {
            desk.type_in("wrong");
            desk.press(key);
            assert_eq!(desk.line, "");
            assert_eq!(desk.enter(), None);
        }
        desk.type_in("right");
        assert_eq!(desk.enter().as_deref(), Some("right"));
    }

    #[test]
    fn what_is_too_long_for_a_line_is_not_taken() {
        let mut desk = Desk::new();
        desk.password_prompt.settle(0, true);
        desk.type_in(&"x".repeat(LINE_BYTES + 1));
        assert_eq!(desk.line.len(), LINE_BYTES);
        assert_eq!(desk.enter().unwrap().len(), LINE_BYTES);
    }

    #[test]
    fn commands_are_known_as_the_server_knows_them() {
        for line in ["/register", "/PASSWORD", "/Unregister now", "/register\n", " /register", "\u{feff}/password"] {
            assert!(begins_password_flow(line), "{line:?}");
        }
        for line in ["/registered", "//register", " //register", "x /register", "register", "/who", ""] {
            assert!(!begins_password_flow(line), "{line:?}");
        }
        assert_eq!(split_at_password_flow("one\n/register\nhunter2\n"), ("one\n/register\n", Some("hunter2\n")));
        assert_eq!(split_at_password_flow("one\ntwo"), ("one\ntwo", None));
    }
}
