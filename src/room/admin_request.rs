//! Requests to the room from operators and `server admin`.

use std::time::SystemTime;

use futures::channel::oneshot;

use crate::history::Forgotten;
use crate::model::address::PeerAddr;
use crate::model::{AccountId, Name, PeerId, RoomName, SafeText};
use crate::protocol::{Banned, LeaveReason, Refusal};

#[derive(Debug)]
pub enum AdminRequest {
    /// Disconnect everyone with this name, logged in to its account, or from this network.
    Expel {
        whom: Banned,
        /// What they are told.
        refusal: Refusal,
        /// What the others are told.
        reason: LeaveReason,
        /// The peer that wrote the reason.
        by: Option<PeerId>,
        /// The people who were disconnected. Every request is answered.
        answer: oneshot::Sender<Vec<Person>>,
    },
    /// Mute or unmute everyone with this name or logged in to its account.
    Mute {
        whom: Name,
        /// `None` lifts the mute.
        mute: Option<Mute>,
        /// The people who are affected.
        answer: oneshot::Sender<Vec<Person>>,
    },
    /// Send an announcement to everyone.
    Announce(SafeText),
    /// List the rooms, and how many people are in each.
    ListRooms(oneshot::Sender<Vec<(RoomName, usize)>>),
    /// Send everyone in a room to the lobby, and forget what was said there.
    CloseRoom {
        room: RoomName,
        /// `None` for `server admin`.
        by: Option<SafeText>,
        reason: Option<SafeText>,
        /// Ready when that is on the disk. `None` if there was no such room.
        answer: oneshot::Sender<Option<Forgotten>>,
    },
    /// List the people in all rooms.
    ListPeople(oneshot::Sender<Vec<Person>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mute {
    /// `None`: until it is lifted.
    pub until: Option<SystemTime>,
}

/// A question whether the broker works. Unlike an event, it does not wait for slow readers of a room.
pub type Ping = oneshot::Sender<Counts>;

/// How many people and rooms there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    pub people: usize,
    pub rooms: usize,
}

/// A person in any room, as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// Identifies its connection in the log.
    pub peer: PeerId,
    pub name: Name,
    pub room: RoomName,
    pub from: PeerAddr,
    pub account_id: Option<AccountId>,
    /// The mute in force, if any.
    pub mute: Option<Mute>,
}
