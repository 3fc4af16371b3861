//! Why a change of the accounts was not made.

use thiserror::Error;

use crate::model::Name;

/// Worded for the person who requested the change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The name has an account with this spelling.
    #[error("that name is registered as {0}")]
    AlreadyRegistered(Name),
    #[error("that name is not registered")]
    NotRegistered,
    #[error("the password was changed meanwhile")]
    PasswordChanged,
    /// The limit is reached: [`ACCOUNTS`](crate::limits::ACCOUNTS) or [`SANCTIONS`](crate::limits::SANCTIONS).
    #[error("there are too many already")]
    Full,
    /// It could not be written to the disk. If the disk has kept it despite the error, it takes effect once the file
    /// can be read again.
    #[error("cannot save it: {0}")]
    NotKept(String),
}
