//! Asks for passwords. While a password is typed, it is neither shown nor kept.
//!
//! The keys do not reach the editor, and a plain terminal does not echo them. A question starts with the Enter after a
//! command such as `/register`, or when the [app](crate::client::terminal::app) opens it. From then on, no key can
//! become part of a message.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::{KeyCode, KeyEvent, Modifiers, RepeatCount};
use zeroize::{Zeroize, Zeroizing};

use crate::client::terminal::account::{AccountRequest, account_command};
use crate::client::terminal::foreground::is_foreground;
use crate::client::terminal::keys::Typed;
use crate::limits::LINE_BYTES;
use crate::model::{BadSecret, Secret};
use crate::os::system::terminal;

/// The message after Ctrl-C.
pub(crate) const CANCELLED: &str = "Cancelled; nothing was sent.";
const NOBODY_ASKS: &str = "Not sent: the server is no longer asking for a password.";

/// Shared by the keyboard input and the app.
#[derive(Clone, Default)]
pub(crate) struct PasswordPrompt(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    /// The question that the next line answers.
    question: Option<Question>,
    /// Account commands can be used now.
    is_ready: bool,
    /// The text typed so far. The editor does not see it.
    text: Zeroizing<String>,
    paste: Pasting,
    /// There is no editor.
    is_plain: bool,
    /// The terminal's echo was on, and is off now.
    is_muted: bool,
}

enum Question {
    /// The password of the name. The question stays open until the app closes it.
    Login,
    /// The passwords for a command.
    Account(AccountRequest),
}

/// The position in a bracketed paste.
#[derive(Debug, Default, PartialEq, Eq)]
enum Pasting {
    #[default]
    No,
    FirstLine,
    /// Ignored.
    Rest,
}

/// The effect of a key.
#[derive(Debug)]
pub(crate) enum KeyEffect {
    /// The usual effect.
    Usual,
    None,
    /// Enter: this text was typed.
    Entered(Zeroizing<String>),
    /// Ctrl-C: the question was cancelled.
    Cancelled,
}

impl PasswordPrompt {
    /// Makes this prompt switch the terminal's echo, for a client without an editor.
    pub(crate) fn control_echo(&self) {
        self.change(|state| state.is_plain = true);
    }

    /// Sets the echo again after a stop, because another program may have changed it.
    pub(crate) fn take_back(&self) {
        self.lock().set_echo(true);
    }

    /// Sets whether account commands can be used now.
    pub(crate) fn set_ready(&self, is_ready: bool) {
        self.change(|state| state.is_ready = is_ready);
    }

    /// If the line is an account command that can be used now, asks for its passwords. Returns the first question.
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

    /// Ends the question for the password of the name.
    pub(crate) fn close_login(&self) {
        if matches!(self.lock().question, Some(Question::Login)) {
            self.close();
        }
    }

    /// Whether the next input is a password.
    pub(crate) fn is_open(&self) -> bool {
        self.lock().question.is_some()
    }

    /// Handles a line that was typed while a question was open.
    ///
    /// # Errors
    ///
    /// The message for the person, which may be the next question.
    pub(crate) fn enter(&self, line: &[u8]) -> Result<Typed, String> {
        self.change(|state| state.enter(line))
    }

    /// Ends the question of a command. False if there is none.
    pub(crate) fn cancel(&self) -> bool {
        self.change(|state| state.question.take_if(|question| matches!(question, Question::Account(_))).is_some())
    }

    /// Ends any question. At a plain terminal, discards an incomplete password: it would be sent with the next line, or
    /// shown by a shell.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.question = None;
        if state.is_muted && is_foreground() {
            terminal::discard_input();
        }
        state.set_echo(false);
    }

    /// Handles a key before the editor sees it.
    pub(crate) fn press(&self, key: KeyEvent, times: RepeatCount) -> KeyEffect {
        let is_ctrl_c = key == KeyEvent(KeyCode::Char('C'), Modifiers::CTRL);
        let is_cancelled = is_ctrl_c && self.cancel();
        let mut state = self.lock();
        if is_cancelled {
            state.text.zeroize();
            return KeyEffect::Cancelled;
        }
        // A half-typed text was meant as a password, even if the question has ended.
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
        // U+FFFD replaces invalid bytes, so this is not the password that was meant.
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
                // Reserve everything at once: a buffer that grows leaves copies behind.
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
            // These ask whether to leave, and leave.
            KeyEvent(KeyCode::Char('C' | 'D'), Modifiers::CTRL) if self.text.is_empty() => return KeyEffect::Usual,
            KeyEvent(KeyCode::Char('C' | 'U'), Modifiers::CTRL) => self.text.zeroize(),
            // These clear the screen, and stop the client.
            KeyEvent(KeyCode::Char('L' | 'Z'), Modifiers::CTRL) => return KeyEffect::Usual,
            _ => {}
        }
        KeyEffect::None
    }

    /// Switches the echo. It fails when the terminal is gone. In the background it does nothing; `take_back` sets the
    /// echo later.
    fn set_echo(&mut self, again: bool) {
        let be_mute = self.is_plain && self.question.is_some();
        if be_mute == self.is_muted && !(be_mute && again) || !is_foreground() {
            return;
        }
        let Ok(has_echo) = terminal::has_echo() else { return };
        if be_mute && !self.is_muted && !has_echo {
            return; // The echo was off before, and must stay off afterwards.
        }
        self.is_muted = be_mute;
        let _ = terminal::set_echo(!be_mute);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::terminal::account::{AGAIN, DIFFER, NEW, PRESENT};

    /// Presses keys, and collects what is left for the editor.
    struct TestKeyboard {
        prompt: PasswordPrompt,
        editor: String,
    }

    impl TestKeyboard {
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

        /// Presses Enter. Returns what was entered.
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

    /// Enters lines. Returns the result of the last one.
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
    fn the_editor_sees_no_key_of_a_password() {
        let mut keyboard = TestKeyboard::new();
        keyboard.prompt.open_login();
        keyboard.type_in("zöe");
        for key in ["\t", "\x12", "\x19", "\x1f", "\x18", "\x17", "\x0b", "\x01", "\x02", "\x10", "\x16", "\x04"] {
            let effect = keyboard.press(KeyEvent::new(key.chars().next().unwrap(), Modifiers::NONE));
            assert!(matches!(effect, KeyEffect::None), "{key:?}: {effect:?}");
        }
        for code in [KeyCode::Up, KeyCode::Down, KeyCode::Left, KeyCode::Home, KeyCode::Tab, KeyCode::Delete] {
            assert!(matches!(keyboard.press(KeyEvent(code, Modifiers::NONE)), KeyEffect::None), "{code:?}");
        }
        keyboard.press(KeyEvent(KeyCode::Backspace, Modifiers::NONE));
        keyboard.type_in("ë 1");
        assert_eq!(keyboard.enter().as_deref(), Some("zöë 1"));
        assert_eq!((keyboard.enter(), keyboard.editor.as_str()), (None, ""));
    }

    #[test]
    fn input_is_hidden_from_the_command_to_the_last_password() {
        let mut keyboard = TestKeyboard::new();
        assert_eq!(keyboard.prompt.open("/register"), Some(NEW));
        keyboard.type_in("unseen");
        assert_eq!(keyboard.enter().as_deref(), Some("unseen"));
        keyboard.prompt.enter(b"unseen").unwrap_err();
        keyboard.type_in("un");
        keyboard.prompt.enter(b"unseen").unwrap();
        // The question has ended, but a half-typed password remains.
        keyboard.type_in("seen");
        assert_eq!(keyboard.enter().as_deref(), Some("unseen"));
        assert_eq!(enter(&keyboard.prompt, &["unseen"]).unwrap_err(), NOBODY_ASKS);
        assert_eq!(keyboard.editor, "");
        keyboard.type_in("seen");
        assert_eq!(keyboard.editor, "seen");
    }

    #[test]
    fn each_command_asks_for_what_it_needs() {
        let prompt = TestKeyboard::new().prompt;
        assert_eq!(prompt.open("/register\n"), Some(NEW));
        assert_eq!(enter(&prompt, &["one"]).unwrap_err(), AGAIN);
        let request = enter(&prompt, &["one"]).unwrap();
        assert!(request.present.is_none() && request.new.unwrap().is(&secret("one")) && !prompt.is_open());
        assert_eq!(prompt.open("/Password"), Some(PRESENT));
        assert_eq!(enter(&prompt, &["one"]).unwrap_err(), NEW);
        // After a typing error, both are asked for again.
        assert_eq!(enter(&prompt, &["two", "too"]).unwrap_err(), DIFFER);
        let request = enter(&prompt, &["three", "three"]).unwrap();
        assert!(request.present.unwrap().is(&secret("one")) && request.new.unwrap().is(&secret("three")));
        assert_eq!(prompt.open(" /unregister"), Some(PRESENT));
        let request = enter(&prompt, &["three"]).unwrap();
        assert!(request.present.is_some() && request.new.is_none() && !prompt.is_open());
    }

    #[test]
    fn only_a_single_command_that_can_be_used_asks() {
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
        let mut keyboard = TestKeyboard::new();
        for keys in ["", "half"] {
            keyboard.prompt.open("/register");
            keyboard.type_in(keys);
            assert!(matches!(keyboard.press(KeyEvent::ctrl('C')), KeyEffect::Cancelled));
            assert!(!keyboard.prompt.is_open() && !keyboard.prompt.cancel());
            keyboard.type_in("seen");
        }
        assert_eq!(keyboard.editor, "seenseen");
    }

    #[test]
    fn only_the_first_line_of_a_paste_is_used() {
        let mut keyboard = TestKeyboard::new();
        keyboard.prompt.open_login();
        keyboard.press(KeyEvent(KeyCode::BracketedPasteStart, Modifiers::NONE));
        for line in ["", "hunter2", "not this"] {
            keyboard.type_in(line);
            assert_eq!(keyboard.enter(), None);
        }
        keyboard.press(KeyEvent(KeyCode::BracketedPasteEnd, Modifiers::NONE));
        keyboard.type_in("!");
        assert_eq!(keyboard.enter().as_deref(), Some("hunter2!"));
    }

    #[test]
    fn ctrl_c_and_ctrl_u_discard_a_half_typed_password() {
        let mut keyboard = TestKeyboard::new();
        keyboard.prompt.open_login();
        for key in [KeyEvent::ctrl('C'), KeyEvent::ctrl('U')] {
            keyboard.type_in("wrong");
            assert!(matches!(keyboard.press(key), KeyEffect::None));
            assert_eq!(keyboard.enter(), None);
        }
        keyboard.type_in("right");
        assert_eq!(keyboard.enter().as_deref(), Some("right"));
        for key in ['C', 'D', 'L', 'Z'] {
            assert!(matches!(keyboard.press(KeyEvent::ctrl(key)), KeyEffect::Usual), "{key}");
        }
    }

    #[test]
    fn text_beyond_the_line_limit_is_ignored() {
        let mut keyboard = TestKeyboard::new();
        keyboard.prompt.open_login();
        keyboard.type_in(&"x".repeat(LINE_BYTES + 1));
        assert_eq!(keyboard.enter().unwrap().len(), LINE_BYTES);
    }

    #[test]
    fn invalid_utf8_is_not_a_password() {
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
