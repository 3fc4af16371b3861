//! Opens `linechat.db` in the data folder, or creates it.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use thiserror::Error;

use crate::database::describe;
use crate::limits::{DATABASE_BUSY, DATABASE_CACHE_BYTES, DATABASE_READER_CACHE_BYTES, WAL_KEPT_BYTES};
use crate::os::io_error;
use crate::os::path::parent;
use crate::os::safe_file::{
    Links, Lock, Sticky, check_owner, create_new_private, lock, open_regular, remove_if_there, safe_folder,
};
use crate::os::system::files;

/// Why the file cannot be opened, worded for the operator.
#[derive(Debug, Error)]
pub enum OpenError {
    #[error("cannot use {}: {}", path.display(), io_error::describe_at(path, error))]
    Io { path: PathBuf, error: io::Error },
    #[error("cannot use {}: {why}", path.display())]
    Failed { path: PathBuf, why: String },
    #[error("{} is in use by another server", .0.display())]
    InUse(PathBuf),
    /// Readers of the file get the hashes of all passwords and all messages, and writers can become operators.
    #[error("others can read or write {}; run chmod 600 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    #[error("{} is not a linechat database", .0.display())]
    NotOurs(PathBuf),
    #[error("{} was written by a newer linechat: its format is {format}, not {FORMAT}", path.display())]
    Newer { path: PathBuf, format: i64 },
    #[error("{} is corrupt ({why}); restore a backup, or move it away to start with an empty one", path.display())]
    Damaged { path: PathBuf, why: String },
}

/// The name of the file in the data folder.
pub(crate) const FILE: &str = "linechat.db";

/// The newest format that can be read, in `user_version`. A change of the tables increases it, and must still read the
/// older ones.
const FORMAT: i64 = 3;

/// Marks the file as ours, in `application_id`: "line".
const APPLICATION: i32 = 0x6c69_6e65;

/// The tables. docs/history.md explains them.
///
/// The key of a message is its room's number times 2^44, plus its number in the room. So one table without a second
/// index holds all rooms, each in order.
const SCHEMA: &str = "
    CREATE TABLE rooms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, ceiling INTEGER NOT NULL, topic TEXT,
        keep INTEGER, first INTEGER NOT NULL DEFAULT 1);
    CREATE TABLE numbers (floor INTEGER NOT NULL);
    INSERT INTO numbers VALUES (0);
    INSERT INTO rooms (id, name, ceiling) VALUES (1, 'lobby', 0);
    CREATE TABLE messages (key INTEGER PRIMARY KEY, at INTEGER NOT NULL, name TEXT NOT NULL, text TEXT NOT NULL);
    CREATE VIEW history AS
        SELECT rooms.name AS room, key & 0xfffffffffff AS number,
            strftime('%Y-%m-%dT%H:%M:%fZ', at / 1000.0, 'unixepoch') AS time, messages.name AS name, text
        FROM messages JOIN rooms ON rooms.id = key >> 44;
    CREATE TABLE accounts (id INTEGER PRIMARY KEY, name TEXT NOT NULL, hash TEXT NOT NULL, is_operator INTEGER NOT NULL,
        registered INTEGER NOT NULL, used INTEGER NOT NULL);
    CREATE TABLE sanctions (kind TEXT NOT NULL, type TEXT NOT NULL, target TEXT NOT NULL, imposed_by TEXT NOT NULL,
        reason TEXT, since INTEGER NOT NULL, until INTEGER, PRIMARY KEY (kind, type, target)) WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
";

/// Turns a database of format 1 into one of format 2.
const FROM_1: &str = "
    BEGIN; ALTER TABLE rooms ADD COLUMN topic TEXT; ALTER TABLE rooms ADD COLUMN keep INTEGER; PRAGMA user_version = 2;
    COMMIT;";

/// Turns a database of format 2 into one of format 3. Which numbers rooms have given that are gone is not known.
const FROM_2: &str = "
    BEGIN; CREATE TABLE numbers (floor INTEGER NOT NULL); INSERT INTO numbers VALUES (0);
    ALTER TABLE rooms ADD COLUMN first INTEGER NOT NULL DEFAULT 1; PRAGMA user_version = 3; COMMIT;";

/// The file of a folder, locked by this process and checked. It is created if it is missing.
#[derive(Debug)]
pub(super) struct LockedFile {
    pub(super) path: PathBuf,
    /// Held while this lives.
    _lock: Lock,
}

impl LockedFile {
    /// Creates the folder and the file if they are missing, so that nobody else can read them.
    pub(super) fn open(folder: &Path) -> Result<Self, OpenError> {
        let unusable = |error| OpenError::Io { path: folder.to_owned(), error };
        let folder = self::folder(folder).map_err(unusable)?;
        let path = folder.join(FILE);
        // The folder itself is not locked, because others may be able to open and lock it.
        let lock = lock(&folder.join("lock")).map_err(unusable)?.ok_or_else(|| OpenError::InUse(path.clone()))?;
        if path.try_exists().map_err(unusable)? { check(&path) } else { create(&path) }?;
        Ok(Self { path, _lock: lock })
    }
}

/// Checks that a server of this user can write in a folder, or can create it. It changes nothing.
pub(crate) fn check_folder(folder: &Path) -> Result<(), OpenError> {
    let check = || {
        let is_there = folder.try_exists()?;
        files::check_writable(&match is_there {
            true => safe_folder(folder, Sticky::Refused)?,
            false => safe_folder(parent(folder), Sticky::Allowed)?,
        })
    };
    check().map_err(|error| OpenError::Io { path: folder.to_owned(), error })
}

/// Opens the file in a folder to read it, and leaves everything as it is. `None` if there is no file yet.
pub(crate) fn look_into(folder: &Path) -> Result<Option<(PathBuf, Connection)>, OpenError> {
    let unusable = |error| OpenError::Io { path: folder.to_owned(), error };
    if !folder.try_exists().map_err(unusable)? {
        return safe_folder(parent(folder), Sticky::Allowed).map(|_| None).map_err(unusable);
    }
    let path = safe_folder(folder, Sticky::Refused).map_err(unusable)?.join(FILE);
    if !path.try_exists().map_err(unusable)? {
        return Ok(None);
    }
    check(&path)?;
    let open = || {
        let connection = reader(&path)?;
        // Otherwise the last one that closes the file would write what is in the write-ahead log to it.
        let is_left_over = path.with_extension("db-wal").metadata().is_ok_and(|wal| wal.len() > 0);
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, is_left_over)?;
        let format = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
        Ok((connection, format))
    };
    match open().map_err(|error| refine(&path, &error))? {
        (_, format) if format > FORMAT => Err(OpenError::Newer { path, format }),
        (connection, _) => Ok(Some((path, connection))),
    }
}

/// The real path of the folder, which is created if it is missing. No other user can change what is in it.
fn folder(path: &Path) -> io::Result<PathBuf> {
    match safe_folder(path, Sticky::Refused) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = safe_folder(parent(path), Sticky::Allowed)?;
            files::create_private_folder(path)?;
            // So that it survives a crash.
            files::sync_folder(&parent)?;
            safe_folder(path, Sticky::Refused)
        }
        found => found,
    }
}

/// Creates an empty database under another name first. If that is interrupted, the next start begins again.
fn create(path: &Path) -> Result<(), OpenError> {
    let unusable = |error| OpenError::Io { path: path.to_owned(), error };
    let draft = path.with_extension("new");
    [&draft, &path.with_extension("new-journal")]
        .into_iter()
        .try_for_each(|file| remove_if_there(file))
        .map_err(unusable)?;
    create_new_private(&draft).map_err(unusable)?;
    fill(&draft).map_err(|error| refine(path, &error))?;
    fs::rename(&draft, path).and_then(|()| files::sync_folder(parent(path))).map_err(unusable)
}

fn fill(draft: &Path) -> rusqlite::Result<()> {
    let connection = connect(draft, DATABASE_CACHE_BYTES)?;
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", FORMAT)?;
    connection.execute_batch(&format!("BEGIN; {SCHEMA} COMMIT;"))?;
    connection.close().map_err(|(_, error)| error)
}

/// Checks a file before SQLite may change it.
fn check(path: &Path) -> Result<(), OpenError> {
    let (mut file, _) = open_private(path)?;
    // The application_id is at byte 68 (https://sqlite.org/fileformat.html, section 1.3).
    let mut header = [0; 72];
    let is_whole = file.read_exact(&mut header).is_ok();
    let is_ours = header.starts_with(b"SQLite format 3\0") && header[68..] == APPLICATION.to_be_bytes();
    if is_whole && is_ours { Ok(()) } else { Err(OpenError::NotOurs(path.to_owned())) }
}

/// Opens a file that nobody else may read or write.
pub(crate) fn open_private(path: &Path) -> Result<(File, Metadata), OpenError> {
    let unusable = |error| OpenError::Io { path: path.to_owned(), error };
    // Checks the opened file, because the path could be given to another file meanwhile.
    let mut options = OpenOptions::new();
    let opened = open_regular(path, options.read(true).write(true), Links::Followed);
    let (file, metadata) = opened.map_err(unusable)?;
    check_owner(&metadata).map_err(unusable)?;
    if files::is_exposed(&metadata) {
        return Err(OpenError::Exposed(path.to_owned()));
    }
    Ok((file, metadata))
}

/// The connection that writes. Checks the format.
pub(super) fn writer(path: &Path) -> Result<Connection, OpenError> {
    let refine = |error| refine(path, &error);
    let connection = connect(path, DATABASE_CACHE_BYTES).map_err(refine)?;
    let format = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(refine)?;
    match format {
        FORMAT => {}
        1 => [FROM_1, FROM_2].into_iter().try_for_each(|sql| connection.execute_batch(sql)).map_err(refine)?,
        2 => connection.execute_batch(FROM_2).map_err(refine)?,
        _ if format > FORMAT => return Err(OpenError::Newer { path: path.to_owned(), format }),
        _ => return Err(OpenError::NotOurs(path.to_owned())),
    }
    prepare(&connection).map_err(refine)?;
    Ok(connection)
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES.cast_signed())?;
    // What is deleted is overwritten, so that it cannot be recovered from the file.
    connection.pragma_update(None, "secure_delete", "ON")?;
    // An empty transaction, so that an error shows up now and not at the first message.
    connection.execute_batch("BEGIN IMMEDIATE; UPDATE rooms SET ceiling = ceiling; COMMIT;")
}

/// A connection that only reads.
pub(super) fn reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = connect(path, DATABASE_READER_CACHE_BYTES)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

fn connect(path: &Path, cache: usize) -> rusqlite::Result<Connection> {
    // The file exists, so none is created with other permissions. Each connection is used by one thread at a time.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(DATABASE_BUSY)?;
    // A negative size is in KiB.
    connection.pragma_update(None, "cache_size", -i64::try_from(cache / 1024).unwrap_or(1024))?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    Ok(connection)
}

/// Turns an error of SQLite into one for the operator.
pub(crate) fn refine(path: &Path, error: &rusqlite::Error) -> OpenError {
    let path = path.to_owned();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => OpenError::NotOurs(path),
        Some(rusqlite::ErrorCode::DatabaseCorrupt) => OpenError::Damaged { path, why: describe(error) },
        Some(_) => OpenError::Failed { path, why: describe(error) },
        // A table or a column is missing, or has a value of the wrong type.
        None => OpenError::Damaged { path, why: describe(error) },
    }
}
