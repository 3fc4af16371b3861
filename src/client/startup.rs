//! Starts the client's runtime, after checking that it has the resources that it needs.
//!
//! Without a thread or a file descriptor, the runtime panics or waits forever. So both are checked first.

use std::io;
use std::sync::{Mutex, PoisonError};
use std::thread;

use async_global_executor::GlobalExecutorConfig;
use rustix::io::dup;

use crate::client::ClientError;
use crate::limits::{STARTUP_DESCRIPTORS, STARTUP_THREADS};

/// Starts the runtime, with one thread for its tasks. Nothing may use async-std before this.
///
/// # Errors
///
/// [`ClientError::NoResources`], when a limit of the system is too low.
pub fn start() -> Result<(), ClientError> {
    try_descriptors().map_err(|source| ClientError::NoResources { what: "file descriptors (ulimit -n)", source })?;
    try_threads().map_err(no_thread)?;
    async_global_executor::init_with_config(GlobalExecutorConfig::default().with_min_threads(1).with_max_threads(1));
    Ok(())
}

/// The error when no more threads can be started.
pub(crate) fn no_thread(source: io::Error) -> ClientError {
    ClientError::NoResources { what: "threads (ulimit -u)", source }
}

/// Opens [`STARTUP_DESCRIPTORS`] descriptors at once, and closes them.
fn try_descriptors() -> io::Result<()> {
    let all: Result<Vec<_>, _> = (0..STARTUP_DESCRIPTORS).map(|_| dup(io::stdin())).collect();
    Ok(all.map(drop)?)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checks_release_what_they_use() {
        let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
        let before = open();
        try_descriptors().unwrap();
        try_threads().unwrap();
        // Other tests open and close some at the same time.
        assert!(open() < before + STARTUP_DESCRIPTORS);
    }
}
