//! The rooms that are kept, and what is kept of each besides its messages.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use futures::future::{self, join_all};
use futures::{FutureExt, TryFutureExt};
use rusqlite::Connection;

use crate::database::{Database, DatabaseError, OpenError, refine};
use crate::history::file::{FileHistory, Room, RoomState, Shared, extent};
use crate::history::memory::Memory;
use crate::history::{Forgotten, History, Keep, Kind, NotStored, Settings, lock};
use crate::limits::{HISTORY_TAIL_BYTES, MEMORY_HISTORY_MESSAGES};
use crate::model::budget::Budget;
use crate::model::{RoomName, SafeText};

/// All rooms of a server that have something to keep, or that somebody is in.
#[derive(Debug)]
pub(super) struct Rooms {
    place: Place,
    known: Mutex<HashMap<RoomName, Known>>,
    /// The highest number that a room which is gone has given. A new room starts above it. So whoever comes back with the
    /// number of a room that is gone misses nothing of the next room with that name, and nothing has to be remembered
    /// of each.
    floor: AtomicU64,
}

/// Where messages are kept.
#[derive(Debug)]
pub(super) enum Place {
    Nowhere,
    InMemory(Budget),
    OnDisk(Disk),
}

#[derive(Debug)]
pub(super) struct Disk {
    database: Database,
    settings: Settings,
    /// The memory for the newest messages of all rooms.
    tails: Budget,
    /// The bytes of all rooms that wait to be written.
    waiting: Arc<AtomicUsize>,
    /// The highest number of a room.
    newest: AtomicI64,
    kept: Arc<Kept>,
    is_closed: AtomicBool,
}

/// What those know who remove old messages. It does not hold the database, which waits for them at its end.
#[derive(Debug, Default)]
pub(super) struct Kept {
    pub(super) rooms: Mutex<Vec<Weak<Shared>>>,
    /// The rooms whose messages are still to be removed, and the highest number that each has given.
    pub(super) forgotten: Mutex<Vec<(Room, u64)>>,
}

/// What is known of a room.
#[derive(Debug)]
struct Known {
    kind: Kind,
    /// Its first number.
    first: u64,
    topic: Option<SafeText>,
    /// Somebody is in it.
    is_open: bool,
}

impl Rooms {
    pub(super) fn new(place: Place) -> Self {
        Self { place, known: Mutex::default(), floor: AtomicU64::new(0) }
    }

    /// Reads which rooms are in the database.
    pub(super) fn open(database: &Database, settings: Settings) -> Result<Arc<Self>, OpenError> {
        let failed = |why: DatabaseError| OpenError::Failed { path: database.path().to_owned(), why: why.to_string() };
        let read = database
            .read_blocking(|connection| {
                Ok(stored_rooms(connection).and_then(|rooms| Ok((rooms, stored_floor(connection)?))))
            })
            .map_err(failed)?;
        let (stored, mut floor) = read.map_err(|error| refine(database.path(), &error))?;
        let newest = stored.iter().map(|stored| stored.room.0).max().unwrap_or_default();
        let disk = Disk {
            database: database.clone(),
            settings,
            tails: Budget::new(HISTORY_TAIL_BYTES),
            waiting: Arc::default(),
            newest: AtomicI64::new(newest),
            kept: Arc::default(),
            is_closed: AtomicBool::new(false),
        };
        let mut known = HashMap::new();
        for Stored { room, name, state, topic, keep } in stored {
            let first = state.first;
            match RoomName::parse(&name) {
                Ok(name) => {
                    let kind = Kind::OnDisk(Arc::new(disk.file(room, name.as_str(), keep, state)));
                    known.insert(name, Known { kind, first, topic: topic.map(SafeText::new), is_open: false });
                }
                Err(_) => {
                    let given = state.ceiling.max(state.extent.map_or(0, |extent| extent.newest));
                    // It may not be stored yet, if the disk has failed when the room was closed.
                    floor = floor.max(given);
                    lock(&disk.kept.forgotten).push((room, given));
                }
            }
        }
        let rooms = Arc::new(Self { place: Place::OnDisk(disk), known: Mutex::new(known), floor: floor.into() });
        // So that the first message need not wait for the disk.
        let lobby = rooms.lobby();
        futures::executor::block_on(lobby.reserve())
            .map_err(|why| OpenError::Failed { path: database.path().to_owned(), why: why.to_string() })?;
        Ok(rooms)
    }

    pub(super) fn lobby(self: &Arc<Self>) -> History {
        Self::room(self, &RoomName::lobby())
    }

    pub(super) fn room(this: &Arc<Self>, name: &RoomName) -> History {
        let mut known = lock(&this.known);
        let known = known.entry(name.clone()).or_insert_with(|| {
            let first = this.floor.load(Ordering::Acquire) + 1;
            Known { kind: this.place.create(name, first), first, topic: None, is_open: true }
        });
        known.is_open = true;
        History { kind: known.kind.clone(), first: known.first, rooms: Arc::clone(this) }
    }

    pub(super) fn has(&self, name: &RoomName) -> bool {
        name.is_lobby() || lock(&self.known).get(name).is_some_and(Known::has_something)
    }

    pub(super) fn names(&self) -> Vec<RoomName> {
        let mut known = lock(&self.known);
        // All their messages were removed since the last person left.
        known.retain(|name, known| {
            let stays = name.is_lobby() || known.is_open || known.has_something();
            if !stays {
                self.remove(known);
            }
            stays
        });
        let there = known.iter().filter(|(name, known)| name.is_lobby() || known.has_something());
        there.map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn count(&self) -> usize {
        lock(&self.known).len()
    }

    pub(super) fn is_known(&self, name: &RoomName) -> bool {
        lock(&self.known).contains_key(name)
    }

    pub(super) fn trim(&self) {
        let budget = match &self.place {
            Place::Nowhere => return,
            Place::InMemory(budget) => budget,
            Place::OnDisk(disk) => &disk.tails,
        };
        if budget.is_far_exceeded() {
            for known in lock(&self.known).values() {
                match &known.kind {
                    Kind::Off(_) => {}
                    Kind::InMemory(memory) => lock(memory).trim(),
                    Kind::OnDisk(file) => file.trim(),
                }
            }
        }
    }

    pub(super) fn topic(&self, name: &RoomName) -> Option<SafeText> {
        lock(&self.known).get(name)?.topic.clone()
    }

    pub(super) fn set_topic(&self, name: &RoomName, topic: Option<SafeText>) {
        let mut known = lock(&self.known);
        let Some(known) = known.get_mut(name) else { return };
        known.topic.clone_from(&topic);
        if let Kind::OnDisk(file) = &known.kind {
            file.set_topic(topic);
        }
    }

    pub(super) async fn set_keep(&self, name: &RoomName, keep: Option<Keep>) -> Result<(), DatabaseError> {
        let written = match lock(&self.known).get(name) {
            Some(Known { kind: Kind::OnDisk(file), .. }) => file.set_keep(keep),
            _ => return Ok(()),
        };
        written.await
    }

    pub(super) fn forget(&self, name: &RoomName) -> Forgotten {
        let mut known = lock(&self.known);
        if let Some(room) = Some(name).filter(|name| !name.is_lobby()).and_then(|name| known.remove(name)) {
            self.raise_floor(&room);
            match room.kind {
                Kind::Off(_) => {}
                Kind::InMemory(memory) => lock(&memory).forget_up_to(u64::MAX),
                Kind::OnDisk(file) => return self.place.forget(&file),
            }
        }
        future::ready(Ok(())).boxed()
    }

    pub(super) fn release(&self, name: &RoomName) {
        let mut known = lock(&self.known);
        let Some(room) = known.get_mut(name).filter(|_| !name.is_lobby()) else { return };
        room.is_open = false;
        if !room.has_something() {
            self.remove(room);
            known.remove(name);
        }
    }

    /// A room that has nothing any more vanishes.
    fn remove(&self, room: &Known) {
        self.raise_floor(room);
        if let Kind::OnDisk(file) = &room.kind {
            file.remove_room();
        }
    }

    /// A room goes, and the numbers that it has given are not given again.
    fn raise_floor(&self, room: &Known) {
        self.floor.fetch_max(room.kind.next_number() - 1, Ordering::AcqRel);
    }

    /// What those need who remove old messages, if there is anything to remove.
    pub(super) fn kept(&self) -> Option<Arc<Kept>> {
        if let Place::OnDisk(disk) = &self.place { Some(Arc::clone(&disk.kept)) } else { None }
    }

    pub(super) async fn close(&self) -> Result<(), NotStored> {
        let Place::OnDisk(disk) = &self.place else { return Ok(()) };
        if disk.is_closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        let closing: Vec<_> = lock(&self.known)
            .values()
            .filter_map(|known| match &known.kind {
                Kind::OnDisk(file) => Some(file.close()),
                Kind::Off(_) | Kind::InMemory(_) => None,
            })
            .collect();
        join_all(closing).await.into_iter().collect::<Result<Vec<()>, _>>().map(drop)
    }
}

impl Disk {
    fn file(&self, room: Room, name: &str, keep: Option<Keep>, state: RoomState) -> FileHistory {
        let shares = (self.tails.holder(), Arc::clone(&self.waiting));
        let file = FileHistory::new(&self.database, room, name, (self.settings, keep), state, shares);
        let mut rooms = lock(&self.kept.rooms);
        // Those that are gone would take memory until old messages are looked for.
        if rooms.len() == rooms.capacity() {
            rooms.retain(|room| room.strong_count() > 0);
            let as_many = rooms.len();
            rooms.reserve(as_many.max(64));
        }
        rooms.push(Arc::downgrade(&file.shared));
        drop(rooms);
        file
    }

    fn new_room(&self) -> Room {
        Room(self.newest.fetch_add(1, Ordering::AcqRel) + 1)
    }
}

impl Place {
    fn forget(&self, file: &FileHistory) -> Forgotten {
        let Self::OnDisk(disk) = self else { return future::ready(Ok(())).boxed() };
        let forgotten = file.forget();
        lock(&disk.kept.forgotten).push((file.room(), file.given()));
        forgotten.map_err(|error| NotStored::Failed(error.to_string())).boxed()
    }

    /// The history of a new room.
    fn create(&self, name: &RoomName, first: u64) -> Kind {
        match self {
            Self::Nowhere => Kind::Off(Arc::new(AtomicU64::new(first - 1))),
            Self::InMemory(budget) => {
                Kind::InMemory(Arc::new(Mutex::new(Memory::new(first, MEMORY_HISTORY_MESSAGES, budget.holder()))))
            }
            Self::OnDisk(disk) => {
                let room = disk.new_room();
                let state = RoomState { first, ceiling: 0, extent: None };
                Kind::OnDisk(Arc::new(disk.file(room, name.as_str(), None, state)))
            }
        }
    }
}

impl Known {
    fn has_something(&self) -> bool {
        self.topic.is_some()
            || match &self.kind {
                Kind::Off(_) => false,
                Kind::InMemory(memory) => lock(memory).extent().is_some(),
                Kind::OnDisk(file) => file.has_something(),
            }
    }
}

/// A room in the file.
struct Stored {
    room: Room,
    name: String,
    state: RoomState,
    topic: Option<String>,
    keep: Option<Keep>,
}

fn stored_floor(connection: &Connection) -> rusqlite::Result<u64> {
    connection.query_row("SELECT floor FROM numbers", [], |row| Ok(row.get::<_, i64>(0)?.max(0).cast_unsigned()))
}

fn stored_rooms(connection: &Connection) -> rusqlite::Result<Vec<Stored>> {
    let mut statement = connection.prepare("SELECT id, name, ceiling, topic, keep, first FROM rooms")?;
    let rows = statement.query_map([], |row| {
        let room = Room(row.get(0)?);
        let ceiling = row.get::<_, i64>(2)?.max(0).cast_unsigned();
        let keep = row.get::<_, Option<i64>>(4)?.map(|seconds| match seconds {
            i64::MAX => Keep::For(None),
            ..=0 => Keep::Nothing,
            seconds => Keep::For(Some(Duration::from_secs(seconds.cast_unsigned()))),
        });
        let first = row.get::<_, i64>(5)?.max(1).cast_unsigned();
        let state = RoomState { first, ceiling, extent: extent(connection, room)? };
        Ok(Stored { room, name: row.get(1)?, state, topic: row.get(3)?, keep })
    })?;
    rows.collect()
}
