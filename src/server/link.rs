//! What the two sides of one connection have to tell each other.

use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by the intake and the writer of one peer.
#[derive(Debug, Default)]
pub(super) struct Link {
    crlf: AtomicBool,
    broken: AtomicBool,
}

impl Link {
    /// The intake has seen that this peer's lines are to end in CR LF.
    pub(super) fn want_crlf(&self) {
        self.crlf.store(true, Ordering::Relaxed);
    }

    pub(super) fn wants_crlf(&self) -> bool {
        self.crlf.load(Ordering::Relaxed)
    }

    /// The writer has found the connection broken: when its input ends now, that is no half-close.
    pub(super) fn note_broken(&self) {
        self.broken.store(true, Ordering::Release);
    }

    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }
}
