//! Reads the history of a folder from another process, whether a server runs or not.

use std::fs;
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension};

use crate::database::{FILE, OpenError, look_into, refine};
use crate::history::file::{Room, extent, keys, last_before, page_after};
use crate::history::retention::bytes;
use crate::history::scan::{Entry, is_damage, scan};
use crate::history::{Extent, Page};
use crate::model::{RoomName, Timestamp};
use crate::os::path::parent;
use crate::os::safe_file::{as_owner, create_new_private, lock, remove_if_there};
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
        let none = || io::Error::new(io::ErrorKind::NotFound, "there is no such file");
        let none = || OpenError::Io { path: folder.join(FILE), error: none() };
        let (path, connection) = look_into(folder)?.ok_or_else(none)?;
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
    /// Root creates that file and writes to it, and does everything else as the owner of the folder.
    ///
    /// # Errors
    /// [`OpenError`], as when the file exists. Then it was not changed.
    pub fn backup(folder: &Path, to: &Path) -> Result<(), OpenError> {
        let unusable = |error| OpenError::Io { path: to.to_owned(), error };
        let mut file = create_new_private(to).map_err(unusable)?;
        let copy = as_owner(folder, || Self::open(folder, &RoomName::lobby())?.copy());
        let copy = copy.unwrap_or_else(|error| Err(OpenError::Io { path: folder.to_owned(), error }));
        let written = copy.and_then(|mut copy| {
            let written = io::copy(&mut copy, &mut file).and_then(|_| file.sync_all());
            written.and_then(|()| sync_folder(parent(to))).map_err(unusable)
        });
        if written.is_err() {
            // It is incomplete.
            let _ = fs::remove_file(to);
        }
        written
    }

    /// A copy of the whole database, which is removed when it is closed.
    fn copy(&self) -> Result<File, OpenError> {
        let (draft, folder) = (self.path.with_extension("copy"), parent(&self.path));
        let unusable = |error| OpenError::Io { path: draft.clone(), error };
        let busy = || unusable(io::Error::other("another backup is being made"));
        let _lock = lock(&folder.join("backup.lock")).map_err(unusable)?.ok_or_else(busy)?;
        // Of a backup that was interrupted.
        let left_over = [&draft, &draft.with_extension("copy-journal")];
        left_over.into_iter().try_for_each(|file| remove_if_there(file)).map_err(unusable)?;
        create_new_private(&draft).map_err(unusable)?;
        // It only reads this database, but it counts as a change.
        let copied = self.connection.pragma_update(None, "query_only", false).and_then(|()| {
            // Not as a text, because a path need not be UTF-8.
            self.connection.execute("VACUUM INTO CAST(?1 AS TEXT)", [draft.as_os_str().as_encoded_bytes()])
        });
        let opened = copied.map_err(|error| refine(&draft, &error)).and_then(|_| File::open(&draft).map_err(unusable));
        remove_if_there(&draft).map_err(unusable).and(opened)
    }
}
