//! The messages in `linechat.db`.
//!
//! Each batch is queued for the thread that writes, which stores everything that waits in one transaction. The newest
//! messages are also kept in memory. Reads of older ones take a page at a time, so that no transaction of a reader stays
//! open for long.

use std::collections::HashMap;
use std::future::{self, Future};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Either;
use rusqlite::{Connection, Row, params};

use crate::database::{Database, DatabaseError, Sync};
use crate::history::memory::{Memory, size};
use crate::history::needle::Needle;
use crate::history::{Extent, Found, Keep, NotStored, Page, ReadError, Settings, lock};
use crate::limits::{
    HISTORY_PAGE_BYTES, HISTORY_TAIL_MESSAGES, HISTORY_WAITING_BYTES, NUMBERS_AHEAD, SEARCH_STEP_BYTES,
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
    pub(super) ceiling: u64,
    pub(super) extent: Option<Extent>,
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

fn number(key: i64) -> u64 {
    key.cast_unsigned() & HIGHEST
}

#[derive(Debug)]
pub(super) struct FileHistory {
    database: Database,
    /// Its number, which changes when its messages are forgotten.
    room: AtomicI64,
    name: Arc<str>,
    sync: Sync,
    /// For how long the messages of other rooms are kept.
    usual_keep: Keep,
    /// For how long those of this one are, if that differs.
    keep: Mutex<Option<Keep>>,
    pub(super) shared: Arc<Shared>,
}

/// What the thread that writes changes too.
#[derive(Debug)]
pub(super) struct Shared {
    /// On the disk, so that a number up to this can be given.
    ceiling: AtomicU64,
    /// The ceiling that was requested last. Reset to `ceiling` if it could not be written.
    requested: AtomicU64,
    /// The highest number that was given.
    given: AtomicU64,
    /// The bytes that wait to be written.
    waiting: AtomicUsize,
    is_closed: AtomicBool,
    pub(super) extent: Mutex<Option<Extent>>,
    tail: Mutex<Memory>,
}

impl FileHistory {
    pub(super) fn new(
        database: &Database,
        room: Room,
        name: &str,
        (settings, keep): (Settings, Option<Keep>),
        RoomState { ceiling, extent }: RoomState,
        tail: Used,
    ) -> Self {
        let given = ceiling.max(extent.map_or(0, |extent| extent.newest));
        let shared = Shared {
            ceiling: AtomicU64::new(0),
            requested: AtomicU64::new(0),
            given: AtomicU64::new(given),
            waiting: AtomicUsize::new(0),
            is_closed: AtomicBool::new(false),
            extent: Mutex::new(extent),
            tail: Mutex::new(Memory::new(given + 1, HISTORY_TAIL_MESSAGES, tail)),
        };
        Self {
            database: database.clone(),
            room: AtomicI64::new(room.0),
            name: name.into(),
            sync: settings.sync,
            usual_keep: settings.keep,
            keep: Mutex::new(keep),
            shared: Arc::new(shared),
        }
    }

    pub(super) fn room(&self) -> Room {
        Room(self.room.load(Ordering::Acquire))
    }

    pub(super) fn next_number(&self) -> u64 {
        self.shared.given.load(Ordering::Acquire) + 1
    }

    /// How long messages are kept. If the server keeps nothing, no room does.
    pub(super) fn keep(&self) -> Keep {
        match (self.usual_keep, *lock(&self.keep)) {
            (Keep::Nothing, _) => Keep::Nothing,
            (usual, keep) => keep.unwrap_or(usual),
        }
    }

    /// Raises the ceiling, and adds the room to the file if it is new.
    pub(super) fn reserve(&self) -> impl Future<Output = Result<(), NotStored>> + Send + use<> {
        if self.shared.is_closed.load(Ordering::Acquire) {
            return Either::Left(future::ready(Err(NotStored::Closed)));
        }
        let (room, name, shared) = (self.room(), Arc::clone(&self.name), Arc::clone(&self.shared));
        let ceiling = shared.raise_ceiling(shared.given.load(Ordering::Acquire));
        let (answer, answered) = oneshot::channel();
        let problems = self.database.problems();
        self.database.submit(
            Sync::Always,
            move |connection| set_ceiling(connection, room, &name, ceiling),
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
        self.set("topic", topic);
    }

    pub(super) fn set_keep(&self, keep: Option<Keep>) {
        *lock(&self.keep) = keep;
        // The highest number of seconds means forever.
        let seconds = keep.map(|keep| match keep {
            Keep::Nothing => 0,
            Keep::For(None) => i64::MAX,
            Keep::For(Some(time)) => i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        });
        self.set("keep", seconds);
    }

    /// Writes a column of the room, and adds the room to the file if it is new.
    fn set(&self, column: &'static str, value: impl rusqlite::ToSql + Send + 'static) {
        let (room, name) = (self.room(), Arc::clone(&self.name));
        let ceiling = self.shared.requested.load(Ordering::Acquire);
        self.change(move |connection| {
            set_ceiling(connection, room, &name, ceiling)?;
            let sql = format!("UPDATE rooms SET {column} = ?2 WHERE id = ?1");
            connection.prepare_cached(&sql)?.execute(params![room.0, value]).map(drop)
        });
    }

    /// Removes the topic and the time for which messages are kept. The messages may be many, so they stay in the old
    /// room, which is returned and which nobody can enter, and are removed from there a few at a time.
    pub(super) fn forget(&self, new: Room) -> Room {
        *lock(&self.keep) = None;
        *lock(&self.shared.extent) = None;
        lock(&self.shared.tail).forget();
        let old = Room(self.room.swap(new.0, Ordering::AcqRel));
        self.change(move |connection| {
            let sql = "UPDATE rooms SET id = ?2, topic = NULL, keep = NULL WHERE id = ?1";
            connection.prepare_cached(sql)?.execute([old.0, new.0])?;
            let sql = "INSERT INTO rooms (id, name, ceiling) VALUES (?1, ?2, 0)";
            connection.prepare_cached(sql)?.execute(params![old.0, format!("-{}", old.0)]).map(drop)
        });
        old
    }

    /// Removes the room itself, which has nothing any more.
    pub(super) fn remove_room(&self) {
        let room = self.room();
        self.change(move |connection| remove_room(connection, room));
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
        let sync = if raised.is_some() { Sync::Always } else { self.sync };
        let (answer, answered) = oneshot::channel();
        let (room, keeps, stored) = (self.room(), self.keeps(), Arc::clone(&messages));
        let name = raised.map(|_| Arc::clone(&self.name));
        let (shared, problems) = (Arc::clone(&self.shared), self.database.problems());
        self.database.submit(
            sync,
            move |connection| {
                if let Some((ceiling, name)) = raised.zip(name) {
                    set_ceiling(connection, room, &name, ceiling)?;
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
    pub(super) async fn after(&self, after: u64, up_to: u64, limit: usize) -> Result<Page, ReadError> {
        if !self.keeps() {
            return Ok(Page { messages: Vec::new(), missing: up_to.saturating_sub(after), end: up_to });
        }
        let first_in_tail = {
            let tail = lock(&self.shared.tail);
            if after.saturating_add(1) >= tail.complete_from() {
                return Ok(tail.after(after, up_to, limit));
            }
            tail.complete_from()
        };
        let (room, up_to) = (self.room(), up_to.min(first_in_tail - 1));
        self.read(move |connection| page_after(connection, room, after, up_to, limit)).await
    }

    /// See [`History::newest_messages`](super::History::newest_messages).
    pub(super) async fn newest_messages(&self, count: usize, up_to: u64) -> Result<Page, ReadError> {
        let (mut newest, older_than) = {
            let tail = lock(&self.shared.tail);
            (tail.newest_messages(count, up_to).messages, tail.complete_from().min(up_to.saturating_add(1)))
        };
        // A page that is full of bytes is complete too.
        let bytes: usize = newest.iter().map(size).sum();
        let count = count - newest.len();
        let has_older = self.extent().is_some_and(|extent| extent.oldest < older_than);
        if count > 0 && has_older && bytes < HISTORY_PAGE_BYTES {
            let room = self.room();
            let older = self.read(move |connection| newest_before(connection, room, older_than, count, bytes));
            newest.splice(..0, older.await?);
        }
        Ok(Page::of_newest(newest, up_to))
    }

    /// See [`History::last_before`](super::History::last_before).
    pub(super) async fn last_before(&self, at: Timestamp) -> Result<u64, ReadError> {
        if let Some(number) = lock(&self.shared.tail).last_if_before(at) {
            return Ok(number);
        }
        let Some(extent) = self.extent() else { return Ok(self.next_number() - 1) };
        let room = self.room();
        self.read(move |connection| last_before(connection, room, extent, at)).await
    }

    /// See [`History::search`](super::History::search).
    pub(super) async fn search(&self, mut needle: Needle, count: usize, before: u64) -> Result<Found, ReadError> {
        let mut found = Found { messages: Vec::new(), has_more: false };
        let (room, mut next) = (self.room(), Some(before));
        while let Some(before) = next {
            let left = count - found.messages.len();
            if left == 0 {
                found.has_more = true;
                break;
            }
            let step = move |connection: &Connection| {
                let step = search_step(connection, room, &mut needle, left, before)?;
                Ok((needle, step))
            };
            let (returned, step) = self.read(step).await?;
            needle = returned;
            found.messages.extend(step.messages);
            next = step.next;
        }
        found.messages.reverse();
        Ok(found)
    }

    /// Reads from the file, and reports if that fails.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, ReadError> {
        let read = self.database.read(work).await;
        Ok(read.inspect_err(|error| self.database.problems().report_unread(error))?)
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
            statement.execute([room.0, given.min(HIGHEST).cast_signed()]).map(drop)
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
        if also_in_tail {
            lock(&self.tail).push(Arc::clone(messages));
        }
        let (Some(first), Some(last)) = (messages.first(), messages.last()) else { return };
        let mut extent = lock(&self.extent);
        let oldest = extent.map_or(first.number, |extent| extent.oldest);
        *extent = Some(Extent { oldest, newest: last.number });
    }
}

/// Raises the ceiling of a room, which is added if it is new.
fn set_ceiling(connection: &Connection, room: Room, name: &str, ceiling: u64) -> rusqlite::Result<()> {
    let sql = "INSERT INTO rooms (id, name, ceiling) VALUES (?1, ?2, ?3)
        ON CONFLICT (id) DO UPDATE SET ceiling = max(ceiling, excluded.ceiling)";
    let mut statement = connection.prepare_cached(sql)?;
    statement.execute(params![room.0, name, ceiling.min(HIGHEST).cast_signed()]).map(drop)
}

pub(super) fn remove_room(connection: &Connection, room: Room) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM rooms WHERE id = ?1")?.execute([room.0]).map(drop)
}

pub(super) fn extent(connection: &Connection, room: Room) -> rusqlite::Result<Option<Extent>> {
    // Each is a lookup. In one query, SQLite would read the whole table.
    let one = |what| -> rusqlite::Result<Option<u64>> {
        let sql = format!("SELECT {what}(key) FROM messages WHERE key BETWEEN ?1 AND ?2");
        let key: Option<i64> = connection.prepare_cached(&sql)?.query_row(keys(room, 0, HIGHEST), |row| row.get(0))?;
        Ok(key.map(number))
    };
    let (oldest, newest) = (one("min")?, one("max")?);
    Ok(oldest.zip(newest).map(|(oldest, newest)| Extent { oldest, newest }))
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

pub(super) fn page_after(
    connection: &Connection,
    room: Room,
    after: u64,
    up_to: u64,
    limit: usize,
) -> rusqlite::Result<Page> {
    let sql = "SELECT key, at, name, text FROM messages WHERE key BETWEEN ?1 AND ?2 ORDER BY key";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(keys(room, after.saturating_add(1), up_to))?;
    let (mut parser, mut bytes) = (Rows::default(), 0);
    let mut page = Page { messages: Vec::new(), missing: 0, end: after };
    while page.messages.len() < limit && bytes < HISTORY_PAGE_BYTES {
        let Some(row) = rows.next()? else {
            page.end = up_to;
            break;
        };
        page.end = number(row.get(0)?);
        if let Some(message) = parser.message(row)? {
            bytes += size(&message);
            page.messages.push(message);
        }
    }
    if page.end != up_to && rows.next()?.is_none() {
        page.end = up_to;
    }
    page.missing = page.end.saturating_sub(after).saturating_sub(page.messages.len() as u64);
    Ok(page)
}

/// The newest messages with lower numbers, oldest first. Some bytes of the page are taken already.
fn newest_before(
    connection: &Connection,
    room: Room,
    before: u64,
    count: usize,
    mut bytes: usize,
) -> rusqlite::Result<Vec<Message>> {
    let sql = "SELECT key, at, name, text FROM messages WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(keys(room, 0, before.saturating_sub(1)))?;
    let (mut parser, mut messages) = (Rows::default(), Vec::new());
    while messages.len() < count
        && bytes < HISTORY_PAGE_BYTES
        && let Some(row) = rows.next()?
    {
        if let Some(message) = parser.message(row)? {
            bytes += size(&message);
            messages.push(message);
        }
    }
    messages.reverse();
    Ok(messages)
}

/// Looks for the time by halving the range.
pub(super) fn last_before(connection: &Connection, room: Room, extent: Extent, at: Timestamp) -> rusqlite::Result<u64> {
    let sql = "SELECT key, at FROM messages WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC LIMIT 1";
    let mut statement = connection.prepare_cached(sql)?;
    let at = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    // Numbers up to `low` are not after that time, and those above `high` are.
    let (mut low, mut high) = (extent.oldest - 1, extent.newest);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        let mut rows = statement.query(keys(room, low + 1, middle))?;
        match rows.next()? {
            // Nothing from there up to the middle is stored.
            None => low = middle,
            Some(row) if row.get::<_, i64>(1)? <= at => low = middle,
            Some(row) => high = number(row.get(0)?) - 1,
        }
    }
    // It may be a number that is not stored.
    let mut rows = statement.query(keys(room, 0, low))?;
    rows.next()?.map_or(Ok(extent.oldest - 1), |row| row.get(0).map(number))
}

/// What a step of a search has found, newest first, and before which number the next one begins.
struct Step {
    messages: Vec<Message>,
    next: Option<u64>,
}

fn search_step(
    connection: &Connection,
    room: Room,
    needle: &mut Needle,
    count: usize,
    before: u64,
) -> rusqlite::Result<Step> {
    let sql = "SELECT key, at, name, text FROM messages WHERE key BETWEEN ?1 AND ?2 ORDER BY key DESC";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(keys(room, 0, before.saturating_sub(1)))?;
    let mut step = Step { messages: Vec::new(), next: None };
    let (mut seen, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        let Ok(text) = row.get_ref(3)?.as_str() else { continue };
        (seen, bytes) = (seen + 1, bytes + text.len());
        if needle.is_in(text)
            && let Some(message) = Rows::default().message(row)?
        {
            step.messages.push(message);
        }
        if seen >= SEARCH_STEP_MESSAGES || bytes >= SEARCH_STEP_BYTES || step.messages.len() >= count {
            step.next = Some(number(row.get(0)?));
            break;
        }
    }
    Ok(step)
}
