//! Who may come in, and who may have which name. It is decided here and nowhere else.
//!
//! The server asks before it spends anything on a connection, and before it asks for a password. The broker asks again at each
//! join and each `/nick`: a ban or an account may have been added meanwhile.

use std::time::SystemTime;

use crate::accounts::{Account, Accounts, Sanction};
use crate::model::address::PeerAddr;
use crate::model::{AccountId, Name};
use crate::protocol::Refusal;
use crate::room::Mute;
use crate::room::sanctions::{banned, pinned};

/// The accounts, bans and mutes that the server and the room go by.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Without accounts there are no bans and no mutes either.
    pub accounts: Option<Accounts>,
    /// Nobody has a name that is not registered.
    pub registered_only: bool,
}

/// What it takes to have a name.
#[derive(Debug)]
pub(crate) enum Ownership {
    /// Everybody may have it.
    Free,
    /// The password of this account.
    Account(Account),
    /// An account, which it does not have.
    Unregistered,
}

impl Policy {
    /// Whether a connection from there is let in.
    pub(crate) fn may_connect(&self, from: PeerAddr, now: SystemTime) -> Result<(), Refusal> {
        refuse_if_banned(self.accounts.as_ref().and_then(|accounts| accounts.ban_on(from.network(), now)))
    }

    pub(crate) fn ownership(&self, name: &Name) -> Ownership {
        match self.accounts.as_ref().and_then(|accounts| accounts.account(name)) {
            Some(account) => Ownership::Account(account),
            None if self.registered_only => Ownership::Unregistered,
            None => Ownership::Free,
        }
    }

    /// Whether somebody who has logged in with this account, or with none, may have a name.
    pub(crate) fn may_have(&self, name: &Name, login: Option<AccountId>, now: SystemTime) -> Result<(), Refusal> {
        self.check_ban(name, now)?;
        match self.ownership(name) {
            Ownership::Free => Ok(()),
            Ownership::Account(account) if Some(account.id) == login => Ok(()),
            Ownership::Account(account) => Err(Refusal::name_registered(name, &account.name)),
            Ownership::Unregistered => Err(Refusal::RegisteredOnly),
        }
    }

    /// Whether somebody with this name may take another one. The room is told of a ban or a mute only when it is on the disk,
    /// and nobody may get out of its way in between.
    pub(crate) fn may_give_up(&self, name: &Name, now: SystemTime) -> Result<(), Refusal> {
        self.check_ban(name, now)?;
        self.mute_of(name, now).map_or(Ok(()), |mute| Err(pinned(mute)))
    }

    /// For how long a name is muted.
    pub(crate) fn mute_of(&self, name: &Name, now: SystemTime) -> Option<Mute> {
        let sanction = self.accounts.as_ref()?.mute_of(name, now)?;
        Some(Mute { until: sanction.until() })
    }

    fn check_ban(&self, name: &Name, now: SystemTime) -> Result<(), Refusal> {
        refuse_if_banned(self.accounts.as_ref().and_then(|accounts| accounts.ban_of(name, now)))
    }
}

fn refuse_if_banned(ban: Option<Sanction>) -> Result<(), Refusal> {
    ban.map_or(Ok(()), |ban| Err(banned(&ban)))
}
