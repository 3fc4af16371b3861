//! Rate limits: how fast a peer, and all peers of one network together, may send.
//!
//! There are token buckets for lines and for bytes. A peer pays for the bytes that it sends, or for their effect if
//! that is larger, such as a long reply. Input beyond the limits is read later, so TCP slows down the sender and
//! nothing is lost. It knows neither sockets nor the clock: time is a parameter.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::limits::{PACE_OF_A_NETWORK, PACE_OF_THIS_MACHINE, PACED_NETWORKS};
use crate::model::address::{Network, PeerAddr};

/// A preset for how fast peers may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PacePreset {
    /// For people and scripts that know each other: a burst of 200 lines, then 100 lines and 256 KiB per second.
    #[default]
    Open,
    /// For the public: a burst of 10 lines and 64 KiB, then 2 lines and 8 KiB per second.
    Public,
    /// No limit.
    Off,
}

/// The capacity of a bucket, and how much flows in per second.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u64,
    per_second: u64,
}

#[derive(Debug, Clone, Copy)]
struct Rates {
    lines: Rate,
    bytes: Rate,
}

impl PacePreset {
    fn rates(self) -> Option<Rates> {
        const KIB: u64 = 1024;
        let rates = |lines, bytes| {
            let rate = |(burst, per_second)| Rate { burst, per_second };
            Some(Rates { lines: rate(lines), bytes: rate(bytes) })
        };
        match self {
            Self::Open => rates((200, 100), (256 * KIB, 256 * KIB)),
            Self::Public => rates((10, 2), (64 * KIB, 8 * KIB)),
            Self::Off => None,
        }
    }

    /// Whether the room waits for slow readers without a time limit. It must not if there are rate limits: many slow
    /// readers could then bring the others to a halt.
    pub(crate) fn waits_for_readers(self) -> bool {
        self.rates().is_none()
    }

    /// The number of lines per second in the long run. `None` if there is no limit.
    pub fn lines_per_second(self) -> Option<u32> {
        self.rates().map(|rates| rates.lines.per_second as u32)
    }
}

impl Rate {
    fn times(self, factor: u64) -> Self {
        Self { burst: self.burst * factor, per_second: self.per_second * factor }
    }

    /// How long it takes until this much has flowed in.
    fn time_for(self, count: u64) -> Duration {
        let nanos = u128::from(count) * 1_000_000_000 / u128::from(self.per_second);
        Duration::from_nanos(nanos.try_into().unwrap_or(u64::MAX))
    }
}

impl Rates {
    /// The rates for all peers of the network together, or of this machine.
    fn of_all_from(self, from: PeerAddr) -> Self {
        let factor = if from.is_this_machine() { PACE_OF_THIS_MACHINE } else { PACE_OF_A_NETWORK };
        Self { lines: self.lines.times(factor), bytes: self.bytes.times(factor) }
    }
}

/// A token bucket, stored as the time when it is full if nothing more is taken. It is overdrawn if that is later than
/// an empty bucket would be full.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    fn take(&mut self, rate: Rate, count: u64, now: Instant) {
        self.full_at = self.full_at.max(now) + rate.time_for(count);
    }

    /// When it holds this much. An overdrawn bucket holds a negative amount.
    fn holds_at(self, rate: Rate, count: u64, now: Instant) -> Instant {
        self.full_at.checked_sub(rate.time_for(rate.burst - count)).unwrap_or(now)
    }
}

/// A bucket for lines and one for bytes.
#[derive(Debug, Clone, Copy)]
struct Buckets {
    lines: Bucket,
    bytes: Bucket,
}

impl Buckets {
    fn full(now: Instant) -> Self {
        Self { lines: Bucket { full_at: now }, bytes: Bucket { full_at: now } }
    }

    fn are_full(&self, now: Instant) -> bool {
        self.lines.full_at <= now && self.bytes.full_at <= now
    }

    /// When the bytes taken are paid for.
    fn paid_at(&self, rates: Rates, now: Instant) -> Instant {
        self.bytes.holds_at(rates.bytes, 0, now)
    }

    /// When the next line may be passed on.
    fn next_line_at(&self, rates: Rates, now: Instant) -> Instant {
        self.paid_at(rates, now).max(self.lines.holds_at(rates.lines, 1, now))
    }
}

/// The buckets of all networks. Only those that are not full are kept, however many connections a network has.
#[derive(Debug, Default)]
pub(crate) struct NetworkLimits {
    table: Mutex<Table>,
}

#[derive(Debug, Default)]
struct Table {
    of: HashMap<Network, Buckets>,
    /// The number of entries after the full ones were last removed.
    swept: usize,
}

impl NetworkLimits {
    fn are_full(&self, source: Network, now: Instant) -> bool {
        self.table().of.get(&source).is_none_or(|buckets| buckets.are_full(now))
    }

    /// Takes lines and bytes. Returns when the connection that takes them may continue: when everything taken so far is
    /// paid for. What others take later does not extend that time.
    fn take(&self, source: Network, rates: Rates, lines: u64, bytes: u64, now: Instant) -> Instant {
        let mut table = self.table();
        table.make_room(now);
        let buckets = table.of.entry(source).or_insert_with(|| Buckets::full(now));
        buckets.lines.take(rates.lines, lines, now);
        buckets.bytes.take(rates.bytes, bytes, now);
        buckets.next_line_at(rates, now)
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// Removes full buckets from time to time. If too many are left, all are forgotten, and their networks get another
    /// burst.
    fn make_room(&mut self, now: Instant) {
        if self.of.len() >= (2 * self.swept).clamp(64, PACED_NETWORKS) {
            self.of.retain(|_, buckets| !buckets.are_full(now));
            if self.of.len() > PACED_NETWORKS / 2 {
                self.of.clear();
            }
            self.swept = self.of.len();
        }
    }
}

/// The rate limit of one connection.
#[derive(Debug)]
pub(crate) struct RateLimit {
    profile: PacePreset,
    from: PeerAddr,
    own: Buckets,
    networks: Arc<NetworkLimits>,
    /// When this connection may continue, among those of its network.
    turn: Instant,
    /// The peer was told that it is too fast, and not all buckets have been full since.
    told: bool,
}

impl RateLimit {
    /// Starts with full buckets. The peer has already sent `bytes` bytes.
    pub(crate) fn new(
        profile: PacePreset,
        from: PeerAddr,
        networks: &Arc<NetworkLimits>,
        bytes: usize,
        now: Instant,
    ) -> Self {
        let (own, networks) = (Buckets::full(now), Arc::clone(networks));
        let mut pace = Self { profile, from, own, networks, turn: now, told: false };
        // A new connection waits for earlier ones of its network.
        pace.take_bytes(bytes, now);
        pace
    }

    /// Removes all limits.
    pub(crate) fn turn_off(&mut self) {
        self.profile = PacePreset::Off;
    }

    /// Takes a line to pass on, if the limits allow one now.
    pub(crate) fn take_line(&mut self, now: Instant) -> bool {
        let Some(rates) = self.profile.rates() else { return true };
        if self.told && self.own.are_full(now) && self.networks.are_full(self.from.network(), now) {
            self.told = false;
        }
        if self.turn.max(self.own.next_line_at(rates, now)) > now {
            return false;
        }
        self.take(rates, 1, 0, now);
        true
    }

    /// Takes bytes that were read, or written because of the peer. They may overdraw the buckets.
    pub(crate) fn take_bytes(&mut self, count: usize, now: Instant) {
        if let Some(rates) = self.profile.rates() {
            self.take(rates, 0, count as u64, now);
        }
    }

    /// How long nothing more may be read or passed on, if `lines` lines are waiting. `None` if input may be read now.
    pub(crate) fn pause(&self, lines: usize, now: Instant) -> Option<Duration> {
        let rates = self.profile.rates()?;
        let own = if lines > 0 { self.own.next_line_at(rates, now) } else { self.own.paid_at(rates, now) };
        let pause = own.max(self.turn).saturating_duration_since(now);
        // Nothing is read while lines wait.
        (lines > 0 || !pause.is_zero()).then_some(pause)
    }

    /// Whether to tell the peer now that it is too fast, if `lines` lines are waiting. This happens once per episode,
    /// which ends when all buckets are full again. A peer is not told when others of its network are too fast, unless
    /// its own lines wait.
    pub(crate) fn is_news(&mut self, lines: usize, now: Instant) -> bool {
        let Some(rates) = self.profile.rates() else { return false };
        let is_slowed = lines > 0 || self.own.paid_at(rates, now) > now;
        is_slowed && !std::mem::replace(&mut self.told, true)
    }

    fn take(&mut self, rates: Rates, lines: u64, bytes: u64, now: Instant) {
        self.own.lines.take(rates.lines, lines, now);
        self.own.bytes.take(rates.bytes, bytes, now);
        self.turn = self.networks.take(self.from.network(), rates.of_all_from(self.from), lines, bytes, now);
    }
}

#[cfg(test)]
mod tests;
