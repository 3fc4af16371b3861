//! The connections that have not given a name yet, and which of them makes room for a newcomer when the server is full.
//!
//! It knows neither limits nor sockets: the connection limits decide when room is needed. Each change takes logarithmic
//! time, because an attacker controls the number of connections.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use futures::channel::oneshot;

use crate::limits::UNNAMED_GRACE;
use crate::model::PeerId;
use crate::model::limit_key::LimitKey;

#[derive(Debug, Default)]
pub(crate) struct Unnamed {
    /// By age, because later connections have higher numbers. No map is empty.
    by_network: HashMap<LimitKey, BTreeMap<PeerId, Waiting>>,
    /// The number of connections of each network, and its oldest connection. The busiest network is last. Among equally
    /// busy ones, the one with the oldest connection is last.
    order: BTreeMap<(usize, Reverse<PeerId>), LimitKey>,
}

#[derive(Debug)]
struct Waiting {
    since: Instant,
    evict: oneshot::Sender<()>,
}

impl Unnamed {
    /// Adds a connection. The receiver is ready when it is evicted.
    pub(crate) fn add(&mut self, peer: PeerId, network: LimitKey, now: Instant) -> oneshot::Receiver<()> {
        let (evict, evicted) = oneshot::channel();
        self.change(network, |waiting| waiting.insert(peer, Waiting { since: now, evict }));
        evicted
    }

    /// Removes a connection. Returns whether it was there; an evicted one is not.
    pub(crate) fn remove(&mut self, peer: PeerId, network: LimitKey) -> bool {
        self.change(network, |waiting| waiting.remove(&peer)).is_some()
    }

    /// Evicts a connection for a newcomer from `newcomer`, if one has to make room: the oldest of the network with the
    /// most connections. It has to if it is older than [`UNNAMED_GRACE`], or if its network has more connections than
    /// the newcomer's would have.
    ///
    /// If the newcomer were always refused, a few idle connections could keep everyone out. If young connections always
    /// had to make room, many honest clients would evict each other before they could give a name.
    pub(crate) fn make_room(&mut self, newcomer: LimitKey, now: Instant) -> bool {
        let Some((&(count, Reverse(peer)), &network)) = self.order.last_key_value() else { return false };
        let newcomers = self.by_network.get(&newcomer).map_or(0, BTreeMap::len) + 1;
        let since = self.by_network[&network][&peer].since;
        if count <= newcomers && now.duration_since(since) < UNNAMED_GRACE {
            return false;
        }
        if let Some(waiting) = self.change(network, |waiting| waiting.remove(&peer)) {
            // If the session is already ending, nobody listens.
            let _ = waiting.evict.send(());
        }
        true
    }

    /// Changes the connections of a network, and updates the order.
    fn change<T>(&mut self, network: LimitKey, change: impl FnOnce(&mut BTreeMap<PeerId, Waiting>) -> T) -> T {
        let waiting = self.by_network.entry(network).or_default();
        if let Some(key) = key(waiting) {
            self.order.remove(&key);
        }
        let changed = change(waiting);
        match key(waiting) {
            Some(key) => _ = self.order.insert(key, network),
            None => _ = self.by_network.remove(&network),
        }
        changed
    }
}

/// The key of a network in the order, if it has connections.
fn key(waiting: &BTreeMap<PeerId, Waiting>) -> Option<(usize, Reverse<PeerId>)> {
    waiting.first_key_value().map(|(&oldest, _)| (waiting.len(), Reverse(oldest)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::address::Network;

    const ONE: LimitKey = LimitKey::Network(Network::V4([192, 0, 2, 1]));
    const TWO: LimitKey = LimitKey::Network(Network::V4([192, 0, 2, 2]));
    const THREE: LimitKey = LimitKey::Network(Network::V4([192, 0, 2, 3]));

    /// Connections from these networks, all at `now`, numbered from 0.
    fn connections(keys: &[LimitKey], now: Instant) -> (Unnamed, Vec<oneshot::Receiver<()>>) {
        let mut unnamed = Unnamed::default();
        let receivers = (0..).zip(keys).map(|(peer, &network)| unnamed.add(PeerId(peer), network, now)).collect();
        (unnamed, receivers)
    }

    /// The numbers of the evicted connections.
    fn evicted(receivers: &mut [oneshot::Receiver<()>]) -> Vec<usize> {
        let is_evicted = |receiver: &mut oneshot::Receiver<()>| receiver.try_recv() == Ok(Some(()));
        (0..receivers.len()).filter(|&peer| is_evicted(&mut receivers[peer])).collect()
    }

    #[test]
    fn the_oldest_of_the_busiest_source_makes_room_for_a_source_that_has_fewer() {
        let now = Instant::now();
        let (mut unnamed, mut receivers) = connections(&[ONE, TWO, TWO, TWO], now);
        assert!(unnamed.make_room(THREE, now));
        assert_eq!(evicted(&mut receivers), [1]);
        assert!(unnamed.make_room(THREE, now));
        assert_eq!(evicted(&mut receivers), [2]);
        assert!(!unnamed.make_room(THREE, now), "each source has one, as the newcomer's would");
    }

    #[test]
    fn a_young_connection_does_not_make_room_for_the_same_source() {
        let now = Instant::now();
        let (mut unnamed, mut receivers) = connections(&[ONE, ONE], now);
        let almost = now + UNNAMED_GRACE - Duration::from_nanos(1);
        assert!(!unnamed.make_room(ONE, almost));
        assert!(evicted(&mut receivers).is_empty());
        assert!(unnamed.make_room(ONE, now + UNNAMED_GRACE));
        assert_eq!(evicted(&mut receivers), [0]);
    }

    #[test]
    fn of_equally_busy_networks_the_one_with_the_oldest_connection_makes_room() {
        let now = Instant::now();
        let (mut unnamed, mut receivers) = connections(&[THREE, ONE, TWO], now);
        for expected in 0..3 {
            assert!(unnamed.make_room(ONE, now + UNNAMED_GRACE));
            assert_eq!(evicted(&mut receivers), [expected]);
        }
        assert!(!unnamed.make_room(ONE, now + UNNAMED_GRACE), "nobody is left");
    }

    #[test]
    fn a_removed_connection_is_not_evicted_and_leaves_nothing() {
        let now = Instant::now();
        let (mut unnamed, mut receivers) = connections(&[ONE, ONE, TWO], now);
        assert!(unnamed.remove(PeerId(0), ONE));
        assert!(!unnamed.remove(PeerId(0), ONE), "it was removed before");
        assert!(unnamed.make_room(THREE, now + UNNAMED_GRACE));
        assert_eq!(evicted(&mut receivers), [1]);
        assert!(!unnamed.remove(PeerId(1), ONE), "it was evicted");
        assert!(unnamed.remove(PeerId(2), TWO));
        assert!(unnamed.by_network.is_empty() && unnamed.order.is_empty());
    }
}
