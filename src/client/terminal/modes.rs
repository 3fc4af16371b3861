//! The modes of the terminal as they were, and are to be again however the client ends.

use std::io::{self, Write};
use std::panic;
use std::sync::Arc;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

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
pub(super) struct Modes(Arc<Termios>);

impl Modes {
    /// Remembers the modes, and restores them when the program panics.
    pub(super) fn save() -> io::Result<Self> {
        let modes = Self(Arc::new(tcgetattr(io::stdin())?));
        let ours = modes.clone();
        before_panic(move || ours.restore());
        Ok(modes)
    }

    /// Makes the terminal as it was. It fails when the terminal is gone.
    pub(super) fn restore(&self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
        let _ = io::stdout().write_all(RESET).and_then(|()| io::stdout().flush());
    }
}
