//! What a person does at the keyboard, for the code outside the editor.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustyline::{KeyCode, KeyEvent, Modifiers};

use crate::client::terminal::account::AccountRequest;
use crate::model::Secret;

#[derive(Debug, Clone)]
pub(crate) enum Typed {
    /// Enter. A paste can contain several lines.
    Line(String, Press),
    /// Enter on an empty line.
    Nothing(Press),
    /// The password of the name.
    Secret(Secret),
    /// An account command, with all its passwords.
    Account(AccountRequest),
    /// Ctrl-C on an empty line.
    Interrupt,
    /// Ctrl-C on a line that was not empty; it is cleared now.
    Cleared,
    /// Ctrl-D on an empty line, or the terminal is gone.
    Leave,
}

/// The last keys. Shared by the editor, which sees every key, and the app.
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
    /// When the previous key was pressed.
    pub(crate) before: Option<Instant>,
    /// The history was being searched. (It may also be true without a search.)
    pub(crate) in_search: bool,
}

impl Keys {
    /// Records a key before it takes effect.
    pub(crate) fn press(&self, key: KeyEvent, at: Instant) -> Press {
        let mut this = self.lock();
        let press = Press { at, before: this.last.replace(at), in_search: this.is_searching };
        match key {
            KeyEvent(KeyCode::Char('R' | 'S'), Modifiers::CTRL) => this.is_searching = true,
            // They change the search term.
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

    /// Ends the search. False if there was none.
    pub(crate) fn end_search(&self) -> bool {
        std::mem::take(&mut self.lock().is_searching)
    }

    /// Records the text in the editor.
    pub(crate) fn now_typed(&self, line: &str) {
        self.lock().has_text = !line.trim().is_empty();
    }

    /// Whether the editor contains text.
    pub(crate) fn have_text(&self) -> bool {
        self.lock().has_text
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
