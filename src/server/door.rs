//! The door: who may come in, before anybody has a name.
//!
//! It bounds the connections in all, those from one place, and those without a name, and keeps out a place that guesses
//! passwords. It knows no socket: the listener asks it, and each session holds an `Entrance` for as long as it lasts.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use async_lock::{Semaphore, SemaphoreGuardArc};
use async_std::task;
use futures::channel::oneshot;

use super::config::reserved_descriptors;
use super::penalties::{Offence, Penalties};
use crate::limits::{REFUSING, TRY_PAUSE};
use crate::origin::{Origin, Source};
use crate::protocol::Refusal;
use crate::room::PeerId;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    /// In all, those without a name included.
    pub connections: usize,
    /// From one [source](crate::origin::Source). Connections from this machine itself do not count.
    pub per_source: usize,
    /// Without a name. When there are so many, the oldest of the place that has most of them makes room.
    pub unnamed: usize,
}

#[derive(Debug)]
pub(super) struct Door {
    capacity: Capacity,
    inside: Mutex<Inside>,
    refusing: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct Inside {
    connections: usize,
    by_source: HashMap<Source, usize>,
    /// By age, since later connections have higher numbers.
    unnamed: BTreeMap<PeerId, (Source, oneshot::Sender<()>)>,
    penalties: Penalties,
    /// How many passwords from there are being looked at.
    tries: HashMap<Source, usize>,
}

/// A password that is being looked at, and counts as wrong.
#[derive(Debug)]
pub(super) struct Try {
    door: Arc<Door>,
    source: Source,
}

impl Try {
    /// It was right, or nobody knows: then it costs nothing.
    pub(super) fn forgive(self) {
        self.door.inside().penalties.refund(self.source, Offence::WrongPassword, Instant::now());
    }
}

impl Drop for Try {
    fn drop(&mut self) {
        let mut inside = self.door.inside();
        let left = inside.tries.get_mut(&self.source).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            inside.tries.remove(&self.source);
        }
    }
}

/// A connection's right to be there. Dropping it makes room for another.
#[derive(Debug)]
pub(super) struct Entrance {
    door: Arc<Door>,
    peer: PeerId,
    source: Source,
}

impl Door {
    pub(super) fn new(capacity: Capacity) -> Arc<Self> {
        let refusing = Arc::new(Semaphore::new(REFUSING.min(reserved_descriptors() / 4)));
        Arc::new(Self { capacity, inside: Mutex::default(), refusing })
    }

    /// Lets a connection in. It has no name yet; when what it is given here is ready, it has to make room for
    /// another.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: PeerId,
        from: Origin,
    ) -> Result<(Entrance, oneshot::Receiver<()>), Refusal> {
        let source = from.source();
        // Whoever else sits at this machine has done nothing; there only the passwords are refused.
        if !from.is_this_machine() {
            self.may_try(from)?;
        }
        let mut inside = self.inside();
        if inside.connections >= self.capacity.connections {
            return Err(Refusal::ServerFull);
        }
        if !from.is_this_machine() && inside.by_source.get(&source) >= Some(&self.capacity.per_source) {
            return Err(Refusal::SourceFull);
        }
        if inside.unnamed.len() >= self.capacity.unnamed {
            inside.evict();
        }
        let (evict, evicted) = oneshot::channel();
        inside.connections += 1;
        *inside.by_source.entry(source).or_default() += 1;
        inside.unnamed.insert(peer, (source, evict));
        Ok((Entrance { door: Arc::clone(self), peer, source }, evicted))
    }

    /// Whether a password from there would be looked at.
    pub(super) fn may_try(&self, from: Origin) -> Result<(), Refusal> {
        let (inside, source) = (self.inside(), from.source());
        // Those that are being looked at may turn out to be right.
        if inside.tries.contains_key(&source) { Ok(()) } else { inside.may_try(source, Instant::now()) }
    }

    /// Waits until a password from there may be looked at. It counts as wrong until it is [forgiven](Try::forgive), so that
    /// many connections at once have no more tries than one; while others are looked at that may be right, it waits.
    pub(super) async fn begin_try(self: &Arc<Self>, from: Origin) -> Result<Try, Refusal> {
        let source = from.source();
        loop {
            match self.try_at_once(source) {
                Some(tried) => return tried,
                None => task::sleep(TRY_PAUSE).await,
            }
        }
    }

    fn try_at_once(self: &Arc<Self>, source: Source) -> Option<Result<Try, Refusal>> {
        let (mut inside, now) = (self.inside(), Instant::now());
        if let Err(refusal) = inside.may_try(source, now) {
            return (!inside.tries.contains_key(&source)).then_some(Err(refusal));
        }
        inside.penalties.charge(source, Offence::WrongPassword, now);
        *inside.tries.entry(source).or_default() += 1;
        Some(Ok(Try { door: Arc::clone(self), source }))
    }

    /// Notes that somebody there misbehaved.
    pub(super) fn charge(&self, from: Origin, offence: Offence) {
        self.inside().penalties.charge(from.source(), offence, Instant::now());
    }

    /// How many connections there are.
    pub(super) fn connections(&self) -> usize {
        self.inside().connections
    }

    /// How many places have a penalty.
    pub(super) fn penalized(&self) -> usize {
        self.inside().penalties.len()
    }

    /// A turn to be refused politely, which takes a descriptor for a moment. There are [`REFUSING`] of them at once.
    pub(super) fn turn(&self) -> Option<SemaphoreGuardArc> {
        self.refusing.try_acquire_arc()
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entrance {
    /// The connection has a name now, and need not make room any more.
    pub(super) fn is_named(&self) {
        self.door.inside().unnamed.remove(&self.peer);
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        let mut inside = self.door.inside();
        inside.unnamed.remove(&self.peer);
        inside.connections -= 1;
        let left = inside.by_source.get_mut(&self.source).map(|count| {
            *count -= 1;
            *count
        });
        if left == Some(0) {
            inside.by_source.remove(&self.source);
        }
    }
}

impl Inside {
    fn may_try(&self, source: Source, now: Instant) -> Result<(), Refusal> {
        match self.penalties.is_refused(source, now) {
            Some(wait) => Err(Refusal::Penalized(wait.as_secs() + 1)),
            None => Ok(()),
        }
    }

    /// Sends away the oldest unnamed connection of the source that has most of them. Refusing the newcomer instead
    /// would let a few idle connections lock everybody out.
    fn evict(&mut self) {
        let mut counts: HashMap<Source, usize> = HashMap::new();
        for (source, _) in self.unnamed.values() {
            *counts.entry(*source).or_default() += 1;
        }
        let most = counts.values().copied().max();
        let oldest = self.unnamed.iter().find(|(_, (source, _))| counts.get(source).copied() == most);
        if let Some((&peer, _)) = oldest
            && let Some((_, evict)) = self.unnamed.remove(&peer)
        {
            // A session that is ending by itself does not listen any more.
            let _ = evict.send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    fn door(connections: usize, per_source: usize, unnamed: usize) -> Arc<Door> {
        Door::new(Capacity { connections, per_source, unnamed })
    }

    fn enter(door: &Arc<Door>, peer: u64, ip: &str) -> Result<(Entrance, oneshot::Receiver<()>), Refusal> {
        door.enter(PeerId(peer), SocketAddr::new(ip.parse().unwrap(), 7).into())
    }

    #[test]
    fn a_full_house_refuses_and_a_leave_makes_room() {
        let door = door(2, 9, 9);
        let first = enter(&door, 1, "192.0.2.1").unwrap();
        let _second = enter(&door, 2, "192.0.2.2").unwrap();
        assert_eq!(enter(&door, 3, "192.0.2.3").unwrap_err(), Refusal::ServerFull);
        drop(first);
        assert!(enter(&door, 4, "192.0.2.3").is_ok());
    }

    #[test]
    fn one_address_has_its_share_and_another_is_not_touched() {
        let door = door(99, 2, 99);
        let held: Vec<_> = (1..=2).map(|peer| enter(&door, peer, "192.0.2.1").unwrap()).collect();
        assert_eq!(enter(&door, 3, "192.0.2.1").unwrap_err(), Refusal::SourceFull);
        assert_eq!(enter(&door, 3, "::ffff:192.0.2.1").unwrap_err(), Refusal::SourceFull);
        assert!(enter(&door, 4, "192.0.2.2").is_ok());
        drop(held);
        assert!(door.inside().by_source.is_empty(), "a source that is gone costs nothing");
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_source() {
        let door = door(99, 2, 99);
        let _held = ["2001:db8::1", "2001:db8::ffff:1"].map(|ip| enter(&door, ip.len() as u64, ip).unwrap());
        assert_eq!(enter(&door, 3, "2001:db8::abcd").unwrap_err(), Refusal::SourceFull);
        assert!(enter(&door, 4, "2001:db8:0:1::1").is_ok());
    }

    #[test]
    fn a_link_local_address_counts_as_one_source_in_each_zone() {
        let door = door(99, 2, 99);
        let enter = |peer, address: &str| door.enter(PeerId(peer), address.parse::<SocketAddr>().unwrap().into());
        let _held = [1, 2].map(|peer| enter(peer, "[fe80::1%2]:7").unwrap());
        assert_eq!(enter(3, "[fe80::1%2]:7").unwrap_err(), Refusal::SourceFull);
        assert!(enter(4, "[fe80::2%2]:7").is_ok());
        assert!(enter(5, "[fe80::1%3]:7").is_ok());
    }

    #[test]
    fn this_machine_has_no_share() {
        let door = door(99, 1, 99);
        let held: Vec<_> = (0..50).map(|peer| enter(&door, peer, "127.0.0.1")).collect();
        assert!(held.iter().all(Result::is_ok));
        assert!(enter(&door, 50, "::1").is_ok());
    }

    #[test]
    fn the_oldest_unnamed_of_the_busiest_source_makes_room() {
        let door = door(99, 99, 4);
        let mut one = enter(&door, 1, "192.0.2.1").unwrap();
        let mut two: Vec<_> = (2..=4).map(|peer| enter(&door, peer, "192.0.2.2").unwrap()).collect();
        let _newcomer = enter(&door, 5, "192.0.2.3").unwrap();
        assert!(one.1.try_recv().unwrap().is_none(), "an honest connection is not touched");
        let evicted: Vec<_> = two.iter_mut().map(|(_, evicted)| evicted.try_recv().unwrap().is_some()).collect();
        assert_eq!(evicted, [true, false, false]);
    }

    #[test]
    fn who_has_a_name_is_not_evicted() {
        let door = door(99, 99, 1);
        let (entrance, mut evicted) = enter(&door, 1, "192.0.2.1").unwrap();
        entrance.is_named();
        let _newcomer = enter(&door, 2, "192.0.2.1").unwrap();
        assert!(evicted.try_recv().is_err(), "nobody can evict it any more");
        assert_eq!(door.inside().connections, 2);
    }
}
