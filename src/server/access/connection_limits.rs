//! Limits connections before they have a name.
//!
//! It limits the number of connections, in total and per network. When the server is full, an unnamed connection makes
//! room for a new one. It also refuses networks that guess passwords. It knows no sockets: the listener asks it, and
//! each session holds a `Permit` while it lasts.

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

/// The maximum number of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// In total, including unnamed ones. At this number, an unnamed connection makes room for a newcomer.
    pub connections: usize,
    /// From one [source](crate::model::address::Network). Wider IPv6 networks may have [several
    /// times](crate::limits::PER_56) as many. Connections from this machine do not count.
    pub per_source: usize,
}

#[derive(Debug)]
pub(crate) struct ConnectionLimits {
    capacity: Capacity,
    /// Unnamed connections begin to make room this many connections before the capacity is reached, ...
    margin: usize,
    /// ... and this many connections may exceed it while evicted ones have not ended.
    excess: usize,
    state: Mutex<State>,
    refusing: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    /// The number of these that were evicted and have not ended.
    evicted: usize,
    by_network: HashMap<LimitKey, usize>,
    unnamed: Unnamed,
    penalties: Penalties,
    /// The number of passwords that are being checked.
    tries: HashMap<LimitKey, usize>,
}

/// Passwords are refused for this long.
#[derive(Debug, Clone, Copy)]
struct Refused {
    wait: Duration,
    /// No password from there is still being checked, so none can turn out to be right.
    is_final: bool,
}

/// A password that is being checked. It counts as wrong until it is forgiven.
#[derive(Debug)]
pub(crate) struct Try {
    limits: Arc<ConnectionLimits>,
    keys: LimitKeys,
}

impl Try {
    /// The password was right, or could not be checked: it costs nothing.
    pub(crate) fn forgive(self) {
        self.limits.state().penalties.refund(&self.keys, Offence::WrongPassword, Instant::now());
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        count_down(&mut self.limits.state().tries, &self.keys);
    }
}

/// A connection's place. Dropping it makes room for another.
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

    /// Admits a connection, which has no name yet. The receiver is ready when the connection is evicted to make room
    /// for another.
    pub(crate) fn enter(
        self: &Arc<Self>,
        peer: PeerId,
        from: PeerAddr,
    ) -> Result<(Permit, oneshot::Receiver<()>), Refusal> {
        let source = from.network();
        let keys = LimitKeys::of(source);
        // Other users of this machine have done nothing wrong, so only passwords are refused here.
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
        // Evicted connections still have their descriptors.
        if state.connections >= self.capacity.connections + self.excess {
            return Err(Refusal::ServerFull);
        }
        state.connections += 1;
        count_up(&mut state.by_network, &keys);
        let evicted = state.unnamed.add(peer, keys.widest(), now);
        Ok((Permit { limits: Arc::clone(self), peer, source, has_name: false }, evicted))
    }

    /// Whether a password from there would be checked.
    pub(crate) fn may_try(&self, keys: &LimitKeys) -> Result<(), Refusal> {
        match self.state().refusal(keys, Instant::now()) {
            Some(Refused { is_final: true, wait }) => Err(Refusal::Penalized(wait.as_secs() + 1)),
            _ => Ok(()),
        }
    }

    /// Waits until a password may be checked. It counts as wrong until it is [forgiven](Try::forgive), so many
    /// concurrent connections get no more tries than one. While other passwords from there are being checked, it waits,
    /// because they may be right.
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

    /// Charges an offence.
    pub(crate) fn charge(&self, keys: &LimitKeys, offence: Offence) {
        self.state().penalties.charge(keys, offence, Instant::now());
    }

    /// If a newcomer would be refused, waits briefly for evicted connections to end. They end on other threads within
    /// microseconds. Some take longer, for example while a password is being hashed.
    pub(crate) async fn wait_for_evicted(&self) {
        for _ in 0..EVICTING_LOOKS {
            if self.connections() < self.capacity.connections + self.excess {
                break;
            }
            task::sleep(EVICTING_LOOK).await;
        }
    }

    /// The number of connections.
    pub(crate) fn connections(&self) -> usize {
        self.state().connections
    }

    /// The number of penalties.
    pub(crate) fn penalized(&self) -> usize {
        self.state().penalties.len()
    }

    /// A slot to refuse a connection politely, which takes a descriptor for a moment. There are [`REFUSING`] slots.
    pub(crate) fn turn(&self) -> Option<SemaphoreGuardArc> {
        self.refusing.try_acquire_arc()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit {
    /// The connection now has a name, so it can no longer be evicted.
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
        // Passwords that are being checked may turn out to be right.
        Some(Refused { wait, is_final: !self.tries.contains_key(&network) })
    }

    /// Whether one of these networks has reached its limit.
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

    /// A connection got a name or ended. If it was evicted, it no longer counts as evicted.
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
    fn the_limit_of_one_address_does_not_affect_another() {
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
    fn connections_from_this_machine_do_not_count() {
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
    fn a_full_server_admits_only_a_few_before_evicted_connections_end() {
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
    fn a_named_connection_is_not_evicted() {
        let limits = limits(1, 99);
        let (mut permit, mut evicted) = enter(&limits, 1, "192.0.2.1").unwrap();
        permit.is_named();
        assert_eq!(enter(&limits, 2, "192.0.2.2").unwrap_err(), Refusal::ServerFull);
        assert!(evicted.try_recv().is_err(), "nobody can evict it any more");
    }

    /// Its name had arrived when it was evicted.
    #[test]
    fn an_evicted_connection_that_gets_a_name_stays() {
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
