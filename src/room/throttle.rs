//! What the broker tells a session about how fast its peer may send.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Throttle {
    owed: AtomicU64,
    is_held: AtomicBool,
}

impl Throttle {
    /// Charges bytes that the peer must pay for besides those that it sent.
    pub fn charge(&self, bytes: usize) {
        self.owed.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Takes the bytes that were charged since the last call.
    pub fn take_owed(&self) -> usize {
        self.owed.swap(0, Ordering::Relaxed) as usize
    }

    /// Sets whether what the peer has sent waits for others in its room.
    pub(crate) fn hold(&self, is_held: bool) {
        self.is_held.store(is_held, Ordering::Relaxed);
    }

    /// Whether the session must send nothing more until the broker has handled what it has.
    pub fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }
}
