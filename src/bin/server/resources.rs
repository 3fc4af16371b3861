//! Checks the resources that the server needs before it starts anything: code that uses threads and descriptors panics
//! or waits forever when it gets none.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;
use std::{io, iter};

use anyhow::{anyhow, bail};
use linechat::limits::DESCRIPTORS_TO_START;
use linechat::os::descriptors::try_descriptors;
use linechat::os::io_error;

/// Threads besides those of the room: for the log, for the sockets, and for blocking work.
const OTHER_THREADS: usize = 3;

/// Checks that there is enough of everything for this many threads of the room.
///
/// # Errors
/// What is missing, worded for the operator.
pub fn check(room_threads: usize) -> anyhow::Result<()> {
    if SystemTime::now() < SystemTime::UNIX_EPOCH {
        bail!("the clock of this machine shows a time before 1970; set it first");
    }
    try_descriptors(DESCRIPTORS_TO_START).map_err(|error| {
        let why = io_error::describe(&error);
        anyhow!(
            "cannot open {DESCRIPTORS_TO_START} files at once: {why}; raise the limit (ulimit -n, or LimitNOFILE= in systemd)"
        )
    })?;
    let threads = room_threads + OTHER_THREADS;
    check_threads(threads).map_err(|error| {
        let why = io_error::describe(&error);
        anyhow!("cannot start {threads} threads: {why}; raise the limit (ulimit -u, or TasksMax= in systemd)")
    })
}

/// Starts this many threads at once, and waits until they have ended.
fn check_threads(count: usize) -> io::Result<()> {
    let gate = Arc::new(Mutex::new(()));
    let closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
    let start = || {
        let gate = Arc::clone(&gate);
        thread::Builder::new().spawn(move || drop(gate.lock()))
    };
    let threads = iter::repeat_with(start).take(count).collect::<io::Result<Vec<JoinHandle<()>>>>();
    drop(closed);
    for thread in threads? {
        // The thread does nothing that could panic.
        let _ = thread.join();
    }
    Ok(())
}
