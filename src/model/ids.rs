//! Numbers that stand for a peer and for an account.

use std::fmt;

/// Who a connection is, for as long as it lasts. Never given twice, so a late event cannot hit a newcomer of the
/// same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

/// The number of an account. It is never given to another one, also after the account is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}
