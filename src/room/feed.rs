//! The feed: one shared ring of batches, and a place in it for each reader.
//!
//! Between the broker, which publishes, and the writers, which read on each at its own pace. Nothing is queued for
//! a single peer: a batch is kept once, until the last reader that it concerns has taken it or until the ring holds
//! more than its bytes. Then the oldest goes, and a reader that had not come to it is told how many lines meant for
//! it are lost.
//!
//! The crate async-broadcast was tried for this. It bounds a ring by its items, not their bytes, wakes every reader
//! for every item, and cannot say how many of the lost lines were meant for a given reader; this feed does all
//! three.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Poll, Waker};

use futures::future::poll_fn;

use super::{Audience, Batch, BatchBuilder, PeerId};
use crate::limits::PORTION_BYTES;

/// A handle to the ring. Clones are the same ring.
#[derive(Debug, Clone)]
pub struct Feed {
    ring: Arc<Mutex<Ring>>,
}

/// One peer's place in the feed. Dropping it gives the place up.
#[derive(Debug)]
pub struct Reader {
    peer: PeerId,
    ring: Arc<Mutex<Ring>>,
}

/// What waits for one reader.
#[derive(Debug)]
pub struct Portion {
    /// How many lines meant for the reader were lost before these batches.
    pub missed: u64,
    /// What comes next, in order.
    pub batches: Vec<Arc<Batch>>,
    /// How many segments of the first batch come before the reader's own join.
    pub skip: usize,
    /// The reader's farewell was among what is lost: nothing will follow.
    pub is_over: bool,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<Entry>,
    /// The number of the first entry; later ones count on from it.
    first: u64,
    /// What the entries cost, and may cost.
    bytes: usize,
    capacity: usize,
    /// How many public lines were published so far.
    public_lines: u64,
    seats: HashMap<PeerId, Seat>,
    /// How many seats are not waiting.
    reading: usize,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    batch: Arc<Batch>,
    /// The number of its first public line.
    first_line: u64,
    /// How many readers have still to take it.
    unread: usize,
}

#[derive(Debug)]
struct Seat {
    place: Place,
    /// The number of the next public line for this reader, when it is reading.
    line: u64,
    /// Lost lines beside the public ones: those for it alone, less its own, which it would not have got.
    lost: i64,
    /// See [`Portion::skip`].
    skip: usize,
    is_over: bool,
}

#[derive(Debug)]
enum Place {
    /// All that is meant for this reader is taken. It is woken when more comes.
    Waiting(Option<Waker>),
    /// The number of the next entry to take.
    Reading(u64),
}

impl Feed {
    /// An empty feed that keeps about `capacity` bytes for readers that lag.
    pub fn new(capacity: usize) -> Self {
        let ring = Ring {
            entries: VecDeque::new(),
            first: 0,
            bytes: 0,
            capacity,
            public_lines: 0,
            seats: HashMap::new(),
            reading: 0,
            closed: false,
        };
        Self { ring: Arc::new(Mutex::new(ring)) }
    }

    /// A place for `peer`, who hears all that is pushed to `batch` from now on, and nothing from before.
    ///
    /// # Panics
    /// If the peer has a place already: the broker gives one to each peer.
    pub fn subscribe(&self, peer: PeerId, batch: &BatchBuilder) -> Reader {
        let mut ring = lock(&self.ring);
        let line = ring.public_lines + batch.public_lines();
        let seat = Seat { place: Place::Waiting(None), line, lost: 0, skip: batch.segments(), is_over: false };
        assert!(ring.seats.insert(peer, seat).is_none(), "a peer joins once");
        Reader { peer, ring: Arc::clone(&self.ring) }
    }

    /// Hands a batch to all whom it concerns. Never waits.
    pub fn publish(&self, batch: Batch) {
        let wakers = lock(&self.ring).publish(batch);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends the feed: readers take what is there and then find its end.
    pub fn close(&self) {
        let mut ring = lock(&self.ring);
        ring.closed = true;
        let wakers: Vec<_> = ring.seats.values_mut().filter_map(Seat::take_waker).collect();
        drop(ring);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Reader {
    /// Waits until something is there for this peer and takes it, up to a limit. `None` is the end of the feed.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Portion> {
        poll_fn(|context| {
            let mut ring = lock(&self.ring);
            if let Some(portion) = ring.take(self.peer) {
                return Poll::Ready(Some(portion));
            }
            if ring.closed {
                return Poll::Ready(None);
            }
            ring.seat(self.peer).place = Place::Waiting(Some(context.waker().clone()));
            Poll::Pending
        })
        .await
    }

    /// The peer whose place this is.
    pub fn peer(&self) -> PeerId {
        self.peer
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.ring).remove(self.peer);
    }
}

impl Ring {
    fn publish(&mut self, batch: Batch) -> Vec<Waker> {
        let (number, first_line) = (self.first + self.entries.len() as u64, self.public_lines);
        let wakers = self.seat_readers(&batch, number);
        self.public_lines += batch.public_lines();
        if self.reading > 0 {
            self.bytes += batch.cost();
            self.entries.push_back(Entry { batch: Arc::new(batch), first_line, unread: self.reading });
            while self.bytes > self.capacity && self.entries.len() > 1 {
                self.lose_first();
            }
        } else {
            self.first += 1; // It concerns nobody.
        }
        wakers
    }

    /// Makes readers of all who wait and whom the batch concerns; the others need not know of it.
    fn seat_readers(&mut self, batch: &Batch, number: u64) -> Vec<Waker> {
        let public_lines = self.public_lines;
        let mut wakers = Vec::new();
        let mut seat = |seat: &mut Seat| {
            let Place::Waiting(waker) = &mut seat.place else { return };
            wakers.extend(waker.take());
            seat.place = Place::Reading(number);
            seat.line = seat.line.max(public_lines);
            self.reading += 1;
        };
        if batch.public_lines() > 0 {
            self.seats.values_mut().for_each(&mut seat);
        }
        for segment in batch.segments() {
            if let Audience::Only(peer) | Audience::Farewell(peer) = segment.audience {
                self.seats.get_mut(&peer).into_iter().for_each(&mut seat);
            }
        }
        wakers
    }

    /// Gives up the oldest entry, and notes what that costs those who had not come to it.
    fn lose_first(&mut self) {
        let entry = self.drop_first();
        let number = self.first - 1;
        for segment in entry.batch.segments() {
            let (peer, lost) = match segment.audience {
                Audience::Everyone => continue,
                Audience::AllBut(peer) => (peer, -(segment.lines as i64)),
                Audience::Only(peer) | Audience::Farewell(peer) => (peer, segment.lines as i64),
            };
            let Some(seat) = self.seats.get_mut(&peer) else { continue };
            if matches!(seat.place, Place::Reading(next) if next <= number) {
                seat.lost += lost;
                seat.is_over |= matches!(segment.audience, Audience::Farewell(_));
            }
        }
    }

    fn drop_first(&mut self) -> Entry {
        let entry = self.entries.pop_front().expect("there is a first entry");
        self.bytes -= entry.batch.cost();
        self.first += 1;
        entry
    }

    /// What waits for `peer`, or `None` when it has all.
    fn take(&mut self, peer: PeerId) -> Option<Portion> {
        let (first, end) = (self.first, self.first + self.entries.len() as u64);
        let seat = self.seats.get_mut(&peer).expect("a reader has a seat until it is dropped");
        let Place::Reading(next) = seat.place else { return None };
        let mut portion =
            Portion { missed: 0, batches: Vec::new(), skip: std::mem::take(&mut seat.skip), is_over: seat.is_over };
        let mut next_to_take = next;
        if next < first {
            let line = self.entries.front().map_or(self.public_lines, |entry| entry.first_line);
            portion.missed = ((line - seat.line) as i64 + std::mem::take(&mut seat.lost)).max(0) as u64;
            portion.skip = 0;
            next_to_take = first;
        }
        let mut bytes = 0;
        while next_to_take < end && bytes < PORTION_BYTES && !portion.is_over {
            let entry = &mut self.entries[(next_to_take - first) as usize];
            entry.unread -= 1;
            bytes += entry.batch.cost();
            portion.batches.push(Arc::clone(&entry.batch));
            next_to_take += 1;
        }
        if next_to_take == end {
            seat.place = Place::Waiting(None);
            self.reading -= 1;
        } else {
            seat.place = Place::Reading(next_to_take);
            seat.line = self.entries[(next_to_take - first) as usize].first_line;
        }
        self.drop_read();
        Some(portion)
    }

    fn remove(&mut self, peer: PeerId) {
        let seat = self.seats.remove(&peer).expect("a reader has a seat until it is dropped");
        if let Place::Reading(next) = seat.place {
            self.reading -= 1;
            let unread = next.saturating_sub(self.first) as usize;
            self.entries.range_mut(unread..).for_each(|entry| entry.unread -= 1);
            self.drop_read();
        }
    }

    /// Lets go of what all have taken.
    fn drop_read(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.unread == 0) {
            self.drop_first();
        }
    }

    fn seat(&mut self, peer: PeerId) -> &mut Seat {
        self.seats.get_mut(&peer).expect("a reader has a seat until it is dropped")
    }
}

impl Seat {
    fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.place {
            Place::Waiting(waker) => waker.take(),
            Place::Reading(_) => None,
        }
    }
}

/// No code of ours panics while it holds the ring, and a half-done change would be no reason to stop all readers.
fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}
