//! Waits until the client is in the foreground, where it may use its terminal.

use std::panic;
use std::thread;

use async_std::task::sleep;
use futures::StreamExt;

use crate::limits::FOREGROUND_LOOK;
use crate::os::signals::Signals;

pub(crate) use crate::os::system::terminal::is_foreground;

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

/// Calls `take_back` after each SIGCONT, which says that the process continues. A shell sends it after setting the
/// modes.
pub(crate) async fn take_back_after(mut continued: Signals, take_back: impl Fn()) {
    while continued.next().await.is_some() {
        until_foreground().await;
        take_back();
    }
}

/// Calls `restore` when the program panics, before the panic is reported.
pub(crate) fn before_panic(restore: impl Fn() + Send + Sync + 'static) {
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        restore();
        report(info);
    }));
}
