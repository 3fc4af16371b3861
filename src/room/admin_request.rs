//! What the room is asked to do by operators and by `server admin`.

use std::time::SystemTime;

use futures::channel::oneshot;

use crate::model::address::PeerAddr;
use crate::model::{AccountId, Name, PeerId, SafeText};
use crate::protocol::{Banned, LeaveReason, Refusal};

/// One thing that the room is to do.
#[derive(Debug)]
pub enum AdminRequest {
    /// Everybody who has that name, or has logged in to its account, or comes from there, is to go.
    Expel {
        /// Whom.
        whom: Banned,
        /// What they are told.
        refusal: Refusal,
        /// What the others are told.
        reason: LeaveReason,
        /// The peer whose words the reason has.
        by: Option<PeerId>,
        /// Who went. Every order is answered.
        answer: oneshot::Sender<Vec<Person>>,
    },
    /// Everybody who has that name, or has logged in to its account, may say nothing from now on, or may again.
    Mute {
        /// Whom.
        whom: Name,
        /// Until when; `None`: no longer.
        mute: Option<Mute>,
        /// Whom it concerns.
        answer: oneshot::Sender<Vec<Person>>,
    },
    /// Everybody is told something.
    Announce(SafeText),
    /// Who is here?
    Census(oneshot::Sender<Vec<Person>>),
}

/// How long somebody may say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mute {
    /// Until when; `None`: until it is lifted.
    pub until: Option<SystemTime>,
}

/// Somebody in the room, as those see it who keep order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Person {
    /// The number of its connection in the log.
    pub peer: PeerId,
    /// Its name.
    pub name: Name,
    /// Where it comes from.
    pub from: PeerAddr,
    /// Its account.
    pub account_id: Option<AccountId>,
    /// The mute that holds for it.
    pub mute: Option<Mute>,
}
