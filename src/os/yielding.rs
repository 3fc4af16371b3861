//! Lets other tasks run while a task always has more to do.
//!
//! The executor runs a task until it waits. A task whose peer sends or reads as fast as we do would occupy a thread for
//! half a second and more, and delay the tasks in that thread's queue.

use std::future::poll_fn;
use std::task::Poll;

#[cfg(unix)]
use async_io::Timer;

#[cfg(unix)]
use crate::limits::INPUT_PAUSE;
use crate::limits::TASK_BUDGET;

/// Yields to other tasks that are ready.
pub(crate) async fn let_others_run() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Yields until the executor has looked for input.
///
/// It does so when no task is ready, and else only after 200 of them, which may take milliseconds. A timer that has not
/// expired yet makes it look at once.
#[cfg(unix)]
pub(crate) async fn let_input_arrive() {
    Timer::after(INPUT_PAUSE).await;
}

/// Yields to other tasks. Timers are too coarse here for more: they can take 16 ms.
#[cfg(windows)]
pub(crate) async fn let_input_arrive() {
    let_others_run().await;
}

/// Counts the iterations of a task's loop.
#[derive(Debug, Default)]
pub(crate) struct Budget(u8);

impl Budget {
    /// Counts one iteration. After every [`TASK_BUDGET`] of them, yields.
    pub(crate) async fn spend(&mut self) {
        self.0 = (self.0 + 1) % TASK_BUDGET;
        if self.0 == 0 {
            let_others_run().await;
        }
    }
}
