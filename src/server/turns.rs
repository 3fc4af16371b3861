//! Turns: a task that always finds more to do still lets the others run.
//!
//! The executor runs a task for as long as it does not wait. One whose peer sends, or reads, as fast as we do would
//! hold a thread for half a second and more, and with it the tasks that stand in that thread's queue.

use async_std::task::yield_now;

/// How often a task may go on without a break.
const ROUNDS: u8 = 8;

/// Counts the rounds of one task.
#[derive(Debug, Default)]
pub(super) struct Turns(u8);

impl Turns {
    /// Ends a round, and after some of them the task's turn.
    pub(super) async fn end_round(&mut self) {
        self.0 = (self.0 + 1) % ROUNDS;
        if self.0 == 0 {
            yield_now().await;
        }
    }
}
