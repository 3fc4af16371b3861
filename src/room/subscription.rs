//! What a session and its writer get from the broker when their peer joins, and when it moves.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::history::History;
use crate::limits::ROOMS_READ;
use crate::model::RoomName;
use crate::room::Reader;

/// The answer to a join that succeeded.
#[derive(Debug)]
pub struct Joined {
    /// The room that the peer is in.
    pub current: Subscription,
    pub moves: Moves,
}

/// What a peer is to read besides or instead of what it reads now. A step or an end in the feed of its current room
/// tells its writer to look here, so nothing needs to wait for it, and an empty one is small. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Moves(Arc<Mutex<VecDeque<Move>>>);

/// What one peer reads of one room.
#[derive(Debug)]
pub struct Subscription {
    pub reader: Reader,
    pub source: Source,
    pub(crate) counted: Counted,
}

/// Counts the subscriptions of one peer, also those of rooms that it has left and not read to the end. Each has a clone,
/// and so have the broker and the session.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counted(Arc<()>);

impl Counted {
    /// Whether there are so many that the peer must not move again.
    pub(crate) fn are_many(&self) -> bool {
        Arc::strong_count(&self.0) >= ROOMS_READ
    }
}

/// A room, as one of its readers knows it.
#[derive(Debug)]
pub struct Source {
    pub room: RoomName,
    pub history: History,
    /// The peer is in another room.
    pub is_heard: bool,
}

/// A change of what a peer reads.
#[derive(Debug)]
pub enum Move {
    /// The peer is in this room, once its reader of the room before has ended.
    Enter(Subscription),
    /// The peer also hears this room.
    Hear(Subscription),
}

impl Moves {
    pub(crate) fn push(&self, change: Move) {
        self.with(|moves| moves.push_back(change));
    }

    /// Takes the oldest one.
    pub fn take(&self) -> Option<Move> {
        self.with(VecDeque::pop_front)
    }

    fn with<T>(&self, act: impl FnOnce(&mut VecDeque<Move>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Source {
    /// The room, if its name must be said because the peer is in another one.
    pub fn heard(&self) -> Option<&RoomName> {
        Some(&self.room).filter(|_| self.is_heard)
    }
}
