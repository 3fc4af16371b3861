//! The feed: a shared ring of batches, with a cursor for each reader.
//!
//! The broker publishes, and each writer reads at its own pace. Nothing is queued per peer: a batch is kept once, until
//! the last reader that it concerns has taken it, or until the ring exceeds its size. Then the oldest batch is dropped,
//! and readers that had not taken it are told how many lines for them were lost.
//!
//! The crate async-broadcast was tried for this. It bounds a ring by its items, not their bytes, wakes every reader for
//! every item, and cannot count the lost lines that were meant for a given reader.

use std::collections::VecDeque;
use std::collections::hash_map::Entry as Found;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::future::poll_fn;
use rustc_hash::FxHashMap;

use crate::limits::{ACTIVE, JUST_NOW, PORTION_BYTES, SKIPPED_RANGES};
use crate::model::PeerId;
use crate::model::budget::{Budget, Used};
use crate::protocol::Dialect;
use crate::room::batch::{Control, Place, Reached};
use crate::room::{Audience, Batch, BatchBuilder, Replay};

/// A handle to the ring. Clones share it.
#[derive(Debug, Clone)]
pub struct Feed {
    ring: Arc<Mutex<Ring>>,
}

/// The feeds of rooms that are gone, which some have not read to the end. They have a limit of their own, because nobody
/// publishes there any more: they would keep what they have, however little is left for the others. And a peer can leave
/// many rooms without reading anything.
#[derive(Debug)]
pub struct FormerFeeds {
    budget: Budget,
    /// The oldest first.
    rings: VecDeque<Weak<Mutex<Ring>>>,
    /// With so many, those that were read are removed.
    cleaned_at: usize,
}

/// A peer's cursor in the feed. Dropping it removes the cursor.
#[derive(Debug)]
pub struct Reader {
    key: Key,
    ring: Arc<Mutex<Ring>>,
}

/// A peer, and which of its readers it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    peer: PeerId,
    reader: u64,
}

/// Waits for something for one reader.
#[derive(Debug)]
struct Next<'a> {
    reader: &'a mut Reader,
    /// Its waker is in the ring.
    is_waiting: bool,
}

/// What one reader took.
#[derive(Debug)]
pub struct Portion {
    peer: PeerId,
    /// What was lost before these batches. Boxed because it is rare.
    lost: Option<Box<Lost>>,
    batches: Vec<Arc<Batch>>,
    /// Where the reader is in the first batch: after its own join, if that is in it.
    start: Place,
    /// The reader's farewell was lost.
    lost_farewell: bool,
    /// The peer is to look which other room it reads.
    moves: bool,
}

/// What a reader lost because it was too slow.
#[derive(Debug, Default)]
pub struct Lost {
    /// How many lines for the reader were lost, other than the messages below.
    pub others: u64,
    /// The numbers of the lost messages, which may still be in the history.
    pub messages: Range<u64>,
    /// Which of these were not for this reader, in order.
    pub not_for_it: Vec<Range<u64>>,
    /// What the peer had asked for.
    pub(crate) replays: Vec<Arc<Replay>>,
    /// The dialect of the messages.
    pub dialect: Dialect,
}

/// A position in a portion.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    batch: usize,
    place: Place,
}

/// What comes after the text of a portion.
#[derive(Debug)]
pub enum Then {
    /// The next portion.
    Next,
    /// Nothing: the text ends with the farewell.
    End,
    /// Messages from the history, and then the rest of this portion.
    Replay(Arc<Replay>),
}

/// Records progress of a reader in sending what it took to its peer.
#[derive(Debug)]
pub struct Progress {
    key: Key,
    ring: Arc<Mutex<Ring>>,
}

/// Which readers lag so far that they may soon lose lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowReaders {
    None,
    /// One that has made progress within [`JUST_NOW`] lags by more than three quarters of the ring.
    Some,
    /// Half or more of those that have made progress within [`ACTIVE`] lag by more than half of the ring.
    Most,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<Entry>,
    /// The number of the first entry. Later entries are numbered consecutively.
    first: u64,
    /// The cost of all entries.
    used: Used,
    /// The total cost of all entries ever published.
    total: u64,
    /// The number of public lines ever published.
    public_lines: u64,
    /// The number of the next message to be published.
    next_number: u64,
    cursors: Cursors,
    /// The number of cursors that are not waiting.
    reading: usize,
    /// The number of readers that were woken and have not come yet.
    awake: usize,
    /// Woken when all of them have come.
    round: Option<Waker>,
    closed: bool,
}

#[derive(Debug, Default)]
struct Cursors {
    /// Keyed by our own numbers, so peers cannot choose what they hash to.
    latest: FxHashMap<PeerId, Cursor>,
    /// Those of peers that have left the room, and come back before they had read everything. Rare.
    former: Vec<(PeerId, Cursor)>,
    /// The number of readers so far.
    count: u64,
}

#[derive(Debug)]
struct Entry {
    batch: Arc<Batch>,
    /// The number of its first public line.
    first_line: u64,
    /// The number of its first message.
    first_number: u64,
    /// The total cost of all earlier entries.
    offset: u64,
    /// How many readers have yet to take it.
    unread: usize,
}

#[derive(Debug)]
struct Cursor {
    /// Which reader of its peer it is of.
    reader: u64,
    next: NextEntry,
    /// The number of the next public line for this reader, while it is reading.
    line: u64,
    /// The number of the next message for this reader, while it is reading.
    number: u64,
    /// The lost messages that were not for this reader.
    not_for_it: Vec<Range<u64>>,
    /// Correction to the count of public lines: plus lost private lines, minus public lines that were not addressed to
    /// this reader.
    lost: i64,
    lost_replays: Vec<Arc<Replay>>,
    /// Where it starts in the next batch.
    start: Place,
    /// If its farewell is lost: the numbers of the next public line and of the next message after it. These and later
    /// ones are not for this reader.
    lost_farewell: Option<(u64, u64)>,
    /// Its last line was published, or that it ends without one.
    has_ended: bool,
    /// Its last line was published.
    is_leaving: bool,
    /// It was woken and has not come yet.
    is_awake: bool,
    /// When the reader last made progress.
    progress: Option<Instant>,
}

#[derive(Debug)]
enum NextEntry {
    /// The reader has taken everything. It is woken when there is more.
    Waiting(Option<Waker>),
    /// The number of the next entry to take.
    Reading(u64),
}

impl Feed {
    /// An empty feed that keeps as many bytes for readers that lag as it may use. Messages are numbered from 1.
    pub fn new(budget: &Budget) -> Self {
        let ring = Ring {
            entries: VecDeque::new(),
            first: 0,
            used: budget.holder(),
            total: 0,
            public_lines: 0,
            next_number: 1,
            cursors: Cursors::default(),
            reading: 0,
            awake: 0,
            round: None,
            closed: false,
        };
        Self { ring: Arc::new(Mutex::new(ring)) }
    }

    /// A cursor for `peer`, which receives everything that is pushed to `batch` from now on. An earlier one of the same
    /// peer must end in this batch, if it has not ended before.
    pub fn subscribe(&self, peer: PeerId, dialect: Dialect, batch: &mut BatchBuilder) -> Reader {
        let mut ring = lock(&self.ring);
        let line = ring.public_lines + batch.public_lines();
        let number = ring.next_number + batch.messages();
        ring.cursors.count += 1;
        let reader = ring.cursors.count;
        let cursor = Cursor {
            reader,
            next: NextEntry::Waiting(None),
            line,
            number,
            not_for_it: Vec::new(),
            lost: 0,
            lost_replays: Vec::new(),
            start: Place::new(batch.close_segment(), dialect),
            lost_farewell: None,
            has_ended: false,
            is_leaving: false,
            is_awake: false,
            progress: None,
        };
        if let Some(former) = ring.cursors.latest.insert(peer, cursor) {
            ring.cursors.former.push((peer, former));
        }
        Reader { key: Key { peer, reader }, ring: Arc::clone(&self.ring) }
    }

    /// Numbers further messages from here on. It is called before anything is published.
    pub fn start_numbers_at(&self, number: u64) {
        lock(&self.ring).next_number = number;
    }

    /// Publishes a batch to all readers that it concerns. Never waits.
    pub fn publish(&self, batch: Batch) {
        let wakers = lock(&self.ring).publish(batch);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Drops the oldest batches if other feeds need the memory.
    pub fn trim(&self) {
        lock(&self.ring).trim();
    }

    /// Waits until all woken readers have come, whether or not they can send anything to their peers.
    ///
    /// This is a round. What is published after it is one batch for each of them, instead of several small ones.
    pub async fn round(&self) {
        poll_fn(|context| {
            let mut ring = lock(&self.ring);
            if ring.awake == 0 {
                return Poll::Ready(());
            }
            ring.round = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// Whether readers that made progress recently lag. Readers that have stopped do not count.
    pub fn slow_readers(&self, now: Instant) -> SlowReaders {
        lock(&self.ring).slow_readers(now)
    }

    /// Ends the feed: readers take the remaining batches and then see the end.
    pub fn close(&self) {
        let mut ring = lock(&self.ring);
        ring.closed = true;
        let wakers: Vec<_> = ring.cursors.all().filter_map(Cursor::take_waker).collect();
        drop(ring);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl FormerFeeds {
    /// The size when they are first cleaned.
    const CLEANED_AT: usize = 64;

    pub fn new(bytes: usize) -> Self {
        Self { budget: Budget::new(bytes), rings: VecDeque::new(), cleaned_at: Self::CLEANED_AT }
    }

    /// Adds the feed of a room that is gone: its last line was published. If all together are too large, the oldest lose
    /// lines.
    pub fn add(&mut self, feed: &Feed) {
        let mut ring = lock(&feed.ring);
        if ring.entries.is_empty() {
            return;
        }
        ring.used.move_to(&self.budget);
        drop(ring);
        self.rings.push_back(Arc::downgrade(&feed.ring));
        while self.budget.is_exceeded()
            && let Some(oldest) = self.rings.front()
        {
            if let Some(ring) = oldest.upgrade() {
                let mut ring = lock(&ring);
                while self.budget.is_exceeded() && !ring.entries.is_empty() {
                    ring.lose_first();
                }
                if !ring.entries.is_empty() {
                    break;
                }
            }
            self.rings.pop_front();
        }
        if self.rings.len() >= self.cleaned_at {
            self.rings.retain(|ring| ring.upgrade().is_some_and(|ring| !lock(&ring).entries.is_empty()));
            self.cleaned_at = Self::CLEANED_AT.max(2 * self.rings.len());
        }
    }
}

impl Reader {
    /// Where the reader records progress with what it has taken.
    pub fn progress(&self) -> Progress {
        Progress { key: self.key, ring: Arc::clone(&self.ring) }
    }

    /// Waits for something for this peer and takes it, up to a limit. `None` means the end of the feed.
    ///
    /// Cancel-safe: dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Portion> {
        Next { reader: self, is_waiting: false }.await
    }
}

impl Future for Next<'_> {
    type Output = Option<Portion>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Portion>> {
        let Self { reader, is_waiting } = &mut *self;
        let mut ring = lock(&reader.ring);
        let taken = ring.take(reader.key, context.waker());
        *is_waiting = taken.is_pending();
        taken
    }
}

/// Nobody must wait for a reader that will not come.
impl Drop for Next<'_> {
    fn drop(&mut self) {
        if self.is_waiting {
            lock(&self.reader.ring).give_up(self.reader.key);
        }
    }
}

impl Progress {
    pub fn note(&self) {
        if let Some(cursor) = lock(&self.ring).cursors.get(self.key) {
            cursor.progress = Some(Instant::now());
        }
    }

    /// Whether the rest for this reader ends with its farewell.
    pub fn is_leaving(&self) -> bool {
        lock(&self.ring).cursors.get(self.key).is_some_and(|cursor| cursor.is_leaving)
    }
}

impl Portion {
    /// What was lost before these lines.
    pub fn lost(&self) -> Option<&Lost> {
        self.lost.as_deref()
    }

    /// How many lines for the reader were lost before these.
    pub fn missed(&self) -> u64 {
        self.lost().map_or(0, |lost| lost.others + lost.count())
    }

    /// Whether the peer must look which other room it reads. The step that says so may be lost.
    pub fn moves(&self) -> bool {
        self.moves || self.lost.is_some()
    }

    /// Whether the reader ends after this portion.
    pub fn is_last(&self) -> bool {
        let mut position = self.start();
        loop {
            match self.text(&mut position).1 {
                Then::Next => return false,
                Then::End => return true,
                Then::Replay(_) => {}
            }
        }
    }

    /// Where the text begins.
    pub fn start(&self) -> Position {
        Position { batch: 0, place: self.start }
    }

    /// The text for the reader from a position on, in a few non-empty pieces, and what comes after it. Moves the
    /// position.
    pub fn text(&self, position: &mut Position) -> (Vec<&[u8]>, Then) {
        let mut text = Vec::new();
        while let Some(batch) = self.batches.get(position.batch) {
            match batch.portion_for(self.peer, &mut position.place, &mut text) {
                Reached::End => {}
                Reached::Farewell => return (text, Then::End),
                Reached::Replay(replay) => return (text, Then::Replay(Arc::clone(replay))),
            }
            position.batch += 1;
            position.place = Place::new(0, position.place.dialect);
        }
        (text, if self.lost_farewell { Then::End } else { Then::Next })
    }
}

impl Position {
    /// The dialect of the reader here.
    pub fn dialect(&self) -> Dialect {
        self.place.dialect
    }
}

impl Lost {
    /// The number of lost messages for the reader.
    pub fn count(&self) -> u64 {
        self.count_in(self.messages.clone())
    }

    /// How many of the messages with these numbers are for the reader.
    pub fn count_in(&self, numbers: Range<u64>) -> u64 {
        let overlap = |other: &Range<u64>| numbers.end.min(other.end).saturating_sub(numbers.start.max(other.start));
        let others: u64 = self.not_for_it.iter().map(overlap).sum();
        numbers.end.saturating_sub(numbers.start).saturating_sub(others)
    }

    /// Whether a lost message is for the reader.
    pub fn is_for_it(&self, number: u64) -> bool {
        let after = self.not_for_it.partition_point(|range| range.end <= number);
        self.not_for_it.get(after).is_none_or(|range| number < range.start)
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        lock(&self.ring).remove(self.key);
    }
}

impl Cursors {
    /// The cursor of a reader. There is one until the reader is dropped.
    fn get(&mut self, key: Key) -> Option<&mut Cursor> {
        match self.latest.get_mut(&key.peer) {
            Some(latest) if latest.reader == key.reader => Some(latest),
            _ => self.former.iter_mut().map(|(_, former)| former).find(|former| former.reader == key.reader),
        }
    }

    /// The cursors of a peer, oldest first.
    fn of(&mut self, peer: PeerId) -> impl Iterator<Item = &mut Cursor> {
        let former = self.former.iter_mut().filter(move |(other, _)| *other == peer).map(|(_, former)| former);
        former.chain(self.latest.get_mut(&peer))
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Cursor> {
        self.former.iter_mut().map(|(_, former)| former).chain(self.latest.values_mut())
    }

    fn remove(&mut self, key: Key) -> Option<Cursor> {
        if let Found::Occupied(latest) = self.latest.entry(key.peer)
            && latest.get().reader == key.reader
        {
            return Some(latest.remove());
        }
        let at = self.former.iter().position(|(_, former)| former.reader == key.reader)?;
        Some(self.former.swap_remove(at).1)
    }
}

impl Ring {
    fn publish(&mut self, batch: Batch) -> Vec<Waker> {
        let (number, first_line) = (self.first + self.entries.len() as u64, self.public_lines);
        let wakers = self.wake_readers(&batch, number);
        let first_number = self.next_number;
        self.public_lines += batch.public_lines();
        self.next_number += batch.messages();
        if self.reading > 0 {
            let (cost, offset) = (batch.cost(), self.total);
            self.used.add(cost);
            self.total += cost as u64;
            self.entries.push_back(Entry {
                batch: Arc::new(batch),
                first_line,
                first_number,
                offset,
                unread: self.reading,
            });
            self.trim();
        } else {
            self.first += 1; // It concerns nobody.
        }
        wakers
    }

    /// Drops the oldest entries while it uses more than it may. The newest one stays.
    fn trim(&mut self) {
        while self.used.is_over() && self.entries.len() > 1 {
            self.lose_first();
        }
    }

    /// Makes all waiting readers that the batch concerns read it. Returns their wakers.
    fn wake_readers(&mut self, batch: &Batch, number: u64) -> Vec<Waker> {
        let (public_lines, next_number) = (self.public_lines, self.next_number);
        let mut wakers = Vec::new();
        let mut wake = |cursor: &mut Cursor| {
            let NextEntry::Waiting(waker) = &mut cursor.next else { return };
            cursor.is_awake = waker.is_some();
            self.awake += usize::from(cursor.is_awake);
            wakers.extend(waker.take());
            cursor.next = NextEntry::Reading(number);
            cursor.line = cursor.line.max(public_lines);
            cursor.number = cursor.number.max(next_number);
            self.reading += 1;
        };
        if batch.public_lines() > 0 {
            let audience = batch.public_audience();
            let hears = |peer| audience.is_none_or(|audience| audience.includes(peer));
            self.cursors.latest.iter_mut().filter(|(peer, _)| hears(**peer)).for_each(|(_, cursor)| wake(cursor));
        }
        for segment in batch.segments() {
            match &segment.audience {
                Audience::Only(peer) => self.cursors.of(*peer).for_each(&mut wake),
                // Each farewell is that of the oldest reader which has none yet.
                Audience::Farewell(peer) => {
                    self.cursors.of(*peer).find(|cursor| !cursor.has_ended).into_iter().for_each(|cursor| {
                        cursor.has_ended = true;
                        cursor.is_leaving = segment.lines > 0;
                        wake(cursor);
                    });
                }
                Audience::These(peers) => {
                    peers.iter().for_each(|peer| self.cursors.of(peer).for_each(&mut wake));
                }
                Audience::Everyone | Audience::AllBut(_) | Audience::AllButThese(_) => {}
            }
        }
        for step in batch.steps() {
            self.cursors.of(step.peer).for_each(&mut wake);
        }
        wakers
    }

    /// Drops the oldest entry, and counts what readers lose by that.
    fn lose_first(&mut self) {
        let entry = self.drop_first();
        let (number, mut line, mut message) = (self.first - 1, entry.first_line, entry.first_number);
        for (at, segment) in entry.batch.segments().iter().enumerate() {
            let lines = i64::from(segment.lines);
            line += if segment.audience.is_public() { lines as u64 } else { 0 };
            let first = message;
            message += if segment.is_messages { lines as u64 } else { 0 };
            let not_for_it = |cursor: &mut Cursor| {
                cursor.lost -= lines;
                cursor.skip(first..message);
            };
            match &segment.audience {
                Audience::Everyone => {}
                Audience::AllBut(peer) => self.charge(*peer, (number, at), not_for_it),
                Audience::AllButThese(peers) => {
                    peers.iter().for_each(|peer| self.charge(peer, (number, at), not_for_it));
                }
                Audience::These(peers) => {
                    peers.iter().for_each(|peer| self.charge(peer, (number, at), |cursor| cursor.lost += lines));
                }
                Audience::Only(peer) => self.charge(*peer, (number, at), |cursor| cursor.lost += lines),
                Audience::Farewell(peer) => self.charge(*peer, (number, at), |cursor| {
                    cursor.lost += lines;
                    cursor.lost_farewell = Some((line, message));
                }),
            }
        }
        for step in entry.batch.steps() {
            self.charge(step.peer, (number, step.at), |cursor| match &step.control {
                Control::Use(dialect) => cursor.start.dialect = *dialect,
                Control::Move => {}
                Control::Replay(replay) => cursor.lost_replays.push(Arc::clone(replay)),
                Control::Send(text) => cursor.lost += memchr::memchr_iter(b'\n', text.as_bytes()).count() as i64,
            });
        }
    }

    /// Counts what is lost with a segment of entry `number`, unless the reader has taken it, began after it, or has
    /// already lost its farewell.
    fn charge(&mut self, peer: PeerId, (number, segment): (u64, usize), note: impl Fn(&mut Cursor)) {
        for cursor in self.cursors.of(peer) {
            let NextEntry::Reading(next) = cursor.next else { continue };
            let begins_later = next > number || next == number && cursor.start.segment > segment;
            if !begins_later && cursor.lost_farewell.is_none() {
                note(cursor);
            }
        }
    }

    fn drop_first(&mut self) -> Entry {
        let entry = self.entries.pop_front().expect("there is a first entry");
        self.used.remove(entry.batch.cost());
        self.first += 1;
        entry
    }

    /// What is there for `peer`, or the end of the feed. If there is neither, keeps `waker`.
    fn take(&mut self, key: Key, waker: &Waker) -> Poll<Option<Portion>> {
        let (first, end) = (self.first, self.first + self.entries.len() as u64);
        let peer = key.peer;
        let cursor = self.cursors.get(key).expect("a reader has a cursor until it is dropped");
        cursor.comes(&mut self.awake, &mut self.round);
        let NextEntry::Reading(next) = cursor.next else {
            if self.closed {
                return Poll::Ready(None);
            }
            cursor.next = NextEntry::Waiting(Some(waker.clone()));
            return Poll::Pending;
        };
        cursor.progress = Some(Instant::now());
        let mut portion = Portion {
            peer,
            lost: None,
            batches: Vec::new(),
            start: cursor.start,
            lost_farewell: cursor.lost_farewell.is_some(),
            moves: false,
        };
        let mut next_to_take = next;
        if next < first {
            let oldest = self
                .entries
                .front()
                .map_or((self.public_lines, self.next_number), |entry| (entry.first_line, entry.first_number));
            let (line, number) = cursor.lost_farewell.unwrap_or(oldest);
            portion.lost = Some(Box::new(cursor.take_lost(line, number)));
            portion.start = Place::new(0, cursor.start.dialect);
            next_to_take = first;
        }
        let mut bytes = 0;
        while next_to_take < end && bytes < PORTION_BYTES && !portion.lost_farewell {
            let entry = &mut self.entries[(next_to_take - first) as usize];
            entry.unread -= 1;
            // Many small batches cost more than their text.
            bytes += entry.batch.len().max(entry.batch.cost() / 4);
            let begin = if next_to_take == next { cursor.start.segment } else { 0 };
            for step in entry.batch.steps().iter().filter(|step| step.peer == peer && step.at >= begin) {
                match step.control {
                    Control::Use(dialect) => cursor.start.dialect = dialect,
                    Control::Move => portion.moves = true,
                    Control::Replay(_) | Control::Send(_) => {}
                }
            }
            portion.batches.push(Arc::clone(&entry.batch));
            next_to_take += 1;
        }
        cursor.start = Place::new(0, cursor.start.dialect);
        if next_to_take == end {
            cursor.next = NextEntry::Waiting(None);
            self.reading -= 1;
        } else {
            cursor.next = NextEntry::Reading(next_to_take);
            let entry = &self.entries[(next_to_take - first) as usize];
            (cursor.line, cursor.number) = (entry.first_line, entry.first_number);
        }
        self.drop_read();
        Poll::Ready(Some(portion))
    }

    fn slow_readers(&self, now: Instant) -> SlowReaders {
        let capacity = self.used.limit() as u64;
        let (half, three_quarters) = (capacity / 2, capacity / 4 * 3);
        if self.used.bytes() as u64 <= half {
            return SlowReaders::None;
        }
        let (mut active, mut behind, mut is_one_about_to_lose) = (0, 0, false);
        for cursor in self.cursors.latest.values() {
            // A reader that has taken everything could not make progress.
            let has_all = matches!(cursor.next, NextEntry::Waiting(_));
            if !has_all && !cursor.made_progress(ACTIVE, now) {
                continue;
            }
            active += 1;
            let lag = self.lag(cursor);
            behind += usize::from(lag > half);
            is_one_about_to_lose |= lag > three_quarters && cursor.made_progress(JUST_NOW, now);
        }
        if behind > 0 && 2 * behind >= active {
            SlowReaders::Most
        } else if is_one_about_to_lose {
            SlowReaders::Some
        } else {
            SlowReaders::None
        }
    }

    /// The cost of the entries that this reader has yet to take.
    fn lag(&self, cursor: &Cursor) -> u64 {
        let NextEntry::Reading(next) = cursor.next else { return 0 };
        let at = next.saturating_sub(self.first) as usize;
        self.entries.get(at).map_or(0, |entry| self.total - entry.offset)
    }

    fn remove(&mut self, key: Key) {
        let mut cursor = self.cursors.remove(key).expect("a reader has a cursor until it is dropped");
        cursor.comes(&mut self.awake, &mut self.round);
        if let NextEntry::Reading(next) = cursor.next {
            self.reading -= 1;
            let unread = next.saturating_sub(self.first) as usize;
            self.entries.range_mut(unread..).for_each(|entry| entry.unread -= 1);
            self.drop_read();
        }
    }

    /// Drops entries that everyone has taken.
    fn drop_read(&mut self) {
        while self.entries.front().is_some_and(|entry| entry.unread == 0) {
            self.drop_first();
        }
    }

    /// A reader stops waiting.
    fn give_up(&mut self, key: Key) {
        let cursor = self.cursors.get(key).expect("a reader has a cursor until it is dropped");
        cursor.comes(&mut self.awake, &mut self.round);
        cursor.take_waker();
    }
}

impl Cursor {
    /// Whether there was progress within this time.
    fn made_progress(&self, within: Duration, now: Instant) -> bool {
        self.progress.is_some_and(|latest| now.saturating_duration_since(latest) <= within)
    }

    /// A reader has come. If it was the last of the woken ones, the round is over.
    fn comes(&mut self, awake: &mut usize, round: &mut Option<Waker>) {
        if std::mem::take(&mut self.is_awake) {
            *awake -= 1;
            if *awake == 0 {
                round.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    /// These messages, which were lost, were not for this reader.
    fn skip(&mut self, numbers: Range<u64>) {
        let count = self.not_for_it.len();
        match self.not_for_it.last_mut() {
            _ if numbers.is_empty() => {}
            Some(last) if last.end == numbers.start => last.end = numbers.end,
            // One more than the limit says that there were too many.
            _ if count > SKIPPED_RANGES => {}
            _ => self.not_for_it.push(numbers),
        }
    }

    /// What was lost before this public line and this message.
    fn take_lost(&mut self, line: u64, number: u64) -> Lost {
        let total = (line as i64 - self.line as i64 + std::mem::take(&mut self.lost)).max(0) as u64;
        let mut lost = Lost {
            others: 0,
            messages: self.number.min(number)..number,
            not_for_it: std::mem::take(&mut self.not_for_it),
            replays: std::mem::take(&mut self.lost_replays),
            dialect: self.start.dialect,
        };
        if lost.not_for_it.len() > SKIPPED_RANGES {
            // Nobody knows any more which messages were for it.
            (lost.messages, lost.not_for_it) = (number..number, Vec::new());
        }
        lost.others = total.saturating_sub(lost.count());
        lost
    }

    fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.next {
            NextEntry::Waiting(waker) => waker.take(),
            NextEntry::Reading(_) => None,
        }
    }
}

/// No code of ours panics while it holds the ring, and a half-done change would not justify stopping all readers.
fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests;
