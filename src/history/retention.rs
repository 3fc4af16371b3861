//! Removes old messages, a few at a time.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rusqlite::Connection;

use crate::history::file::{Room, Shared, extent, keys, number, remove_room};
use crate::history::rooms::Kept;
use crate::history::{Keep, Settings, lock};
use crate::limits::{FREE_PAGES, RETENTION_CHECK, RETENTION_MESSAGES, RETENTION_PAUSE, VACUUMED_PAGES};
use crate::model::Timestamp;

/// Which messages are removed.
pub(super) struct Retain {
    pub(super) settings: Settings,
    pub(super) kept: Arc<Kept>,
}

impl Retain {
    /// Removes at most [`RETENTION_MESSAGES`], and gives pages that they took back to the disk. Returns when to do it
    /// again.
    ///
    /// Messages of a room are removed in the order of their numbers. So one whose time is wrong keeps later ones from
    /// being removed until it is due, or until there are too many bytes. Then the room with the most messages loses its
    /// oldest ones, so that nobody can fill one room to have the others forget.
    pub(super) fn step(&self, connection: &Connection, now: SystemTime) -> rusqlite::Result<Duration> {
        let mut left = RETENTION_MESSAGES;
        let forgotten = lock(&self.kept.forgotten).clone();
        for (room, given) in forgotten {
            left -= remove(connection, room, (i64::MAX, 0), left)?.0;
            if left == 0 {
                break;
            }
            remove_room(connection, room, given)?;
            lock(&self.kept.forgotten).retain(|forgotten| forgotten.0 != room);
        }
        let excess = match self.settings.keep_bytes {
            Some(most) => bytes(connection)?.saturating_sub(most),
            None => 0,
        };
        let mut rooms = Vec::new();
        lock(&self.kept.rooms).retain(|room| {
            let room = room.upgrade();
            rooms.extend(room.clone());
            room.is_some()
        });
        let count = |room: &Shared| lock(&room.extent).map_or(0, |extent| extent.newest - extent.oldest + 1);
        let fullest = rooms.iter().max_by_key(|room| count(room)).map(|room| room.room());
        for shared in rooms {
            if left == 0 || count(&shared) == 0 {
                continue;
            }
            let room = shared.room();
            let excess = if Some(room) == fullest { excess } else { 0 };
            let cutoff = cutoff(shared.keep(self.settings.keep), now);
            let (removed, up_to) = remove(connection, room, (cutoff, excess), left)?;
            if removed > 0 {
                shared.removed(up_to, extent(connection, room)?);
            }
            left -= removed;
        }
        let free = pages(connection, "freelist_count")?;
        if free > FREE_PAGES {
            // Each row is a page, so all of them have to be read.
            let sql = format!("PRAGMA incremental_vacuum({})", VACUUMED_PAGES.min(free - FREE_PAGES));
            let mut statement = connection.prepare(&sql)?;
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            if free - FREE_PAGES <= VACUUMED_PAGES {
                // The file shrinks when the write-ahead log is emptied.
                connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)")?;
            }
        }
        Ok(if left < RETENTION_MESSAGES || free > FREE_PAGES { RETENTION_PAUSE } else { RETENTION_CHECK })
    }
}

/// Everything before this time goes.
fn cutoff(keep: Keep, now: SystemTime) -> i64 {
    match keep {
        Keep::Nothing => i64::MAX,
        Keep::For(None) => i64::MIN,
        Keep::For(Some(time)) => {
            let cutoff = now.checked_sub(time).unwrap_or(SystemTime::UNIX_EPOCH);
            i64::try_from(Timestamp::from(cutoff).as_millis()).unwrap_or(i64::MAX)
        }
    }
}

/// Removes the oldest messages of a room: those before a time, and some to free so many bytes. Returns how many,
/// and the number of the last one.
fn remove(
    connection: &Connection,
    room: Room,
    (cutoff, excess): (i64, u64),
    most: usize,
) -> rusqlite::Result<(usize, u64)> {
    let [first, last] = keys(room, 0, u64::MAX);
    let sql = "SELECT key, at, octet_length(text) FROM messages WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT ?3";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query([first, last, most as i64])?;
    let (mut newest, mut freed) = (None, 0);
    while let Some(row) = rows.next()?
        && (freed < excess || row.get::<_, i64>(1)? < cutoff)
    {
        newest = Some(row.get::<_, i64>(0)?);
        freed += row.get::<_, i64>(2)?.max(0).cast_unsigned();
    }
    drop(rows);
    let Some(newest) = newest else { return Ok((0, 0)) };
    let sql = "DELETE FROM messages WHERE key BETWEEN ?1 AND ?2";
    Ok((connection.prepare_cached(sql)?.execute([first, newest])?, number(newest)))
}

/// The bytes of the database that are in use.
pub(super) fn bytes(connection: &Connection) -> rusqlite::Result<u64> {
    let used = pages(connection, "page_count")?.saturating_sub(pages(connection, "freelist_count")?);
    Ok(used * pages(connection, "page_size")?)
}

fn pages(connection: &Connection, pragma: &str) -> rusqlite::Result<u64> {
    connection.pragma_query_value(None, pragma, |row| Ok(row.get::<_, i64>(0)?.max(0).cast_unsigned()))
}
