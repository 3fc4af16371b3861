//! The modes of the terminal as they were, and are to be again however the client ends; and, when it was stopped and goes
//! on, as the client had them.

use std::io::{self, Write};
use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_signal::Signals;
use async_std::task::sleep;
use futures::StreamExt;
use rustix::process::getpgrp;
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

use crate::limits::FOREGROUND_LOOK;

/// Bracketed paste, as the editor begins it.
const BRACKETS: &[u8] = b"\x1b[?2004h";

/// The end of bracketed paste, colours as they were, and the line under the cursor cleared.
const RESET: &[u8] = b"\x1b[?2004l\x1b[0m\r\x1b[J";

/// Has something done to the terminal when the program panics, before that is reported.
pub(super) fn before_panic(restore: impl Fn() + Send + Sync + 'static) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore();
        report(info);
    }));
}

/// The modes before the editor changed them.
#[derive(Clone)]
pub(super) struct Modes {
    before: Arc<Termios>,
    /// There is an editor, which changes them.
    is_edited: Arc<AtomicBool>,
}

impl Modes {
    /// Remembers the modes, and restores them when the program panics.
    pub(super) fn save() -> io::Result<Self> {
        let modes = Self { before: Arc::new(tcgetattr(io::stdin())?), is_edited: Arc::default() };
        let ours = modes.clone();
        before_panic(move || ours.restore());
        Ok(modes)
    }

    /// Makes the terminal as it was. It fails when the terminal is gone.
    pub(super) fn restore(&self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
        let _ = io::stdout().write_all(RESET).and_then(|()| io::stdout().flush());
    }

    /// The editor begins.
    pub(super) fn edited(&self) {
        self.is_edited.store(true, Ordering::Relaxed);
    }

    /// Makes the terminal as the editor has it, if there is one. The editor does that itself when a key has stopped it, but
    /// often too early, before the whole program stands; and it knows of no other stop.
    pub(super) fn take_back(&self) {
        if self.is_edited.load(Ordering::Relaxed) {
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &of_editor(&self.before));
            let _ = io::stdout().write_all(BRACKETS).and_then(|()| io::stdout().flush());
        }
    }
}

/// The editor's modes, as rustyline makes them.
fn of_editor(before: &Termios) -> Termios {
    let mut modes = before.clone();
    modes.input_modes -=
        InputModes::BRKINT | InputModes::ICRNL | InputModes::INPCK | InputModes::ISTRIP | InputModes::IXON;
    modes.control_modes |= ControlModes::CS8;
    modes.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::IEXTEN | LocalModes::ISIG;
    modes.special_codes[SpecialCodeIndex::VMIN] = 1;
    modes.special_codes[SpecialCodeIndex::VTIME] = 0;
    modes
}

/// Has the terminal taken back after each of these signals, SIGCONT, which says that the program goes on. A shell sends it
/// when it has set the modes.
pub(super) async fn take_back_after(mut continued: Signals, take_back: impl Fn()) {
    while continued.next().await.is_some() {
        until_in_foreground().await;
        take_back();
    }
}

/// In the background the terminal is another's. No signal tells of the end of that.
async fn until_in_foreground() {
    while tcgetpgrp(io::stdin()).is_ok_and(|group| group != getpgrp()) {
        sleep(FOREGROUND_LOOK).await;
    }
}
