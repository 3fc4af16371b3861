//! The file of accounts, bans and mutes.
//!
//! It is a redb database: a B-tree that is never changed in place. A commit writes new pages, flushes them, and then
//! switches to them with one page that is flushed again. So after a crash the file is in the state of some commit, and
//! contains everything that was acknowledged. The store does not know who may do what.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::backends::FileBackend;
use redb::{
    Database, Durability, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError,
    WriteTransaction,
};
use thiserror::Error;

use crate::accounts::state::{Change, Kind, State};
use crate::accounts::{Account, Sanction};
use crate::limits::ACCOUNTS_CACHE_BYTES;
use crate::model::address::Network;
use crate::model::{AccountId, Name};
use crate::os::io_error;
use crate::os::path::parent;
use crate::os::safe_file::{Links, Lock, Sticky, check_owner, lock, open_regular, safe_folder};
use crate::os::system::files;
use crate::protocol::Banned;

/// Why the accounts cannot be opened, worded for the operator.
#[derive(Debug, Error)]
pub enum AccountsError {
    #[error("cannot use the accounts in {}: {}", path.display(), io_error::describe_at(path, error))]
    Io { path: PathBuf, error: io::Error },
    #[error("the accounts in {} are in use by another server", .0.display())]
    InUse(PathBuf),
    /// Readers of the file get the hashes of all passwords, and writers can become operators.
    #[error("others can read or write the accounts in {}; run chmod 600 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    #[error("{} is not a linechat accounts file", .0.display())]
    NotOurs(PathBuf),
    #[error("{} was written by a newer linechat: its format is {format}, not {FORMAT}", path.display())]
    Newer { path: PathBuf, format: u64 },
    #[error("the accounts in {} are corrupt ({why}); restore a backup", path.display())]
    Damaged { path: PathBuf, why: String },
}

/// The newest format that can be read. A change of the tables increases it, and must still read the older ones.
///
/// A file of format 1 contains no [`LINK`]. It keeps that format until there is one, so that an older program can read
/// it.
const FORMAT: u64 = 2;

/// Numbers about the file itself: its [`FORMAT_ROW`] and the [`NEXT_ROW`].
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("linechat");
const FORMAT_ROW: &str = "format";
/// The number of the next account, so that numbers are never reused.
const NEXT_ROW: &str = "next account";
/// Since when logins are recorded. An account from an older program may be in use without a recorded login.
const LOGINS_ROW: &str = "logins since";

/// An account: its name, its password hash, whether it is an operator, and its registration time.
const ACCOUNTS: TableDefinition<'_, u64, AccountRow<'_>> = TableDefinition::new("accounts");
type AccountRow<'a> = (&'a str, &'a str, bool, u64);

/// The last login of each account. Older programs ignore this table.
const LOGINS: TableDefinition<'_, u64, u64> = TableDefinition::new("logins");

/// Who is banned or muted, as a kind and bytes: see [`write_banned`].
type BannedRow<'a> = (u8, &'a [u8]);
/// By whom, why, since when, and until when.
type SanctionRow<'a> = (&'a str, Option<&'a str>, u64, Option<u64>);
type SanctionTable = TableDefinition<'static, BannedRow<'static>, SanctionRow<'static>>;
const BANS: SanctionTable = TableDefinition::new("bans");
const MUTES: SanctionTable = TableDefinition::new("mutes");

fn table(kind: Kind) -> SanctionTable {
    match kind {
        Kind::Ban => BANS,
        Kind::Mute => MUTES,
    }
}

#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    /// Closed after a failed commit: redb then refuses everything until it is reopened.
    database: Option<Database>,
    /// Held while this lives, even while the database is closed.
    _lock: Lock,
}

#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) state: State,
    /// What must be removed from the file.
    pub(crate) superseded: Vec<Change>,
}

impl Store {
    /// Opens the accounts in a folder. Creates both if they are missing, so that nobody else can read them.
    pub(crate) fn open(folder: &Path, now: SystemTime) -> Result<(Self, Content), AccountsError> {
        let unusable = |error| AccountsError::Io { path: folder.to_owned(), error };
        let folder = self::folder(folder).map_err(unusable)?;
        let path = folder.join("registry.redb");
        // The folder itself is not locked, because others may be able to open and lock it.
        let lock = lock(&folder.join("lock")).map_err(unusable)?.ok_or_else(|| AccountsError::InUse(path.clone()))?;
        let is_there = path.try_exists().map_err(unusable)?;
        let database = if is_there { open(&path) } else { create(&path) }?;
        let content = read(&path, &database, now)?;
        Ok((Self { path, database: Some(database), _lock: lock }, content))
    }

    /// Whether it must be reopened.
    pub(crate) fn is_closed(&self) -> bool {
        self.database.is_none()
    }

    /// Reopens it and returns its content: a failed commit may have succeeded after all.
    pub(crate) fn reopen(&mut self, now: SystemTime) -> Result<Content, AccountsError> {
        self.database = None;
        let database = open(&self.path)?;
        let content = read(&self.path, &database, now)?;
        self.database = Some(database);
        Ok(content)
    }

    /// Writes all these changes or, on an error, most likely none. Returns when they are on the disk.
    pub(crate) fn write(&mut self, changes: &[Change]) -> Result<(), AccountsError> {
        if changes.is_empty() {
            return Ok(());
        }
        let database = self.database.as_ref().expect("it is reopened before anything is written");
        let written = commit(database, changes).map_err(|error| refine(&self.path, error));
        if written.is_err() {
            self.database = None;
        }
        written
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
fn create(path: &Path) -> Result<Database, AccountsError> {
    let unusable = |error| AccountsError::Io { path: path.to_owned(), error };
    let draft = path.with_extension("new");
    match fs::remove_file(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(error)),
        _ => {}
    }
    let file = files::create_private(OpenOptions::new().read(true).write(true)).create_new(true).open(&draft);
    let database = database(path, file.map_err(unusable)?)?;
    begin(&database).map_err(|error| refine(path, error))?;
    fs::rename(&draft, path).and_then(|()| files::sync_folder(parent(path))).map_err(unusable)?;
    Ok(database)
}

fn open(path: &Path) -> Result<Database, AccountsError> {
    let unusable = |error| AccountsError::Io { path: path.to_owned(), error };
    // Checks the opened file, because the path could be given to another file meanwhile.
    let mut options = OpenOptions::new();
    let (file, metadata) = open_regular(path, options.read(true).write(true), Links::Followed).map_err(unusable)?;
    check_owner(&metadata).map_err(unusable)?;
    if files::is_exposed(&metadata) {
        return Err(AccountsError::Exposed(path.to_owned()));
    }
    // redb would create a new one.
    if metadata.len() == 0 {
        return Err(AccountsError::NotOurs(path.to_owned()));
    }
    database(path, file)
}

fn database(path: &Path, file: File) -> Result<Database, AccountsError> {
    let mut builder = Database::builder();
    // All of it is read anyway, and foreign changes must cause an error, not a panic.
    builder.set_cache_size(ACCOUNTS_CACHE_BYTES).set_check_integrity_on_open(true);
    FileBackend::new(file)
        .and_then(|backend| builder.create_with_backend(backend))
        .map_err(|error| refine(path, error.into()))
}

fn commit(database: &Database, changes: &[Change]) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // Otherwise only checksums distinguish a complete commit from a torn one, and an attacker who chooses names could
    // defeat them.
    transaction.set_two_phase_commit(true);
    for change in changes {
        make(&transaction, change)?;
    }
    Ok(transaction.commit()?)
}

fn begin(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    transaction.open_table(META)?.insert(FORMAT_ROW, FORMAT)?;
    transaction.open_table(ACCOUNTS)?;
    transaction.open_table(BANS)?;
    transaction.open_table(MUTES)?;
    Ok(transaction.commit()?)
}

fn make(transaction: &WriteTransaction, change: &Change) -> Result<(), redb::Error> {
    match change {
        Change::Keep(account) => keep(transaction, account)?,
        Change::Forget(id) => {
            transaction.open_table(ACCOUNTS)?.remove(id.0)?;
            transaction.open_table(LOGINS)?.remove(id.0)?;
        }
        Change::NoteLogins(since) => {
            transaction.open_table(META)?.insert(LOGINS_ROW, write_time(*since))?;
        }
        Change::Impose(kind, banned, sanction) => impose(transaction, *kind, banned, sanction)?,
        Change::Lift(kind, banned) => lift(transaction, *kind, banned)?,
    }
    Ok(())
}

fn keep(transaction: &WriteTransaction, account: &Account) -> Result<(), redb::Error> {
    let Account { id, name, hash, is_operator, registered, used } = account;
    let row = (name.as_str(), hash.as_str(), *is_operator, write_time(*registered));
    transaction.open_table(ACCOUNTS)?.insert(id.0, row)?;
    transaction.open_table(LOGINS)?.insert(id.0, write_time(*used))?;
    let mut meta = transaction.open_table(META)?;
    let next = meta.get(NEXT_ROW)?.map_or(0, |next| next.value()).max(id.0.saturating_add(1));
    meta.insert(NEXT_ROW, next)?;
    Ok(())
}

fn lift(transaction: &WriteTransaction, kind: Kind, banned: &Banned) -> Result<(), redb::Error> {
    let mut sanctions = transaction.open_table(table(kind))?;
    if *banned == Banned::Network(Network::Loopback) {
        // An older version has a row for each address.
        sanctions.retain(|row, _| !matches!(read_banned(row), Ok(of) if of == *banned))?;
    } else {
        let (of, bytes) = write_banned(banned);
        sanctions.remove((of, bytes.as_slice()))?;
    }
    Ok(())
}

fn impose(transaction: &WriteTransaction, kind: Kind, banned: &Banned, sanction: &Sanction) -> Result<(), redb::Error> {
    let (of, bytes) = write_banned(banned);
    let reason = sanction.reason().map(|reason| reason.as_str());
    let row = (sanction.by().as_str(), reason, write_time(sanction.since()), sanction.until().map(write_time));
    if of == LINK {
        transaction.open_table(META)?.insert(FORMAT_ROW, FORMAT)?;
    }
    transaction.open_table(table(kind))?.insert((of, bytes.as_slice()), row)?;
    Ok(())
}

fn read(path: &Path, database: &Database, now: SystemTime) -> Result<Content, AccountsError> {
    let transaction = database.begin_read().map_err(|error| refine(path, error.into()))?;
    match meta(&transaction, FORMAT_ROW).map_err(|error| refine(path, error))? {
        Some(1..=FORMAT) => Content::read(&transaction, now).map_err(|error| refine(path, error)),
        Some(format) if format > FORMAT => Err(AccountsError::Newer { path: path.to_owned(), format }),
        _ => Err(AccountsError::NotOurs(path.to_owned())),
    }
}

/// A number about the file itself, if it is a linechat file.
fn meta(transaction: &ReadTransaction, row: &str) -> Result<Option<u64>, redb::Error> {
    match transaction.open_table(META) {
        Ok(meta) => Ok(meta.get(row)?.map(|number| number.value())),
        Err(TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

/// The last login of each account. A file of an older program has none.
fn logins(transaction: &ReadTransaction) -> Result<HashMap<u64, SystemTime>, redb::Error> {
    let logins = match transaction.open_table(LOGINS) {
        Ok(logins) => logins,
        Err(TableError::TableDoesNotExist(_)) => return Ok(HashMap::new()),
        Err(error) => return Err(error.into()),
    };
    let each = logins.iter()?.map(|row| row.map(|(id, time)| (id.value(), read_time(time.value()))));
    Ok(each.collect::<Result<_, _>>()?)
}

impl Content {
    fn read(transaction: &ReadTransaction, now: SystemTime) -> Result<Self, redb::Error> {
        let mut content = Self::default();
        content.state.number_from(meta(transaction, NEXT_ROW)?.unwrap_or_default());
        let logins = logins(transaction)?;
        let since = meta(transaction, LOGINS_ROW)?.map(read_time);
        if since.is_none() {
            content.superseded.push(Change::NoteLogins(now));
        }
        for row in transaction.open_table(ACCOUNTS)?.iter()? {
            let (id, row) = row?;
            let used = logins.get(&id.value()).copied().or(since).unwrap_or(now);
            content.add_account(id.value(), row.value(), used).map_err(redb::Error::Corrupted)?;
        }
        for kind in [Kind::Ban, Kind::Mute] {
            for row in transaction.open_table(table(kind))?.iter()? {
                let (banned, row) = row?;
                content.add_sanction(kind, banned.value(), row.value()).map_err(redb::Error::Corrupted)?;
            }
        }
        Ok(content)
    }

    fn add_account(&mut self, id: u64, row: AccountRow<'_>, used: SystemTime) -> Result<(), String> {
        let (name, hash, is_operator, registered) = row;
        let name = read_name(name)?;
        let (id, registered) = (AccountId(id), read_time(registered));
        let (hash, used) = (hash.to_owned(), used.max(registered));
        self.state.apply(Change::Keep(Account { id, name, hash, is_operator, registered, used }));
        Ok(())
    }

    fn add_sanction(&mut self, kind: Kind, banned: BannedRow<'_>, row: SanctionRow<'_>) -> Result<(), String> {
        let (by, reason, since, until) = row;
        let banned = read_banned(banned)?;
        let sanction = Sanction::new(by, reason, read_time(since), until.map(read_time));
        self.superseded.extend(self.state.take_in(kind, banned, sanction));
        Ok(())
    }
}

fn read_name(text: &str) -> Result<Name, String> {
    Name::parse(text).map_err(|why| format!("{text:?} is not a valid name: {why}"))
}

const NAME: u8 = 0;
const USER: u8 = 1;
const V4: u8 = 4;
const V6: u8 = 6;
const LINK: u8 = 7;

/// Names are stored as they were written, because what looks alike changes with Unicode.
fn write_banned(banned: &Banned) -> (u8, Vec<u8>) {
    match banned {
        Banned::Name(name) => (NAME, name.as_str().as_bytes().to_vec()),
        Banned::Network(Network::User(user)) => (USER, user.to_be_bytes().to_vec()),
        Banned::Network(Network::Loopback) => (V4, Ipv4Addr::LOCALHOST.octets().to_vec()),
        Banned::Network(Network::V4(octets)) => (V4, octets.to_vec()),
        Banned::Network(Network::V6(octets)) => (V6, octets.to_vec()),
        Banned::Network(Network::Link(octets, zone)) => (LINK, [&octets[..], &zone.to_be_bytes()].concat()),
    }
}

fn read_banned((kind, bytes): BannedRow<'_>) -> Result<Banned, String> {
    let no_place = |_| format!("{kind} {bytes:?} is not a valid address");
    Ok(match kind {
        NAME => Banned::Name(read_name(std::str::from_utf8(bytes).map_err(|why| why.to_string())?)?),
        USER => Banned::Network(Network::User(u32::from_be_bytes(bytes.try_into().map_err(no_place)?))),
        V4 => Banned::Network(read_v4(bytes.try_into().map_err(no_place)?)),
        V6 => Banned::Network(read_v6(bytes.try_into().map_err(no_place)?)),
        LINK => {
            let (octets, zone) = bytes.split_at(bytes.len().min(16));
            let octets = octets.try_into().map_err(no_place)?;
            Banned::Network(Network::Link(octets, u32::from_be_bytes(zone.try_into().map_err(no_place)?)))
        }
        _ => return Err(format!("{kind} is not a valid address type")),
    })
}

fn read_v4(octets: [u8; 4]) -> Network {
    if Ipv4Addr::from(octets).is_loopback() { Network::Loopback } else { Network::V4(octets) }
}

fn read_v6(octets: [u8; 8]) -> Network {
    if octets == [0; 8] { Network::Loopback } else { Network::V6(octets) }
}

/// Nanoseconds since 1970. Earlier times become 1970, and times after 2554 become that.
fn write_time(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

fn read_time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

fn damaged(path: &Path, why: impl Into<String>) -> AccountsError {
    AccountsError::Damaged { path: path.to_owned(), why: why.into() }
}

/// Turns an error of redb into one for the operator.
fn refine(path: &Path, error: redb::Error) -> AccountsError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => AccountsError::InUse(path),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => AccountsError::NotOurs(path),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => damaged(&path, "it ends too early"),
        redb::Error::Io(error) => AccountsError::Io { path, error },
        redb::Error::Corrupted(why) => damaged(&path, why),
        other => damaged(&path, other.to_string()),
    }
}
