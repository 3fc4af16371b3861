//! Lets other tasks run while a task always has more to do.
//!
//! The executor runs a task until it waits. A task whose peer sends or reads as fast as we do would occupy a thread for
//! half a second and more, and delay the tasks in that thread's queue.

use std::future::poll_fn;
use std::task::Poll;

use crate::limits::ROUNDS_IN_A_TURN;

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

/// Counts the rounds of a task.
#[derive(Debug, Default)]
pub(crate) struct Turns(u8);

impl Turns {
    /// Ends a round. After [`ROUNDS_IN_A_TURN`] of them, yields.
    pub(crate) async fn end_round(&mut self) {
        self.0 = (self.0 + 1) % ROUNDS_IN_A_TURN;
        if self.0 == 0 {
            let_others_run().await;
        }
    }
}
