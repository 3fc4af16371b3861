//! What somebody said in the room, with its number and time.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::{Name, SafeText};

/// What somebody said to the room.
#[derive(Debug, Clone)]
pub struct Message {
    /// Its number in the room: from 1, in the order in which everyone sees the messages. Not reused as long as there is
    /// that room.
    pub number: u64,
    pub at: Timestamp,
    pub from: Name,
    pub text: SafeText,
}

/// A point in time, in milliseconds since 1970. `Display` shows it as `2026-11-26T12:03:11Z`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> u64 {
        self.0
    }
}

/// A time before 1970 becomes 1970.
impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }
}

/// A time after the year 9999 becomes its end, because no text form has more digits.
impl From<Timestamp> for SystemTime {
    fn from(time: Timestamp) -> Self {
        const LAST_SECOND: u64 = 253_402_300_799;
        UNIX_EPOCH + Duration::from_millis(time.0).min(Duration::from_secs(LAST_SECOND))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_rfc3339_seconds((*self).into()).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_shown_in_utc_and_to_the_second() {
        assert_eq!(Timestamp::from_millis(1_795_694_591_999).to_string(), "2026-11-26T12:03:11Z");
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp::from(UNIX_EPOCH - Duration::from_secs(1)), Timestamp::from_millis(0));
    }
}
