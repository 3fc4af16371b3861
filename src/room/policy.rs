//! Decides who may join, and with which names. No other module decides this.
//!
//! The server asks before it spends resources on a connection, and before it asks for a password. The broker asks again
//! at each join and each `/nick`, because a ban or an account may have been added meanwhile.

use std::time::SystemTime;

use crate::accounts::{Account, Accounts, Sanction};
use crate::limits::ROOM_LIMIT;
use crate::model::address::PeerAddr;
use crate::model::{AccountId, Name, RoomName};
use crate::protocol::Refusal;
use crate::room::Mute;
use crate::room::sanctions::{banned, pinned, shut_out};

/// The accounts, bans and mutes that apply.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Without accounts, there are no bans or mutes either.
    pub accounts: Option<Accounts>,
    /// Only registered names are allowed.
    pub registered_only: bool,
    /// Who may open a room.
    pub rooms: OpenRooms,
    /// How many rooms there may be.
    pub room_limit: usize,
}

/// Who may open a room that does not exist yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OpenRooms {
    Everyone,
    /// Those who are logged in to an account.
    Registered,
    /// Nobody: there are only these, and the lobby.
    Fixed(Vec<RoomName>),
}

impl Default for Policy {
    fn default() -> Self {
        Self { accounts: None, registered_only: false, rooms: OpenRooms::Everyone, room_limit: ROOM_LIMIT }
    }
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

    /// The rooms that exist even if they are empty.
    pub(crate) fn fixed_rooms(&self) -> &[RoomName] {
        if let OpenRooms::Fixed(rooms) = &self.rooms { rooms } else { &[] }
    }

    /// Whether a peer may open a room that does not exist yet. Others read the names of rooms, so a muted peer may not.
    pub(crate) fn may_open(
        &self,
        room: &RoomName,
        login: Option<AccountId>,
        mute: Option<Mute>,
    ) -> Result<(), Refusal> {
        if let Some(mute) = mute {
            return Err(shut_out(mute));
        }
        match &self.rooms {
            OpenRooms::Everyone => Ok(()),
            OpenRooms::Registered if login.is_some() => Ok(()),
            OpenRooms::Registered => Err(Refusal::OnlyRegisteredOpenRooms),
            OpenRooms::Fixed(_) => Err(Refusal::RoomsAreFixed(room.clone())),
        }
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
