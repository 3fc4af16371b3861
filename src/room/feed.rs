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

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use futures::future::poll_fn;
use rustc_hash::FxHashMap;

use crate::limits::{ACTIVE, JUST_NOW, PORTION_BYTES};
use crate::model::PeerId;
use crate::room::{Audience, Batch, BatchBuilder};

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

/// Waits for what there is for one reader.
#[derive(Debug)]
struct Next<'a> {
    reader: &'a mut Reader,
    /// Its waker is in the ring.
    is_waiting: bool,
}

/// What waits for one reader.
#[derive(Debug)]
pub struct Portion {
    peer: PeerId,
    missed: u64,
    batches: Vec<Arc<Batch>>,
    /// How many bytes of the first batch come before the reader's own join.
    skip: usize,
    /// The reader's farewell is among what is lost.
    lost_farewell: bool,
}

/// Notes that a reader has made progress beyond what it took from the feed: it got some of that to its peer.
#[derive(Debug)]
pub struct Progress {
    peer: PeerId,
    ring: Arc<Mutex<Ring>>,
}

/// Which readers are so far behind that they may soon lose lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowReaders {
    /// None that reads.
    None,
    /// One that has read within [`JUST_NOW`] is more than three quarters of the ring behind.
    Some,
    /// Half or more of those that have read within [`ACTIVE`] are more than half of the ring behind.
    Most,
}

#[derive(Debug)]
struct Ring {
    entries: VecDeque<Entry>,
    /// The number of the first entry; later ones count on from it.
    first: u64,
    /// What the entries cost, and may cost.
    bytes: usize,
    capacity: usize,
    /// What all entries cost that ever were.
    total: u64,
    /// How many public lines were published so far.
    public_lines: u64,
    /// By numbers of our own, so that no peer can choose what they hash to.
    seats: FxHashMap<PeerId, Cursor>,
    /// How many seats are not waiting.
    reading: usize,
    /// How many readers were woken and have not come yet.
    awake: usize,
    /// Who waits until all have.
    round: Option<Waker>,
    closed: bool,
}

#[derive(Debug)]
struct Entry {
    batch: Arc<Batch>,
    /// The number of its first public line.
    first_line: u64,
    /// What all entries before it cost.
    offset: u64,
    /// How many readers have still to take it.
    unread: usize,
}

#[derive(Debug)]
struct Cursor {
    place: Position,
    /// The number of the next public line for this reader, when it is reading.
    line: u64,
    /// Lost lines beside the public ones: those for it alone, less its own, which it would not have got.
    lost: i64,
    /// See [`Portion`].
    skip: usize,
    /// When its farewell is lost: the number of the next public line after that, which is not meant for it any more.
    lost_farewell: Option<u64>,
    /// Its farewell was published.
    is_leaving: bool,
    /// It was woken and has not come yet.
    is_awake: bool,
    /// When the reader last took something, or noted that its peer did.
    progress: Option<Instant>,
}

#[derive(Debug)]
enum Position {
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
            total: 0,
            capacity,
            public_lines: 0,
            seats: FxHashMap::default(),
            reading: 0,
            awake: 0,
            round: None,
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
        let cursor = Cursor {
            place: Position::Waiting(None),
            line,
            lost: 0,
            skip: batch.len(),
            lost_farewell: None,
            is_leaving: false,
            is_awake: false,
            progress: None,
        };
        assert!(ring.seats.insert(peer, cursor).is_none(), "a peer joins once");
        Reader { peer, ring: Arc::clone(&self.ring) }
    }

    /// Hands a batch to all whom it concerns. Never waits.
    pub fn publish(&self, batch: Batch) {
        let wakers = lock(&self.ring).publish(batch);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until all readers that were woken have come, whether or not they can get anything to their peers.
    ///
    /// What is published only then is one batch for each of them, instead of several small ones: a round.
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

    /// Who of those that lately made progress is far behind. Those who have stopped reading do not count.
    pub fn laggards(&self, now: Instant) -> SlowReaders {
        lock(&self.ring).laggards(now)
    }

    /// Ends the feed: readers take what is there and then find its end.
    pub fn close(&self) {
        let mut ring = lock(&self.ring);
        ring.closed = true;
        let wakers: Vec<_> = ring.seats.values_mut().filter_map(Cursor::take_waker).collect();
        drop(ring);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Reader {
    /// Where whoever reads notes progress with what it has taken.
    pub fn pulse(&self) -> Progress {
        Progress { peer: self.peer, ring: Arc::clone(&self.ring) }
    }

    /// Waits until something is there for this peer and takes it, up to a limit. `None` is the end of the feed.
    ///
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Portion> {
        Next { reader: self, is_waiting: false }.await
    }
}

impl Future for Next<'_> {
    type Output = Option<Portion>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Portion>> {
        let Self { reader, is_waiting } = &mut *self;
        let mut ring = lock(&reader.ring);
        let taken = ring.take(reader.peer, context.waker());
        *is_waiting = taken.is_pending();
        taken
    }
}

/// Nobody waits for a reader that is not going to come.
impl Drop for Next<'_> {
    fn drop(&mut self) {
        if self.is_waiting {
            lock(&self.reader.ring).give_up(self.reader.peer);
        }
    }
}

impl Progress {
    /// Notes progress.
    pub fn beat(&self) {
        if let Some(cursor) = lock(&self.ring).seats.get_mut(&self.peer) {
            cursor.progress = Some(Instant::now());
        }
    }

    /// Whether all that is still to come for the reader ends with its farewell.
    pub fn is_leaving(&self) -> bool {
        lock(&self.ring).seats.get(&self.peer).is_some_and(|cursor| cursor.is_leaving)
    }
}

impl Portion {
    /// How many lines meant for the reader were lost before these.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// What is meant for the reader, in order and in few pieces, none of them empty, and whether it is the last that there
    /// is for it.
    pub fn text(&self) -> (Vec<&[u8]>, bool) {
        let mut text = Vec::new();
        let mut skip = self.skip;
        for batch in &self.batches {
            if batch.portion_for(self.peer, std::mem::take(&mut skip), &mut text) {
                return (text, true);
            }
        }
        (text, self.lost_farewell)
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
            let (cost, offset) = (batch.cost(), self.total);
            self.bytes += cost;
            self.total += cost as u64;
            self.entries.push_back(Entry { batch: Arc::new(batch), first_line, offset, unread: self.reading });
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
        let mut cursor = |cursor: &mut Cursor| {
            let Position::Waiting(waker) = &mut cursor.place else { return };
            cursor.is_awake = waker.is_some();
            self.awake += usize::from(cursor.is_awake);
            wakers.extend(waker.take());
            cursor.place = Position::Reading(number);
            cursor.line = cursor.line.max(public_lines);
            self.reading += 1;
        };
        if batch.public_lines() > 0 {
            let audience = batch.public_audience();
            let hears = |peer| audience.is_none_or(|audience| audience.includes(peer));
            self.seats.iter_mut().filter(|(peer, _)| hears(**peer)).for_each(|(_, other)| cursor(other));
        }
        for segment in batch.segments() {
            match &segment.audience {
                Audience::Only(peer) => self.seats.get_mut(peer).into_iter().for_each(&mut cursor),
                Audience::Farewell(peer) => self.seats.get_mut(peer).into_iter().for_each(|its| {
                    its.is_leaving = true;
                    cursor(its);
                }),
                Audience::These(peers) => {
                    peers.iter().for_each(|peer| self.seats.get_mut(&peer).into_iter().for_each(&mut cursor));
                }
                Audience::Everyone | Audience::AllBut(_) | Audience::AllButThese(_) => {}
            }
        }
        wakers
    }

    /// Gives up the oldest entry, and notes what that costs those who had not come to it.
    fn lose_first(&mut self) {
        let entry = self.drop_first();
        let (number, mut line) = (self.first - 1, entry.first_line);
        for segment in entry.batch.segments() {
            line += if segment.audience.is_public() { segment.lines } else { 0 };
            let lines = segment.lines as i64;
            match &segment.audience {
                Audience::Everyone => {}
                Audience::AllBut(peer) => self.charge(*peer, number, |cursor| cursor.lost -= lines),
                Audience::AllButThese(peers) => {
                    peers.iter().for_each(|peer| self.charge(peer, number, |cursor| cursor.lost -= lines));
                }
                Audience::These(peers) => {
                    peers.iter().for_each(|peer| self.charge(peer, number, |cursor| cursor.lost += lines));
                }
                Audience::Only(peer) => self.charge(*peer, number, |cursor| cursor.lost += lines),
                Audience::Farewell(peer) => self.charge(*peer, number, |cursor| {
                    cursor.lost += lines;
                    cursor.lost_farewell = Some(line);
                }),
            }
        }
    }

    /// Notes what is lost with the entry `number`, if the reader had not come to it and not lost its farewell before.
    fn charge(&mut self, peer: PeerId, number: u64, note: impl FnOnce(&mut Cursor)) {
        let Some(cursor) = self.seats.get_mut(&peer) else { return };
        let has_come_to_it = !matches!(cursor.place, Position::Reading(next) if next <= number);
        if !has_come_to_it && cursor.lost_farewell.is_none() {
            note(cursor);
        }
    }

    fn drop_first(&mut self) -> Entry {
        let entry = self.entries.pop_front().expect("there is a first entry");
        self.bytes -= entry.batch.cost();
        self.first += 1;
        entry
    }

    /// What waits for `peer`, or the end of the feed. As long as there is neither, `waker` is kept.
    fn take(&mut self, peer: PeerId, waker: &Waker) -> Poll<Option<Portion>> {
        let (first, end) = (self.first, self.first + self.entries.len() as u64);
        let cursor = self.seats.get_mut(&peer).expect("a reader has a seat until it is dropped");
        cursor.comes(&mut self.awake, &mut self.round);
        let Position::Reading(next) = cursor.place else {
            if self.closed {
                return Poll::Ready(None);
            }
            cursor.place = Position::Waiting(Some(waker.clone()));
            return Poll::Pending;
        };
        cursor.progress = Some(Instant::now());
        let mut portion = Portion {
            peer,
            missed: 0,
            batches: Vec::new(),
            skip: std::mem::take(&mut cursor.skip),
            lost_farewell: cursor.lost_farewell.is_some(),
        };
        let mut next_to_take = next;
        if next < first {
            let oldest = self.entries.front().map_or(self.public_lines, |entry| entry.first_line);
            let line = cursor.lost_farewell.unwrap_or(oldest);
            portion.missed = (line as i64 - cursor.line as i64 + std::mem::take(&mut cursor.lost)).max(0) as u64;
            portion.skip = 0;
            next_to_take = first;
        }
        let mut bytes = 0;
        while next_to_take < end && bytes < PORTION_BYTES && !portion.lost_farewell {
            let entry = &mut self.entries[(next_to_take - first) as usize];
            entry.unread -= 1;
            // Many small batches cost more than their text.
            bytes += entry.batch.len().max(entry.batch.cost() / 4);
            portion.batches.push(Arc::clone(&entry.batch));
            next_to_take += 1;
        }
        if next_to_take == end {
            cursor.place = Position::Waiting(None);
            self.reading -= 1;
        } else {
            cursor.place = Position::Reading(next_to_take);
            cursor.line = self.entries[(next_to_take - first) as usize].first_line;
        }
        self.drop_read();
        Poll::Ready(Some(portion))
    }

    fn laggards(&self, now: Instant) -> SlowReaders {
        let (half, three_quarters) = (self.capacity as u64 / 2, self.capacity as u64 / 4 * 3);
        if self.bytes as u64 <= half {
            return SlowReaders::None;
        }
        let (mut active, mut behind, mut is_one_about_to_lose) = (0, 0, false);
        for cursor in self.seats.values() {
            // Who has all could not have made progress.
            let has_all = matches!(cursor.place, Position::Waiting(_));
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

    /// What the entries cost that this reader has still to take.
    fn lag(&self, cursor: &Cursor) -> u64 {
        let Position::Reading(next) = cursor.place else { return 0 };
        let at = next.saturating_sub(self.first) as usize;
        self.entries.get(at).map_or(0, |entry| self.total - entry.offset)
    }

    fn remove(&mut self, peer: PeerId) {
        let mut cursor = self.seats.remove(&peer).expect("a reader has a seat until it is dropped");
        cursor.comes(&mut self.awake, &mut self.round);
        if let Position::Reading(next) = cursor.place {
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

    /// A reader does not wait any more, though it has a cursor.
    fn give_up(&mut self, peer: PeerId) {
        let cursor = self.seats.get_mut(&peer).expect("a reader has a seat until it is dropped");
        cursor.comes(&mut self.awake, &mut self.round);
        cursor.take_waker();
    }
}

impl Cursor {
    /// Whether there was progress within this time.
    fn made_progress(&self, within: Duration, now: Instant) -> bool {
        self.progress.is_some_and(|latest| now.saturating_duration_since(latest) <= within)
    }

    /// Its reader has come. If it was woken, and was the last of those, the round is over.
    fn comes(&mut self, awake: &mut usize, round: &mut Option<Waker>) {
        if std::mem::take(&mut self.is_awake) {
            *awake -= 1;
            if *awake == 0 {
                round.take().into_iter().for_each(Waker::wake);
            }
        }
    }

    fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.place {
            Position::Waiting(waker) => waker.take(),
            Position::Reading(_) => None,
        }
    }
}

/// No code of ours panics while it holds the ring, and a half-done change would be no reason to stop all readers.
fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::model::{Name, SafeText};
    use crate::protocol::Reply;

    const A: PeerId = PeerId(1);
    const B: PeerId = PeerId(2);

    fn say(builder: &mut BatchBuilder, audience: Audience, text: &str) {
        let (from, text) = (Name::parse("X").unwrap(), SafeText::new(text.to_owned()));
        builder.push(audience, &Reply::Said { from: &from, text: &text });
    }

    fn publish(feed: &Feed, audience: Audience, text: &str) {
        let mut builder = BatchBuilder::default();
        say(&mut builder, audience, text);
        feed.publish(builder.take());
    }

    fn subscribe(feed: &Feed, peer: PeerId) -> Reader {
        feed.subscribe(peer, &BatchBuilder::default())
    }

    /// What waits for the reader now: how many lines it missed, its text, and whether that was the last.
    fn read(reader: &mut Reader) -> Option<(u64, String, bool)> {
        let portion = reader.next().now_or_never()??;
        let (text, is_last) = portion.text();
        Some((portion.missed(), String::from_utf8(text.concat()).unwrap(), is_last))
    }

    fn kept(feed: &Feed) -> (usize, usize) {
        let ring = lock(&feed.ring);
        (ring.entries.len(), ring.bytes)
    }

    #[test]
    fn each_reader_reads_on_from_its_own_place() {
        let feed = Feed::new(1 << 20);
        let mut a = subscribe(&feed, A);
        publish(&feed, Audience::Everyone, "one");
        let mut b = subscribe(&feed, B);
        publish(&feed, Audience::AllBut(B), "two");
        publish(&feed, Audience::AllButThese(Arc::new([B, PeerId(3)].into_iter().collect())), "more");
        assert_eq!(read(&mut a), Some((0, "X: one\nX: two\nX: more\n".into(), false)));
        assert_eq!(read(&mut a), None);
        assert_eq!(read(&mut b), None, "a batch that holds nothing for a reader does not wake it");
        publish(&feed, Audience::Everyone, "three");
        assert_eq!(read(&mut b), Some((0, "X: three\n".into(), false)));
    }

    #[test]
    fn nothing_is_kept_that_all_have_read() {
        let feed = Feed::new(1 << 20);
        let (mut a, mut b) = (subscribe(&feed, A), subscribe(&feed, B));
        for _ in 0..10 {
            publish(&feed, Audience::Everyone, "x");
        }
        read(&mut a).unwrap();
        assert_eq!(kept(&feed).0, 10);
        read(&mut b).unwrap();
        assert_eq!(kept(&feed), (0, 0));
        publish(&feed, Audience::Everyone, "x");
        read(&mut a).unwrap();
        drop(b);
        assert_eq!(kept(&feed), (0, 0));
        publish(&feed, Audience::Only(B), "x");
        assert_eq!(kept(&feed), (0, 0), "a batch for nobody is not kept");
    }

    #[test]
    fn who_comes_in_the_middle_of_a_turn_hears_nothing_from_before() {
        let feed = Feed::new(1 << 20);
        let mut builder = BatchBuilder::default();
        say(&mut builder, Audience::Everyone, "before");
        let mut a = feed.subscribe(A, &builder);
        say(&mut builder, Audience::Everyone, "welcome");
        feed.publish(builder.take());
        // The segment before the join and the one after it have the same audience, and stay apart.
        assert_eq!(read(&mut a), Some((0, "X: welcome\n".into(), false)));
    }

    /// A feed that holds about ten of the batches that `publish` makes.
    fn small_feed() -> Feed {
        let mut builder = BatchBuilder::default();
        say(&mut builder, Audience::Everyone, "00");
        Feed::new(10 * builder.take().cost())
    }

    #[test]
    fn a_reader_that_falls_off_is_told_the_exact_number_of_lines_meant_for_it() {
        let feed = small_feed();
        let (mut a, mut b) = (subscribe(&feed, A), subscribe(&feed, B));
        for number in 10..50 {
            let audience = match number % 8 {
                0 => Audience::Everyone,
                1 => Audience::AllBut(A),
                2 => Audience::Only(A),
                3 => Audience::AllButThese(Arc::new([A, PeerId(3)].into_iter().collect())),
                4 => Audience::AllButThese(Arc::new([B, PeerId(3)].into_iter().collect())),
                5 => Audience::These(Arc::new([A, B].into_iter().collect())),
                6 => Audience::These(Arc::new([B, PeerId(3)].into_iter().collect())),
                _ => Audience::Only(B),
            };
            publish(&feed, audience, &number.to_string());
            // b keeps up, and misses nothing.
            while let Some((missed, ..)) = read(&mut b) {
                assert_eq!(missed, 0);
            }
        }
        let (missed, text, _) = read(&mut a).unwrap();
        let lines: Vec<_> = text.lines().map(|line| line["X: ".len()..].parse::<u64>().unwrap()).collect();
        let meant_for_a = (10..50).filter(|number| matches!(number % 8, 0 | 2 | 4 | 5));
        assert!(missed > 0 && !lines.is_empty());
        assert_eq!(meant_for_a.skip(missed as usize).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn a_feed_never_holds_more_than_its_bytes() {
        let feed = small_feed();
        let mut a = subscribe(&feed, A);
        for number in 10..99 {
            publish(&feed, Audience::Everyone, &number.to_string());
            assert!(kept(&feed).0 <= 10);
        }
        assert_eq!(read(&mut a).unwrap().0, 79);
    }

    #[test]
    fn a_single_batch_beyond_the_bytes_is_still_delivered() {
        let feed = Feed::new(1);
        let mut a = subscribe(&feed, A);
        publish(&feed, Audience::Everyone, "large");
        assert_eq!(read(&mut a), Some((0, "X: large\n".into(), false)));
    }

    #[test]
    fn a_newcomer_who_falls_off_is_not_charged_with_lines_from_before_its_join() {
        let feed = small_feed();
        let mut builder = BatchBuilder::default();
        say(&mut builder, Audience::Everyone, "before");
        let mut a = feed.subscribe(A, &builder);
        say(&mut builder, Audience::Only(A), "welcome");
        say(&mut builder, Audience::AllBut(A), "A has joined");
        feed.publish(builder.take());
        for number in 10..40 {
            publish(&feed, Audience::Everyone, &number.to_string());
        }
        // The welcome and 20 of the 30 numbers.
        let (missed, text, _) = read(&mut a).unwrap();
        assert_eq!((missed, text.lines().next()), (21, Some("X: 30")));
    }

    #[test]
    fn nothing_follows_a_farewell_not_even_in_later_batches() {
        let feed = Feed::new(1 << 20);
        let mut a = subscribe(&feed, A);
        publish(&feed, Audience::Farewell(A), "bye");
        publish(&feed, Audience::Everyone, "later");
        assert_eq!(read(&mut a), Some((0, "X: bye\n".into(), true)));
    }

    #[test]
    fn a_lost_farewell_still_ends_its_reader() {
        for later in [Audience::AllBut(A), Audience::Everyone, Audience::Only(A)] {
            let feed = small_feed();
            let mut a = subscribe(&feed, A);
            let _b = subscribe(&feed, B);
            let mut builder = BatchBuilder::default();
            say(&mut builder, Audience::Everyone, "before");
            say(&mut builder, Audience::AllBut(A), "not for it");
            say(&mut builder, Audience::Farewell(A), "bye");
            say(&mut builder, later.clone(), "in the same batch");
            feed.publish(builder.take());
            for number in 10..40 {
                publish(&feed, later.clone(), &number.to_string());
            }
            assert_eq!(read(&mut a), Some((2, String::new(), true)), "nothing after the farewell was meant for it");
            for number in 10..40 {
                publish(&feed, Audience::Everyone, &number.to_string());
            }
            assert_eq!(read(&mut a), Some((0, String::new(), true)), "the end stays the end");
        }
    }

    #[test]
    fn a_portion_is_bounded_and_the_next_one_goes_on() {
        let feed = Feed::new(1 << 30);
        let mut a = subscribe(&feed, A);
        let line = "y".repeat(PORTION_BYTES / 4);
        for _ in 0..10 {
            publish(&feed, Audience::Everyone, &line);
        }
        let mut lines = Vec::new();
        while let Some((0, text, _)) = read(&mut a) {
            lines.push(text.lines().count());
        }
        assert_eq!(lines, [4, 4, 2]);
    }

    #[test]
    fn the_room_waits_for_those_who_read_and_not_for_those_who_have_stopped() {
        let feed = small_feed();
        let [mut a, mut b, mut c] = [A, B, PeerId(3)].map(|peer| subscribe(&feed, peer));
        let _never_read = subscribe(&feed, PeerId(4));
        publish(&feed, Audience::Everyone, "00");
        [&mut a, &mut b, &mut c].into_iter().for_each(|reader| drop(read(reader).unwrap()));
        for _ in 0..4 {
            publish(&feed, Audience::Everyone, "00");
        }
        assert_eq!(feed.laggards(Instant::now()), SlowReaders::None, "half a ring is not much");
        publish(&feed, Audience::Everyone, "00");
        publish(&feed, Audience::Everyone, "00");
        let now = Instant::now();
        assert_eq!(feed.laggards(now), SlowReaders::Most, "all who read are more than half a ring behind");
        assert_eq!(feed.laggards(now + 2 * ACTIVE), SlowReaders::None, "nobody reads any more");
        read(&mut a).unwrap();
        assert_eq!(feed.laggards(Instant::now()), SlowReaders::Most, "two of three are");
        read(&mut b).unwrap();
        assert_eq!(feed.laggards(Instant::now()), SlowReaders::None, "one of three is, but not by three quarters");
        publish(&feed, Audience::Everyone, "00");
        publish(&feed, Audience::Everyone, "00");
        [&mut a, &mut b].into_iter().for_each(|reader| drop(read(reader).unwrap()));
        let now = Instant::now();
        assert_eq!(feed.laggards(now), SlowReaders::Some, "one of three is about to lose lines");
        assert_eq!(feed.laggards(now + 2 * JUST_NOW), SlowReaders::None, "it has not read just now");
    }

    #[test]
    fn readers_take_what_is_left_in_a_closed_feed_and_then_its_end() {
        let feed = Feed::new(1 << 20);
        let mut a = subscribe(&feed, A);
        publish(&feed, Audience::Everyone, "last");
        feed.close();
        assert!(a.next().now_or_never().unwrap().is_some());
        assert!(a.next().now_or_never().unwrap().is_none());
    }

    #[test]
    fn a_waiting_reader_is_woken_by_what_is_for_it_alone_and_by_the_end() {
        let feed = Feed::new(1 << 20);
        let (mut a, mut b) = (subscribe(&feed, A), subscribe(&feed, B));
        let (waker_a, count_a) = counting_waker();
        let (waker_b, count_b) = counting_waker();
        let mut next_a = Box::pin(a.next());
        let mut next_b = Box::pin(b.next());
        assert!(next_a.poll_unpin(&mut std::task::Context::from_waker(&waker_a)).is_pending());
        assert!(next_b.poll_unpin(&mut std::task::Context::from_waker(&waker_b)).is_pending());
        publish(&feed, Audience::Only(A), "psst");
        assert_eq!((count_a.get(), count_b.get()), (1, 0));
        feed.close();
        assert_eq!((count_a.get(), count_b.get()), (1, 1));
    }

    #[test]
    fn a_round_is_over_when_all_who_were_woken_have_come() {
        let feed = Feed::new(1 << 20);
        let (mut a, mut b, _idle) = (subscribe(&feed, A), subscribe(&feed, B), subscribe(&feed, PeerId(3)));
        let (waker, count) = counting_waker();
        let mut context = Context::from_waker(&waker);
        let (mut next_a, mut next_b) = (Box::pin(a.next()), Box::pin(b.next()));
        assert!(next_a.poll_unpin(&mut context).is_pending());
        assert!(next_b.poll_unpin(&mut context).is_pending());
        assert!(feed.round().now_or_never().is_some(), "nobody was woken yet");
        publish(&feed, Audience::Everyone, "one");
        publish(&feed, Audience::Everyone, "two");
        let mut round = Box::pin(feed.round());
        assert!(round.poll_unpin(&mut context).is_pending());
        assert!(next_a.poll_unpin(&mut context).is_ready());
        assert!(round.poll_unpin(&mut context).is_pending(), "one has still to come");
        let woken = count.get();
        assert!(next_b.poll_unpin(&mut context).is_ready());
        assert_eq!(count.get(), woken + 1, "the last one wakes who waits");
        assert!(round.poll_unpin(&mut context).is_ready(), "one that did not wait for anything is not waited for");
    }

    #[test]
    fn a_round_does_not_wait_for_one_that_is_not_going_to_come() {
        let feed = Feed::new(1 << 20);
        let (mut a, mut b) = (subscribe(&feed, A), subscribe(&feed, B));
        let (waker, count) = counting_waker();
        let mut context = Context::from_waker(&waker);
        // One gives up before it is woken, as a writer does that has something else to send, and one after.
        assert!(Box::pin(a.next()).poll_unpin(&mut context).is_pending());
        let mut next_b = Box::pin(b.next());
        assert!(next_b.poll_unpin(&mut context).is_pending());
        publish(&feed, Audience::Everyone, "one");
        assert_eq!(count.get(), 1);
        let mut round = Box::pin(feed.round());
        assert!(round.poll_unpin(&mut context).is_pending());
        drop(next_b);
        assert!(round.poll_unpin(&mut context).is_ready());
        assert_eq!(read(&mut a), Some((0, "X: one\n".into(), false)), "it has lost nothing");
        assert_eq!(read(&mut b), Some((0, "X: one\n".into(), false)), "nor has the other");
        assert!(a.next().now_or_never().is_none());
        let mut next_a = Box::pin(a.next());
        assert!(next_a.poll_unpin(&mut context).is_pending());
        publish(&feed, Audience::Everyone, "two");
        drop(next_a);
        drop(a);
        drop(b);
        assert!(feed.round().now_or_never().is_some(), "those who have left are not waited for");
    }

    /// A waker and how often it was used.
    fn counting_waker() -> (Waker, Arc<Count>) {
        let count = Arc::new(Count::default());
        (Waker::from(Arc::clone(&count)), count)
    }

    #[derive(Default)]
    struct Count(std::sync::atomic::AtomicUsize);

    impl Count {
        fn get(&self) -> usize {
            self.0.load(std::sync::atomic::Ordering::SeqCst)
        }
    }

    impl std::task::Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
    }
}
