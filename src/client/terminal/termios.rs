//! Restores the modes of the terminal however the client ends, and sets the editor's modes again after a stop.

use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use async_signal::Signals;
use futures::StreamExt;
use rustix::process::{Signal, getpid, kill_current_process_group, kill_process};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};

use crate::client::terminal::foreground::{is_foreground, until_foreground};
use crate::limits::STOP_TAKES;

/// Turns on bracketed paste, as the editor does.
const BRACKETS: &[u8] = b"\x1b[?2004h";

/// Turns off bracketed paste, resets the colours, and clears the line under the cursor.
const RESET: &[u8] = b"\x1b[?2004l\x1b[0m\r\x1b[J";

/// Calls `restore` when the program panics, before the panic is reported.
pub(crate) fn before_panic(restore: impl Fn() + Send + Sync + 'static) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore();
        report(info);
    }));
}

/// The modes before the editor changed them. They are not changed in the background.
#[derive(Clone)]
pub(crate) struct SavedModes {
    /// The original standard input. The editor reads a pseudo-terminal in its place.
    terminal: Arc<OwnedFd>,
    before: Arc<Termios>,
    /// The editor has started.
    is_edited: Arc<AtomicBool>,
}

impl SavedModes {
    /// Remembers the modes, and restores them when the program panics.
    pub(crate) fn save() -> io::Result<Self> {
        let terminal = Arc::new(io::stdin().as_fd().try_clone_to_owned()?);
        let modes = Self { before: Arc::new(tcgetattr(&terminal)?), terminal, is_edited: Arc::default() };
        let ours = modes.clone();
        before_panic(move || ours.restore());
        Ok(modes)
    }

    /// Another descriptor of the terminal.
    pub(crate) fn terminal(&self) -> io::Result<OwnedFd> {
        self.terminal.try_clone()
    }

    /// Restores the modes. It fails when the terminal is gone.
    pub(crate) fn restore(&self) {
        if is_foreground() {
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
            let _ = io::stdout().write_all(RESET).and_then(|()| io::stdout().flush());
        }
    }

    /// Sets the editor's modes, and does so again after each stop.
    pub(crate) fn begin_editing(&self) {
        self.is_edited.store(true, Ordering::Relaxed);
        self.take_back();
    }

    /// Sets the editor's modes if the editor has started.
    pub(crate) fn take_back(&self) {
        if self.is_edited.load(Ordering::Relaxed) && is_foreground() {
            let _ = tcsetattr(&self.terminal, OptionalActions::Now, &of_editor(&self.before));
            let _ = io::stdout().write_all(BRACKETS).and_then(|()| io::stdout().flush());
        }
    }

    /// Stops the process group, as Ctrl-Z does in the original modes. Returns when the process continues.
    pub(crate) fn stop(&self) {
        self.restore();
        let _ = kill_current_process_group(Signal::TSTP);
        // The stop may take effect a moment later, in this sleep.
        thread::sleep(STOP_TAKES);
        // Without job control the signal is ignored, and no SIGCONT follows.
        self.take_back();
        // The terminal may have another size now.
        let _ = kill_process(getpid(), Signal::WINCH);
    }
}

/// The editor's modes, as rustyline makes them.
pub(crate) fn of_editor(before: &Termios) -> Termios {
    let mut modes = before.clone();
    modes.input_modes -=
        InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON;
    modes.control_modes |= ControlModes::CS8;
    modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    modes
}

/// Calls `take_back` after each SIGCONT, which says that the process continues. A shell sends it after setting the
/// modes.
pub(crate) async fn take_back_after(mut continued: Signals, take_back: impl Fn()) {
    while continued.next().await.is_some() {
        until_foreground().await;
        take_back();
    }
}
