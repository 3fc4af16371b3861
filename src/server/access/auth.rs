//! What a connection must prove before it gets a name.
//!
//! This knows neither sockets nor the room. The login asks it whether a password is required, and whether the password
//! is right.

use std::path::Path;
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
    /// The password that everyone needs.
    pub room_password: Option<Arc<RoomPassword>>,
    /// Accounts and bans.
    pub policy: Policy,
    /// Hashes passwords.
    pub hasher: Hasher,
}

/// What a peer must prove.
#[derive(Debug)]
pub(crate) enum Requirement {
    Nothing,
    /// That it knows the server's password.
    Room(Arc<RoomPassword>),
    /// That it owns the account with this name. `None` if there is no such account: the server still asks, so that the
    /// peer cannot tell.
    Account(Option<Account>),
}

impl Auth {
    /// Whether everyone needs a password.
    pub fn is_private(&self) -> bool {
        self.room_password.is_some() || self.policy.registered_only
    }

    pub(crate) fn accounts(&self) -> Option<&Accounts> {
        self.policy.accounts.as_ref()
    }

    /// What a peer must prove to use this name. Account owners do not need the server's password.
    pub(crate) fn requirement(&self, name: &Name) -> Requirement {
        match self.policy.ownership(name) {
            Ownership::Free => self.room_password.clone().map_or(Requirement::Nothing, Requirement::Room),
            Ownership::Account(account) => Requirement::Account(Some(account)),
            Ownership::Unregistered => Requirement::Account(None),
        }
    }

    /// Whether the password meets the requirement.
    ///
    /// A wrong password always takes one run of the hash, whether or not the account exists. So the time does not
    /// reveal it.
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

    /// Returns the account's hash if this is its password. Without an account, no password is right, and the reply takes
    /// as long.
    ///
    /// The password may have been asked for before somebody changed it. So this compares it with the present hash, and
    /// checks that the hash was not replaced meanwhile.
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

    /// The question for a peer that wants this name.
    pub(crate) fn question(&self, name: &Name) -> Refusal {
        match self {
            Self::Account(Some(account)) if account.name.folded() != name.folded() => {
                Refusal::OwnersPasswordRequired { name: name.into(), owner: (&account.name).into() }
            }
            _ => Refusal::PasswordRequired,
        }
    }

    /// The account of a peer that has met the requirement.
    pub(crate) fn account(self) -> Option<AccountId> {
        match self {
            Self::Account(account) => account.map(|account| account.id),
            Self::Nothing | Self::Room(_) => None,
        }
    }
}

/// The password of the server.
#[derive(Debug)]
pub struct RoomPassword(Mutex<Secret>);

impl RoomPassword {
    /// Reads the password from a file. Blocks.
    ///
    /// # Errors
    /// [`PasswordFileError`], worded for the operator.
    pub fn from_file(file: &Path) -> Result<Self, PasswordFileError> {
        Self::read(file).map(Mutex::new).map(Self)
    }

    /// Reads a password to [`replace`](Self::replace) this one. Blocks.
    ///
    /// # Errors
    /// [`PasswordFileError`], worded for the operator.
    pub fn read(file: &Path) -> Result<Secret, PasswordFileError> {
        let secret = password_file::read(file)?;
        secret.check_strength().map_err(|why| PasswordFileError::NoPassword { path: file.to_owned(), why })?;
        Ok(secret)
    }

    pub fn replace(&self, secret: Secret) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = secret;
    }

    pub(crate) fn is(&self, secret: &Secret) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is(secret)
    }
}
