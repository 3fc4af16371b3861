//! Starts the client's runtime, after checking that it has the resources that it needs.
//!
//! Without a thread or a file descriptor, the runtime panics or waits forever. So both are checked first.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use async_global_executor::GlobalExecutorConfig;

use crate::client::ClientError;
use crate::limits::{STARTUP_DESCRIPTORS, STARTUP_THREADS};
use crate::os::descriptors::try_descriptors;
use crate::os::system::process_1;

/// Starts the runtime, with one thread for its tasks. Nothing may use async-std before this. As process 1 of a container,
/// it also takes over the duties of that process; `ends_by_signals` is for a client that does not handle signals itself.
///
/// # Errors
///
/// [`ClientError::NoResources`], when a limit of the system is too low.
pub fn start(ends_by_signals: bool) -> Result<(), ClientError> {
    try_descriptors(STARTUP_DESCRIPTORS)
        .map_err(|source| ClientError::NoResources { what: "file descriptors (ulimit -n)", source })?;
    try_threads().map_err(no_thread)?;
    async_global_executor::init_with_config(GlobalExecutorConfig::default().with_min_threads(1).with_max_threads(1));
    process_1::start(ends_by_signals)
        .map_err(|source| ClientError::NoResources { what: "threads or signal handlers", source })
}

/// The error when no more threads can be started.
pub(crate) fn no_thread(source: io::Error) -> ClientError {
    ClientError::NoResources { what: "threads (ulimit -u)", source }
}

/// Runs [`STARTUP_THREADS`] threads at once, and waits for their end.
fn try_threads() -> io::Result<()> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let _closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..STARTUP_THREADS {
            thread::Builder::new().spawn_scoped(scope, || drop(gate.lock()))?;
        }
        Ok(())
    })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_checks_release_what_they_use() {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        try_descriptors(STARTUP_DESCRIPTORS).unwrap();
        try_threads().unwrap();
        // Other tests open and close some at the same time.
        assert!(open() < before + STARTUP_DESCRIPTORS);
    }
}
