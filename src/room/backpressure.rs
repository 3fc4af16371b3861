//! How long the room waits for a few slow readers.
//!
//! A reader that is held up for a moment would lose lines in a flood that all others keep up with. But a reader that
//! stays slow must not slow down the others. So the room has a small budget for waiting: waiting spends it, and it
//! refills slowly. It knows no clock: time is a parameter.

use std::time::{Duration, Instant};

use crate::limits::{READER_WAIT, READER_WAIT_SHARE};

#[derive(Debug)]
pub(crate) struct Backpressure {
    left: Duration,
    since: Instant,
}

impl Backpressure {
    /// A full budget.
    pub(crate) fn new(now: Instant) -> Self {
        Self { left: READER_WAIT, since: now }
    }

    /// Spends this much of the budget, if there is enough.
    pub(crate) fn spend(&mut self, pause: Duration, now: Instant) -> bool {
        let elapsed = now.saturating_duration_since(std::mem::replace(&mut self.since, now));
        self.left = READER_WAIT.min(self.left + elapsed.mul_f64(READER_WAIT_SHARE));
        let rest = self.left.checked_sub(pause);
        self.left = rest.unwrap_or(self.left);
        rest.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_used_up_and_comes_back_slowly() {
        let (start, pause) = (Instant::now(), Duration::from_millis(2));
        let mut backpressure = Backpressure::new(start);
        // Someone who is always slow gets half a second, and then a tenth of the time.
        let waited = |backpressure: &mut Backpressure, from: Instant| -> Duration {
            (1..=5000).filter(|at| backpressure.spend(pause, from + pause * *at)).map(|_| pause).sum()
        };
        let first = waited(&mut backpressure, start).as_millis();
        assert!((1490..=1510).contains(&first), "{first} ms of 10 s");
        let again = waited(&mut backpressure, start + Duration::from_secs(10)).as_millis();
        assert!((990..=1010).contains(&again), "{again} ms of 10 s more");
        let rested = waited(&mut backpressure, start + Duration::from_secs(1000)).as_millis();
        assert!((1490..=1510).contains(&rested), "{rested} ms of 10 s after a rest");
    }
}
