//! The admission: what somebody has to prove before a name is theirs.
//!
//! It knows no socket and no room: the login asks it, and it says whether a password is wanted, and whether it is right.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use crate::network::Networks;
use crate::origin::Origin;
use crate::protocol::{Name, Refusal, Secret};
use crate::registry::{Account, AccountId, Busy, Hasher, Registry};
use crate::room::banned;
use crate::secret_file::{self, SecretFileError};

/// Who may come in.
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// What everybody has to know.
    pub room_password: Option<Arc<RoomPassword>>,
    /// Passwords are taken over connections that others can read.
    pub allow_plain_password: bool,
    /// Who has registered a name, and who is banned.
    pub registry: Option<Registry>,
    /// Nobody comes in who has not.
    pub registered_only: bool,
    /// What hashes the passwords.
    pub hasher: Hasher,
}

/// What somebody has to prove.
#[derive(Debug)]
pub(super) enum Demand {
    Nothing,
    /// That it knows the room's password.
    Room(Arc<RoomPassword>),
    /// That the name's account is its own. There may be no such account, and it is asked all the same.
    Account(Option<Account>),
}

impl Admission {
    /// Whether everybody needs a password.
    pub fn is_private(&self) -> bool {
        self.room_password.is_some() || self.registered_only
    }

    /// What whoever wants this name has to prove. Who has an account need not know the room's password.
    pub(super) fn demand(&self, name: &Name) -> Demand {
        match self.registry.as_ref().and_then(|registry| registry.account(name)) {
            None if !self.registered_only => self.room_password.clone().map_or(Demand::Nothing, Demand::Room),
            account => Demand::Account(account),
        }
    }

    /// Whether the password is what is wanted.
    ///
    /// What is wrong takes one run of the hash, whoever has an account and whoever has none: the time does not tell.
    pub(super) async fn is_met(&self, demand: &Demand, secret: Secret, from: &Networks) -> Result<bool, Refusal> {
        match demand {
            Demand::Nothing => Ok(true),
            Demand::Room(password) if password.is(&secret) => Ok(true),
            Demand::Room(_) => self.verify(secret, None, from).await,
            Demand::Account(account) => {
                self.verify(secret, account.as_ref().map(|account| account.hash.clone()), from).await
            }
        }
    }

    /// Whether a hash is that of this password; where there is none, it is not.
    pub(super) async fn verify(&self, secret: Secret, hash: Option<String>, from: &Networks) -> Result<bool, Refusal> {
        self.hasher.verify(secret, hash, from).await.map_err(|Busy| Refusal::Busy)
    }

    /// The hash of a new password.
    pub(super) async fn hash(&self, secret: Secret, from: &Networks) -> Result<String, Refusal> {
        self.hasher.hash(secret, from).await.map_err(|Busy| Refusal::Busy)
    }

    /// Whether an account is an operator's.
    pub(super) fn is_operator(&self, member: Option<AccountId>) -> bool {
        let account = self.registry.as_ref().zip(member).and_then(|(registry, member)| registry.account_of(member));
        account.is_some_and(|account| account.is_operator)
    }

    /// Whether somebody from there may come in at all.
    pub(super) fn may_enter(&self, from: Origin) -> Result<(), Refusal> {
        let ban = self.registry.as_ref().and_then(|registry| registry.ban_on(from.source(), SystemTime::now()));
        ban.map_or(Ok(()), |ban| Err(banned(&ban)))
    }
}

impl Demand {
    pub(super) fn is_nothing(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    /// How whoever wants this name is asked for it.
    pub(super) fn question(&self, name: &Name) -> Refusal {
        match self {
            Self::Account(Some(account)) if account.name.folded() != name.folded() => {
                Refusal::OwnersPasswordRequired { name: name.into(), owner: (&account.name).into() }
            }
            _ => Refusal::PasswordRequired,
        }
    }

    /// The account that whoever has met it has.
    pub(super) fn account(self) -> Option<AccountId> {
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
    /// [`SecretFileError`], worded for the operator.
    pub fn from_file(file: &Path) -> Result<Self, SecretFileError> {
        Ok(Self { file: file.to_owned(), current: Mutex::new(read(file)?) })
    }

    /// Reads the file again. Whoever is in the room stays. It blocks.
    ///
    /// # Errors
    /// [`SecretFileError`]; then the password stays what it was.
    pub fn reload(&self) -> Result<(), SecretFileError> {
        let read = read(&self.file)?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = read;
        Ok(())
    }

    pub(super) fn is(&self, secret: &Secret) -> bool {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).is(secret)
    }
}

fn read(file: &Path) -> Result<Secret, SecretFileError> {
    let secret = secret_file::read(file)?;
    secret.check_strength().map_err(|why| SecretFileError::NoPassword { path: file.to_owned(), why })?;
    Ok(secret)
}
