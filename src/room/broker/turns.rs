//! The turns of the broker, and which rooms take part in one.
//!
//! A turn takes all waiting events and publishes the result. Each room gets at most about a batch of text in a turn,
//! and nothing while its readers are too slow: what its peers send waits, while the other rooms go on.

use std::iter;
use std::time::{Duration, Instant, SystemTime};

use async_channel::Receiver;
use async_io::Timer;
use futures::FutureExt;

use crate::limits::{CONGESTION_PAUSE, INBOX_EVENTS};
use crate::os::yielding::{let_input_arrive, let_others_run};
use crate::room::broker::rooms::{LOBBY, Room, RoomId};
use crate::room::{Broker, Counts, Event, Ping, SlowReaders};

impl Room {
    /// Whether its readers are so slow that it should wait for them.
    fn has_slow_readers(&mut self, waits_for_readers: bool, now: Instant) -> bool {
        match self.feed.slow_readers(now) {
            SlowReaders::None => false,
            SlowReaders::Most if waits_for_readers => true,
            SlowReaders::Some | SlowReaders::Most => self.backpressure.spend(CONGESTION_PAUSE, now),
        }
    }
}

impl Broker {
    /// Runs until the rooms end: after [`Event::Shutdown`] and the last leave, or when there are no senders left.
    ///
    /// The next turn begins when the round is over: when all readers that were woken have come. Pings are answered once
    /// in each turn, and while the room waits for its readers.
    pub async fn run(mut self, inbox: Receiver<Event>, pings: Receiver<Ping>) {
        while !self.is_over() {
            let event = futures::select_biased! {
                event = inbox.recv().fuse() => match event {
                    Ok(event) => Some(event),
                    Err(_nobody) => break,
                },
                ping = next_ping(&pings).fuse() => {
                    self.answer_ping(ping);
                    None
                },
                () = self.until_due().fuse() => None,
            };
            self.answer_pings(&pings);
            self.tick(Instant::now(), SystemTime::now());
            self.take_held();
            event.into_iter().for_each(|event| self.take(event));
            let mut left = INBOX_EVENTS;
            // A full room holds what follows, unless it is the only one.
            while left > 0
                && !(self.is_full && self.rooms.is_one())
                && let Ok(event) = inbox.try_recv()
            {
                self.take(event);
                left -= 1;
            }
            self.publish();
            self.publish_when_stored().await;
            self.hand_out_history();
            for id in &self.published {
                if let Some(room) = self.rooms.find(*id) {
                    room.feed.clone().round().await;
                }
            }
            // If the inbox is never empty, the broker would occupy its thread forever. Also, what others read meanwhile
            // makes the next batch larger.
            match self.is_flooded() {
                true => let_input_arrive().await,
                false => let_others_run().await,
            }
            self.end_turn(Instant::now());
            // If there is one room, its peers can wait where they are.
            while self.rooms.is_one() && self.is_slow(LOBBY, Instant::now()) {
                self.answer_pings(&pings);
                Timer::after(CONGESTION_PAUSE).await;
            }
        }
        // Whatever came too late is answered. Later senders find the inbox closed.
        inbox.close();
        pings.close();
        self.answer_pings(&pings);
        self.handle_held();
        while let Ok(event) = inbox.try_recv() {
            self.handle(event);
        }
        self.publish();
        self.publish_when_stored().await;
        self.hand_out_history();
    }

    fn answer_pings(&self, pings: &Receiver<Ping>) {
        while let Ok(ping) = pings.try_recv() {
            self.answer_ping(ping);
        }
    }

    fn answer_ping(&self, ping: Ping) {
        let people = self.peers.values().filter(|peer| !peer.is_done).count();
        // Nobody may be waiting any more.
        let _ = ping.send(Counts { people, rooms: self.room_list().len() });
    }

    /// Answers those who asked for the history. What was said before they asked is in it by now.
    fn hand_out_history(&mut self) {
        for (peer, answer) in std::mem::take(&mut self.history_asked) {
            if let Some(asking) = self.peers.get(&peer) {
                let room = self.rooms.get(asking.room);
                // The session may be gone.
                let _ = answer.send((room.history.clone(), room.name.clone(), self.ignored_by(peer)));
            }
        }
    }

    /// Handles an event, or holds it until the room of its peer goes on.
    pub(super) fn take(&mut self, event: Event) {
        let Some(id) = self.room_that_holds(&event) else { return self.handle(event) };
        if let Some(peer) = event.peer().and_then(|peer| self.peers.get_mut(&peer)) {
            peer.held = Some((id, peer.held.map_or(0, |(_, events)| events) + 1));
            peer.throttle.hold(true);
        }
        self.rooms.get_mut(id).held.push_back(event);
        self.held.insert(id);
    }

    /// The room that holds an event: the one that holds the earlier ones of the peer, or one that the peer speaks in, by
    /// being there or with `/say`.
    fn room_that_holds(&self, event: &Event) -> Option<RoomId> {
        if self.closing || self.rooms.is_one() && self.held.is_empty() {
            return None;
        }
        let peer = self.peers.get(&event.peer()?)?;
        let spoken_in = event.rooms_named().filter_map(|name| self.rooms.id(name));
        let holds = |id: &RoomId| {
            let room = self.rooms.get(*id);
            room.is_full || room.is_slow || !room.held.is_empty()
        };
        peer.held.map(|(id, _)| id).or_else(|| iter::once(peer.room).chain(spoken_in).find(holds))
    }

    /// Handles the next event that a room holds. Returns false if there is none.
    pub(super) fn handle_next_held(&mut self, id: RoomId) -> bool {
        let Some(event) = self.rooms.find(id).and_then(|room| room.held.pop_front()) else { return false };
        // Without people, the room goes when it holds nothing any more.
        if self.rooms.at(id).held.is_empty() {
            self.held.remove(&id);
        }
        if let Some(peer) = event.peer().and_then(|peer| self.peers.get_mut(&peer)) {
            peer.held = peer.held.map(|(id, events)| (id, events - 1)).filter(|(_, events)| *events > 0);
            peer.throttle.hold(peer.held.is_some());
        }
        self.handle(event);
        true
    }

    /// Handles what was held by rooms that go on, until they are full.
    pub(super) fn take_held(&mut self) {
        for id in self.held.clone() {
            if self.is_slow(id, self.now) {
                continue;
            }
            while self.rooms.find(id).is_some_and(|room| !room.is_full) && self.handle_next_held(id) {}
        }
    }

    /// Handles everything that is held.
    pub(super) fn handle_held(&mut self) {
        for id in self.held.clone() {
            while self.handle_next_held(id) {}
        }
    }

    /// Whether a room still waits for its readers.
    fn is_slow(&mut self, id: RoomId, now: Instant) -> bool {
        let waits_for_readers = self.waits_for_readers;
        self.rooms.find(id).is_some_and(|room| {
            room.is_slow = room.is_slow && room.has_slow_readers(waits_for_readers, now);
            room.is_slow
        })
    }

    /// Whether one of several rooms got as much as it can get in a turn.
    fn is_flooded(&mut self) -> bool {
        let rooms = &mut self.rooms;
        !rooms.is_one() && self.published.iter().any(|id| rooms.find(*id).is_some_and(|room| room.is_full))
    }

    pub(super) fn end_turn(&mut self, now: Instant) {
        self.is_full = false;
        let mut published = std::mem::take(&mut self.published);
        published.sort_unstable();
        published.dedup();
        for id in published {
            if let Some(room) = self.rooms.find(id) {
                room.is_full = false;
                room.is_slow = room.has_slow_readers(self.waits_for_readers, now);
            }
        }
    }

    /// Waits until something is to be announced or a room may go on, or forever.
    pub(super) async fn until_due(&self) {
        let is_one_ready = self.held.iter().any(|id| !self.rooms.get(*id).is_slow);
        let held = match self.held.is_empty() {
            true => None,
            false if is_one_ready => Some(Duration::ZERO),
            false => Some(CONGESTION_PAUSE),
        };
        match held.map(|pause| Instant::now() + pause).into_iter().chain(self.rooms.next_due()).min() {
            Some(due) => drop(Timer::at(due).await),
            None => std::future::pending().await,
        }
    }
}

/// The next ping. When nobody is left to ping, it waits forever.
async fn next_ping(pings: &Receiver<Ping>) -> Ping {
    match pings.recv().await {
        Ok(ping) => ping,
        Err(_nobody) => std::future::pending().await,
    }
}
