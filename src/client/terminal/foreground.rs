//! Job control: the client uses its terminal only in the foreground.
//!
//! The system stops a background process that reads its terminal or changes the terminal's modes. A stopped process cannot
//! handle SIGTERM. So the client blocks those stop signals, and waits for the foreground before it uses the terminal.

use std::io;
use std::thread;

use async_std::task::sleep;
use nix::sys::signal::{SigSet, Signal};
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use crate::limits::FOREGROUND_LOOK;

/// Blocks SIGTTIN and SIGTTOU in this thread and in the threads that it starts. In the background, reading the terminal then
/// fails with EIO instead of stopping the process. This covers the moment between checking for the foreground and reading.
pub(crate) fn never_stop() {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTTIN);
    signals.add(Signal::SIGTTOU);
    // It does not fail with valid signal numbers.
    let _ = signals.thread_block();
}

/// Whether this process may use the terminal. True without job control. It asks standard output, because the editor's
/// standard input is a pseudo-terminal.
pub(crate) fn is_foreground() -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |group| group == getpgrp())
}

/// Waits for the foreground. It polls, because no signal announces it.
pub(crate) async fn until_foreground() {
    while !is_foreground() {
        sleep(FOREGROUND_LOOK).await;
    }
}

/// Waits for the foreground and blocks the thread.
pub(crate) fn wait_for_foreground() {
    while !is_foreground() {
        thread::sleep(FOREGROUND_LOOK);
    }
}
