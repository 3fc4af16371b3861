//! Decides who may join, and with which names. No other module decides this.
//!
//! The server asks before it spends resources on a connection, and before it asks for a password. The broker asks again
//! at each join and each `/nick`, because a ban or an account may have been added meanwhile.

use std::time::SystemTime;

use crate::accounts::{Account, Accounts, Sanction};
use crate::model::address::PeerAddr;
use crate::model::{AccountId, Name};
use crate::protocol::Refusal;
use crate::room::Mute;
use crate::room::sanctions::{banned, pinned};

/// The accounts, bans and mutes that apply.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Without accounts, there are no bans or mutes either.
    pub accounts: Option<Accounts>,
    /// Only registered names are allowed.
    pub registered_only: bool,
}

/// What a peer needs to use a name.
#[derive(Debug)]
pub(crate) enum Ownership {
    /// Anyone may use it.
    Free,
    /// The password of this account.
    Account(Account),
    /// An account, but there is none for this name.
    Unregistered,
}

impl Policy {
    /// Whether connections from this address are allowed.
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

    /// Whether a peer may use a name. `login` is the account that it has logged in to.
    pub(crate) fn may_have(&self, name: &Name, login: Option<AccountId>, now: SystemTime) -> Result<(), Refusal> {
        self.check_ban(name, now)?;
        match self.ownership(name) {
            Ownership::Free => Ok(()),
            Ownership::Account(account) if Some(account.id) == login => Ok(()),
            Ownership::Account(account) => Err(Refusal::name_registered(name, &account.name)),
            Ownership::Unregistered => Err(Refusal::RegisteredOnly),
        }
    }

    /// Whether a peer with this name may take another one. The room learns of a ban or mute only after it is on disk,
    /// and nobody may evade it in between.
    pub(crate) fn may_give_up(&self, name: &Name, now: SystemTime) -> Result<(), Refusal> {
        self.check_ban(name, now)?;
        self.mute_of(name, now).map_or(Ok(()), |mute| Err(pinned(mute)))
    }

    /// The mute of a name, if there is one.
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
