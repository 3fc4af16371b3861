//! Penalties: how long a source that misbehaved is refused, like OpenSSH's PerSourcePenalties (sshd_config(5)).
//!
//! Each offence costs a source some time, which runs off by itself. A source is refused when the sum exceeds
//! [`PENALTIES_FROM`], until all of it has run off. The wider networks that the source belongs to also pay, but only a
//! fraction, so they have several times as many tries.
//!
//! It knows neither sockets nor the clock. It never keeps more than [`PENALIZED_SOURCES`]: a flood of sources can only
//! push out those whose penalties end first.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::limits::{
    PENALIZED_SOURCES, PENALTIES_FROM, PENALTIES_MOST, PENALTY_NO_LOGIN, PENALTY_NO_PASSWORD, PENALTY_REGISTRATION,
    PENALTY_WRONG_PASSWORD,
};
use crate::model::limit_key::{LimitKey, LimitKeys};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offence {
    WrongPassword,
    /// No password came in time.
    NoLogin,
    /// The peer left at the password prompt.
    NoPassword,
    /// Registering a name is allowed, but not hundreds of times.
    Registration,
}

impl Offence {
    fn cost(self) -> Duration {
        match self {
            Self::WrongPassword => PENALTY_WRONG_PASSWORD,
            Self::NoLogin => PENALTY_NO_LOGIN,
            Self::NoPassword => PENALTY_NO_PASSWORD,
            Self::Registration => PENALTY_REGISTRATION,
        }
    }
}

/// The penalties of all sources.
#[derive(Debug)]
pub(crate) struct Penalties {
    of: HashMap<LimitKey, Penalty>,
    /// The same penalties by their end, so that making room does not search all of them.
    by_end: BTreeSet<(Instant, LimitKey)>,
    room: usize,
}

/// The penalty of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Penalty {
    until: Instant,
    /// By how much the sum has exceeded [`PENALTIES_FROM`], without subtracting what has run off since. The source is
    /// refused unless this is zero. Refunds are subtracted, so a refund undoes exactly its charge.
    excess: Duration,
}

impl Default for Penalties {
    fn default() -> Self {
        Self::with_room(PENALIZED_SOURCES)
    }
}

impl Penalties {
    fn with_room(room: usize) -> Self {
        Self { of: HashMap::new(), by_end: BTreeSet::new(), room }
    }

    /// The number of penalties, including some that have just ended.
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// Adds the cost of an offence, up to [`PENALTIES_MOST`]. A network with several times the limits of a single
    /// source pays that fraction of it.
    pub(crate) fn charge(&mut self, keys: &LimitKeys, offence: Offence, now: Instant) {
        for (network, factor) in keys.limited() {
            self.charge_one(network, offence.cost() / factor, now);
        }
    }

    fn charge_one(&mut self, network: LimitKey, cost: Duration, now: Instant) {
        let former = self.take(network, now);
        let left = former.map_or(Duration::ZERO, |former| former.until - now);
        let sum = (left + cost).min(PENALTIES_MOST);
        let excess = match former {
            Some(former) if !former.excess.is_zero() => former.excess + (sum - left),
            _ => sum.saturating_sub(PENALTIES_FROM),
        };
        self.put(network, Penalty { until: now + sum, excess });
        self.make_room(now);
    }

    /// Takes back a charge, for example because a password turned out to be right. What has run off meanwhile is not
    /// returned.
    pub(crate) fn refund(&mut self, keys: &LimitKeys, offence: Offence, now: Instant) {
        for (network, factor) in keys.limited() {
            self.refund_one(network, offence.cost() / factor, now);
        }
    }

    fn refund_one(&mut self, network: LimitKey, cost: Duration, now: Instant) {
        let Some(former) = self.take(network, now) else { return };
        let sum = (former.until - now).saturating_sub(cost);
        if !sum.is_zero() {
            self.put(network, Penalty { until: now + sum, excess: former.excess.saturating_sub(cost) });
        }
    }

    /// How long one of these networks is still refused, and which one: the one with the longest wait. `None` if none
    /// is.
    pub(crate) fn is_refused(&self, keys: &LimitKeys, now: Instant) -> Option<(Duration, LimitKey)> {
        keys.limited().filter_map(|(network, _)| Some((self.wait_of(network, now)?, network))).max()
    }

    fn wait_of(&self, network: LimitKey, now: Instant) -> Option<Duration> {
        let penalty = self.of.get(&network)?;
        let left = penalty.until.saturating_duration_since(now);
        (!penalty.excess.is_zero() && !left.is_zero()).then_some(left)
    }

    /// Removes the penalty of a network. `None` if there is none, or it has run off.
    fn take(&mut self, network: LimitKey, now: Instant) -> Option<Penalty> {
        let penalty = self.of.remove(&network)?;
        self.by_end.remove(&(penalty.until, network));
        (penalty.until > now).then_some(penalty)
    }

    fn put(&mut self, network: LimitKey, penalty: Penalty) {
        self.of.insert(network, penalty);
        self.by_end.insert((penalty.until, network));
    }

    /// Forgets penalties that have run off, two per charge, so that no charge has to forget many. If there are too
    /// many, also forgets the one that ends first.
    fn make_room(&mut self, now: Instant) {
        for _ in 0..2 {
            let Some(&(until, network)) = self.by_end.first() else { return };
            if until > now && self.of.len() <= self.room {
                return;
            }
            self.by_end.pop_first();
            self.of.remove(&network);
        }
    }
}

#[cfg(test)]
mod tests;
