//! Reads `registry.redb`, in which earlier versions kept accounts, bans and mutes.
//!
//! It is imported once, and then renamed. If the import is interrupted, the next start does it again or only renames it.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use redb::backends::FileBackend;
use redb::{Database, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError};

use crate::accounts::state::{Change, Kind, State};
use crate::accounts::store::{Store, read_name};
use crate::accounts::{Account, Sanction};
use crate::database::{OpenError, open_private};
use crate::model::AccountId;
use crate::model::address::Network;
use crate::os::path::parent;
use crate::os::system::files::sync_folder;
use crate::protocol::Banned;

/// The name of the file, and what is appended to it once it was imported.
const FILE: &str = "registry.redb";
const DONE: &str = "registry.redb.imported";

/// Whether it was imported already.
const IMPORTED: &str = "registry.redb imported";

/// The newest format of that file.
const FORMAT: u64 = 2;

const META: TableDefinition<'_, &str, u64> = TableDefinition::new("linechat");
/// A name, a password hash, whether it is an operator, and the registration time.
const ACCOUNTS: TableDefinition<'_, u64, AccountRow<'_>> = TableDefinition::new("accounts");
type AccountRow<'a> = (&'a str, &'a str, bool, u64);
/// The last login of each account. The oldest programs wrote none.
const LOGINS: TableDefinition<'_, u64, u64> = TableDefinition::new("logins");

/// Who is banned or muted, as a kind and bytes.
type BannedRow<'a> = (u8, &'a [u8]);
/// By whom, why, since when, and until when.
type SanctionRow<'a> = (&'a str, Option<&'a str>, u64, Option<u64>);
type SanctionTable = TableDefinition<'static, BannedRow<'static>, SanctionRow<'static>>;
const BANS: SanctionTable = TableDefinition::new("bans");
const MUTES: SanctionTable = TableDefinition::new("mutes");

/// Imports the file of an earlier version, if there is one.
///
/// # Errors
/// [`OpenError`]. Nothing was imported then, and the file was not changed.
pub(super) fn import(store: &mut Store, now: SystemTime) -> Result<(), OpenError> {
    let folder = parent(store.path()).to_owned();
    let path = folder.join(FILE);
    let failed = |why: String| OpenError::Failed { path: path.clone(), why };
    let unusable = |error| OpenError::Io { path: path.clone(), error };
    if !path.try_exists().map_err(unusable)? {
        return Ok(());
    }
    if store.setting(IMPORTED).map_err(|error| failed(error.to_string()))?.is_none() {
        if !store.read()?.state.is_empty() {
            let why = "linechat.db contains accounts already; move one of the two files away";
            return Err(failed(why.to_owned()));
        }
        let state = read(&path, now)?;
        let imported = store.change(move |tables| {
            state.changes().iter().try_for_each(|change| tables.make(change))?;
            tables.number_from(state.next())?;
            tables.set(IMPORTED, 1)
        });
        imported.map_err(|error| failed(error.to_string()))?;
    }
    fs::rename(&path, folder.join(DONE)).and_then(|()| sync_folder(&folder)).map_err(unusable)
}

fn read(path: &Path, now: SystemTime) -> Result<State, OpenError> {
    let (file, metadata) = open_private(path)?;
    // redb would create a new one.
    if metadata.len() == 0 {
        return Err(OpenError::NotOurs(path.to_owned()));
    }
    let mut builder = Database::builder();
    // Foreign changes must cause an error, not a panic.
    builder.set_check_integrity_on_open(true);
    let opened = FileBackend::new(file).and_then(|backend| builder.create_with_backend(backend));
    let database = opened.map_err(|error| refine(path, error.into()))?;
    let transaction = database.begin_read().map_err(|error| refine(path, error.into()))?;
    match meta(&transaction, "format").map_err(|error| refine(path, error))? {
        Some(1..=FORMAT) => read_all(&transaction, now).map_err(|error| refine(path, error)),
        Some(format) if format > FORMAT => {
            Err(OpenError::Failed { path: path.to_owned(), why: format!("its format {format} is not known") })
        }
        _ => Err(OpenError::NotOurs(path.to_owned())),
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

fn logins(transaction: &ReadTransaction) -> Result<HashMap<u64, SystemTime>, redb::Error> {
    let logins = match transaction.open_table(LOGINS) {
        Ok(logins) => logins,
        Err(TableError::TableDoesNotExist(_)) => return Ok(HashMap::new()),
        Err(error) => return Err(error.into()),
    };
    let each = logins.iter()?.map(|row| row.map(|(id, time)| (id.value(), read_time(time.value()))));
    Ok(each.collect::<Result<_, _>>()?)
}

fn read_all(transaction: &ReadTransaction, now: SystemTime) -> Result<State, redb::Error> {
    let mut state = State::default();
    state.number_from(meta(transaction, "next account")?.unwrap_or_default());
    let logins = logins(transaction)?;
    // An account without a recorded login counts as used when logins began to be recorded.
    let since = meta(transaction, "logins since")?.map_or(now, read_time);
    for row in transaction.open_table(ACCOUNTS)?.iter()? {
        let (id, row) = row?;
        let used = logins.get(&id.value()).copied().unwrap_or(since);
        state.apply(Change::Keep(account(id.value(), row.value(), used).map_err(redb::Error::Corrupted)?));
    }
    for (kind, table) in [(Kind::Ban, BANS), (Kind::Mute, MUTES)] {
        for row in transaction.open_table(table)?.iter()? {
            let (banned, row) = row?;
            let (by, reason, since, until) = row.value();
            let banned = read_banned(banned.value()).map_err(redb::Error::Corrupted)?;
            // Of two sanctions for the same name or address, the longer one is taken.
            state.take_in(kind, banned, Sanction::new(by, reason, read_time(since), until.map(read_time)));
        }
    }
    Ok(state)
}

fn account(id: u64, row: AccountRow<'_>, used: SystemTime) -> Result<Account, String> {
    let (name, hash, is_operator, registered) = row;
    let (name, registered) = (read_name(name)?, read_time(registered));
    Ok(Account { id: AccountId(id), name, hash: hash.to_owned(), is_operator, registered, used: used.max(registered) })
}

fn read_banned((kind, bytes): BannedRow<'_>) -> Result<Banned, String> {
    let no_place = |_| format!("{kind} {bytes:?} is not a valid address");
    Ok(match kind {
        0 => Banned::Name(read_name(std::str::from_utf8(bytes).map_err(|why| why.to_string())?)?),
        1 => Banned::Network(Network::User(u32::from_be_bytes(bytes.try_into().map_err(no_place)?))),
        4 => Banned::Network(read_v4(bytes.try_into().map_err(no_place)?)),
        6 => Banned::Network(read_v6(bytes.try_into().map_err(no_place)?)),
        7 => {
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

fn read_time(nanos: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_nanos(nanos)
}

/// Turns an error of redb into one for the operator.
fn refine(path: &Path, error: redb::Error) -> OpenError {
    let damaged = |path, why: String| OpenError::Damaged { path, why };
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => OpenError::InUse(path),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => OpenError::NotOurs(path),
        redb::Error::Io(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            damaged(path, "it ends too early".to_owned())
        }
        redb::Error::Io(error) => OpenError::Io { path, error },
        redb::Error::Corrupted(why) => damaged(path, why),
        other => damaged(path, other.to_string()),
    }
}

#[cfg(test)]
mod tests;
