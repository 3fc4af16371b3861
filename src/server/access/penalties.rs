//! Penalties: for how long a source that misbehaved is not let in, as with OpenSSH's PerSourcePenalties
//! (sshd_config(5)).
//!
//! Each offence costs a source some time, and its time runs off by itself. It is refused once the sum has come to more
//! than [`PENALTIES_FROM`], and then until all of it has run off. The wider networks that the source belongs to pay too, but
//! only a part of the time, so they have several times as many tries. It knows no socket and no clock, and it never holds
//! more than [`PENALIZED_SOURCES`]: a flood of sources can only push out those whose time ends first.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::limits::{
    PENALIZED_SOURCES, PENALTIES_FROM, PENALTIES_MOST, PENALTY_NO_LOGIN, PENALTY_NO_PASSWORD, PENALTY_REGISTRATION,
    PENALTY_WRONG_PASSWORD,
};
use crate::model::limit_key::{LimitKey, LimitKeys};

/// What somebody there did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offence {
    /// It gave a wrong password.
    WrongPassword,
    /// It had to give a password, and its time ran out.
    NoLogin,
    /// It had to give a password, and left.
    NoPassword,
    /// It registered a name: nothing bad, but not to be done by the hundred.
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
    /// The same, by when they end, so that room is made without a look at all of them.
    by_end: BTreeSet<(Instant, LimitKey)>,
    room: usize,
}

/// What one source has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Penalty {
    until: Instant,
    /// By how much the sum has gone beyond [`PENALTIES_FROM`], not less what ran off since. The source is refused unless
    /// it is zero; what is given back counts against it, so that a refund undoes exactly what its charge did.
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

    /// How many sources have one, or had one a moment ago.
    pub(crate) fn len(&self) -> usize {
        self.of.len()
    }

    /// Adds what the offence costs, up to [`PENALTIES_MOST`]. A network with several times the limits of a single source
    /// pays that part of it.
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

    /// Takes back what was charged when it turns out to have been none, as when a password is right after all. What has run
    /// off meanwhile is not owed.
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

    /// For how long one of these networks is still to be refused, and which, if one is: the one that has to wait longest.
    pub(crate) fn is_refused(&self, keys: &LimitKeys, now: Instant) -> Option<(Duration, LimitKey)> {
        keys.limited().filter_map(|(network, _)| Some((self.wait_of(network, now)?, network))).max()
    }

    fn wait_of(&self, network: LimitKey, now: Instant) -> Option<Duration> {
        let penalty = self.of.get(&network)?;
        let left = penalty.until.saturating_duration_since(now);
        (!penalty.excess.is_zero() && !left.is_zero()).then_some(left)
    }

    /// Removes the penalty of a network. What has run off is none.
    fn take(&mut self, network: LimitKey, now: Instant) -> Option<Penalty> {
        let penalty = self.of.remove(&network)?;
        self.by_end.remove(&(penalty.until, network));
        (penalty.until > now).then_some(penalty)
    }

    fn put(&mut self, network: LimitKey, penalty: Penalty) {
        self.of.insert(network, penalty);
        self.by_end.insert((penalty.until, network));
    }

    /// Forgets what has run off, two at a time, which is faster than they come, so that no charge has to forget many; and
    /// the one that ends first when there are too many all the same.
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
