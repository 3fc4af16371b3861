//! Keeps floods out of the log: each network may cause a limited number of records of each kind per second. The rest is
//! only counted.
//!
//! It knows neither the log nor the clock: time is a parameter.

use std::collections::HashMap;
use std::fmt;
use std::net::Ipv6Addr;
use std::time::Instant;

use crate::limits::{LOG_PERIOD, LOG_SUBJECTS, RECORDS_LOGGED};
use crate::model::address::{Network, PeerAddr};

/// Records that share a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Subject {
    pub(crate) kind: &'static str,
    /// `None` for records about this server itself, and for networks that are not counted one by one.
    pub(crate) network: Option<LogKey>,
}

/// What the log counts as one network: a whole IPv6 /48, because one customer may have all of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum LogKey {
    Loopback,
    Ipv6([u8; 6]),
    Other(Network),
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Suppressed {
    pub(crate) subject: Subject,
    pub(crate) count: u64,
}

/// Counts records by subject.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Start of the current period.
    since: Instant,
    counts: HashMap<Subject, Count>,
}

#[derive(Debug, Default)]
struct Count {
    /// Records in this period.
    passed: u32,
    /// Records since the last report.
    suppressed: u64,
}

impl From<PeerAddr> for LogKey {
    fn from(from: PeerAddr) -> Self {
        match from.network() {
            Network::Loopback => Self::Loopback,
            Network::V6([a, b, c, d, e, f, ..]) => Self::Ipv6([a, b, c, d, e, f]),
            source => Self::Other(source),
        }
    }
}

impl fmt::Display for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Loopback => f.write_str("loopback"),
            Self::Ipv6([a, b, c, d, e, g]) => {
                let mut octets = [0; 16];
                octets[..6].copy_from_slice(&[a, b, c, d, e, g]);
                write!(f, "{}/48", Ipv6Addr::from(octets))
            }
            Self::Other(source) => source.fmt(f),
        }
    }
}

impl Limiter {
    pub(crate) fn new(now: Instant) -> Self {
        Self { since: now, counts: HashMap::new() }
    }

    /// Decides whether a record is written. If not, counts it.
    ///
    /// If there are too many subjects, further networks share a limit. Vital records are not limited then, so a flood
    /// from many networks cannot hide them.
    pub(crate) fn lets_pass(&mut self, subject: Subject, is_vital: bool, now: Instant) -> bool {
        if !self.may_suppress(now) {
            self.since = now;
            self.counts.retain(|_, count| {
                count.passed = 0;
                count.suppressed > 0
            });
        }
        let is_counted = self.counts.len() < LOG_SUBJECTS || self.counts.contains_key(&subject);
        if !is_counted && is_vital {
            return true;
        }
        // There are only a few kinds, so this is bounded.
        let subject = if is_counted { subject } else { Subject { network: None, ..subject } };
        let count = self.counts.entry(subject).or_default();
        let passes = count.passed < RECORDS_LOGGED;
        if passes {
            count.passed += 1;
        } else {
            count.suppressed += 1;
        }
        passes
    }

    /// Whether the next record can be suppressed. If not, others pass before that.
    pub(crate) fn may_suppress(&self, now: Instant) -> bool {
        now.duration_since(self.since) < LOG_PERIOD
    }

    /// Takes the counts of suppressed records that have not been reported.
    pub(crate) fn take_suppressed(&mut self) -> Vec<Suppressed> {
        let taken = self.counts.iter_mut().map(|(&subject, count)| {
            let count = std::mem::take(&mut count.suppressed);
            Suppressed { subject, count }
        });
        taken.filter(|suppressed| suppressed.count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use super::*;

    fn subject(kind: &'static str, address: &str) -> Subject {
        let address: SocketAddr = format!("{address}:7").parse().unwrap();
        Subject { kind, network: Some(PeerAddr::from(address).into()) }
    }

    fn passes(limiter: &mut Limiter, subject: Subject, count: u32, now: Instant) -> u32 {
        (0..count).map(|_| u32::from(limiter.lets_pass(subject, false, now))).sum()
    }

    #[test]
    fn a_flood_is_limited_for_each_kind_and_network_and_counted() {
        let start = Instant::now();
        let mut limiter = Limiter::new(start);
        let (flood, other) = (subject("left", "192.0.2.1"), subject("left", "192.0.2.2"));
        assert_eq!(passes(&mut limiter, flood, 1000, start), RECORDS_LOGGED);
        assert_eq!(passes(&mut limiter, other, RECORDS_LOGGED, start), RECORDS_LOGGED);
        assert_eq!(passes(&mut limiter, subject("joined", "192.0.2.1"), 1, start), 1);
        let late = start + LOG_PERIOD - Duration::from_nanos(1);
        assert!(limiter.may_suppress(late) && !limiter.may_suppress(start + LOG_PERIOD));
        assert_eq!(passes(&mut limiter, flood, 5, late), 0);
        // Whatever was not reported in one period is reported in the next one.
        assert_eq!(passes(&mut limiter, flood, RECORDS_LOGGED + 1, start + LOG_PERIOD), RECORDS_LOGGED);
        let count = 1000 - u64::from(RECORDS_LOGGED) + 5 + 1;
        assert_eq!(limiter.take_suppressed(), [Suppressed { subject: flood, count }]);
        assert_eq!(limiter.take_suppressed(), []);
    }

    #[test]
    fn memory_is_bounded_whatever_the_number_of_networks_and_vital_records_pass() {
        let now = Instant::now();
        let mut limiter = Limiter::new(now);
        let network = |number: u32| {
            let address = std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
            subject("joined", &address.to_string())
        };
        let first = network(0);
        for number in 0..LOG_SUBJECTS as u32 {
            assert!(limiter.lets_pass(network(number), false, now));
        }
        let further = 1000;
        let passed: u32 =
            (0..further).map(|number| passes(&mut limiter, network(LOG_SUBJECTS as u32 + number), 1, now)).sum();
        assert_eq!(passed, RECORDS_LOGGED);
        assert!(limiter.lets_pass(first, false, now), "a network that is counted keeps its limit");
        for _ in 0..=RECORDS_LOGGED {
            assert!(limiter.lets_pass(subject("wrong password", "192.0.2.1"), true, now));
        }
        assert_eq!(limiter.counts.len(), LOG_SUBJECTS + 1);
        let rest = Subject { kind: "joined", network: None };
        assert_eq!(
            limiter.take_suppressed(),
            [Suppressed { subject: rest, count: u64::from(further - RECORDS_LOGGED) }]
        );
        // A subject is forgotten once it has been quiet for a period.
        assert!(limiter.lets_pass(first, false, now + LOG_PERIOD));
        assert_eq!(limiter.counts.len(), 1);
    }

    #[test]
    fn loopback_is_one_network_and_so_is_an_ipv6_48() {
        let network = |address: &str| subject("left", address).network.unwrap();
        assert_eq!(network("127.0.0.1"), network("127.9.9.9"));
        assert_eq!(network("127.0.0.1"), network("[::1]"));
        assert_eq!(network("[2001:db8:1:1::1]"), network("[2001:db8:1:2::1]"));
        assert_ne!(network("[2001:db8:1::1]"), network("[2001:db8:2::1]"));
        assert_eq!(network("[2001:db8:1:1::1]").to_string(), "2001:db8:1::/48");
        assert_eq!(network("127.0.0.1").to_string(), "loopback");
        assert_eq!(network("192.0.2.1").to_string(), "192.0.2.1");
    }
}
