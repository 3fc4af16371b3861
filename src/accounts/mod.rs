//! Accounts, bans, mutes and operators, in memory and in the database.
//!
//! The server and the broker ask for them at every login, so all of them are in memory and every answer is immediate. A
//! change waits for the disk: first the database is written, then the memory. Nothing here knows the room or a socket.

mod error;
mod hash_queue;
pub mod hasher;
mod import;
mod state;
mod store;

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, SystemTime};

use async_lock::Mutex;
use blocking::unblock;

use crate::accounts::state::{Change, Kind, State};
use crate::accounts::store::Store;
use crate::database::{Database, DatabaseError, OpenError, check_folder, look_into};
#[cfg(doc)]
use crate::limits::LOGINS_NOTED;
use crate::model::address::Network;
use crate::model::{AccountId, Name};
use crate::protocol::Banned;

pub use error::ChangeError;
pub use hash_queue::{Busy, Turn};
pub use hasher::Hasher;
pub use state::{Account, Sanction};

/// A handle to all accounts. Clones share them.
///
/// All questions are answered from memory. All acts are asynchronous, one after the other, and return when they are on the
/// disk. To stop waiting for one stops nothing: it is done altogether, or not at all.
#[derive(Debug, Clone)]
pub struct Accounts {
    state: Arc<RwLock<State>>,
    /// Locked for each change as a whole, from reading the state to changing it.
    store: Arc<Mutex<Store>>,
}

impl Accounts {
    /// Reads the accounts from the database, and forgets the sanctions that are over. Accounts of an earlier version are
    /// imported from `registry.redb`. It reads all accounts, so it blocks for a moment.
    ///
    /// # Errors
    /// [`OpenError`], such as for damaged accounts.
    pub fn open(database: &Database, now: SystemTime) -> Result<Self, OpenError> {
        let mut store = Store::new(database);
        import::import(&mut store, now)?;
        let mut content = store.read()?;
        let mut changes = content.superseded;
        changes.extend(content.state.sweep(now));
        let failed = |why: DatabaseError| OpenError::Failed { path: database.path().to_owned(), why: why.to_string() };
        store.write(&changes).map_err(failed)?;
        changes.into_iter().for_each(|change| content.state.apply(change));
        Ok(Self { state: Arc::new(RwLock::new(content.state)), store: Arc::new(Mutex::new(store)) })
    }

    /// Checks that a folder can be used, and that the accounts in it can be read, if there are some. It changes nothing, and
    /// a server may be running with them. Blocks.
    ///
    /// # Errors
    /// [`OpenError`], as for [`open`](Self::open).
    pub fn check(folder: &Path) -> Result<(), OpenError> {
        check_folder(folder)?;
        let Some((path, connection)) = look_into(folder)? else { return Ok(()) };
        store::read_all(&connection, &path).map(drop)
    }

    /// The account of a name.
    pub fn account(&self, name: &Name) -> Option<Account> {
        self.read().account(name).cloned()
    }

    /// The account of this number, if it is still there.
    pub fn account_of(&self, id: AccountId) -> Option<Account> {
        self.read().account_of(id).cloned()
    }

    /// Accounts that nobody can use, each with the name of the account that has its name: they were made when a former
    /// version took two names for different ones that are the same name. The older account keeps the name, and the others
    /// are kept until it is gone.
    pub fn set_aside(&self) -> Vec<(Account, Name)> {
        self.read().set_aside()
    }

    /// The account that was registered under a name that is written like this, set aside or not.
    pub fn account_written(&self, name: &Name) -> Option<Account> {
        self.read().account_written(name).cloned()
    }

    /// All accounts, by their names. It copies them, so it is nothing to do at every login.
    pub fn accounts(&self) -> Vec<Account> {
        self.read().accounts()
    }

    /// The ban on this name.
    pub fn ban_of(&self, name: &Name, now: SystemTime) -> Option<Sanction> {
        self.sanction(Kind::Ban, &Banned::Name(name.clone()), now)
    }

    /// The ban on a place, or on the network that contains it.
    pub fn ban_on(&self, source: Network, now: SystemTime) -> Option<Sanction> {
        let ban = |source| self.sanction(Kind::Ban, &Banned::Network(source), now);
        ban(source).or_else(|| ban(source.network()))
    }

    /// What mutes this name.
    pub fn mute_of(&self, name: &Name, now: SystemTime) -> Option<Sanction> {
        self.sanction(Kind::Mute, &Banned::Name(name.clone()), now)
    }

    /// All bans in force: names first, then sources.
    pub fn bans(&self, now: SystemTime) -> Vec<(Banned, Sanction)> {
        self.read().sanctioned(Kind::Ban, now)
    }

    /// All mutes in force.
    pub fn mutes(&self, now: SystemTime) -> Vec<(Banned, Sanction)> {
        self.read().sanctioned(Kind::Mute, now)
    }

    /// Registers a name with the hash of its password.
    ///
    /// # Errors
    /// [`ChangeError::AlreadyRegistered`], [`ChangeError::Full`], [`ChangeError::NotKept`].
    pub async fn register(&self, name: Name, hash: String, now: SystemTime) -> Result<Account, ChangeError> {
        self.act(move |state| {
            let account = state.registration(name, hash, now)?;
            Ok((vec![Change::Keep(account.clone())], account))
        })
        .await
    }

    /// Gives an account another password. With `proved`, only if it still has the password with this hash.
    ///
    /// # Errors
    /// [`ChangeError::NotRegistered`], [`ChangeError::PasswordChanged`], [`ChangeError::NotKept`].
    pub async fn change_password(
        &self,
        id: AccountId,
        proved: Option<String>,
        hash: String,
    ) -> Result<(), ChangeError> {
        self.act(move |state| {
            let account = state.account_of(id).ok_or(ChangeError::NotRegistered)?;
            if proved.is_some_and(|proved| proved != account.hash) {
                return Err(ChangeError::PasswordChanged);
            }
            Ok((vec![Change::Keep(Account { hash, ..account.clone() })], ()))
        })
        .await
    }

    /// Removes an account. Its name is free then; bans and mutes of it stay.
    ///
    /// # Errors
    /// [`ChangeError::NotRegistered`], [`ChangeError::NotKept`].
    pub async fn unregister(&self, id: AccountId) -> Result<(), ChangeError> {
        self.act(move |state| {
            if !state.has(id) {
                return Err(ChangeError::NotRegistered);
            }
            Ok((vec![Change::Forget(id)], ()))
        })
        .await
    }

    /// Notes that somebody has logged in. It writes at most once [a day](LOGINS_NOTED) for each account.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`].
    pub async fn note_login(&self, id: AccountId, now: SystemTime) -> Result<(), ChangeError> {
        if self.read().login(id, now).is_none() {
            return Ok(());
        }
        self.act(move |state| Ok((state.login(id, now).into_iter().collect(), ()))).await
    }

    /// Removes the accounts that nobody has logged in with for so long, and says which.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`].
    pub async fn remove_unused(&self, time: Duration, now: SystemTime) -> Result<Vec<Account>, ChangeError> {
        self.act(move |state| {
            let unused = state.unused(time, now);
            Ok((unused.iter().map(|account| Change::Forget(account.id)).collect(), unused))
        })
        .await
    }

    /// Makes the holder of an account an operator, or no operator.
    ///
    /// # Errors
    /// [`ChangeError::NotRegistered`], [`ChangeError::NotKept`].
    pub async fn set_operator(&self, name: &Name, is_operator: bool) -> Result<(), ChangeError> {
        let name = name.clone();
        self.act(move |state| {
            let account = state.account(&name).ok_or(ChangeError::NotRegistered)?;
            Ok((vec![Change::Keep(Account { is_operator, ..account.clone() })], ()))
        })
        .await
    }

    /// Bans somebody, in place of a former ban if there is one.
    ///
    /// # Errors
    /// [`ChangeError::Full`], [`ChangeError::NotKept`].
    pub async fn ban(&self, banned: Banned, sanction: Sanction) -> Result<(), ChangeError> {
        self.act(move |state| Ok((state.imposition(Kind::Ban, banned, sanction)?, ()))).await
    }

    /// Lifts a ban, and says whether there was one in force.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`].
    pub async fn unban(&self, banned: Banned, now: SystemTime) -> Result<bool, ChangeError> {
        self.act(move |state| Ok(state.lifting(Kind::Ban, &banned, now))).await
    }

    /// Mutes a name, in place of a former mute if there is one.
    ///
    /// # Errors
    /// [`ChangeError::Full`], [`ChangeError::NotKept`].
    pub async fn mute(&self, name: Name, sanction: Sanction) -> Result<(), ChangeError> {
        self.act(move |state| Ok((state.imposition(Kind::Mute, Banned::Name(name), sanction)?, ()))).await
    }

    /// Lifts a mute, and says whether there was one in force.
    ///
    /// # Errors
    /// [`ChangeError::NotKept`].
    pub async fn unmute(&self, name: Name, now: SystemTime) -> Result<bool, ChangeError> {
        self.act(move |state| Ok(state.lifting(Kind::Mute, &Banned::Name(name), now))).await
    }

    /// Does one act, on a thread that may wait for the disk. All that must be done together is done there, where nobody can
    /// stop it half way.
    async fn act<T: Send + 'static>(
        &self,
        plan: impl FnOnce(&State) -> Result<(Vec<Change>, T), ChangeError> + Send + 'static,
    ) -> Result<T, ChangeError> {
        let mut store = self.store.lock_arc().await;
        let this = self.clone();
        unblock(move || {
            this.recover(&mut store).map_err(not_kept)?;
            let (changes, answer) = plan(&this.read())?;
            if let Err(error) = store.write(&changes) {
                // The next act tries again, if this fails too.
                let _ = this.recover(&mut store);
                return Err(not_kept(error));
            }
            this.change(|state| changes.into_iter().for_each(|change| state.apply(change)));
            Ok(answer)
        })
        .await
    }

    /// After a write failed: reads the accounts again, and holds what is in the database.
    fn recover(&self, store: &mut Store) -> Result<(), OpenError> {
        if store.is_uncertain() {
            let content = store.read()?;
            self.change(|state| *state = content.state);
        }
        Ok(())
    }

    fn sanction(&self, kind: Kind, banned: &Banned, now: SystemTime) -> Option<Sanction> {
        self.read().sanction(kind, banned, now).cloned()
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.write().unwrap_or_else(PoisonError::into_inner));
    }
}

fn not_kept(error: impl ToString) -> ChangeError {
    ChangeError::NotKept(error.to_string())
}

#[cfg(test)]
mod tests;
