//! Limits connections before they have a name.
//!
//! It limits the number of connections, in total and per network. When the server is full, a connection without a name makes
//! room for a new one. It also refuses networks that guess passwords. It knows no sockets: the listener asks it, and each
//! session holds a `Permit` for as long as it lasts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_lock::{Semaphore, SemaphoreGuardArc};
use async_std::task;
use futures::channel::oneshot;

use crate::limits::{EVICTING, EVICTING_FROM, EVICTING_LOOK, EVICTING_LOOKS, REFUSING, TRY_PAUSE};
use crate::model::PeerId;
use crate::model::address::{Network, PeerAddr};
use crate::model::limit_key::{LimitKey, LimitKeys};
use crate::os::descriptors::reserved_descriptors;
use crate::protocol::Refusal;
use crate::server::access::penalties::{Offence, Penalties};
use crate::server::access::unnamed::Unnamed;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// In all, those without a name included. When there are so many, one of those makes room for a newcomer.
    pub connections: usize,
    /// From one [source](crate::model::address::Network). Wider IPv6 networks may have [several times](crate::limits::PER_56) as many.
    /// Connections from this machine itself do not count.
    pub per_source: usize,
}

#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    capacity: Capacity,
    /// How many connections before the capacity is reached those without a name begin to make room, ...
    margin: usize,
    /// ... and how many there may be beyond it, for as long as those that were evicted have not ended.
    excess: usize,
    state: Mutex<State>,
    refusing: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    /// How many of these were evicted and have not ended.
    evicted: usize,
    by_network: HashMap<LimitKey, usize>,
    unnamed: Unnamed,
    penalties: Penalties,
    /// How many passwords from there are being looked at.
    tries: HashMap<LimitKey, usize>,
}

/// Passwords from somewhere are refused, for so long.
#[derive(Debug, Clone, Copy)]
struct Refused {
    wait: Duration,
    /// It is known that they were wrong.
    is_final: bool,
}

/// A password that is being looked at, and counts as wrong.
#[derive(Debug)]
pub(crate) struct Try {
    limits: Arc<ConnectionLimits>,
    keys: LimitKeys,
}

impl Try {
    /// It was right, or nobody knows: then it costs nothing.
    pub(crate) fn forgive(self) {
        self.limits.state().penalties.refund(&self.keys, Offence::WrongPassword, Instant::now());
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        count_down(&mut self.limits.state().tries, &self.keys);
    }
}

/// A connection's right to be there. Dropping it makes room for another.
#[derive(Debug)]
pub(crate) struct Permit {
    limits: Arc<ConnectionLimits>,
    peer: PeerId,
    source: Network,
    has_name: bool,
}

impl ConnectionLimits {
    pub(crate) fn new(capacity: Capacity) -> Arc<Self> {
        let quarter = reserved_descriptors() / 4;
        let refusing = Arc::new(Semaphore::new(REFUSING.min(quarter)));
        let margin = EVICTING_FROM.min(capacity.connections / 16);
        Arc::new(Self { capacity, margin, excess: EVICTING.min(quarter), state: Mutex::default(), refusing })
    }

    /// Lets a connection in. It has no name yet; when what it is given here is ready, it has to make room for
    /// another.
    pub(crate) fn enter(
        self: &Arc<Self>,
        peer: PeerId,
        from: PeerAddr,
    ) -> Result<(Permit, oneshot::Receiver<()>), Refusal> {
        let source = from.network();
        let keys = LimitKeys::of(source);
        // Whoever else sits at this machine has done nothing; there only the passwords are refused.
        if !from.is_this_machine() {
            self.may_try(&keys)?;
        }
        let (mut state, now) = (self.state(), Instant::now());
        if !from.is_this_machine() && state.is_full(&keys, self.capacity.per_source) {
            return Err(Refusal::SourceFull);
        }
        let staying = state.connections - state.evicted;
        let has_made_room = staying + self.margin >= self.capacity.connections && state.evict_for(keys.widest(), now);
        if staying >= self.capacity.connections && !has_made_room {
            return Err(Refusal::ServerFull);
        }
        // The ones that were evicted still have their descriptors.
        if state.connections >= self.capacity.connections + self.excess {
            return Err(Refusal::ServerFull);
        }
        state.connections += 1;
        count_up(&mut state.by_network, &keys);
        let evicted = state.unnamed.add(peer, keys.widest(), now);
        Ok((Permit { limits: Arc::clone(self), peer, source, has_name: false }, evicted))
    }

    /// Whether a password from there would be looked at.
    pub(crate) fn may_try(&self, keys: &LimitKeys) -> Result<(), Refusal> {
        match self.state().refusal(keys, Instant::now()) {
            Some(Refused { is_final: true, wait }) => Err(Refusal::Penalized(wait.as_secs() + 1)),
            _ => Ok(()),
        }
    }

    /// Waits until a password from there may be looked at. It counts as wrong until it is [forgiven](Try::forgive), so that
    /// many connections at once have no more tries than one; while others are looked at that may be right, it waits.
    pub(crate) async fn begin_try(self: &Arc<Self>, keys: &LimitKeys) -> Result<Try, Refusal> {
        loop {
            match self.try_at_once(keys) {
                Some(tried) => return tried,
                None => task::sleep(TRY_PAUSE).await,
            }
        }
    }

    fn try_at_once(self: &Arc<Self>, keys: &LimitKeys) -> Option<Result<Try, Refusal>> {
        let (mut state, now) = (self.state(), Instant::now());
        if let Some(Refused { is_final, wait }) = state.refusal(keys, now) {
            return is_final.then_some(Err(Refusal::Penalized(wait.as_secs() + 1)));
        }
        state.penalties.charge(keys, Offence::WrongPassword, now);
        count_up(&mut state.tries, keys);
        Some(Ok(Try { limits: Arc::clone(self), keys: keys.clone() }))
    }

    /// Notes that somebody there misbehaved.
    pub(crate) fn charge(&self, keys: &LimitKeys, offence: Offence) {
        self.state().penalties.charge(keys, offence, Instant::now());
    }

    /// Waits a moment for connections that were evicted to end, if there are so many of them that a newcomer would be refused.
    /// They end on other threads, in microseconds; a few may take longer, as when a password is being hashed.
    pub(crate) async fn wait_for_evicted(&self) {
        for _ in 0..EVICTING_LOOKS {
            if self.connections() < self.capacity.connections + self.excess {
                break;
            }
            task::sleep(EVICTING_LOOK).await;
        }
    }

    /// How many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    /// How many places have a penalty.
    pub(crate) fn penalized(&self) -> usize {
        self.state().penalties.len()
    }

    /// A turn to be refused politely, which takes a descriptor for a moment. There are [`REFUSING`] of them at once.
    pub(crate) fn turn(&self) -> Option<SemaphoreGuardArc> {
        self.refusing.try_acquire_arc()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The connection has a name now, and need not make room any more.
    pub(crate) fn is_named(&mut self) {
        self.has_name = true;
        self.limits.state().settle(self.peer, LimitKeys::of(self.source).widest());
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = self.limits.state();
        let keys = LimitKeys::of(self.source);
        if !self.has_name {
            state.settle(self.peer, keys.widest());
        }
        state.connections -= 1;
        count_down(&mut state.by_network, &keys);
    }
}

impl State {
    /// Whether passwords from there are refused now.
    fn refusal(&self, keys: &LimitKeys, now: Instant) -> Option<Refused> {
        let (wait, network) = self.penalties.is_refused(keys, now)?;
        // Those that are being looked at may turn out to be right.
        Some(Refused { wait, is_final: !self.tries.contains_key(&network) })
    }

    /// Whether one of these networks has all the connections that it may have.
    fn is_full(&self, keys: &LimitKeys, per_source: usize) -> bool {
        keys.limited().any(|(network, factor)| {
            let limit = per_source.saturating_mul(factor.try_into().unwrap_or(usize::MAX));
            self.by_network.get(&network) >= Some(&limit)
        })
    }

    /// Evicts an unnamed connection for a newcomer, if one has to make room.
    fn evict_for(&mut self, newcomer: LimitKey, now: Instant) -> bool {
        let has_evicted = self.unnamed.make_room(newcomer, now);
        self.evicted += usize::from(has_evicted);
        has_evicted
    }

    /// A connection has a name now, or is gone. If it was evicted, it does not make room any more.
    fn settle(&mut self, peer: PeerId, network: LimitKey) {
        if !self.unnamed.remove(peer, network) {
            self.evicted -= 1;
        }
    }
}

fn count_up(counts: &mut HashMap<LimitKey, usize>, keys: &LimitKeys) {
    for (network, _) in keys.limited() {
        *counts.entry(network).or_default() += 1;
    }
}

fn count_down(counts: &mut HashMap<LimitKey, usize>, keys: &LimitKeys) {
    for (network, _) in keys.limited() {
        let left = counts.get_mut(&network).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            counts.remove(&network);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn limits(connections: usize, per_source: usize) -> Arc<ConnectionLimits> {
        ConnectionLimits::new(Capacity { connections, per_source })
    }

    fn enter(limits: &Arc<ConnectionLimits>, peer: u64, ip: &str) -> Result<(Permit, oneshot::Receiver<()>), Refusal> {
        limits.enter(PeerId(peer), SocketAddr::new(ip.parse().unwrap(), 7).into())
    }

    #[test]
    fn a_full_server_refuses_connections_and_a_leave_makes_room() {
        let limits = limits(2, 9);
        let first = enter(&limits, 1, "192.0.2.1").unwrap();
        let _second = enter(&limits, 2, "192.0.2.2").unwrap();
        assert_eq!(enter(&limits, 3, "192.0.2.3").unwrap_err(), Refusal::ServerFull);
        drop(first);
        assert!(enter(&limits, 4, "192.0.2.3").is_ok());
    }

    #[test]
    fn one_address_has_its_share_and_another_is_not_touched() {
        let limits = limits(99, 2);
        let held: Vec<_> = (1..=2).map(|peer| enter(&limits, peer, "192.0.2.1").unwrap()).collect();
        assert_eq!(enter(&limits, 3, "192.0.2.1").unwrap_err(), Refusal::SourceFull);
        assert_eq!(enter(&limits, 3, "::ffff:192.0.2.1").unwrap_err(), Refusal::SourceFull);
        assert!(enter(&limits, 4, "192.0.2.2").is_ok());
        drop(held);
        assert!(limits.state().by_network.is_empty(), "a source that is gone costs nothing");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_source() {
        let limits = limits(99, 2);
        let _held = ["2001:db8::1", "2001:db8::ffff:1"].map(|ip| enter(&limits, ip.len() as u64, ip).unwrap());
        assert_eq!(enter(&limits, 3, "2001:db8::abcd").unwrap_err(), Refusal::SourceFull);
        assert!(enter(&limits, 4, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn a_48_has_sixteen_times_the_connections_of_a_64_however_many_64s_it_has() {
        let limits = limits(9999, 2);
        let held: Vec<_> =
            (0..40).map_while(|number| enter(&limits, number, &format!("2001:db8:0:{number:x}00::1")).ok()).collect();
        assert_eq!(held.len(), 32);
        assert!(enter(&limits, 40, "2001:db8:1::1").is_ok());
        let _neighbours: Vec<_> =
            (0..8).map(|number| enter(&limits, 41 + number, &format!("2001:db8:2:{number}::1")).unwrap()).collect();
        assert_eq!(
            enter(&limits, 50, "2001:db8:2:ff::1").unwrap_err(),
            Refusal::SourceFull,
            "a /56 has four times as many"
        );
        drop(held);
        assert!(enter(&limits, 51, "2001:db8::1").is_ok());
    }

    #[test]
    fn in_a_full_server_the_64s_of_a_48_count_together() {
        let limits = limits(4, 99);
        let address = |peer| if peer < 2 { "192.0.2.1".to_owned() } else { format!("2001:db8:0:{peer}::1") };
        let mut held: Vec<_> = (0..3).map(|peer| enter(&limits, peer, &address(peer)).unwrap()).collect();
        held.push(enter(&limits, 3, "2001:db8:0:99::1").unwrap());
        drop(held.remove(0));
        held.push(enter(&limits, 4, "2001:db8:0:ffff::1").unwrap());
        let _newcomer = enter(&limits, 5, "192.0.2.7").unwrap();
        let evicted: Vec<_> = held.iter_mut().map(|(_, evicted)| evicted.try_recv().unwrap().is_some()).collect();
        assert_eq!(evicted, [false, true, false, false]);
    }

    #[test]
    fn a_link_local_address_counts_as_one_source_in_each_zone() {
        let limits = limits(99, 2);
        let enter = |peer, address: &str| limits.enter(PeerId(peer), address.parse::<SocketAddr>().unwrap().into());
        let _held = [1, 2].map(|peer| enter(peer, "[fe80::1%2]:7").unwrap());
        assert_eq!(enter(3, "[fe80::1%2]:7").unwrap_err(), Refusal::SourceFull);
        assert!(enter(4, "[fe80::2%2]:7").is_ok());
        assert!(enter(5, "[fe80::1%3]:7").is_ok());
    }

    #[test]
    fn this_machine_has_no_share() {
        let limits = limits(99, 1);
        let held: Vec<_> = (0..50).map(|peer| enter(&limits, peer, "127.0.0.1")).collect();
        assert!(held.iter().all(Result::is_ok));
        assert!(enter(&limits, 50, "::1").is_ok());
    }

    /// As long as all connections fit, none is evicted, however slow they are to give their names.
    #[test]
    fn unnamed_connections_may_fill_the_server() {
        let limits = limits(5000, 99);
        let peers: Vec<_> = (0..5000).map(|peer| enter(&limits, peer, "127.0.0.1").unwrap()).collect();
        for (mut permit, mut evicted) in peers {
            assert_eq!(evicted.try_recv(), Ok(None));
            permit.is_named();
        }
    }

    #[test]
    fn in_a_full_server_an_unnamed_connection_of_a_busier_source_makes_room() {
        let limits = limits(4, 99);
        let mut held: Vec<_> = (0..4)
            .map(|peer| enter(&limits, peer, ["192.0.2.1", "192.0.2.2"][usize::from(peer > 0)]).unwrap())
            .collect();
        let newcomer = enter(&limits, 4, "192.0.2.3").unwrap();
        let evicted: Vec<_> = held.iter_mut().map(|(_, evicted)| evicted.try_recv().unwrap().is_some()).collect();
        assert_eq!(evicted, [false, true, false, false]);
        assert_eq!(limits.connections(), 5, "the one that was evicted has not ended");
        drop(held);
        drop(newcomer);
        assert_eq!((limits.connections(), limits.state().evicted), (0, 0));
    }

    #[test]
    fn a_full_server_lets_in_only_a_few_before_those_evicted_have_ended() {
        let limits = limits(100, 99);
        let mut held: Vec<_> = (0..100).map(|peer| enter(&limits, peer, "192.0.2.1").ok()).collect();
        held.truncate(99);
        held.push(enter(&limits, 100, "192.0.2.2").ok());
        let newcomers: Vec<_> =
            (0..99).map_while(|peer| enter(&limits, 200 + peer, &format!("198.51.100.{peer}")).ok()).collect();
        assert_eq!(newcomers.len(), limits.excess);
        assert_eq!(limits.connections(), 100 + limits.excess);
        drop(held.drain(..2));
        assert!(enter(&limits, 400, "203.0.113.1").is_ok());
    }

    #[test]
    fn who_has_a_name_is_not_evicted() {
        let limits = limits(1, 99);
        let (mut permit, mut evicted) = enter(&limits, 1, "192.0.2.1").unwrap();
        permit.is_named();
        assert_eq!(enter(&limits, 2, "192.0.2.2").unwrap_err(), Refusal::ServerFull);
        assert!(evicted.try_recv().is_err(), "nobody can evict it any more");
    }

    /// Its name had arrived when it was evicted.
    #[test]
    fn who_gets_a_name_after_all_has_its_place() {
        let limits = limits(2, 99);
        let mut held = [1, 2].map(|peer| enter(&limits, peer, "192.0.2.1").unwrap());
        let mut newcomer = enter(&limits, 3, "192.0.2.2").unwrap();
        assert_eq!(limits.state().evicted, 1);
        held.iter_mut().for_each(|(permit, _)| permit.is_named());
        newcomer.0.is_named();
        assert_eq!((limits.connections(), limits.state().evicted), (3, 0));
        assert_eq!(enter(&limits, 4, "192.0.2.3").unwrap_err(), Refusal::ServerFull);
        drop((held, newcomer));
        assert_eq!((limits.connections(), limits.state().evicted), (0, 0));
    }
}
