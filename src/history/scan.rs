//! Reads the stored messages of a range in order, and steps over damaged parts of the file.
//!
//! A message that cannot be read is never left out silently: its number is in a [`Entry::Damaged`].

use std::ops::{ControlFlow, Range};

use rusqlite::{CachedStatement, Connection, ErrorCode, OptionalExtension, Row};

use crate::limits::DAMAGE_STEPS;

/// What comes next in a range of keys.
pub(super) enum Entry<'r> {
    Row(i64, &'r Row<'r>),
    /// Messages with these keys cannot be read. It is not known whether all of them were stored.
    Damaged(Range<i64>),
}

/// Calls `each` for all that is stored from the first key to the last, until it breaks. The columns follow the key.
pub(super) fn scan(
    connection: &Connection,
    columns: &str,
    [first, last]: [i64; 2],
    mut each: impl FnMut(Entry<'_>) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<()> {
    let sql = format!("SELECT key, {columns} FROM messages WHERE key BETWEEN ?1 AND ?2 ORDER BY key");
    let mut statement = connection.prepare_cached(&sql)?;
    let mut next = first;
    while next <= last {
        let intact = match read(&mut statement, &mut next, last, &mut each) {
            Ok(Outcome::Enough) => return Ok(()),
            Ok(Outcome::End) if !has_more(connection, next, last)? => return Ok(()),
            Ok(Outcome::End | Outcome::Disorder) => {
                first_key(connection, next, last)?.map(|key| key.max(next.saturating_add(1)))
            }
            // If the key can be read, only the content of this message is damaged.
            Err(error) if is_damage(&error) => first_key(connection, next, last)?.map(|key| key.saturating_add(1)),
            Err(error) => return Err(error),
        };
        let intact = intact.map_or_else(|| first_intact(connection, next, last), Ok)?;
        if each(Entry::Damaged(next..intact))?.is_break() {
            return Ok(());
        }
        next = intact;
    }
    Ok(())
}

/// Why rows were read no further.
enum Outcome {
    Enough,
    /// No more rows are there, or a damaged key looked like that.
    End,
    /// A key was not in order, so it is damaged.
    Disorder,
}

/// Reads until something is damaged. `next` is the key after the last one that was read.
fn read(
    statement: &mut CachedStatement<'_>,
    next: &mut i64,
    last: i64,
    each: &mut impl FnMut(Entry<'_>) -> rusqlite::Result<ControlFlow<()>>,
) -> rusqlite::Result<Outcome> {
    let mut rows = statement.query([*next, last])?;
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        if key < *next {
            return Ok(Outcome::Disorder);
        }
        *next = key.saturating_add(1);
        if each(Entry::Row(key, row))?.is_break() {
            return Ok(Outcome::Enough);
        }
    }
    Ok(Outcome::End)
}

/// Whether the file is damaged where it was read. Other errors may not last.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

/// Looks from the other end whether anything is stored in a range.
fn has_more(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<bool> {
    if first > last {
        return Ok(false);
    }
    match newest_key(connection, first, last) {
        Err(error) if is_damage(&error) => Ok(true),
        key => Ok(key?.is_some()),
    }
}

/// The highest stored key of a range.
pub(super) fn newest_key(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT max(key) FROM messages WHERE key BETWEEN ?1 AND ?2";
    connection.prepare_cached(sql)?.query_row([first, last], |row| row.get(0))
}

/// The lowest stored key of a range. `None` if there is none, or if it cannot be read.
fn first_key(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT key FROM messages WHERE key BETWEEN ?1 AND ?2 ORDER BY key LIMIT 1";
    match connection.prepare_cached(sql)?.query_row([first, last], |row| row.get(0)).optional() {
        Ok(key) => Ok(key.filter(|key| (first..=last).contains(key))),
        Err(error) if is_damage(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The first key after a damaged one from which on the file can be read again, or the one after `last`.
///
/// The further it looks, the larger its steps, so that it takes a few thousand reads at most. Intact messages are only
/// missed if they are fewer than a [part](DAMAGE_STEPS) of the damaged ones before them.
fn first_intact(connection: &Connection, first: i64, last: i64) -> rusqlite::Result<i64> {
    let is_intact = |key| Ok::<_, rusqlite::Error>(first_key(connection, key, last)?.is_some());
    let mut damaged = first;
    let mut intact = loop {
        if damaged >= last {
            return Ok(last + 1);
        }
        let key = last.min(damaged + 1 + (damaged - first) / DAMAGE_STEPS);
        if is_intact(key)? {
            break key;
        }
        damaged = key;
    };
    while intact - damaged > 1 {
        let middle = damaged + (intact - damaged) / 2;
        if is_intact(middle)? {
            intact = middle;
        } else {
            damaged = middle;
        }
    }
    Ok(intact)
}
