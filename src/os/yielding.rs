//! Turns: a task that always finds more to do still lets the others run.
//!
//! The executor runs a task for as long as it does not wait. One whose peer sends, or reads, as fast as we do would
//! hold a thread for half a second and more, and with it the tasks that stand in that thread's queue.

use std::future::poll_fn;
use std::task::Poll;

use crate::limits::ROUNDS_IN_A_TURN;

/// Lets the tasks run whose turn it is.
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

/// Counts the rounds of one task.
#[derive(Debug, Default)]
pub(crate) struct Turns(u8);

impl Turns {
    /// Ends a round, and after some of them the task's turn.
    pub(crate) async fn end_round(&mut self) {
        self.0 = (self.0 + 1) % ROUNDS_IN_A_TURN;
        if self.0 == 0 {
            let_others_run().await;
        }
    }
}
