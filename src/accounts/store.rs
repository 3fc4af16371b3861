//! Accounts, bans and mutes in the database.
//!
//! SQLite has no checksums. So the sum of the fingerprints of all rows is stored too, and a damaged row is detected
//! before anybody logs in with it. The store does not know who may do what.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::executor::block_on;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, ToSql, params};
use sha2::{Digest, Sha256};

use crate::accounts::state::{Change, Kind, State};
use crate::accounts::{Account, Sanction};
use crate::database::{Database, DatabaseError, OpenError, refine};
use crate::model::{AccountId, Name};
use crate::protocol::Banned;

/// The number of the next account, so that numbers are never reused.
pub(super) const NEXT: &str = "next account";
/// The sum of all fingerprints. Without it, all rows are trusted.
const CHECKSUM: &str = "checksum";

#[derive(Debug)]
pub(crate) struct Store {
    database: Database,
    /// A write has failed, and may have succeeded after all.
    is_uncertain: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) state: State,
    /// What must be removed from the file.
    pub(crate) superseded: Vec<Change>,
}

/// Why the rows cannot be used.
enum ReadError {
    Damaged(String),
    Sqlite(rusqlite::Error),
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Store {
    pub(crate) fn new(database: &Database) -> Self {
        Self { database: database.clone(), is_uncertain: false }
    }

    pub(super) fn path(&self) -> &Path {
        self.database.path()
    }

    pub(crate) fn is_uncertain(&self) -> bool {
        self.is_uncertain
    }

    /// Reads the content. Afterwards it is certain which writes have succeeded.
    pub(crate) fn read(&mut self) -> Result<Content, OpenError> {
        let path = self.database.path();
        let failed = |why: String| OpenError::Failed { path: path.to_owned(), why };
        let read = |connection: &Connection| Ok(read_all(connection, path));
        let content = self.database.read_blocking(read).map_err(|error| failed(error.to_string()))??;
        self.is_uncertain = false;
        Ok(content)
    }

    /// Writes all these changes or, on an error, most likely none. Returns when they are on the disk.
    pub(crate) fn write(&mut self, changes: &[Change]) -> Result<(), DatabaseError> {
        if changes.is_empty() {
            return Ok(());
        }
        let changes = changes.to_vec();
        self.change(move |table| changes.iter().try_for_each(|change| table.make(change)))
    }

    pub(super) fn change(
        &mut self,
        change: impl FnOnce(&mut Tables<'_>) -> rusqlite::Result<()> + Send + 'static,
    ) -> Result<(), DatabaseError> {
        let written = block_on(self.database.write(move |connection| {
            let mut tables = Tables::begin(connection)?;
            change(&mut tables)?;
            tables.finish()
        }));
        self.is_uncertain |= written.is_err();
        written
    }

    pub(super) fn setting(&self, name: &'static str) -> Result<Option<i64>, DatabaseError> {
        self.database.read_blocking(|connection| setting(connection, name))
    }
}

/// Reads the content of the file at `path`.
pub(super) fn read_all(connection: &Connection, path: &Path) -> Result<Content, OpenError> {
    in_transaction(connection, Content::read).map_err(|error| match error {
        ReadError::Damaged(why) => OpenError::Damaged { path: path.to_owned(), why },
        ReadError::Sqlite(error) => refine(path, &error),
    })
}

/// Reads in one transaction, so that all rows are of the same moment.
fn in_transaction<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, ReadError>,
) -> Result<T, ReadError> {
    let transaction = connection.unchecked_transaction()?;
    read(&transaction)
}

fn setting(connection: &Connection, name: &str) -> rusqlite::Result<Option<i64>> {
    let mut statement = connection.prepare_cached("SELECT value FROM settings WHERE name = ?1")?;
    statement.query_row([name], |row| row.get(0)).optional()
}

const ACCOUNTS: &str = "SELECT 'account', id, name, hash, is_operator, registered, used FROM accounts";
const SANCTIONS: &str = "SELECT kind, type, target, imposed_by, reason, since, until FROM sanctions";
const SETTINGS: &str = "SELECT 'setting', name, value FROM settings";

/// The tables of accounts and sanctions, within a transaction.
pub(super) struct Tables<'a> {
    connection: &'a Connection,
    checksum: u64,
}

impl<'a> Tables<'a> {
    fn begin(connection: &'a Connection) -> rusqlite::Result<Self> {
        let checksum = match setting(connection, CHECKSUM)? {
            Some(checksum) => checksum.cast_unsigned(),
            None => checksum(connection)?,
        };
        Ok(Self { connection, checksum })
    }

    fn finish(self) -> rusqlite::Result<()> {
        set(self.connection, CHECKSUM, self.checksum.cast_signed())
    }

    pub(super) fn make(&mut self, change: &Change) -> rusqlite::Result<()> {
        match change {
            Change::Keep(account) => self.keep(account),
            Change::Forget(id) => {
                let key = id.0.cast_signed();
                self.change_row(&format!("{ACCOUNTS} WHERE id = ?1"), &[&key], |connection| {
                    connection.prepare_cached("DELETE FROM accounts WHERE id = ?1")?.execute([key])
                })
            }
            Change::Impose(kind, banned, sanction) => self.impose(*kind, banned, sanction),
            Change::Lift(kind, banned) => self.change_sanction(*kind, banned, |connection, key| {
                let sql = "DELETE FROM sanctions WHERE kind = ?1 AND type = ?2 AND target = ?3";
                connection.prepare_cached(sql)?.execute(key)
            }),
        }
    }

    pub(super) fn set(&mut self, name: &str, value: i64) -> rusqlite::Result<()> {
        let select = format!("{SETTINGS} WHERE name = ?1");
        self.change_row(&select, &[&name], |connection| set(connection, name, value).map(|()| 1))
    }

    /// The next account gets this number or a higher one.
    pub(super) fn number_from(&mut self, next: u64) -> rusqlite::Result<()> {
        let next = i64::try_from(next).unwrap_or(i64::MAX);
        if setting(self.connection, NEXT)?.is_none_or(|found| found < next) { self.set(NEXT, next) } else { Ok(()) }
    }

    fn keep(&mut self, account: &Account) -> rusqlite::Result<()> {
        let Account { id, name, hash, is_operator, registered, used } = account;
        let key = id.0.cast_signed();
        self.change_row(&format!("{ACCOUNTS} WHERE id = ?1"), &[&key], |connection| {
            let sql = "INSERT OR REPLACE INTO accounts (id, name, hash, is_operator, registered, used)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
            let row = params![key, name.as_str(), hash, is_operator, write_time(*registered), write_time(*used)];
            connection.prepare_cached(sql)?.execute(row)
        })?;
        self.number_from(id.0.saturating_add(1))
    }

    fn impose(&mut self, kind: Kind, banned: &Banned, sanction: &Sanction) -> rusqlite::Result<()> {
        let reason = sanction.reason().map(|reason| reason.as_str());
        let (since, until) = (write_time(sanction.since()), sanction.until().map(write_time));
        self.change_sanction(kind, banned, |connection, [kind, of, target]| {
            let sql = "INSERT OR REPLACE INTO sanctions (kind, type, target, imposed_by, reason, since, until)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
            let row = params![kind, of, target, sanction.by().as_str(), reason, since, until];
            connection.prepare_cached(sql)?.execute(row)
        })
    }

    fn change_sanction(
        &mut self,
        kind: Kind,
        banned: &Banned,
        change: impl FnOnce(&Connection, [&str; 3]) -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<()> {
        let select = format!("{SANCTIONS} WHERE kind = ?1 AND type = ?2 AND target = ?3");
        let (of, target) = write_banned(banned);
        let kind = write_kind(kind);
        self.change_row(&select, &[&kind, &of, &target], |connection| change(connection, [kind, of, &target]))
    }

    /// Changes the row that a query selects, and the checksum with it.
    fn change_row(
        &mut self,
        select: &str,
        key: &[&dyn ToSql],
        change: impl FnOnce(&Connection) -> rusqlite::Result<usize>,
    ) -> rusqlite::Result<()> {
        let mut select = self.connection.prepare_cached(select)?;
        let mut sum = || select.query_row(key, |row| Ok(fingerprint(row))).optional().map(Option::unwrap_or_default);
        let before = sum()?;
        change(self.connection)?;
        self.checksum = self.checksum.wrapping_sub(before).wrapping_add(sum()?);
        Ok(())
    }
}

fn set(connection: &Connection, name: &str, value: i64) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO settings (name, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![name, value]).map(drop)
}

/// The sum of the fingerprints of all rows.
fn checksum(connection: &Connection) -> rusqlite::Result<u64> {
    let mut sum = 0u64;
    for select in [ACCOUNTS, SANCTIONS, &format!("{SETTINGS} WHERE name != '{CHECKSUM}'")] {
        let mut statement = connection.prepare(select)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            sum = sum.wrapping_add(fingerprint(row));
        }
    }
    Ok(sum)
}

/// A number that depends on all values of a row and on their types.
fn fingerprint(row: &Row<'_>) -> u64 {
    let mut hash = Sha256::new();
    for column in 0.. {
        let Ok(value) = row.get_ref(column) else { break };
        match value {
            ValueRef::Null => hash.update([0]),
            ValueRef::Integer(number) => hash.update([&[1], &number.to_le_bytes()[..]].concat()),
            ValueRef::Real(number) => hash.update([&[2], &number.to_le_bytes()[..]].concat()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                hash.update([3]);
                hash.update(bytes.len().to_le_bytes());
                hash.update(bytes);
            }
        }
    }
    let hash: [u8; 32] = hash.finalize().into();
    u64::from_le_bytes(hash[..8].try_into().expect("it has 32 bytes"))
}

impl Content {
    fn read(connection: &Connection) -> Result<Self, ReadError> {
        let stored = setting(connection, CHECKSUM)?.map(i64::cast_unsigned);
        if stored.is_some_and(|stored| checksum(connection).ok() != Some(stored)) {
            return Err(ReadError::Damaged("the checksum of the accounts is wrong".to_owned()));
        }
        let mut content = Self::default();
        content.state.number_from(setting(connection, NEXT)?.unwrap_or_default().cast_unsigned());
        let mut statement = connection.prepare(ACCOUNTS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            content.add_account(row)?;
        }
        let mut statement = connection.prepare(SANCTIONS)?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            content.add_sanction(row)?;
        }
        Ok(content)
    }

    fn add_account(&mut self, row: &Row<'_>) -> Result<(), ReadError> {
        let name: String = row.get(2)?;
        let account = Account {
            id: AccountId(row.get::<_, i64>(1)?.cast_unsigned()),
            name: read_name(&name).map_err(ReadError::Damaged)?,
            hash: row.get(3)?,
            is_operator: row.get(4)?,
            registered: read_time(row.get(5)?),
            used: read_time(row.get(6)?),
        };
        self.state.apply(Change::Keep(account));
        Ok(())
    }

    fn add_sanction(&mut self, row: &Row<'_>) -> Result<(), ReadError> {
        let kind = read_kind(row.get_ref(0)?.as_str().unwrap_or_default()).map_err(ReadError::Damaged)?;
        let (of, target): (String, String) = (row.get(1)?, row.get(2)?);
        let banned = read_banned(&of, &target).map_err(ReadError::Damaged)?;
        let (by, reason): (String, Option<String>) = (row.get(3)?, row.get(4)?);
        let until = row.get::<_, Option<i64>>(6)?.map(read_time);
        let sanction = Sanction::new(&by, reason.as_deref(), read_time(row.get(5)?), until);
        self.superseded.extend(self.state.take_in(kind, banned, sanction));
        Ok(())
    }
}

pub(super) fn read_name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|why| format!("{text:?} is not a valid name: {why}"))
}

fn write_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Ban => "ban",
        Kind::Mute => "mute",
    }
}

fn read_kind(text: &str) -> Result<Kind, String> {
    match text {
        "ban" => Ok(Kind::Ban),
        "mute" => Ok(Kind::Mute),
        _ => Err(format!("{text:?} is neither a ban nor a mute")),
    }
}

const NAME: &str = "name";
const NETWORK: &str = "network";

/// Names are stored as they were written, because what looks alike changes with Unicode.
fn write_banned(banned: &Banned) -> (&'static str, String) {
    match banned {
        Banned::Name(name) => (NAME, name.to_string()),
        Banned::Network(network) => (NETWORK, network.to_string()),
    }
}

fn read_banned(of: &str, target: &str) -> Result<Banned, String> {
    match of {
        NAME => read_name(target).map(Banned::Name),
        NETWORK => target.parse().map(Banned::Network).map_err(|_| format!("{target:?} is not a valid address")),
        _ => Err(format!("{of:?} is neither a name nor a network")),
    }
}

/// Nanoseconds since 1970. Earlier times become 1970, and times after 2262 become that.
fn write_time(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

fn read_time(nanos: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos.max(0).cast_unsigned())
}
