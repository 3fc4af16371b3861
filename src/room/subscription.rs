//! What a session and its writer get from the broker when their peer joins, and when it moves.

use async_channel::Receiver;

use crate::history::History;
use crate::model::RoomName;
use crate::room::Reader;

/// The answer to a join that succeeded.
#[derive(Debug)]
pub struct Joined {
    /// The room that the peer is in.
    pub current: Subscription,
    /// What it reads later. A line or an end in the feed of its current room tells it to look here.
    pub moves: Receiver<Move>,
}

/// What one peer reads of one room.
#[derive(Debug)]
pub struct Subscription {
    pub reader: Reader,
    pub source: Source,
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

impl Source {
    /// The room, if its name must be said because the peer is in another one.
    pub fn heard(&self) -> Option<&RoomName> {
        Some(&self.room).filter(|_| self.is_heard)
    }
}
