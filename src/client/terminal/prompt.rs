//! What stands before the line that is being typed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What stands before the line. Its colour says whether there is a connection; its width never changes.
#[derive(Clone)]
pub(crate) struct Prompt {
    pub(crate) text: &'static str,
    pub(crate) color: bool,
    pub(crate) connected: Arc<AtomicBool>,
}

impl Prompt {
    pub(crate) fn new(color: bool) -> Self {
        Self { text: "> ", color, connected: Arc::default() }
    }

    pub(crate) fn set_connected(&self, connected: bool) {
        self.connected.store(connected, Ordering::Relaxed);
    }
}
