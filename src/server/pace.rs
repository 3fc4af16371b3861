//! The pace: how fast one peer may talk.
//!
//! A token bucket for each connection, in lines and in bytes. Whoever talks faster is read more slowly, so TCP
//! slows the sender down; nothing is lost. It knows no socket and no clock: time is a parameter.

use std::time::{Duration, Instant};

/// How fast peers may talk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// For people and scripts that know each other: 200 lines at once, then 100 lines and 256 KiB a second.
    #[default]
    Open,
    /// For the world: 10 lines at once, then 2 lines a second.
    Public,
    /// As fast as it goes.
    Off,
}

/// What a bucket holds, and what flows into it in a second.
#[derive(Debug, Clone, Copy)]
struct Rates {
    burst_lines: f64,
    lines: f64,
    burst_bytes: f64,
    bytes: f64,
}

impl Profile {
    fn rates(self) -> Option<Rates> {
        const BYTES: f64 = 256.0 * 1024.0;
        match self {
            Self::Open => Some(Rates { burst_lines: 200.0, lines: 100.0, burst_bytes: BYTES, bytes: BYTES }),
            Self::Public => Some(Rates { burst_lines: 10.0, lines: 2.0, burst_bytes: BYTES, bytes: BYTES }),
            Self::Off => None,
        }
    }

    /// Whether the room waits for its readers. Where peers are paced nobody has to.
    pub(super) fn is_patient(self) -> bool {
        self.rates().is_none()
    }

    /// How many lines a second this comes to in the long run, if it is limited.
    pub fn lines_per_second(self) -> Option<u32> {
        self.rates().map(|rates| rates.lines as u32)
    }
}

/// One connection's bucket.
#[derive(Debug)]
pub(super) struct Pace {
    rates: Option<Rates>,
    lines: f64,
    /// May be overdrawn by one read; nothing more is read until it is not.
    bytes: f64,
    filled: Instant,
    /// The peer has been told that it is too fast, and the bucket has not been full since.
    told: bool,
}

impl Pace {
    /// A full bucket.
    pub(super) fn new(profile: Profile, now: Instant) -> Self {
        let rates = profile.rates();
        let (lines, bytes) = rates.map_or((0.0, 0.0), |rates| (rates.burst_lines, rates.burst_bytes));
        Self { rates, lines, bytes, filled: now, told: false }
    }

    /// Takes what may be passed on now of so many waiting lines.
    pub(super) fn take_lines(&mut self, waiting: usize, now: Instant) -> usize {
        if self.rates.is_none() {
            return waiting;
        }
        self.fill(now);
        let taken = waiting.min(self.lines as usize);
        self.lines -= taken as f64;
        taken
    }

    /// Takes so many bytes, which have been read.
    pub(super) fn take_bytes(&mut self, count: usize, now: Instant) {
        if self.rates.is_some() {
            self.fill(now);
            self.bytes -= count as f64;
        }
    }

    /// How long nothing more is to be read or passed on, if `lines` lines wait already.
    pub(super) fn pause(&self, lines: usize) -> Option<Duration> {
        let rates = self.rates?;
        let for_lines = if lines > 0 && self.lines < 1.0 { (1.0 - self.lines) / rates.lines } else { 0.0 };
        let for_bytes = if self.bytes < 0.0 { -self.bytes / rates.bytes } else { 0.0 };
        let pause = for_lines.max(for_bytes);
        (pause > 0.0).then(|| Duration::from_secs_f64(pause))
    }

    /// Whether the peer is to be told that it is too fast: once an episode, which ends when the bucket is full again.
    pub(super) fn is_news(&mut self) -> bool {
        !std::mem::replace(&mut self.told, true)
    }

    fn fill(&mut self, now: Instant) {
        let Some(rates) = self.rates else { return };
        let seconds = now.saturating_duration_since(self.filled).as_secs_f64();
        self.filled = now;
        self.lines = (self.lines + seconds * rates.lines).min(rates.burst_lines);
        self.bytes = (self.bytes + seconds * rates.bytes).min(rates.burst_bytes);
        if self.lines >= rates.burst_lines && self.bytes >= rates.burst_bytes {
            self.told = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_room_waits_only_where_peers_may_talk_as_fast_as_it_goes() {
        assert_eq!([Profile::Open, Profile::Public, Profile::Off].map(Profile::is_patient), [false, false, true]);
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let start = Instant::now();
        let mut pace = Pace::new(Profile::Open, start);
        assert_eq!(pace.take_lines(1000, start), 200);
        assert_eq!(pace.pause(800), Some(10 * MS));
        assert_eq!(pace.take_lines(800, start + 10 * MS), 1);
        let passed: usize = (1..=1000).map(|at| pace.take_lines(1000, start + 10 * MS + at * MS)).sum();
        assert!((99..=101).contains(&passed), "{passed} in a second");
    }

    #[test]
    fn bytes_may_be_overdrawn_by_one_read_and_are_paid_back() {
        let start = Instant::now();
        let mut pace = Pace::new(Profile::Open, start);
        pace.take_bytes(256 * 1024, start);
        assert_eq!(pace.pause(0), None);
        pace.take_bytes(128 * 1024, start);
        assert_eq!(pace.pause(0), Some(500 * MS));
        pace.take_bytes(0, start + 500 * MS);
        assert_eq!(pace.pause(0), None);
    }

    #[test]
    fn a_person_never_notices() {
        let start = Instant::now();
        let mut pace = Pace::new(Profile::Public, start);
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            pace.take_bytes(80, now);
            assert_eq!((pace.take_lines(1, now), pace.pause(0)), (1, None));
        }
    }

    #[test]
    fn it_is_told_once_an_episode() {
        let start = Instant::now();
        let mut pace = Pace::new(Profile::Public, start);
        pace.take_lines(11, start);
        assert!(pace.is_news());
        pace.take_lines(1, start + Duration::from_secs(2));
        assert!(!pace.is_news());
        pace.take_lines(0, start + Duration::from_secs(60));
        assert!(pace.is_news());
    }

    #[test]
    fn off_is_off() {
        let start = Instant::now();
        let mut pace = Pace::new(Profile::Off, start);
        pace.take_bytes(usize::MAX, start);
        assert_eq!((pace.take_lines(1_000_000, start), pace.pause(0)), (1_000_000, None));
    }
}
