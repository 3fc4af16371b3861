//! The queue of passwords that wait to be hashed.
//!
//! [Networks](LimitKey) take turns, so a network that sends many passwords delays only itself. The same holds within
//! each: a /48 gets a turn, then each /56 in it, then each /64. A user of this machine gets a turn, then each name that
//! passwords are given for. It knows no passwords and no hashes.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

use futures::channel::oneshot;

use crate::model::limit_key::{LimitKey, LimitKeys};

/// Too many passwords of the same network are waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("too many passwords are being checked; try again in a moment")]
pub struct Busy;

#[derive(Debug)]
pub(crate) struct HashQueue {
    state: Mutex<State>,
    /// How many passwords may wait for a single network.
    waiting: usize,
}

#[derive(Debug, Default)]
struct State {
    /// The number of free slots.
    free: usize,
    /// In order of arrival.
    waiting: BTreeMap<u64, Waiter>,
    /// The load of each key that waits or has a turn. Other keys are forgotten: if their last turns were remembered, an
    /// attacker with a new name or network for each guess would always go first.
    loads: HashMap<LimitKey, Load>,
    arrivals: u64,
    turns: u64,
}

#[derive(Debug)]
struct Waiter {
    keys: LimitKeys,
    go: oneshot::Sender<()>,
}

#[derive(Debug, Default)]
struct Load {
    waiting: usize,
    running: usize,
    /// Its last turn.
    last_turn: u64,
}

/// A place in the queue, and then the right to hash a password. Dropping it passes that on.
#[derive(Debug)]
pub struct Turn {
    queue: Arc<HashQueue>,
    keys: LimitKeys,
    /// Its number in the queue, while it waits.
    arrival: u64,
}

impl HashQueue {
    /// Allows this many turns at once, and this many waiting per network.
    pub(crate) fn new(turns: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self { state: Mutex::new(State { free: turns, ..State::default() }), waiting })
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Busy`] if the queue of the network is full.
    pub(crate) async fn turn(self: &Arc<Self>, keys: &LimitKeys) -> Result<Turn, Busy> {
        let (turn, gone) = self.enter(keys)?;
        // The sender is not dropped before it is used while the turn lives.
        gone.await.map_err(|_| Busy)?;
        Ok(turn)
    }

    fn enter(self: &Arc<Self>, keys: &LimitKeys) -> Result<(Turn, oneshot::Receiver<()>), Busy> {
        let mut state = self.state();
        if state.free == 0 && state.is_full(keys, self.waiting) {
            return Err(Busy);
        }
        let (go, gone) = oneshot::channel();
        let arrival = state.arrivals;
        state.arrivals += 1;
        state.change(keys, |load| load.waiting += 1);
        state.waiting.insert(arrival, Waiter { keys: keys.clone(), go });
        state.give_turns();
        drop(state);
        Ok((Turn { queue: Arc::clone(self), keys: keys.clone(), arrival }, gone))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(crate) fn free(&self) -> usize {
        self.state().free
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.queue.state();
        if state.waiting.remove(&self.arrival).is_some() {
            state.change(&self.keys, |load| load.waiting -= 1);
        } else {
            state.change(&self.keys, |load| load.running -= 1);
            state.free += 1;
            state.give_turns();
        }
    }
}

impl State {
    fn is_full(&self, keys: &LimitKeys, waiting: usize) -> bool {
        keys.limited().any(|(network, factor)| {
            let limit = waiting.saturating_mul(factor.try_into().unwrap_or(usize::MAX));
            self.loads.get(&network).map_or(0, |load| load.waiting) >= limit
        })
    }

    /// Updates the load of these keys, and forgets those without load.
    fn change(&mut self, keys: &LimitKeys, change: impl Fn(&mut Load)) {
        for share in keys.all() {
            let load = self.loads.entry(share.key).or_default();
            change(load);
            if load.waiting == 0 && load.running == 0 {
                self.loads.remove(&share.key);
            }
        }
    }

    fn give_turns(&mut self) {
        while self.free > 0
            && let Some(arrival) = self.next()
            && let Some(Waiter { keys, go }) = self.waiting.remove(&arrival)
        {
            self.free -= 1;
            self.turns += 1;
            let last_turn = self.turns;
            self.change(&keys, |load| {
                load.waiting -= 1;
                load.running += 1;
                load.last_turn = last_turn;
            });
            // If the receiver has stopped waiting, dropping its `Turn` passes the turn on.
            let _ = go.send(());
        }
    }

    /// The next one: at each level, from the network that has waited longest since its last turn.
    fn next(&self) -> Option<u64> {
        let mut waiting: Vec<_> = self.waiting.iter().map(|(&arrival, waiter)| (arrival, waiter.keys.all())).collect();
        for level in 0.. {
            let last_turn = |network| self.loads.get(&network).map_or(0, |load| load.last_turn);
            // The first of equals, which came first.
            let (arrival, keys) =
                waiting.iter().min_by_key(|(_, keys)| keys.get(level).map_or(0, |share| last_turn(share.key)))?;
            let Some(&chosen) = keys.get(level) else { return Some(*arrival) };
            waiting.retain(|(_, keys)| keys.get(level) == Some(&chosen));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use proptest::prelude::*;

    use super::*;
    use crate::model::Name;
    use crate::model::address::Network;

    type Waiting = (Turn, oneshot::Receiver<()>);

    fn keys(source: &str) -> LimitKeys {
        LimitKeys::of(source.parse().unwrap())
    }

    fn named(name: &str) -> LimitKeys {
        LimitKeys::with_name(Network::Loopback, &Name::parse(name).unwrap())
    }

    fn enter(queue: &Arc<HashQueue>, keys: &LimitKeys) -> Waiting {
        queue.enter(keys).unwrap()
    }

    fn has_turn((_, gone): &mut Waiting) -> bool {
        gone.now_or_never().is_some()
    }

    /// How many turns the owner of a name waits when others are waiting.
    fn turns_until(owner: &LimitKeys, others: impl Iterator<Item = LimitKeys>) -> usize {
        let queue = HashQueue::new(1, 64);
        let running = enter(&queue, &keys("203.0.113.1"));
        let mut others: Vec<_> = others.map(|keys| enter(&queue, &keys)).collect();
        let mut owner = enter(&queue, owner);
        drop(running);
        for turns in 0.. {
            if has_turn(&mut owner) {
                return turns;
            }
            let at = others.iter_mut().position(has_turn).expect("somebody has the turn");
            drop(others.remove(at));
        }
        unreachable!()
    }

    #[test]
    fn an_owner_on_another_network_waits_for_one_turn_only() {
        let others = || (0..90).map(|number| keys(&format!("2001:db8:0:{number:x}::1")));
        assert_eq!(turns_until(&keys("192.0.2.1"), others()), 1);
        assert_eq!(turns_until(&keys("2001:db8:1::1"), others()), 1);
        assert_eq!(turns_until(&keys("192.0.2.1"), (0..64).map(|_| keys("192.0.2.2"))), 1);
        assert_eq!(turns_until(&named("Alice"), others()), 1);
    }

    #[test]
    fn guessers_with_a_new_network_each_time_do_not_starve_an_owner() {
        let queue = HashQueue::new(1, 64);
        let new = |number: u8| keys(&format!("192.0.2.{number}"));
        let first = enter(&queue, &new(0));
        let owner = enter(&queue, &keys("198.51.100.1"));
        let mut running = enter(&queue, &new(1));
        drop(first);
        // The owner has had a turn, and comes again.
        drop(owner);
        let mut owner = enter(&queue, &keys("198.51.100.1"));
        for number in 2..4 {
            let next = enter(&queue, &new(number));
            drop(std::mem::replace(&mut running, next));
        }
        assert!(has_turn(&mut owner));
    }

    #[test]
    fn on_this_machine_another_name_gets_the_next_turn() {
        assert_eq!(turns_until(&named("Alice"), (0..64).map(|_| named("Bob"))), 1);
        let user = |user| LimitKeys::with_name(Network::User(user), &Name::parse("Alice").unwrap());
        assert_eq!(turns_until(&user(1000), (0..64).map(|_| user(1001))), 1);
    }

    #[test]
    fn within_a_48_the_56_of_an_owner_gets_the_next_turn_and_within_that_the_64() {
        let owner = keys("2001:db8:0:1::1");
        assert_eq!(turns_until(&owner, (0..64).map(|number| keys(&format!("2001:db8:0:ff{number:02x}::1")))), 1);
        assert_eq!(turns_until(&owner, (0..64).map(|_| keys("2001:db8:0:2::1"))), 1);
    }

    #[test]
    fn the_excess_of_a_network_is_refused_and_nobody_elses() {
        let queue = HashQueue::new(0, 2);
        let _two = [(); 2].map(|()| enter(&queue, &keys("192.0.2.1")));
        assert!(queue.enter(&keys("192.0.2.1")).is_err());
        assert!(queue.enter(&keys("192.0.2.2")).is_ok());
        let others: Vec<_> =
            (0..40).map_while(|number| queue.enter(&keys(&format!("2001:db8:0:{number:x}00::1"))).ok()).collect();
        assert_eq!(others.len(), 32, "a /48 has sixteen times as many");
        assert!(queue.enter(&keys("2001:db8:1::1")).is_ok());
        let names: Vec<_> = (0..80).map(|number| enter(&queue, &named(&format!("a{number}z")))).collect();
        assert_eq!(names.len(), 80, "each name of this machine has its own");
        drop((others, names));
        assert_eq!(queue.state().loads.len(), 1, "who is gone costs nothing");
    }

    #[test]
    fn who_stops_waiting_makes_room_and_who_stops_with_a_turn_gives_it_on() {
        let queue = HashQueue::new(1, 1);
        let running = enter(&queue, &keys("192.0.2.1"));
        let waiting = enter(&queue, &keys("192.0.2.1"));
        assert!(queue.enter(&keys("192.0.2.1")).is_err());
        drop(waiting);
        let mut late = enter(&queue, &keys("192.0.2.1"));
        assert!(!has_turn(&mut late));
        drop(running);
        assert!(has_turn(&mut late));
        drop(late);
        assert_eq!(queue.free(), 1);
    }

    proptest! {
        #[test]
        fn whatever_happens_each_turn_is_given_back_and_nobody_waits_while_one_is_free(
            acts in prop::collection::vec((0..6u8, any::<bool>()), 1..200)
        ) {
            let queue = HashQueue::new(2, 3);
            let mut held = Vec::new();
            for (number, is_leave) in acts {
                if is_leave && !held.is_empty() {
                    drop(held.remove(usize::from(number) % held.len()));
                } else if let Ok(entered) = queue.enter(&keys(&format!("2001:db8:0:{number}::1"))) {
                    held.push(entered);
                }
                let state = queue.state();
                prop_assert!(state.free == 0 || state.waiting.is_empty());
                prop_assert_eq!(state.waiting.len() + 2 - state.free, held.len());
            }
            drop(held);
            let state = queue.state();
            prop_assert_eq!((state.free, state.waiting.len(), state.loads.len()), (2, 0, 0));
        }
    }
}
