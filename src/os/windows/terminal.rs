//! The console: its modes, its echo and its size. There is no job control: every program may use its console.

use std::io::{self, Write};
use std::sync::Arc;

use windows_sys::Win32::System::Console::{ENABLE_ECHO_INPUT, ENABLE_VIRTUAL_TERMINAL_PROCESSING};

use crate::os::windows::api;

/// The key that makes the editor change its prompt: none, because the editor reads the keys of the console itself.
pub(crate) const PROMPT_KEY: Option<char> = None;

/// Resets the colours, and clears the line under the cursor.
const RESET: &[u8] = b"\x1b[0m\r\x1b[J";

/// The modes of the console before the editor changed them.
#[derive(Clone)]
pub(crate) struct SavedModes {
    before: Arc<(u32, u32)>,
}

impl SavedModes {
    /// Remembers the modes, and makes the console understand colours.
    pub(crate) fn save() -> io::Result<Self> {
        let (input, output) = (api::console_mode(&io::stdin())?, api::console_mode(&io::stdout())?);
        api::set_console_mode(&io::stdout(), output | ENABLE_VIRTUAL_TERMINAL_PROCESSING)?;
        Ok(Self { before: Arc::new((input, output)) })
    }

    /// Restores the modes. It fails when the console is gone.
    pub(crate) fn restore(&self) {
        let _ = io::stdout().write_all(RESET).and_then(|()| io::stdout().flush());
        let _ = api::set_console_mode(&io::stdin(), self.before.0);
        let _ = api::set_console_mode(&io::stdout(), self.before.1);
    }

    /// Nothing: the editor sets its modes itself, and reads keys, not bytes.
    pub(crate) fn begin_editing(&self) -> io::Result<()> {
        Ok(())
    }

    /// Nothing: the prompt does not change.
    pub(crate) fn change_prompt(&self) -> bool {
        false
    }

    /// Nothing: a process cannot be stopped.
    pub(crate) fn take_back(&self) {}

    /// Nothing: a process cannot be stopped.
    pub(crate) fn stop(&self) {}
}

pub(crate) fn never_stop() {}

pub(crate) fn is_foreground() -> bool {
    true
}

/// Nothing: streams of Windows have no non-blocking mode that other programs share.
pub(crate) fn make_blocking() {}

/// The columns and rows of the screen, 0 if unknown.
pub(crate) fn size() -> (u16, u16) {
    api::console_size(&io::stdout()).unwrap_or((0, 0))
}

/// Whether the console shows what is typed.
///
/// # Errors
/// If the console is gone.
pub(crate) fn has_echo() -> io::Result<bool> {
    Ok(api::console_mode(&io::stdin())? & ENABLE_ECHO_INPUT != 0)
}

/// # Errors
/// If the console is gone.
pub(crate) fn set_echo(is_on: bool) -> io::Result<()> {
    let mode = api::console_mode(&io::stdin())?;
    let mode = if is_on { mode | ENABLE_ECHO_INPUT } else { mode & !ENABLE_ECHO_INPUT };
    api::set_console_mode(&io::stdin(), mode)
}

/// Nothing: the console gives an incomplete line to nobody else.
pub(crate) fn discard_input() {}

/// Whether the console cannot move its cursor. `TERM` is not usual on Windows, but whoever sets it means it.
pub(crate) fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}
