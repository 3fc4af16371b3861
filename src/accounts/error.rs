//! Why a change of the accounts was not made.

use thiserror::Error;

use crate::model::Name;

/// Why something was not done, worded for the person who wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChangeError {
    /// The name has an account, for which it is written like this.
    #[error("that name is registered as {0}")]
    AlreadyRegistered(Name),
    /// There is no such account, or no longer.
    #[error("that name is not registered")]
    NotRegistered,
    /// There are as many as may be: [`ACCOUNTS`](crate::limits::ACCOUNTS), or [`SANCTIONS`](crate::limits::SANCTIONS).
    #[error("there are too many already")]
    Full,
    /// It could not be written to the disk, and is not done. Should the disk have kept it although it reported an error,
    /// it is done once the file can be read again.
    #[error("cannot save it: {0}")]
    NotKept(String),
}
