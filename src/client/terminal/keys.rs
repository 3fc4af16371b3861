//! The keys that were pressed, as far as others than the editor have to know of them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustyline::{KeyCode, KeyEvent, Modifiers};

/// Shared by the editor, which sees every key, and whoever asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Keys(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_searching: bool,
}

impl Keys {
    /// A key was pressed, and has been acted on.
    pub(super) fn pressed(&self, key: KeyEvent) {
        let mut this = self.lock();
        match key {
            KeyEvent(KeyCode::Char('R' | 'S'), Modifiers::CTRL) => this.is_searching = true,
            // They change what is searched.
            KeyEvent(KeyCode::Char(_) | KeyCode::Backspace, Modifiers::NONE)
            | KeyEvent(KeyCode::Char('H'), Modifiers::CTRL) => {}
            _ => this.is_searching = false,
        }
    }

    /// Whether the history is being searched. (When there is none it may say so without need.)
    pub(super) fn is_searching(&self) -> bool {
        self.lock().is_searching
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
