//! The messages that are kept of each room: in memory or in a file.
//!
//! The broker numbers the messages and appends them here before it shows them. Readers ask for ranges of numbers, and
//! learn how many messages of a range are not stored. Nothing here knows peers or sockets.

mod archive;
mod file;
mod memory;
mod needle;
mod retention;
mod rooms;
mod scan;

use std::future::{self, Future};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use futures::future::{BoxFuture, Either};
use thiserror::Error;

use crate::database::{Database, DatabaseError, OpenError, Sync};
use crate::history::file::FileHistory;
use crate::history::memory::Memory;
use crate::history::needle::Needle;
use crate::history::retention::Retain;
use crate::history::rooms::{Place, Rooms};
#[cfg(any(doc, test))]
use crate::limits::HISTORY_PAGE_BYTES;
#[cfg(doc)]
use crate::limits::MEMORY_HISTORY_MESSAGES;
use crate::limits::{KEEP, KEEP_BYTES, MEMORY_HISTORY_BYTES, SYNC_WITHIN};
use crate::model::budget::Budget;
use crate::model::message::{Message, Timestamp};
use crate::model::{RoomName, SafeText};

pub use archive::{Archive, Statistics};

/// A handle to the stored messages of one room. Clones share them. [`room`](Self::room) gives those of another room.
#[derive(Debug, Clone)]
pub struct History {
    kind: Kind,
    /// The first number of the room.
    first: u64,
    rooms: Arc<Rooms>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// The last number that was given.
    Off(Arc<AtomicU64>),
    InMemory(Arc<Mutex<Memory>>),
    OnDisk(Arc<FileHistory>),
}

/// How messages are kept in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub keep: Keep,
    /// The size of the database above which the oldest messages are removed. `None` means that there is no limit.
    pub keep_bytes: Option<u64>,
    pub sync: Sync,
}

impl Default for Settings {
    fn default() -> Self {
        Self { keep: Keep::For(Some(KEEP)), keep_bytes: Some(KEEP_BYTES), sync: Sync::Within(SYNC_WITHIN) }
    }
}

/// How long messages are kept in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Nothing is stored, and what is in the file is removed. Numbers are still never reused.
    Nothing,
    /// `None` means forever.
    For(Option<Duration>),
}

/// How long messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retention {
    /// Nothing is stored.
    Nothing,
    /// The newest messages are kept in memory, until the server stops.
    InMemory,
    /// For this long on disk, or until they take too many bytes. `None` means forever.
    OnDisk(Option<Duration>),
}

/// The range of stored numbers. Numbers within it may be missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    pub oldest: u64,
    pub newest: u64,
}

/// A part of a range of messages.
#[derive(Debug, Clone)]
pub struct Page {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// How many messages of the part are not stored: removed, never written, or numbers that were skipped after a
    /// crash.
    pub missing: u64,
    /// How many messages of the part cannot be read, because the file is damaged. In a page of [`History::after`] they
    /// come after the last message.
    pub unreadable: u64,
    /// The last number of the part. The rest of the range comes after it.
    pub end: u64,
}

/// What a search has found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Oldest first.
    pub messages: Vec<Message>,
    /// How many messages could not be searched, because the file is damaged.
    pub unreadable: u64,
    /// Whether the search ended because it had found enough. Older messages may match too.
    pub has_more: bool,
}

/// Why messages were not stored.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotStored {
    /// The disk is too slow, and too much waits for it already.
    #[error("too many messages wait for the disk")]
    Overloaded,
    #[error("{0}")]
    Failed(String),
    /// [`History::close`] was called.
    #[error("the history is closed")]
    Closed,
}

/// Ready when it is on the disk that a room was forgotten. After an error, the room may be back when the server starts
/// again.
pub type Forgotten = BoxFuture<'static, Result<(), NotStored>>;

impl History {
    /// A history that stores nothing.
    pub fn off() -> Self {
        Arc::new(Rooms::new(Place::Nowhere)).lobby()
    }

    /// Keeps the newest messages until the last handle is dropped: at most [`MEMORY_HISTORY_MESSAGES`] of each room,
    /// and about [`MEMORY_HISTORY_BYTES`] of all.
    pub fn in_memory() -> Self {
        Arc::new(Rooms::new(Place::InMemory(Budget::new(MEMORY_HISTORY_BYTES)))).lobby()
    }

    /// Keeps messages in the database. Blocks for a moment.
    ///
    /// # Errors
    /// [`OpenError`], such as for a damaged file.
    pub fn open(database: &Database, settings: Settings) -> Result<Self, OpenError> {
        let rooms = Rooms::open(database, settings)?;
        if let Some(kept) = rooms.kept() {
            let retain = Retain { settings, kept };
            database.maintain(move |connection| retain.step(connection, SystemTime::now()));
        }
        Ok(rooms.lobby())
    }

    /// The number of the next message. It is higher than any number that the room has ever given, or a room that is gone,
    /// whatever has crashed.
    pub fn next_number(&self) -> u64 {
        self.kind.next_number()
    }

    /// The first number of the room. No message of the room has ever had a lower one.
    pub fn first_number(&self) -> u64 {
        self.first
    }

    /// Numbers up to this one were given, also if messages with them were never appended. To be called before the room
    /// may go.
    pub fn note_given(&self, number: u64) {
        match &self.kind {
            Kind::Off(given) => {
                given.fetch_max(number, Ordering::AcqRel);
            }
            // All were appended.
            Kind::InMemory(_) => {}
            Kind::OnDisk(file) => file.note_given(number),
        }
    }

    /// Reserves numbers, so that [`ceiling`](Self::ceiling) rises. The future need not be polled.
    ///
    /// # Errors
    /// [`NotStored`]
    pub fn reserve(&self) -> impl Future<Output = Result<(), NotStored>> + Send + use<> {
        match &self.kind {
            Kind::Off(_) | Kind::InMemory(_) => Either::Right(future::ready(Ok(()))),
            Kind::OnDisk(file) => Either::Left(file.reserve()),
        }
    }

    /// The highest number that may be given now. It rises long before it is reached, unless the disk fails.
    ///
    /// A higher number could be given again after a crash, so a message that would need one must be refused.
    pub fn ceiling(&self) -> u64 {
        match &self.kind {
            Kind::Off(_) | Kind::InMemory(_) => u64::MAX,
            Kind::OnDisk(file) => file.ceiling(),
        }
    }

    pub fn retention(&self) -> Retention {
        match &self.kind {
            Kind::Off(_) => Retention::Nothing,
            Kind::InMemory(_) => Retention::InMemory,
            Kind::OnDisk(file) => match file.keep() {
                Keep::Nothing => Retention::Nothing,
                Keep::For(time) => Retention::OnDisk(time),
            },
        }
    }

    /// Whether a message may only be shown after it was stored (`--sync always`). If it cannot be stored, it must be
    /// refused.
    pub fn must_store(&self) -> bool {
        matches!(&self.kind, Kind::OnDisk(file) if file.must_store())
    }

    /// Stores messages. Their numbers must follow those of the messages appended before.
    ///
    /// The messages are queued by the call itself, so the future need not be polled. It is ready when they may be shown: they survive
    /// a crash of this process, and with `--sync always` a crash of the machine.
    ///
    /// # Errors
    /// [`NotStored`]. The numbers count as used nevertheless, because the disk may have kept the messages.
    pub fn append(&self, messages: Arc<[Message]>) -> impl Future<Output = Result<(), NotStored>> + Send + use<> {
        match &self.kind {
            Kind::Off(given) => {
                given.fetch_max(messages.last().map_or(0, |last| last.number), Ordering::AcqRel);
            }
            Kind::InMemory(memory) => lock(memory).push(messages),
            Kind::OnDisk(file) => return Either::Left(file.append(messages)),
        }
        Either::Right(future::ready(Ok(())))
    }

    /// The range of what is stored. `None` if nothing is. It does not wait for the disk.
    pub fn extent(&self) -> Option<Extent> {
        match &self.kind {
            Kind::Off(_) => None,
            Kind::InMemory(memory) => lock(memory).extent(),
            Kind::OnDisk(file) => file.extent(),
        }
    }

    /// The first messages with numbers above `after` and up to `up_to`: at most `limit`, and about
    /// [`HISTORY_PAGE_BYTES`].
    ///
    /// To read a whole range, ask again with the [`end`](Page::end) of each page, until it is `up_to`.
    ///
    /// # Errors
    /// [`DatabaseError`], but not where the file is damaged.
    pub async fn after(&self, after: u64, up_to: u64, limit: usize) -> Result<Page, DatabaseError> {
        Ok(match &self.kind {
            Kind::Off(_) => Page::of_missing(after, up_to),
            Kind::InMemory(memory) => lock(memory).after(after, up_to, limit),
            Kind::OnDisk(file) => file.after(after, up_to, limit).await?,
        })
    }

    /// The newest `count` messages up to a number, or of all with [`u64::MAX`]; limited as in [`after`](Self::after).
    /// The others are counted between the oldest of these and that number.
    ///
    /// # Errors
    /// [`DatabaseError`], but not where the file is damaged.
    pub async fn newest_messages(&self, count: usize, up_to: u64) -> Result<Page, DatabaseError> {
        Ok(match &self.kind {
            Kind::Off(_) => Page::of_newest(Vec::new(), 0, up_to),
            Kind::InMemory(memory) => lock(memory).newest_messages(count, up_to),
            Kind::OnDisk(file) => file.newest_messages(count, up_to).await?,
        })
    }

    /// The number of the newest message that is not after this time, or the number before the oldest stored message.
    /// If the clock was set back, it is one of the numbers that this could be.
    ///
    /// # Errors
    /// [`DatabaseError`], but not where the file is damaged.
    pub async fn last_before(&self, at: Timestamp) -> Result<u64, DatabaseError> {
        Ok(match &self.kind {
            Kind::Off(_) => 0,
            Kind::InMemory(memory) => lock(memory).last_before(at),
            Kind::OnDisk(file) => file.last_before(at).await?,
        })
    }

    /// The newest `count` messages that contain a text, without regard to case and normal form; with `before`, only
    /// those with lower numbers.
    ///
    /// It looks through the messages in steps, newest first. To end it, drop the future.
    ///
    /// # Errors
    /// [`DatabaseError`], but not where the file is damaged.
    pub async fn search(&self, text: &str, count: usize, before: Option<u64>) -> Result<Found, DatabaseError> {
        let (mut needle, before) = (Needle::new(text), before.unwrap_or(u64::MAX));
        Ok(match &self.kind {
            Kind::Off(_) => Found { messages: Vec::new(), unreadable: 0, has_more: false },
            Kind::InMemory(memory) => lock(memory).search(&mut needle, count, before),
            Kind::OnDisk(file) => file.search(needle, count, before).await?,
        })
    }

    /// Stops storing, when everything that waits is on the disk. Then numbering continues without a gap at the next
    /// start.
    ///
    /// # Errors
    /// [`NotStored`] for what could not be stored.
    pub async fn close(&self) -> Result<(), NotStored> {
        self.rooms.close().await
    }

    /// The history of another room of the same server. It is new if there was none.
    #[must_use]
    pub fn room(&self, name: &RoomName) -> Self {
        Rooms::room(&self.rooms, name)
    }

    /// Whether there is a room with this name: whether it has messages or a topic, or is the lobby.
    pub fn has_room(&self, name: &RoomName) -> bool {
        self.rooms.has(name)
    }

    /// The rooms that have messages or a topic, and the lobby.
    pub fn room_names(&self) -> Vec<RoomName> {
        self.rooms.names()
    }

    /// How many rooms it knows: those with messages or a topic, those in which somebody is, and perhaps some that are gone.
    pub fn rooms_known(&self) -> usize {
        self.rooms.count()
    }

    /// The topic of a room.
    pub fn topic(&self, name: &RoomName) -> Option<SafeText> {
        self.rooms.topic(name)
    }

    /// Sets the topic of a room, or removes it. If the disk fails, the operator is told.
    pub fn set_topic(&self, name: &RoomName, topic: Option<SafeText>) {
        self.rooms.set_topic(name, topic);
    }

    /// Sets how long the messages of a room are kept. `None`: as long as those of other rooms. It is on the disk when the
    /// future is ready.
    ///
    /// # Errors
    /// [`NotStored`]
    pub async fn set_keep(&self, name: &RoomName, keep: Option<Keep>) -> Result<(), NotStored> {
        self.rooms.set_keep(name, keep).await.map_err(|error| NotStored::Failed(error.to_string()))
    }

    /// Removes the messages and the topic of a room. From now on nobody can read them, and the handles of the room store
    /// nothing more. Another room with the name is a new one. That is on the disk when the future is ready, which need not
    /// be polled.
    pub fn forget(&self, name: &RoomName) -> Forgotten {
        self.rooms.forget(name)
    }

    /// Forgets messages in memory if those of all rooms take far too much.
    pub fn trim(&self) {
        self.rooms.trim();
    }

    /// Whether there is anything to know about a room with this name: also whether somebody is in it.
    pub fn is_known(&self, name: &RoomName) -> bool {
        self.rooms.is_known(name)
    }

    /// Nobody is in a room any more. It goes if it has no messages and no topic.
    pub fn release(&self, name: &RoomName) {
        self.rooms.release(name);
    }
}

impl Kind {
    fn next_number(&self) -> u64 {
        match self {
            Self::Off(given) => given.load(Ordering::Acquire) + 1,
            Self::InMemory(memory) => lock(memory).next_number(),
            Self::OnDisk(file) => file.next_number(),
        }
    }
}

impl Page {
    /// A part of which nothing is stored.
    fn of_missing(after: u64, up_to: u64) -> Self {
        Self { messages: Vec::new(), missing: up_to.saturating_sub(after), unreadable: 0, end: up_to }
    }

    /// The newest messages up to a number, or the newest of all if that is the highest number there is.
    fn of_newest(messages: Vec<Message>, unreadable: u64, up_to: u64) -> Self {
        let last = messages.last().map_or(0, |last| last.number);
        let end = if up_to == u64::MAX { last } else { up_to };
        let range = messages.first().map_or(0, |first| end.saturating_sub(first.number).saturating_add(1));
        let missing = range.saturating_sub(messages.len() as u64).saturating_sub(unreadable);
        Self { messages, missing, unreadable, end }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
