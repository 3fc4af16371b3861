//! What a person does at the keyboard, as far as others than the editor have to know of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustyline::{KeyCode, KeyEvent, Modifiers};

use crate::client::terminal::account::AccountRequest;
use crate::model::Secret;

/// What a person did.
#[derive(Debug, Clone)]
pub(crate) enum Typed {
    /// Enter. A paste can hold several lines.
    Line(String, Press),
    /// Enter, and there was nothing to send.
    Nothing(Press),
    /// The password of the name.
    Secret(Secret),
    /// A command about the account, and all the passwords for it.
    Account(AccountRequest),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Ctrl-C on a line that was not empty, and is now.
    Cleared,
    /// Ctrl-D on an empty line, or the terminal is gone.
    Leave,
}

/// Shared by the editor, which sees every key, and whoever asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    last: Option<Instant>,
    is_searching: bool,
    has_text: bool,
}

/// A key that was pressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Press {
    pub(crate) at: Instant,
    /// When the key before it was pressed.
    pub(crate) before: Option<Instant>,
    /// The history was being searched. (When there is none this may be so without need.)
    pub(crate) in_search: bool,
}

impl Keys {
    /// A key was pressed, and is going to be acted on.
    pub(crate) fn press(&self, key: KeyEvent, at: Instant) -> Press {
        let mut this = self.lock();
        let press = Press { at, before: this.last.replace(at), in_search: this.is_searching };
        match key {
            KeyEvent(KeyCode::Char('R' | 'S'), Modifiers::CTRL) => this.is_searching = true,
            // They change what is searched.
            KeyEvent(KeyCode::Char(_) | KeyCode::Backspace, Modifiers::NONE)
            | KeyEvent(KeyCode::Char('H'), Modifiers::CTRL) => {}
            _ => this.is_searching = false,
        }
        press
    }

    /// When the last key was pressed.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.lock().last
    }

    /// What is in the editor by now.
    pub(crate) fn now_typed(&self, line: &str) {
        self.lock().has_text = !line.trim().is_empty();
    }

    /// Whether there is something in the editor.
    pub(crate) fn have_text(&self) -> bool {
        self.lock().has_text
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
