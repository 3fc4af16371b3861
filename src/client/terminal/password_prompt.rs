//! Asks for passwords, one after the other: while one is typed, nothing of it is shown or kept.
//!
//! The keys do not reach the editor, and a plain terminal shows nothing. A question begins with the Enter after a command
//! such as `/register`, or when the [app](crate::client::terminal::app) has it asked. From then on no key is taken for a
//! line to send.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::termios::{LocalModes, OptionalActions, QueueSelector, tcflush, tcgetattr, tcsetattr};
use rustyline::{KeyCode, KeyEvent, Modifiers, RepeatCount};
use zeroize::{Zeroize, Zeroizing};

use crate::client::terminal::account::{AccountRequest, account_command};
use crate::client::terminal::foreground::is_foreground;
use crate::client::terminal::keys::Typed;
use crate::limits::LINE_BYTES;
use crate::model::{BadSecret, Secret};

/// What the person is told after Ctrl-C.
pub(crate) const CANCELLED: &str = "Cancelled; nothing was sent.";
const NOBODY_ASKS: &str = "Not sent: nobody asks for a password any more.";

/// Shared by the reader of the keys and the app.
#[derive(Clone, Default)]
pub(crate) struct PasswordPrompt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// What the next line is the answer to.
    question: Option<Question>,
    /// Commands about the account can be used now.
    is_ready: bool,
    /// What was typed at the editor, which does not see it.
    text: Zeroizing<String>,
    paste: Pasting,
    /// There is no editor.
    is_plain: bool,
    /// The terminal showed what is typed, and does not at this moment.
    is_muted: bool,
}

enum Question {
    /// The password of the name. It stays open until the app closes it.
    Login,
    /// Those that a command needs.
    Account(AccountRequest),
}

/// Where in a paste, in brackets, the keys are.
#[derive(Debug, Default, PartialEq, Eq)]
enum Pasting {
    #[default]
    No,
    FirstLine,
    /// It is not taken.
    Rest,
}

/// What a key does.
#[derive(Debug)]
pub(crate) enum KeyEffect {
    /// What it does without a question.
    Usual,
    None,
    /// Enter: this was typed.
    Entered(Zeroizing<String>),
    /// Ctrl-C: nothing is asked any more.
    Cancelled,
}

impl PasswordPrompt {
    /// There is no editor: the terminal itself shows what is typed, or not.
    pub(crate) fn control_echo(&self) {
        self.change(|state| state.is_plain = true);
    }

    /// Sets the echo again after a stop, when another program may have changed it.
    pub(crate) fn take_back(&self) {
        self.lock().set_echo(true);
    }

    /// Whether commands about the account can be used now.
    pub(crate) fn set_ready(&self, is_ready: bool) {
        self.change(|state| state.is_ready = is_ready);
    }

    /// Asks for the passwords that a command needs, if the line is such a command and it can be used now. Returns the first
    /// question.
    pub(crate) fn open(&self, line: &str) -> Option<&'static str> {
        let line = line.trim_end_matches('\n');
        let command = account_command(line).filter(|_| !line.contains(['\n', '\r']))?;
        let request = AccountRequest::new(command);
        let question = request.question();
        self.change(|state| {
            let is_ready = state.is_ready;
            is_ready.then(|| state.question = Some(Question::Account(request)))
        })?;
        Some(question)
    }

    /// Asks for the password of the name.
    pub(crate) fn open_login(&self) {
        self.change(|state| state.question = Some(Question::Login));
    }

    /// Ends that question.
    pub(crate) fn close_login(&self) {
        if matches!(self.lock().question, Some(Question::Login)) {
            self.close();
        }
    }

    /// Whether what is typed from now on is a password.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().question.is_some()
    }

    /// Takes a line that was typed while a question was open.
    ///
    /// # Errors
    /// What to tell the person, which may be the next question.
    pub(crate) fn enter(&self, line: &[u8]) -> Result<Typed, String> {
        self.change(|state| state.enter(line))
    }

    /// Ends the question of a command. False if there is none.
    pub(crate) fn cancel(&self) -> bool {
        self.change(|state| state.question.take_if(|question| matches!(question, Question::Account(_))).is_some())
    }

    /// Ends any question. At a plain terminal half a password is discarded: it would be sent with the next line, or a shell
    /// would show it.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.question = None;
        if state.is_muted && is_foreground() {
            // It fails when the terminal is gone.
            let _ = tcflush(io::stdin(), QueueSelector::IFlush);
        }
        state.set_echo(false);
    }

    /// Handles a key before the editor does.
    pub(crate) fn press(&self, key: KeyEvent, times: RepeatCount) -> KeyEffect {
        let is_ctrl_c = key == KeyEvent(KeyCode::Char('C'), Modifiers::CTRL);
        let is_cancelled = is_ctrl_c && self.cancel();
        let mut state = self.lock();
        if is_cancelled {
            state.text.zeroize();
            return KeyEffect::Cancelled;
        }
        // What is half typed was meant as a password, also when nobody asks for it any more.
        if state.question.is_none() && state.text.is_empty() {
            state.paste = Pasting::No;
            return KeyEffect::Usual;
        }
        state.press(key, times)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let changed = change(&mut state);
        state.set_echo(false);
        changed
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn enter(&mut self, line: &[u8]) -> Result<Typed, String> {
        // U+FFFD stands for invalid bytes, so this is not the password that was meant.
        let text = str::from_utf8(line).ok().filter(|text| !text.contains(char::REPLACEMENT_CHARACTER));
        let secret =
            text.ok_or(BadSecret::NotText).and_then(Secret::parse).map_err(|why| format!("Not sent: {why}."))?;
        match self.question.take() {
            None => Err(NOBODY_ASKS.to_owned()),
            Some(Question::Login) => {
                self.question = Some(Question::Login);
                Ok(Typed::Secret(secret))
            }
            Some(Question::Account(mut request)) => match request.fill(secret) {
                None => Ok(Typed::Account(request)),
                Some(question) => {
                    self.question = Some(Question::Account(request));
                    Err(question.to_owned())
                }
            },
        }
    }

    fn press(&mut self, key: KeyEvent, times: RepeatCount) -> KeyEffect {
        match key {
            KeyEvent(KeyCode::BracketedPasteStart, _) => self.paste = Pasting::FirstLine,
            KeyEvent(KeyCode::BracketedPasteEnd, _) => self.paste = Pasting::No,
            _ if self.paste == Pasting::Rest => {}
            KeyEvent(KeyCode::Enter, _) | KeyEvent(KeyCode::Char('J' | 'M'), Modifiers::CTRL) => {
                match (self.text.is_empty(), &self.paste) {
                    (true, _) => {}
                    (false, Pasting::FirstLine) => self.paste = Pasting::Rest,
                    (false, _) => return KeyEffect::Entered(std::mem::take(&mut self.text)),
                }
            }
            KeyEvent(KeyCode::Char(char), Modifiers::NONE) => {
                // With room for all of it from the start, no copy is left behind by a buffer that grew.
                let room = LINE_BYTES - self.text.len();
                self.text.reserve(room);
                let times = usize::from(times).min(room / char.len_utf8());
                (0..times).for_each(|_| self.text.push(char));
            }
            KeyEvent(KeyCode::Backspace, Modifiers::NONE) | KeyEvent(KeyCode::Char('H'), Modifiers::CTRL) => {
                (0..times).for_each(|_| {
                    self.text.pop();
                });
            }
            // To ask whether to leave, and to leave.
            KeyEvent(KeyCode::Char('C' | 'D'), Modifiers::CTRL) if self.text.is_empty() => return KeyEffect::Usual,
            KeyEvent(KeyCode::Char('C' | 'U'), Modifiers::CTRL) => self.text.zeroize(),
            // To clear the screen, and to stop the client for a while.
            KeyEvent(KeyCode::Char('L' | 'Z'), Modifiers::CTRL) => return KeyEffect::Usual,
            _ => {}
        }
        KeyEffect::None
    }

    /// It fails when the terminal is gone. In the background the terminal is left alone; `take_back` sets it later.
    fn set_echo(&mut self, again: bool) {
        let be_mute = self.is_plain && self.question.is_some();
        if be_mute == self.is_muted && !(be_mute && again) || !is_foreground() {
            return;
        }
        let Ok(mut modes) = tcgetattr(io::stdin()) else { return };
        if be_mute && !self.is_muted && !modes.local_modes.contains(LocalModes::ECHO) {
            return; // It shows nothing anyway, and is not to begin with it.
        }
        modes.local_modes.set(LocalModes::ECHO, !be_mute);
        self.is_muted = be_mute;
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::terminal::account::{AGAIN, DIFFER, NEW, PRESENT};

    /// A prompt, and the text that it leaves to the editor.
    struct Harness {
        prompt: PasswordPrompt,
        editor: String,
    }

    impl Harness {
        fn new() -> Self {
            let prompt = PasswordPrompt::default();
            prompt.set_ready(true);
            Self { prompt, editor: String::new() }
        }

        fn press(&mut self, key: KeyEvent) -> KeyEffect {
            let effect = self.prompt.press(key, 1);
            if let (KeyEffect::Usual, KeyEvent(KeyCode::Char(char), Modifiers::NONE)) = (&effect, key) {
                self.editor.push(char);
            }
            effect
        }

        fn type_in(&mut self, text: &str) {
            text.chars().for_each(|char| drop(self.press(KeyEvent(KeyCode::Char(char), Modifiers::NONE))));
        }

        /// What Enter gives.
        fn enter(&mut self) -> Option<String> {
            match self.press(KeyEvent(KeyCode::Enter, Modifiers::NONE)) {
                KeyEffect::Entered(text) => Some(text.to_string()),
                _ => None,
            }
        }
    }

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    /// Enters lines. What comes of the last one.
    fn enter(prompt: &PasswordPrompt, lines: &[&str]) -> Result<AccountRequest, String> {
        let mut entered = Err(String::new());
        for line in lines {
            entered = prompt.enter(line.as_bytes()).map(|typed| match typed {
                Typed::Account(request) => request,
                other => panic!("{other:?}"),
            });
        }
        entered
    }

    #[test]
    fn the_editor_sees_no_key_and_every_key_that_could_show_something_does_nothing() {
        let mut harness = Harness::new();
        harness.prompt.open_login();
        harness.type_in("zöe");
        for key in ["\t", "\x12", "\x19", "\x1f", "\x18", "\x17", "\x0b", "\x01", "\x02", "\x10", "\x16", "\x04"] {
            let effect = harness.press(KeyEvent::new(key.chars().next().unwrap(), Modifiers::NONE));
            assert!(matches!(effect, KeyEffect::None), "{key:?}: {effect:?}");
        }
        for code in [KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Home, KeyCode::Tab, KeyCode::Delete] {
            assert!(matches!(harness.press(KeyEvent(code, Modifiers::NONE)), KeyEffect::None), "{code:?}");
        }
        harness.press(KeyEvent(KeyCode::Backspace, Modifiers::NONE));
        harness.type_in("ë 1");
        assert_eq!(harness.enter().as_deref(), Some("zöë 1"));
        assert_eq!((harness.enter(), harness.editor.as_str()), (None, ""));
    }

    #[test]
    fn it_is_hidden_from_the_command_on_until_all_is_typed() {
        let mut harness = Harness::new();
        assert_eq!(harness.prompt.open("/register"), Some(NEW));
        harness.type_in("unseen");
        assert_eq!(harness.enter().as_deref(), Some("unseen"));
        harness.prompt.enter(b"unseen").unwrap_err();
        harness.type_in("un");
        harness.prompt.enter(b"unseen").unwrap();
        // It has ended, but half a password is there.
        harness.type_in("seen");
        assert_eq!(harness.enter().as_deref(), Some("unseen"));
        assert_eq!(enter(&harness.prompt, &["unseen"]).unwrap_err(), NOBODY_ASKS);
        assert_eq!(harness.editor, "");
        harness.type_in("seen");
        assert_eq!(harness.editor, "seen");
    }

    #[test]
    fn each_command_asks_for_what_it_needs() {
        let prompt = Harness::new().prompt;
        assert_eq!(prompt.open("/register\n"), Some(NEW));
        assert_eq!(enter(&prompt, &["one"]).unwrap_err(), AGAIN);
        let request = enter(&prompt, &["one"]).unwrap();
        assert!(request.present.is_none() && request.new.unwrap().is(&secret("one")) && !prompt.is_open());
        assert_eq!(prompt.open("/Password"), Some(PRESENT));
        assert_eq!(enter(&prompt, &["one"]).unwrap_err(), NEW);
        // One that is mistyped is asked for again, both times.
        assert_eq!(enter(&prompt, &["two", "too"]).unwrap_err(), DIFFER);
        let request = enter(&prompt, &["three", "three"]).unwrap();
        assert!(request.present.unwrap().is(&secret("one")) && request.new.unwrap().is(&secret("three")));
        assert_eq!(prompt.open(" /unregister"), Some(PRESENT));
        let request = enter(&prompt, &["three"]).unwrap();
        assert!(request.present.is_some() && request.new.is_none() && !prompt.is_open());
    }

    #[test]
    fn only_a_command_by_itself_asks_and_only_when_it_can_be_used() {
        let prompt = PasswordPrompt::default();
        assert_eq!(prompt.open("/register"), None);
        prompt.set_ready(true);
        for line in ["hello", "/who", "//register", "/register\nhunter2", "one\n/register", "/register\rhunter2"] {
            assert_eq!(prompt.open(line), None, "{line:?}");
        }
        assert!(!prompt.is_open());
    }

    #[test]
    fn ctrl_c_cancels_a_command() {
        let mut harness = Harness::new();
        for keys in ["", "half"] {
            harness.prompt.open("/register");
            harness.type_in(keys);
            assert!(matches!(harness.press(KeyEvent::ctrl('C')), KeyEffect::Cancelled));
            assert!(!harness.prompt.is_open() && !harness.prompt.cancel());
            harness.type_in("seen");
        }
        assert_eq!(harness.editor, "seenseen");
    }

    #[test]
    fn of_a_paste_the_first_line_is_taken() {
        let mut harness = Harness::new();
        harness.prompt.open_login();
        harness.press(KeyEvent(KeyCode::BracketedPasteStart, Modifiers::NONE));
        for line in ["", "hunter2", "not this"] {
            harness.type_in(line);
            assert_eq!(harness.enter(), None);
        }
        harness.press(KeyEvent(KeyCode::BracketedPasteEnd, Modifiers::NONE));
        harness.type_in("!");
        assert_eq!(harness.enter().as_deref(), Some("hunter2!"));
    }

    #[test]
    fn ctrl_c_and_ctrl_u_throw_half_a_password_away() {
        let mut harness = Harness::new();
        harness.prompt.open_login();
        for key in [KeyEvent::ctrl('C'), KeyEvent::ctrl('U')] {
            harness.type_in("wrong");
            assert!(matches!(harness.press(key), KeyEffect::None));
            assert_eq!(harness.enter(), None);
        }
        harness.type_in("right");
        assert_eq!(harness.enter().as_deref(), Some("right"));
        for key in ['C', 'D', 'L', 'Z'] {
            assert!(matches!(harness.press(KeyEvent::ctrl(key)), KeyEffect::Usual), "{key}");
        }
    }

    #[test]
    fn what_is_too_long_for_a_line_is_not_taken() {
        let mut harness = Harness::new();
        harness.prompt.open_login();
        harness.type_in(&"x".repeat(LINE_BYTES + 1));
        assert_eq!(harness.enter().unwrap().len(), LINE_BYTES);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_no_password() {
        let prompt = PasswordPrompt::default();
        prompt.open_login();
        for line in [&b"hunt\xe9r2"[..], "hunt\u{fffd}r2".as_bytes()] {
            assert!(prompt.enter(line).unwrap_err().starts_with("Not sent: "));
        }
        assert!(matches!(prompt.enter(b"hunter2"), Ok(Typed::Secret(_))) && prompt.is_open());
        prompt.close_login();
        assert!(!prompt.is_open());
    }
}
