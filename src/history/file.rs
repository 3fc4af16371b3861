//! The messages in `linechat.db`.
//!
//! Each batch is queued for the thread that writes, which stores everything that waits in one transaction. The newest
//! messages are also kept in memory. Reads of older ones take a page at a time, so that no transaction of a reader stays
//! open for long.

use std::collections::{HashMap, VecDeque};
use std::future::{self, Future};
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Either;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};

use crate::database::{Database, DatabaseError, Sync};
use crate::history::memory::{Memory, size};
use crate::history::needle::Needle;
use crate::history::scan::{Entry, is_damage, newest_key, scan};
use crate::history::{Extent, Found, Keep, NotStored, Page, Settings, lock};
use crate::limits::{
    HISTORY_PAGE_BYTES, HISTORY_TAIL_MESSAGES, HISTORY_WAITING_BYTES, NUMBERS_AHEAD, SEARCH_PART_MESSAGES,
    SEARCH_STEP_MESSAGES,
};
use crate::model::budget::Used;
use crate::model::message::{Message, Timestamp};
use crate::model::{Name, SafeText};

/// A room of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Room(pub(super) i64);

/// What the file says about the messages of a room.
#[derive(Debug, Clone, Copy)]
pub(super) struct RoomState {
    /// Its first number.
    pub(super) first: u64,
    pub(super) ceiling: u64,
    pub(super) extent: Option<Extent>,
}

/// What never changes in the row of a room.
#[derive(Debug, Clone)]
struct Fixed {
    room: Room,
    name: Arc<str>,
    first: u64,
}

/// The number of bits of a key that are the message's number.
const NUMBER_BITS: u32 = 44;
/// The highest number that a message can have.
const HIGHEST: u64 = (1 << NUMBER_BITS) - 1;

impl Room {
    /// The key of a message in the table. A number that is too high becomes the highest.
    pub(super) fn key(self, number: u64) -> i64 {
        self.0 << NUMBER_BITS | number.min(HIGHEST).cast_signed()
    }
}

pub(super) fn number(key: i64) -> u64 {
    key.cast_unsigned() & HIGHEST
}

#[derive(Debug)]
pub(super) struct FileHistory {
    database: Database,
    fixed: Fixed,
    sync: Sync,
    /// For how long the messages of other rooms are kept.
    usual_keep: Keep,
    pub(super) shared: Arc<Shared>,
}

/// What the thread that writes changes too.
#[derive(Debug)]
pub(super) struct Shared {
    room: Room,
    /// For how long its messages are kept, if that is not as usual.
    keep: Mutex<Option<Keep>>,
    /// On the disk, so that a number up to this can be given.
    ceiling: AtomicU64,
    /// The ceiling that was requested last. Reset to `ceiling` if it could not be written.
    requested: AtomicU64,
    /// The highest number that was given.
    given: AtomicU64,
    /// The bytes of all rooms that wait to be written.
    waiting: Arc<AtomicUsize>,
    /// The batches of this room that wait to be written.
    pending: AtomicUsize,
    is_closed: AtomicBool,
    /// Nothing of it is stored or read any more.
    is_forgotten: AtomicBool,
    pub(super) extent: Mutex<Option<Extent>>,
    tail: Mutex<Memory>,
}

impl FileHistory {
    pub(super) fn new(
        database: &Database,
        room: Room,
        name: &str,
        (settings, keep): (Settings, Option<Keep>),
        RoomState { first, ceiling, extent }: RoomState,
        (tail, waiting): (Used, Arc<AtomicUsize>),
    ) -> Self {
        let given = (first - 1).max(ceiling).max(extent.map_or(0, |extent| extent.newest));
        let shared = Shared {
            room,
            keep: Mutex::new(keep),
            ceiling: AtomicU64::new(0),
            requested: AtomicU64::new(0),
            given: AtomicU64::new(given),
            waiting,
            pending: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            is_forgotten: AtomicBool::new(false),
            extent: Mutex::new(extent),
            tail: Mutex::new(Memory::new(given + 1, HISTORY_TAIL_MESSAGES, tail)),
        };
        Self {
            database: database.clone(),
            fixed: Fixed { room, name: name.into(), first },
            sync: settings.sync,
            usual_keep: settings.keep,
            shared: Arc::new(shared),
        }
    }

    pub(super) fn room(&self) -> Room {
        self.shared.room()
    }

    /// The highest number that was given.
    pub(super) fn given(&self) -> u64 {
        self.shared.given.load(Ordering::Acquire)
    }

    /// See [`History::note_given`](super::History::note_given).
    pub(super) fn note_given(&self, number: u64) {
        self.shared.given.fetch_max(number, Ordering::AcqRel);
    }

    pub(super) fn next_number(&self) -> u64 {
        self.given() + 1
    }

    /// How long messages are kept.
    pub(super) fn keep(&self) -> Keep {
        self.shared.keep(self.usual_keep)
    }

    /// Whether there is anything to keep: messages, also those that wait to be written, or a time of its own to keep them.
    pub(super) fn has_something(&self) -> bool {
        self.shared.pending.load(Ordering::Acquire) > 0 || self.extent().is_some() || lock(&self.shared.keep).is_some()
    }

    pub(super) fn trim(&self) {
        lock(&self.shared.tail).trim();
    }

    /// Raises the ceiling, and adds the room to the file if it is new.
    pub(super) fn reserve(&self) -> impl Future<Output = Result<(), NotStored>> + Send + use<> {
        // A room that was closed has no name, so it must not be added again.
        if self.shared.is_closed.load(Ordering::Acquire) || self.shared.is_forgotten.load(Ordering::Acquire) {
            return Either::Left(future::ready(Err(NotStored::Closed)));
        }
        let (fixed, shared) = (self.fixed.clone(), Arc::clone(&self.shared));
        let ceiling = shared.raise_ceiling(shared.given.load(Ordering::Acquire));
        let (answer, answered) = oneshot::channel();
        let problems = self.database.problems();
        self.database.submit(
            Sync::Always,
            move |connection| set_ceiling(connection, &fixed, ceiling),
            move |result| {
                let stored = match result {
                    Ok(()) => {
                        shared.raised(Some(ceiling));
                        Ok(())
                    }
                    Err(error) => {
                        shared.requested.store(shared.ceiling.load(Ordering::Acquire), Ordering::Release);
                        problems.report(error);
                        Err(NotStored::Failed(error.to_string()))
                    }
                };
                // Nobody may be waiting.
                let _ = answer.send(stored);
            },
        );
        Either::Right(answered.map(|stored| stored.unwrap_or(Err(NotStored::Closed))))
    }

    pub(super) fn set_topic(&self, topic: Option<SafeText>) {
        let topic = topic.map(|topic| topic.as_str().to_owned());
        self.change(self.set("topic", topic));
    }

    pub(super) fn set_keep(
        &self,
        keep: Option<Keep>,
    ) -> impl Future<Output = Result<(), DatabaseError>> + Send + use<> {
        *lock(&self.shared.keep) = keep;
        // The highest number of seconds means forever.
        let seconds = keep.map(|keep| match keep {
            Keep::Nothing => 0,
            Keep::For(None) => i64::MAX,
            Keep::For(Some(time)) => {
                i64::try_from(time.as_secs() + u64::from(time.subsec_nanos() > 0)).unwrap_or(i64::MAX)
            }
        });
        self.database.write(self.set("keep", seconds))
    }

    /// Writes a column of the room, and adds the room to the file if it is new.
    fn set<V: ToSql + Send + 'static>(
        &self,
        column: &'static str,
        value: V,
    ) -> impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + use<V> {
        let fixed = self.fixed.clone();
        let ceiling = self.shared.requested.load(Ordering::Acquire);
        move |connection| {
            set_ceiling(connection, &fixed, ceiling)?;
            let sql = format!("UPDATE rooms SET {column} = ?2 WHERE id = ?1");
            connection.prepare_cached(&sql)?.execute(params![fixed.room.0, value]).map(drop)
        }
    }

    /// Gives the name free, and removes the topic and the time for which messages are kept. The messages may be many, so
    /// they stay in this room, which nobody can enter, and are removed from there a few at a time. It is on the disk when
    /// the future is ready.
    pub(super) fn forget(&self) -> impl Future<Output = Result<(), DatabaseError>> + Send + use<> {
        // First, so that the thread that writes adds nothing afterwards.
        self.shared.is_forgotten.store(true, Ordering::Release);
        *lock(&self.shared.keep) = None;
        *lock(&self.shared.extent) = None;
        lock(&self.shared.tail).forget_up_to(u64::MAX);
        let (room, given) = (self.room(), self.given());
        let problems = self.database.problems();
        let forgotten = self.database.write(move |connection| {
            raise_floor(connection, given)?;
            let sql = "UPDATE rooms SET name = '-' || id, ceiling = ?2, topic = NULL, keep = NULL WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([room.0, in_table(given)]).map(drop)
        });
        forgotten.map(move |forgotten| forgotten.inspect_err(|error| problems.report(error)))
    }

    /// Removes the room itself, which has nothing any more.
    pub(super) fn remove_room(&self) {
        let (room, given) = (self.room(), self.given());
        self.change(move |connection| remove_room(connection, room, given));
    }

    fn change(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static) {
        let problems = self.database.problems();
        let report = move |result: &Result<(), DatabaseError>| {
            if let Err(error) = result {
                problems.report(error);
            }
        };
        self.database.submit(Sync::Always, work, report);
    }

    pub(super) fn ceiling(&self) -> u64 {
        self.shared.ceiling.load(Ordering::Acquire).min(HIGHEST)
    }

    pub(super) fn must_store(&self) -> bool {
        self.sync == Sync::Always && self.keeps()
    }

    fn keeps(&self) -> bool {
        self.keep() != Keep::Nothing
    }

    pub(super) fn append(
        &self,
        messages: Arc<[Message]>,
    ) -> impl Future<Output = Result<(), NotStored>> + Send + use<> {
        match self.queue(messages) {
            Queued::Done(result) => Either::Left(future::ready(result)),
            Queued::Waits(stored) => Either::Right(stored.map(|stored| stored.unwrap_or(Err(NotStored::Closed)))),
        }
    }

    fn queue(&self, messages: Arc<[Message]>) -> Queued {
        let Some(newest) = messages.last().map(|message| message.number) else { return Queued::Done(Ok(())) };
        // What was said before a room was closed is still shown. Storing it would leave it in the file for ever.
        if self.shared.is_forgotten.load(Ordering::Acquire) {
            return Queued::Done(Ok(()));
        }
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Queued::Done(Err(NotStored::Closed));
        }
        self.shared.given.fetch_max(newest, Ordering::AcqRel);
        let bytes = messages.iter().map(size).sum::<usize>();
        let must_store = self.must_store();
        if self.keeps() && !must_store {
            lock(&self.shared.tail).push(Arc::clone(&messages));
        }
        if self.shared.waiting.fetch_add(bytes, Ordering::AcqRel) > HISTORY_WAITING_BYTES {
            self.shared.waiting.fetch_sub(bytes, Ordering::AcqRel);
            let error = NotStored::Overloaded;
            self.database.problems().report_lost(&error.to_string(), messages.len() as u64);
            return Queued::Done(Err(error));
        }
        let is_near = newest.saturating_add(NUMBERS_AHEAD) > self.shared.requested.load(Ordering::Acquire);
        let raised = is_near.then(|| self.shared.raise_ceiling(newest));
        if !self.keeps() && raised.is_none() {
            self.shared.waiting.fetch_sub(bytes, Ordering::AcqRel);
            return Queued::Done(Ok(()));
        }
        self.shared.pending.fetch_add(1, Ordering::AcqRel);
        let sync = if raised.is_some() { Sync::Always } else { self.sync };
        let (answer, answered) = oneshot::channel();
        let (room, keeps, stored) = (self.room(), self.keeps(), Arc::clone(&messages));
        let fixed = raised.map(|_| self.fixed.clone());
        let (shared, problems) = (Arc::clone(&self.shared), self.database.problems());
        self.database.submit(
            sync,
            move |connection| {
                if let Some((ceiling, fixed)) = raised.zip(fixed) {
                    set_ceiling(connection, &fixed, ceiling)?;
                }
                if keeps { insert(connection, room, &stored) } else { Ok(()) }
            },
            move |result| {
                shared.waiting.fetch_sub(bytes, Ordering::AcqRel);
                let stored = match result {
                    Ok(()) => {
                        shared.raised(raised);
                        if keeps {
                            shared.stored(&messages, must_store);
                        }
                        Ok(())
                    }
                    Err(error) => {
                        let ceiling = shared.ceiling.load(Ordering::Acquire);
                        shared.requested.store(ceiling, Ordering::Release);
                        problems.report_lost(&error.to_string(), if keeps { messages.len() as u64 } else { 0 });
                        Err(NotStored::Failed(error.to_string()))
                    }
                };
                // After the messages count as stored.
                shared.pending.fetch_sub(1, Ordering::AcqRel);
                // Nobody may be waiting.
                let _ = answer.send(stored);
            },
        );
        Queued::Waits(answered)
    }

    pub(super) fn extent(&self) -> Option<Extent> {
        *lock(&self.shared.extent)
    }

    /// See [`History::after`](super::History::after).
    pub(super) async fn after(&self, after: u64, up_to: u64, limit: usize) -> Result<Page, DatabaseError> {
        if !self.keeps() {
            return Ok(Page::of_missing(after, up_to));
        }
        let first_in_tail = {
            let tail = lock(&self.shared.tail);
            if after.saturating_add(1) >= tail.complete_from() {
                return Ok(tail.after(after, up_to, limit));
            }
            tail.complete_from()
        };
        let up_to = up_to.min(first_in_tail - 1);
        // Nothing is stored before this one. So where the file is damaged, only numbers from there on are counted.
        let before_oldest = self.extent().map_or(up_to, |extent| extent.oldest - 1);
        if before_oldest >= up_to {
            return Ok(Page::of_missing(after, up_to));
        }
        let (room, start) = (self.room(), after.max(before_oldest));
        let mut page = self.read(move |connection| page_after(connection, room, start, up_to, limit)).await?;
        page.missing += start - after;
        self.report_damage(page.unreadable);
        Ok(page)
    }

    /// See [`History::newest_messages`](super::History::newest_messages).
    pub(super) async fn newest_messages(&self, count: usize, up_to: u64) -> Result<Page, DatabaseError> {
        let (newest, older_than) = {
            let tail = lock(&self.shared.tail);
            (tail.newest_messages(count, up_to).messages, tail.complete_from().min(up_to.saturating_add(1)))
        };
        let mut found = Found { messages: newest, unreadable: 0, has_more: false };
        let most = Most { messages: count, bytes: HISTORY_PAGE_BYTES };
        self.look_back(&mut found, most, older_than, count as u64, None).await?;
        self.report_damage(found.unreadable);
        Ok(Page::of_newest(found.messages, found.unreadable, up_to))
    }

    /// See [`History::last_before`](super::History::last_before).
    pub(super) async fn last_before(&self, at: Timestamp) -> Result<u64, DatabaseError> {
        if let Some(number) = lock(&self.shared.tail).last_if_before(at) {
            return Ok(number);
        }
        let Some(extent) = self.extent() else { return Ok(self.next_number() - 1) };
        let room = self.room();
        self.read(move |connection| last_before(connection, room, extent, at)).await
    }

    /// See [`History::search`](super::History::search).
    pub(super) async fn search(&self, needle: Needle, count: usize, before: u64) -> Result<Found, DatabaseError> {
        let mut found = Found { messages: Vec::new(), unreadable: 0, has_more: false };
        let most = Most { messages: count, bytes: usize::MAX };
        self.look_back(&mut found, most, before, SEARCH_STEP_MESSAGES, Some(needle)).await?;
        self.report_damage(found.unreadable);
        Ok(found)
    }

    /// Adds older messages to what was found, in steps, until that is enough: all, or those with the needle. The first
    /// step looks at `span` numbers.
    async fn look_back(
        &self,
        found: &mut Found,
        most: Most,
        before: u64,
        mut span: u64,
        mut needle: Option<Needle>,
    ) -> Result<(), DatabaseError> {
        // Only these are stored. So where the file is damaged, no other number is counted.
        let Some(Extent { oldest, newest }) = self.extent() else { return Ok(()) };
        let (room, mut before) = (self.room(), before.min(newest + 1));
        loop {
            let bytes = found.messages.iter().map(size).sum::<usize>();
            if found.messages.len() >= most.messages || bytes >= most.bytes {
                found.has_more = true;
                return Ok(());
            }
            if before <= oldest {
                return Ok(());
            }
            let left = Most { messages: most.messages - found.messages.len(), bytes: most.bytes - bytes };
            let step = self.read(move |connection| {
                let step = step_back(connection, room, oldest..before, span, left, needle.as_mut())?;
                Ok((step, needle))
            });
            let step = step.await?;
            needle = step.1;
            let Step { messages, unreadable, first } = step.0;
            found.messages.splice(..0, messages);
            found.unreadable += unreadable;
            // A damaged part of the file may be long.
            (before, span) = (first, SEARCH_STEP_MESSAGES.min(2 * span));
        }
    }

    /// Reports that messages cannot be read.
    fn report_damage(&self, messages: u64) {
        if messages > 0 {
            self.database.problems().report_unread(&DatabaseError::damaged(messages));
        }
    }

    /// Reads from the file, and reports if that fails.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let read = self.database.read(work).await;
        read.inspect_err(|error| self.database.problems().report_unread(error))
    }

    /// Lowers the ceiling to the last number that was given. It is queued at once.
    pub(super) fn close(&self) -> impl Future<Output = Result<(), NotStored>> + Send + use<> {
        let was_closed = self.shared.is_closed.swap(true, Ordering::AcqRel);
        if was_closed || self.shared.requested.load(Ordering::Acquire) == 0 {
            return Either::Left(future::ready(Ok(())));
        }
        let (room, given) = (self.room(), self.shared.given.load(Ordering::Acquire));
        let closed = self.database.write(move |connection| {
            let mut statement = connection.prepare_cached("UPDATE rooms SET ceiling = ?2 WHERE id = ?1")?;
            statement.execute([room.0, in_table(given)]).map(drop)
        });
        Either::Right(closed.map(|closed| closed.map_err(|error| NotStored::Failed(error.to_string()))))
    }
}

impl Drop for FileHistory {
    fn drop(&mut self) {
        // It is queued, and done before the file is closed.
        drop(self.close());
    }
}

enum Queued {
    Done(Result<(), NotStored>),
    Waits(oneshot::Receiver<Result<(), NotStored>>),
}

impl Shared {
    pub(super) fn room(&self) -> Room {
        self.room
    }

    /// Messages up to this number were removed from the file, which has these now.
    pub(super) fn removed(&self, up_to: u64, extent: Option<Extent>) {
        let mut stored = lock(&self.extent);
        // It may have been forgotten meanwhile.
        if !self.is_forgotten.load(Ordering::Acquire) {
            *stored = extent;
            lock(&self.tail).forget_up_to(up_to);
        }
    }

    /// How long messages are kept. If the server keeps nothing, no room does.
    pub(super) fn keep(&self, usual: Keep) -> Keep {
        if usual == Keep::Nothing { usual } else { lock(&self.keep).unwrap_or(usual) }
    }

    /// The next ceiling, to be written.
    fn raise_ceiling(&self, number: u64) -> u64 {
        let ceiling = number.saturating_add(2 * NUMBERS_AHEAD).min(HIGHEST);
        self.requested.store(ceiling, Ordering::Release);
        ceiling
    }

    /// The ceiling is on the disk.
    fn raised(&self, ceiling: Option<u64>) {
        if let Some(ceiling) = ceiling {
            self.ceiling.fetch_max(ceiling, Ordering::AcqRel);
        }
    }

    /// The messages are in the file.
    fn stored(&self, messages: &Arc<[Message]>, also_in_tail: bool) {
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else { return };
        let mut extent = lock(&self.extent);
        // If the room was forgotten since, they are removed with it.
        if self.is_forgotten.load(Ordering::Acquire) {
            return;
        }
        if also_in_tail {
            lock(&self.tail).push(Arc::clone(messages));
        }
        let oldest = extent.map_or(first.number, |extent| extent.oldest);
        *extent = Some(Extent { oldest, newest: last.number });
    }
}

/// Raises the ceiling of a room, which is added if it is new.
///
/// An earlier room may still have the name, if the disk has failed when that one was closed or vanished. It is taken
/// from that room, because two rooms with one name would make the transaction fail, and with it all that others store.
fn set_ceiling(connection: &Connection, Fixed { room, name, first }: &Fixed, ceiling: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE rooms SET name = '-' || id, topic = NULL, keep = NULL WHERE name = ?2 AND id <> ?1";
    connection.prepare_cached(sql)?.execute(params![room.0, name])?;
    let sql = "INSERT INTO rooms (id, name, ceiling, first) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (id) DO UPDATE SET ceiling = max(ceiling, excluded.ceiling)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![room.0, name, in_table(ceiling), in_table(*first)]).map(drop)
}

/// A number of a message, as it is in the tables.
fn in_table(number: u64) -> i64 {
    number.min(HIGHEST).cast_signed()
}

/// Rooms to come do not give numbers up to this one.
fn raise_floor(connection: &Connection, floor: u64) -> rusqlite::Result<()> {
    let sql = "UPDATE numbers SET floor = max(floor, ?1)";
    connection.prepare_cached(sql)?.execute([in_table(floor)]).map(drop)
}

/// Removes a room that has given numbers up to this one. The floor rises first, in case this is not in a transaction.
pub(super) fn remove_room(connection: &Connection, room: Room, given: u64) -> rusqlite::Result<()> {
    raise_floor(connection, given)?;
    connection.prepare_cached("DELETE FROM rooms WHERE id = ?1")?.execute([room.0]).map(drop)
}

pub(super) fn extent(connection: &Connection, room: Room) -> rusqlite::Result<Option<Extent>> {
    let [first, last] = keys(room, 0, HIGHEST);
    // Each is a lookup. In one query, SQLite would read the whole table.
    let Some(newest) = newest_key(connection, first, last)? else { return Ok(None) };
    // The newest messages must be intact, because new ones are stored next to them. The oldest may be damaged.
    let oldest = first_time(connection, [first, newest])?.map_or(number(newest), |(oldest, _)| oldest);
    Ok(Some(Extent { oldest, newest: number(newest) }))
}

/// The first and the last key of a range of numbers.
pub(super) fn keys(room: Room, first: u64, last: u64) -> [i64; 2] {
    [room.key(first), room.key(last)]
}

fn insert(connection: &Connection, room: Room, messages: &[Message]) -> rusqlite::Result<()> {
    let sql = "INSERT INTO messages (key, at, name, text) VALUES (?1, ?2, ?3, ?4)";
    let mut statement = connection.prepare_cached(sql)?;
    for Message { number, at, from, text } in messages {
        let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        statement.execute(params![room.key(*number), at, from.as_str(), text.as_str()])?;
    }
    Ok(())
}

/// Turns rows into messages. Most have the name of another message of the page.
#[derive(Default)]
struct Rows(HashMap<String, Option<Name>>);

impl Rows {
    /// The message of a row with key, time, name and text. `None` if it is damaged, or if its name is not valid any
    /// more: then it counts as not stored.
    fn message(&mut self, row: &Row<'_>) -> rusqlite::Result<Option<Message>> {
        let (Ok(at), Ok(name), Ok(text)) =
            (row.get_ref(1)?.as_i64(), row.get_ref(2)?.as_str(), row.get_ref(3)?.as_str())
        else {
            return Ok(None);
        };
        if !self.0.contains_key(name) {
            self.0.insert(name.to_owned(), Name::parse(name).ok().filter(|parsed| parsed.as_str() == name));
        }
        let Some(from) = self.0.get(name).cloned().flatten() else { return Ok(None) };
        let at = Timestamp::from_millis(at.max(0).cast_unsigned());
        Ok(Some(Message { number: number(row.get(0)?), at, from, text: SafeText::new(text.to_owned()) }))
    }
}

/// What a message consists of, besides its key.
const COLUMNS: &str = "at, name, text";

pub(super) fn page_after(
    connection: &Connection,
    room: Room,
    after: u64,
    up_to: u64,
    limit: usize,
) -> rusqlite::Result<Page> {
    let mut page = Page { messages: Vec::new(), missing: 0, unreadable: 0, end: up_to };
    let (mut parser, mut entries, mut bytes, mut end) = (Rows::default(), 0, 0, after);
    scan(connection, COLUMNS, keys(room, after.saturating_add(1), up_to), |entry| {
        let (last, unreadable, message) = match entry {
            Entry::Row(key, row) => (key, 1, parser.message(row)?),
            Entry::Damaged(keys) => (keys.end - 1, (keys.end - keys.start).cast_unsigned(), None),
        };
        // What cannot be read ends a page, so that its place is known.
        let is_after_damage = page.unreadable > 0 && message.is_some();
        if entries >= limit || bytes >= HISTORY_PAGE_BYTES || is_after_damage {
            page.end = end;
            return Ok(ControlFlow::Break(()));
        }
        (entries, end) = (entries + 1, number(last));
        match message {
            Some(message) => {
                bytes += size(&message);
                page.messages.push(message);
            }
            None => page.unreadable += unreadable,
        }
        Ok(ControlFlow::Continue(()))
    })?;
    page.missing = page.end.saturating_sub(after).saturating_sub(page.unreadable + page.messages.len() as u64);
    Ok(page)
}

/// Looks for the time by halving the range. Messages that cannot be read count as later.
pub(super) fn last_before(connection: &Connection, room: Room, extent: Extent, at: Timestamp) -> rusqlite::Result<u64> {
    let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    // Numbers up to `low` are not after that time, and those above `high` are.
    let (mut low, mut high) = (extent.oldest - 1, extent.newest);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        match last_time(connection, keys(room, low + 1, middle)) {
            // Nothing from there up to the middle is stored.
            Ok(None) => low = middle,
            Ok(Some((_, time))) if time <= at => low = middle,
            Ok(Some((number, _))) => high = number - 1,
            Err(error) if is_damage(&error) => match first_time(connection, keys(room, middle, high))? {
                Some((number, time)) if time <= at => low = number,
                _ => high = middle - 1,
            },
            Err(error) => return Err(error),
        }
    }
    // It may be a number that is not stored.
    match last_time(connection, keys(room, 0, low)) {
        Err(error) if is_damage(&error) => Ok(low),
        last => Ok(last?.map_or(extent.oldest - 1, |(number, _)| number)),
    }
}

/// The number and the time of the last message of a range.
fn last_time(connection: &Connection, range: [i64; 2]) -> rusqlite::Result<Option<(u64, i64)>> {
    let sql = "SELECT key, at FROM messages WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    statement.query_row(range, |row| Ok((number(row.get(0)?), row.get(1)?))).optional()
}

/// The number and the time of the first message of a range that can be read.
fn first_time(connection: &Connection, range: [i64; 2]) -> rusqlite::Result<Option<(u64, i64)>> {
    let mut first = None;
    scan(connection, "at", range, |entry| {
        let Entry::Row(key, row) = entry else { return Ok(ControlFlow::Continue(())) };
        first = row.get(1).ok().map(|at| (number(key), at));
        Ok(if first.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    Ok(first)
}

/// How much is wanted. The last message may exceed the bytes.
#[derive(Debug, Clone, Copy)]
struct Most {
    messages: usize,
    bytes: usize,
}

/// What a step towards older messages has found.
struct Step {
    /// Oldest first.
    messages: Vec<Message>,
    /// How many cannot be read. If enough messages were found, only those after the oldest one count.
    unreadable: u64,
    /// It has looked through all messages from this number on.
    first: u64,
}

/// Looks through the newest stored messages of a range of numbers. It reads them in the order of the file, because
/// reading it backwards is slower.
fn step_back(
    connection: &Connection,
    room: Room,
    range: Range<u64>,
    span: u64,
    most: Most,
    mut needle: Option<&mut Needle>,
) -> rusqlite::Result<Step> {
    let [oldest, last] = keys(room, range.start, range.end - 1);
    let newest = match newest_key(connection, oldest, last) {
        Err(error) if is_damage(&error) => last,
        newest => match newest? {
            Some(newest) => newest,
            None => return Ok(Step { messages: Vec::new(), unreadable: 0, first: range.start }),
        },
    };
    let first = oldest.max(newest.saturating_sub_unsigned(span - 1));
    let mut found = Window { most, before: 0, messages: VecDeque::new(), bytes: 0 };
    let mut parser = Rows::default();
    let mut next = first;
    while next <= newest {
        let part = [next, newest.min(next.saturating_add(SEARCH_PART_MESSAGES - 1))];
        next = part[1].saturating_add(1);
        if let Some(needle) = &mut needle
            && is_without(connection, part, needle)?
        {
            continue;
        }
        scan(connection, COLUMNS, part, |entry| {
            match entry {
                Entry::Damaged(keys) => found.push_unreadable((keys.end - keys.start).cast_unsigned()),
                Entry::Row(_, row) => {
                    let text = row.get_ref(3)?.as_str();
                    if text.is_ok_and(|text| needle.as_mut().is_some_and(|needle| !needle.is_in(text))) {
                        return Ok(ControlFlow::Continue(()));
                    }
                    match parser.message(row)? {
                        Some(message) => found.push(message),
                        None => found.push_unreadable(1),
                    }
                }
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let after_first: u64 = found.messages.iter().map(|(_, unreadable)| unreadable).sum();
    let unreadable = after_first + if found.is_full() { 0 } else { found.before };
    let messages = found.messages.into_iter().map(|(message, _)| message).collect();
    Ok(Step { messages, unreadable, first: number(first) })
}

/// Whether no message of a range has the needle, and all of them can be read. `false` if that is not certain.
///
/// Taking all texts at once is faster than one row after the other. A message that is missing or damaged changes their
/// number, because the numbers are dense.
fn is_without(connection: &Connection, [first, last]: [i64; 2], needle: &mut Needle) -> rusqlite::Result<bool> {
    let sql = "SELECT count(*), group_concat(text, char(10)) FROM messages WHERE key BETWEEN ?1 AND ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let is_without = statement.query_row([first, last], |row| {
        let is_whole = row.get::<_, i64>(0)? == last - first + 1;
        Ok(is_whole && row.get_ref(1)?.as_str().is_ok_and(|texts| !needle.is_in_any(texts)))
    });
    is_without.or_else(|error| if is_damage(&error) { Ok(false) } else { Err(error) })
}

/// The newest messages that were found so far.
struct Window {
    most: Most,
    /// How many messages before the first one cannot be read.
    before: u64,
    /// Each with the number of those after it that cannot be read.
    messages: VecDeque<(Message, u64)>,
    bytes: usize,
}

impl Window {
    fn push_unreadable(&mut self, count: u64) {
        *self.messages.back_mut().map_or(&mut self.before, |(_, after)| after) += count;
    }

    fn push(&mut self, message: Message) {
        self.bytes += size(&message);
        self.messages.push_back((message, 0));
        while let Some((oldest, after)) = self.messages.front()
            && (self.messages.len() > self.most.messages || self.bytes - size(oldest) >= self.most.bytes)
        {
            (self.bytes, self.before) = (self.bytes - size(oldest), *after);
            self.messages.pop_front();
        }
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= self.most.messages || self.bytes >= self.most.bytes
    }
}
