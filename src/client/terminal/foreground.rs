//! Job control: the client uses its terminal only in the foreground.
//!
//! The system stops a background process that reads its terminal or changes the terminal's modes, so the client waits for the
//! foreground before it does.

use std::io;
use std::thread;

use async_std::task::sleep;
use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use crate::limits::FOREGROUND_LOOK;

/// Whether this process may use the terminal. True without job control. It asks standard output, because the editor's
/// standard input is a pseudo-terminal.
pub(super) fn is_foreground() -> bool {
    tcgetpgrp(io::stdout()).map_or(true, |group| group == getpgrp())
}

/// Waits for the foreground. It polls, because no signal announces it.
pub(super) async fn until_foreground() {
    while !is_foreground() {
        sleep(FOREGROUND_LOOK).await;
    }
}

/// Waits for the foreground and blocks the thread.
pub(super) fn wait_for_foreground() {
    while !is_foreground() {
        thread::sleep(FOREGROUND_LOOK);
    }
}
