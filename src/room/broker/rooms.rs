//! The rooms of the server, and what each needs in a turn.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use futures::future::{BoxFuture, Shared};
use slab::Slab;

use crate::history::{History, NotStored};
use crate::limits::{FORMER_FEED_BYTES, ROOM_BYTES};
use crate::model::{Message, PeerId, RoomName, SafeText};
use crate::protocol::{Dialect, Reply};
use crate::room::backpressure::Backpressure;
use crate::room::feed::FormerFeeds;
use crate::room::presence::PresenceNotices;
use crate::room::recent::Recent;
use crate::room::unannounced::Unannounced;
use crate::room::{Audience, Batch, BatchBuilder, Event, Feed};

/// Ready when the history has stored something.
pub(super) type Stored = Shared<BoxFuture<'static, Result<(), NotStored>>>;

/// A batch that waits for the history to store its messages.
#[derive(Debug)]
pub(super) struct Unpublished {
    pub(super) batch: Batch,
    pub(super) messages: Arc<[Message]>,
    /// The author of each message.
    pub(super) authors: Vec<PeerId>,
    /// `None` if its numbers are not reserved yet.
    pub(super) stored: Option<Stored>,
}

/// Identifies a room while somebody is in it or hears it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct RoomId(usize);

/// The room that is always there.
pub(super) const LOBBY: RoomId = RoomId(0);

/// One room: who is in it, who hears it, and what is said there in this turn.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: RoomName,
    pub(super) feed: Feed,
    pub(super) batch: BatchBuilder,
    /// By folded name, for the order of `/who`.
    pub(super) members: BTreeMap<String, PeerId>,
    /// The peers that hear it and are in another room.
    pub(super) hearers: BTreeSet<PeerId>,
    pub(super) topic: Option<SafeText>,
    pub(super) presence: PresenceNotices,
    pub(super) unannounced: Unannounced,
    /// It stays with this room, so what waits here cannot get into a new room of the same name.
    pub(super) history: History,
    /// The number of the next message.
    pub(super) next_number: u64,
    /// Ready when the history has reserved more numbers.
    pub(super) reserving: Option<Stored>,
    pub(super) recent: Recent,
    /// Batches that wait for the history.
    pub(super) unpublished: VecDeque<Unpublished>,
    /// Events of its peers that wait until it goes on.
    pub(super) held: VecDeque<Event>,
    /// It got a full batch in this turn.
    pub(super) is_full: bool,
    /// It waits for its readers.
    pub(super) is_slow: bool,
    pub(super) backpressure: Backpressure,
    /// How many readers use each dialect.
    pub(super) dialects: [usize; Dialect::COUNT],
    /// It is among the rooms of this turn.
    is_touched: bool,
    /// When it has something to announce, at the end of its last turn.
    due: Option<Instant>,
    /// The size of the batch when the bytes of a line were last counted.
    counted: Option<usize>,
}

/// All rooms in which somebody is or which somebody hears, and the lobby.
#[derive(Debug)]
pub(super) struct Rooms {
    /// Boxed because a slab doubles its memory when it is full.
    all: Slab<Box<Room>>,
    ids: HashMap<RoomName, RoomId>,
    /// Those in which something may have happened in this turn.
    touched: Vec<RoomId>,
    /// Those in which something may have been written since bytes were last counted.
    written: Vec<RoomId>,
    /// When each has something to announce.
    due: BTreeSet<(Instant, RoomId)>,
    /// Those that have leaves to announce.
    with_leaves: BTreeSet<RoomId>,
    /// What is not read yet of rooms that are gone.
    former: FormerFeeds,
}

impl Room {
    pub(super) fn new(name: RoomName, feed: Feed, history: History, unannounced: Unannounced, now: Instant) -> Self {
        let next_number = history.next_number();
        feed.start_numbers_at(next_number);
        Self {
            name,
            feed,
            batch: BatchBuilder::default(),
            members: BTreeMap::new(),
            hearers: BTreeSet::new(),
            topic: None,
            presence: PresenceNotices::new(now),
            unannounced,
            history,
            next_number,
            reserving: None,
            recent: Recent::default(),
            unpublished: VecDeque::new(),
            held: VecDeque::new(),
            is_full: false,
            is_slow: false,
            backpressure: Backpressure::new(now),
            dialects: [0; Dialect::COUNT],
            is_touched: false,
            due: None,
            counted: None,
        }
    }

    /// Sends something to one peer.
    pub(super) fn tell(&mut self, peer: PeerId, reply: &Reply<'_>) {
        self.batch.push(Audience::Only(peer), reply);
    }

    /// The number of the newest message.
    pub(super) fn newest(&self) -> u64 {
        self.next_number - 1
    }

    /// When something is to be announced.
    fn next_notice(&self) -> Option<Instant> {
        self.presence.due().into_iter().chain(self.unannounced.due()).min()
    }

    /// Whether somebody is in it or hears it.
    pub(super) fn has_people(&self) -> bool {
        !self.members.is_empty() || !self.hearers.is_empty()
    }
}

impl Rooms {
    pub(super) fn new(lobby: Room) -> Self {
        let ids = HashMap::from([(lobby.name.clone(), LOBBY)]);
        let all = Slab::from_iter([(LOBBY.0, Box::new(lobby))]);
        let (due, with_leaves) = (BTreeSet::new(), BTreeSet::new());
        let former = FormerFeeds::new(FORMER_FEED_BYTES);
        Self { all, ids, touched: Vec::new(), written: Vec::new(), due, with_leaves, former }
    }

    pub(super) fn add(&mut self, room: Room) -> RoomId {
        let name = room.name.clone();
        let id = RoomId(self.all.insert(Box::new(room)));
        self.ids.insert(name, id);
        id
    }

    pub(super) fn id(&self, name: &RoomName) -> Option<RoomId> {
        self.ids.get(name).copied()
    }

    /// A room that somebody is in or hears.
    pub(super) fn get(&self, id: RoomId) -> &Room {
        &self.all[id.0]
    }

    pub(super) fn find(&mut self, id: RoomId) -> Option<&mut Room> {
        self.all.get_mut(id.0).map(Box::as_mut)
    }

    /// Whether there is only the lobby.
    pub(super) fn is_one(&self) -> bool {
        self.all.len() == 1
    }

    pub(super) fn get_mut(&mut self, id: RoomId) -> &mut Room {
        &mut self.all[id.0]
    }

    /// The same, in order to write something there. It counts as a room of this turn.
    pub(super) fn at(&mut self, id: RoomId) -> &mut Room {
        let room = &mut self.all[id.0];
        if !room.is_touched {
            room.is_touched = true;
            self.touched.push(id);
        }
        if room.counted.is_none() {
            room.counted = Some(room.batch.len());
            self.written.push(id);
        }
        room
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (RoomId, &Room)> {
        self.all.iter().map(|(id, room)| (RoomId(id), room.as_ref()))
    }

    pub(super) fn ids(&self) -> Vec<RoomId> {
        self.all.iter().map(|(id, _)| RoomId(id)).collect()
    }

    /// How many bytes were written since the last call, and whether a batch is full now.
    pub(super) fn count_written(&mut self) -> (usize, bool) {
        let (mut bytes, mut is_full, are_several) = (0, false, self.all.len() > 1);
        for id in self.written.drain(..) {
            // It may be gone.
            let Some(room) = self.all.get_mut(id.0) else { continue };
            let before = room.counted.take().unwrap_or_default();
            bytes += room.batch.len().saturating_sub(before);
            room.is_full |= room.batch.is_full() || are_several && room.batch.len() >= ROOM_BYTES;
            is_full |= room.batch.is_full();
        }
        (bytes, is_full)
    }

    /// Takes the rooms of this turn: first those with the shortest batches, so that the readers of a quiet room come
    /// before those of a busy one.
    pub(super) fn take_touched(&mut self) -> Vec<RoomId> {
        let mut touched = std::mem::take(&mut self.touched);
        touched.iter().for_each(|id| self.all[id.0].is_touched = false);
        touched.sort_by_key(|id| self.all[id.0].batch.len());
        touched
    }

    /// Takes the name from a room that was closed. A room that is opened with it is a new one. This one goes when all that
    /// was said in it is published.
    pub(super) fn detach(&mut self, id: RoomId) {
        self.ids.remove(&self.all[id.0].name);
    }

    /// Ends the turn of a room. If nobody is left who reads it, it is not kept in memory.
    pub(super) fn end_turn(&mut self, id: RoomId) {
        let room = &mut self.all[id.0];
        let is_kept = id == LOBBY || room.has_people() || !room.unpublished.is_empty() || !room.held.is_empty();
        let due = room.next_notice().filter(|_| is_kept);
        if due != room.due {
            if let Some(before) = std::mem::replace(&mut room.due, due) {
                self.due.remove(&(before, id));
            }
            self.due.extend(due.map(|due| (due, id)));
        }
        if is_kept && room.presence.has_leaves() {
            self.with_leaves.insert(id);
        } else {
            self.with_leaves.remove(&id);
        }
        if !is_kept {
            let room = self.all.remove(id.0);
            self.former.add(&room.feed);
            // If it was closed, its history is gone already, and the name may belong to a new room.
            if self.ids.get(&room.name) == Some(&id) {
                self.ids.remove(&room.name);
                room.history.note_given(room.newest());
                room.history.release(&room.name);
            }
        }
    }

    /// The rooms that may have something to announce now.
    pub(super) fn due_at(&self, now: Instant) -> Vec<RoomId> {
        let due = self.due.iter().take_while(|(due, _)| *due <= now).map(|(_, id)| id);
        due.chain(&self.touched).copied().collect()
    }

    /// The rooms that may have leaves to announce.
    pub(super) fn with_leaves(&self) -> Vec<RoomId> {
        self.with_leaves.iter().chain(&self.touched).copied().collect()
    }

    /// When the next room has something to announce.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}
