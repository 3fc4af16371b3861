//! From where on somebody wants to read: `88120`, `2h`, `12:03` or `2026-11-26T12:03:11Z`.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;
use crate::protocol::Refusal;
use crate::protocol::duration::split_duration;

const DAY: u64 = 24 * 60 * 60;

/// The point after which messages are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The number of a message.
    Number(u64),
    /// This long ago.
    Ago(Duration),
    /// A time of day in UTC, in seconds: the last time that it was.
    Clock(u32),
    Time(Timestamp),
}

impl FromStr for Since {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return text.parse().map(Self::Number).map_err(|_| Refusal::UnreadableSince);
        }
        if let Some(seconds) = parse_clock(text) {
            return Ok(Self::Clock(seconds));
        }
        if let Ok(time) = humantime::parse_rfc3339(text) {
            return Ok(Self::Time(time.into()));
        }
        match split_duration(text) {
            Ok((Some(time), "")) => Ok(Self::Ago(time)),
            _ => Err(Refusal::UnreadableSince),
        }
    }
}

/// A form without spaces, for the login line. To the second, so that it means no later point than before.
impl fmt::Display for Since {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Ago(time) => write!(f, "{}s", time.as_secs() + u64::from(time.subsec_nanos() > 0)),
            Self::Clock(seconds) => write!(f, "{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60),
            Self::Time(time) => time.fmt(f),
        }
    }
}

impl Since {
    /// The number or the time that it means now.
    pub fn resolve(self, now: SystemTime) -> Result<u64, Timestamp> {
        match self {
            Self::Number(number) => Ok(number),
            Self::Ago(time) => Err(now.checked_sub(time).unwrap_or(UNIX_EPOCH).into()),
            Self::Clock(seconds) => {
                let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
                let today = now - now % DAY + u64::from(seconds);
                let latest = if today > now { today.saturating_sub(DAY) } else { today };
                Err(Timestamp::from_millis(latest * 1000))
            }
            Self::Time(time) => Err(time),
        }
    }
}

/// `12:03` or `12:03:11`.
fn parse_clock(text: &str) -> Option<u32> {
    let parts: Vec<_> = text.split(':').collect();
    let (hours, minutes, seconds) = match parts[..] {
        [hours, minutes] => (hours, minutes, "0"),
        [hours, minutes, seconds] => (hours, minutes, seconds),
        _ => return None,
    };
    let part = |text: &str, limit: u32| {
        let is_number = (1..=2).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|&number: &u32| is_number && number < limit)
    };
    Some(part(hours, 24)? * 3600 + part(minutes, 60)? * 60 + part(seconds, 60)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_durations_and_times_are_told_apart() {
        let ago = |seconds| Ok(Since::Ago(Duration::from_secs(seconds)));
        for (text, since) in [
            ("88120", Ok(Since::Number(88_120))),
            ("0", Ok(Since::Number(0))),
            ("2h", ago(7200)),
            ("2 hours", ago(7200)),
            ("1h30m", ago(5400)),
            ("10m", ago(600)),
            ("1000years", ago(31_557_600_000)),
            ("12:03", Ok(Since::Clock(43_380))),
            ("9:05:07", Ok(Since::Clock(32_707))),
            ("2026-11-26T12:03:11Z", Ok(Since::Time(Timestamp::from_millis(1_795_694_591_000)))),
        ] {
            assert_eq!(text.parse(), since, "{text}");
            assert_eq!(since.as_ref().unwrap().to_string().parse(), since, "{text}");
        }
        for text in ["x", "-5", "24:00", "12:60", "12:", "1:2:3:4", "99999999999999999999", "2h x", "forever", "+1:02"]
        {
            assert_eq!(text.parse::<Since>(), Err(Refusal::UnreadableSince), "{text:?}");
        }
    }

    #[test]
    fn a_time_of_day_is_the_last_one() {
        let noon = UNIX_EPOCH + Duration::from_secs(20_000 * DAY + DAY / 2);
        let resolve = |text: &str| text.parse::<Since>().unwrap().resolve(noon).unwrap_err().as_millis() / 1000;
        assert_eq!(resolve("12:00"), 20_000 * DAY + DAY / 2);
        assert_eq!(resolve("11:59"), 20_000 * DAY + DAY / 2 - 60);
        assert_eq!(resolve("12:01"), 19_999 * DAY + DAY / 2 + 60);
        assert_eq!(resolve("1h"), 20_000 * DAY + DAY / 2 - 3600);
        assert_eq!("12:01".parse::<Since>().unwrap().resolve(UNIX_EPOCH).unwrap_err().as_millis(), 0);
        assert_eq!(resolve("1000years"), 0);
    }
}
