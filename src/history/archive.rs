//! Reads the history of a folder from another process, whether a server runs or not.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use crate::database::{FILE, OpenError, check, reader, refine};
use crate::history::file::{Room, extent, keys, last_before, page_after};
use crate::history::retention::bytes;
use crate::history::scan::{Entry, is_damage, scan};
use crate::history::{Extent, Page};
use crate::model::{RoomName, Timestamp};
use crate::os::path::parent;
use crate::os::safe_file::create_new_private;
use crate::os::system::files::sync_folder;

/// The number of messages that are read or counted at once, so that the write-ahead log does not grow meanwhile.
const PAGE: u64 = 100_000;

/// The stored messages of one room in a data folder.
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    connection: Connection,
    /// `None` if there is no such room.
    room: Option<Room>,
}

/// What is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statistics {
    pub messages: u64,
    /// The size of the database that is in use.
    pub bytes: u64,
    /// The first and the last message, by number and time.
    pub range: Option<[(u64, Timestamp); 2]>,
}

impl Archive {
    /// # Errors
    /// [`OpenError`].
    pub fn open(folder: &Path, room: &RoomName) -> Result<Self, OpenError> {
        let path = folder.join(FILE);
        check(&path)?;
        let connection = reader(&path).map_err(|error| refine(&path, &error))?;
        let sql = "SELECT id FROM rooms WHERE name = ?1";
        let id = connection.query_row(sql, [room.as_str()], |row| row.get(0)).optional();
        let room = id.map_err(|error| refine(&path, &error))?.map(Room);
        Ok(Self { path, connection, room })
    }

    /// Whether the room is in the database. The lobby always is.
    pub fn has_room(&self) -> bool {
        self.room.is_some()
    }

    /// # Errors
    /// [`OpenError`].
    pub fn statistics(&self) -> Result<Statistics, OpenError> {
        self.count().map_err(|error| refine(&self.path, &error))
    }

    fn count(&self) -> rusqlite::Result<Statistics> {
        let mut statistics = Statistics { messages: 0, bytes: bytes(&self.connection)?, range: None };
        let Some(room) = self.room else { return Ok(statistics) };
        let Some(Extent { oldest, newest }) = extent(&self.connection, room)? else { return Ok(statistics) };
        let mut count = self.connection.prepare("SELECT count(*) FROM messages WHERE key BETWEEN ?1 AND ?2")?;
        let mut first = oldest;
        while first <= newest {
            let last = newest.min(first + PAGE - 1);
            statistics.messages += match count.query_row(keys(room, first, last), |row| row.get::<_, i64>(0)) {
                Err(error) if is_damage(&error) => self.count_intact(room, first, last)?,
                count => count?.max(0) as u64,
            };
            first = last + 1;
        }
        let at = |number| {
            let sql = "SELECT at FROM messages WHERE key = ?1";
            let at = self.connection.query_row(sql, [room.key(number)], |row| row.get::<_, i64>(0))?;
            Ok::<_, rusqlite::Error>((number, Timestamp::from_millis(at.max(0).cast_unsigned())))
        };
        statistics.range = Some([at(oldest)?, at(newest)?]);
        Ok(statistics)
    }

    /// The number of messages in a part of the file that is damaged.
    fn count_intact(&self, room: Room, first: u64, last: u64) -> rusqlite::Result<u64> {
        let mut count = 0;
        scan(&self.connection, "at", keys(room, first, last), |entry| {
            count += u64::from(matches!(entry, Entry::Row(..)));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(count)
    }

    /// The range of stored numbers.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn extent(&self) -> Result<Option<Extent>, OpenError> {
        let extent = self.room.map(|room| extent(&self.connection, room)).transpose();
        extent.map(Option::flatten).map_err(|error| refine(&self.path, &error))
    }

    /// The number of the newest message that is not after this time.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn last_before(&self, at: Timestamp) -> Result<u64, OpenError> {
        let (Some(room), Some(extent)) = (self.room, self.extent()?) else { return Ok(0) };
        last_before(&self.connection, room, extent, at).map_err(|error| refine(&self.path, &error))
    }

    /// Some of the messages with numbers above `after` and up to `up_to`.
    ///
    /// # Errors
    /// [`OpenError`], but not where the file is damaged.
    pub fn page(&self, after: u64, up_to: u64) -> Result<Page, OpenError> {
        let Some(room) = self.room else { return Ok(Page::of_missing(after, up_to)) };
        let page = page_after(&self.connection, room, after, up_to, PAGE as usize);
        page.map_err(|error| refine(&self.path, &error))
    }

    /// Copies the whole database, also while a server writes to it, to a new file that only this user can read.
    ///
    /// # Errors
    /// [`OpenError`], as when the file exists. Then it was not changed.
    pub fn backup(&self, to: &Path) -> Result<(), OpenError> {
        let unusable = |error: io::Error| OpenError::Io { path: to.to_owned(), error };
        let file = create_new_private(to).map_err(unusable)?;
        let copied = to.to_str().ok_or_else(|| unusable(io::Error::other("its path is not UTF-8"))).and_then(|path| {
            // It only reads this database, but it counts as a change.
            self.connection.pragma_update(None, "query_only", false).map_err(|error| refine(&self.path, &error))?;
            self.connection.execute("VACUUM INTO ?1", [path]).map_err(|error| refine(to, &error))?;
            file.sync_all().and_then(|()| sync_folder(parent(to))).map_err(unusable)
        });
        if copied.is_err() {
            // It is incomplete.
            let _ = fs::remove_file(to);
        }
        copied
    }
}
