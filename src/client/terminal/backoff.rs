//! The pauses between attempts to connect again: each twice the one before, with half of it left to chance, so that all
//! clients of a server that comes back do not come at once.

use std::time::Duration;

use crate::limits::RECONNECT_PAUSE;

/// How long the next pause may be.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    /// The first pause is the shortest one.
    pub(crate) fn new() -> Self {
        Self(RECONNECT_PAUSE.0)
    }

    /// The next pause. `chance` is from 0 to 1.
    pub(crate) fn next(&mut self, chance: f64) -> Duration {
        let longest = self.0;
        self.0 = (2 * longest).min(RECONNECT_PAUSE.1);
        longest.mul_f64(0.5 + chance / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_from_half_a_second_up_to_half_a_minute() {
        let mut backoff = Backoff::new();
        let pauses: Vec<_> = (0..10).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(pauses, [500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000, 30_000]);
    }

    #[test]
    fn half_of_each_pause_is_left_to_chance() {
        let mut backoff = Backoff::new();
        assert_eq!([0.0, 0.5, 0.0].map(|chance| backoff.next(chance).as_millis()), [250, 750, 1000]);
    }
}
