//! What a connection has to prove before it gets a name.
//!
//! It knows no sockets and no room. The login asks it whether a password is required, and whether the password is right.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::accounts::{Account, Accounts, Busy, Hasher};
use crate::model::limit_key::LimitKeys;
use crate::model::{AccountId, Name, Secret};
use crate::os::password_file;
use crate::os::password_file::PasswordFileError;
use crate::protocol::Refusal;
use crate::room::Policy;
use crate::room::policy::Ownership;

/// What logins are checked against. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Auth {
    /// What everybody has to know.
    pub room_password: Option<Arc<RoomPassword>>,
    /// Who has registered a name, and who is banned.
    pub policy: Policy,
    /// What hashes the passwords.
    pub hasher: Hasher,
}

/// What somebody has to prove.
#[derive(Debug)]
pub(crate) enum Requirement {
    Nothing,
    /// That it knows the room's password.
    Room(Arc<RoomPassword>),
    /// That the name's account is its own. There may be no such account, and it is asked all the same.
    Account(Option<Account>),
}

impl Auth {
    /// Whether everybody needs a password.
    pub fn is_private(&self) -> bool {
        self.room_password.is_some() || self.policy.registered_only
    }

    pub(crate) fn accounts(&self) -> Option<&Accounts> {
        self.policy.accounts.as_ref()
    }

    /// What whoever wants this name has to prove. Who has an account need not know the room's password.
    pub(crate) fn requirement(&self, name: &Name) -> Requirement {
        match self.policy.ownership(name) {
            Ownership::Free => self.room_password.clone().map_or(Requirement::Nothing, Requirement::Room),
            Ownership::Account(account) => Requirement::Account(Some(account)),
            Ownership::Unregistered => Requirement::Account(None),
        }
    }

    /// Whether the password is what is wanted.
    ///
    /// What is wrong takes one run of the hash, whoever has an account and whoever has none: the time does not tell.
    pub(crate) async fn is_met(
        &self,
        requirement: &Requirement,
        secret: Secret,
        from: &LimitKeys,
    ) -> Result<bool, Refusal> {
        match requirement {
            Requirement::Nothing => Ok(true),
            Requirement::Room(password) if password.is(&secret) => Ok(true),
            Requirement::Room(_) => self.prove(secret, None, from).await.map(|hash| hash.is_some()),
            Requirement::Account(account) => {
                self.prove(secret, account.as_ref().map(|account| account.id), from).await.map(|hash| hash.is_some())
            }
        }
    }

    /// The account's hash, if this is its password. Somebody may have been asked for it before it was changed, so the
    /// hash is the one of now, and not one that was replaced while the password was hashed.
    ///
    /// Without an account no password is right, which takes as long to say.
    pub(crate) async fn prove(
        &self,
        secret: Secret,
        account_id: Option<AccountId>,
        from: &LimitKeys,
    ) -> Result<Option<String>, Refusal> {
        let current = || {
            let account = self.accounts().zip(account_id).and_then(|(accounts, id)| accounts.account_of(id));
            account.map(|account| account.hash)
        };
        let hash = current();
        let is_right = self.hasher.verify(secret, hash.clone(), from).await.map_err(|Busy| Refusal::Busy)?;
        Ok(hash.filter(|hash| is_right && current().as_ref() == Some(hash)))
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, secret: Secret, from: &LimitKeys) -> Result<String, Refusal> {
        self.hasher.hash(secret, from).await.map_err(|Busy| Refusal::Busy)
    }

    /// Whether an account is an operator's.
    pub(crate) fn is_operator(&self, account_id: Option<AccountId>) -> bool {
        let account = self.accounts().zip(account_id).and_then(|(accounts, id)| accounts.account_of(id));
        account.is_some_and(|account| account.is_operator)
    }
}

impl Requirement {
    pub(crate) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// How whoever wants this name is asked for it.
    pub(crate) fn question(&self, name: &Name) -> Refusal {
        match self {
            Self::Account(Some(account)) if account.name.folded() != name.folded() => {
                Refusal::OwnersPasswordRequired { name: name.into(), owner: (&account.name).into() }
            }
            _ => Refusal::PasswordRequired,
        }
    }

    /// The account that whoever has met it has.
    pub(crate) fn account(self) -> Option<AccountId> {
        match self {
            Self::Account(account) => account.map(|account| account.id),
            Self::Nothing | Self::Room(_) => None,
        }
    }
}

/// A password that everybody in the room knows.
#[derive(Debug)]
pub struct RoomPassword {
    file: PathBuf,
    current: Mutex<Secret>,
}

impl RoomPassword {
    /// The password in a file. It blocks.
    ///
    /// # Errors
    /// [`PasswordFileError`], worded for the operator.
    pub fn from_file(file: &Path) -> Result<Self, PasswordFileError> {
        Ok(Self { file: file.to_owned(), current: Mutex::new(read(file)?) })
    }

    /// Reads the file again. Whoever is in the room stays. It blocks.
    ///
    /// # Errors
    /// [`PasswordFileError`]; then the password stays what it was.
    pub fn reload(&self) -> Result<(), PasswordFileError> {
        let read = read(&self.file)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    pub(crate) fn is(&self, secret: &Secret) -> bool {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).is(secret)
    }
}

fn read(file: &Path) -> Result<Secret, PasswordFileError> {
    let secret = password_file::read(file)?;
    secret.check_strength().map_err(|why| PasswordFileError::NoPassword { path: file.to_owned(), why })?;
    Ok(secret)
}
