//! How the broker numbers, stores and replays messages.

use std::sync::Arc;

use async_io::Timer;
use futures::FutureExt;
use futures::future::{Either, select};

use crate::history::{History, NotStored, Retention};
use crate::limits::STORE_WAIT;
use crate::model::{Message, Name, PeerId, RoomName};
use crate::protocol::{JoinOptions, Refusal, Reply, Since};
use crate::room::batch::Control;
use crate::room::broker::rooms::{LOBBY, Room, RoomId, Stored, Unpublished};
use crate::room::{Broker, Replay, Turn, Uses};

impl Room {
    /// What the next batch has to provide. A file needs all numbers, even if it keeps no messages.
    fn uses(&self, is_recorded: bool) -> Uses {
        let dialects = self.dialects.map(|readers| readers > 0);
        Uses { dialects, values: is_recorded || self.history.ceiling() < u64::MAX }
    }

    /// Begins its first batch.
    pub(super) fn begin(&mut self, is_recorded: bool) {
        self.batch.take(self.uses(is_recorded));
    }

    /// Makes the history reserve numbers, if the next message needs one above those that are reserved.
    pub(super) fn reserve_numbers(&mut self) {
        if self.next_number > self.history.ceiling() && !self.is_reserving() {
            self.reserving = Some(self.history.reserve().boxed().shared());
        }
    }

    fn is_reserving(&self) -> bool {
        self.reserving.clone().is_some_and(|reserving| reserving.now_or_never().is_none())
    }

    /// Ends the batch of this turn. It is published at once if it need not wait for the history.
    fn publish(&mut self, is_recorded: bool) {
        let Turn { batch, messages, authors } = self.batch.take(self.uses(is_recorded));
        if messages.is_empty() && self.unpublished.is_empty() {
            return self.feed.publish(batch);
        }
        let messages: Arc<[Message]> = messages.into();
        let are_reserved = messages.last().is_none_or(|last| last.number <= self.history.ceiling());
        let stored = are_reserved.then(|| self.history.append(Arc::clone(&messages)).boxed().shared());
        let is_stored = stored.as_ref().is_some_and(|stored| stored.clone().now_or_never() == Some(Ok(())));
        let unpublished = Unpublished { batch, messages, authors, stored };
        if self.unpublished.is_empty() && is_stored {
            self.show(unpublished);
        } else {
            self.unpublished.push_back(unpublished);
        }
    }

    fn show(&mut self, Unpublished { batch, messages, .. }: Unpublished) {
        self.recent.push(&messages);
        self.feed.publish(batch);
    }

    /// Nobody can continue after a message that is yet to come.
    pub(super) fn check_since(&self, since: Since) -> Result<(), Refusal> {
        match since {
            Since::Number(number) if number > self.newest() => Err(Refusal::BadSince(self.newest())),
            _ => Ok(()),
        }
    }
}

impl Broker {
    /// Stores messages in this history, and shows newcomers the newest `replay` ones.
    pub fn with_history(mut self, history: History, replay: usize) -> Self {
        self.is_recorded = history.retention() != Retention::Nothing;
        self.replay = if self.is_recorded { replay } else { 0 };
        self.history = history;
        let lobby = self.make_room(RoomName::lobby());
        *self.rooms.at(LOBBY) = lobby;
        self
    }

    /// Ends the batches of this turn. Each is published at once if it need not wait for the history.
    pub fn publish(&mut self) {
        for id in self.rooms.take_touched() {
            let room = self.rooms.get_mut(id);
            if !room.batch.is_empty() {
                room.publish(self.is_recorded);
                self.published.push(id);
                if !room.unpublished.is_empty() && !self.waiting.contains(&id) {
                    self.waiting.push(id);
                }
            }
            self.rooms.end_turn(id);
        }
        if self.feeds.is_far_exceeded() {
            self.rooms.iter().for_each(|(_, room)| room.feed.trim());
        }
        self.history.trim();
    }

    /// Publishes what waits for the history. Waits only a short time, unless each message must be stored.
    pub(super) async fn publish_when_stored(&mut self) {
        while let Some(id) = self.waiting.pop() {
            while let Some(mut unpublished) = self.rooms.get_mut(id).unpublished.pop_front() {
                if self.may_be_shown(id, &mut unpublished).await {
                    self.rooms.get_mut(id).show(unpublished);
                } else {
                    let Unpublished { batch, authors, .. } = unpublished;
                    self.rooms.get_mut(id).feed.publish(batch.without_messages());
                    authors.into_iter().for_each(|author| self.refuse_unstored(author));
                    self.publish();
                }
            }
            self.rooms.end_turn(id);
        }
    }

    /// Waits until messages are stored. If that takes too long, they may be shown, and nobody waits again until the
    /// history has caught up: it reports what it could not store, and readers learn about the gap. But nobody may see
    /// messages whose numbers could be given again, or which must be stored and could not be.
    async fn may_be_shown(&mut self, id: RoomId, unpublished: &mut Unpublished) -> bool {
        let room = self.rooms.get_mut(id);
        let stored = match &unpublished.stored {
            Some(stored) => stored.clone(),
            None => {
                let reserving = room.reserving.clone();
                if let Some(reserving) = reserving
                    && self.wait_for_history(reserving).await != Some(Ok(()))
                {
                    return false;
                }
                // The room may have been closed meanwhile. Then its history stores nothing more.
                let history = &self.rooms.get(id).history;
                history.append(Arc::clone(&unpublished.messages)).boxed().shared()
            }
        };
        if self.history.must_store() {
            return stored.await.is_ok();
        }
        self.wait_for_history(stored).await;
        true
    }

    /// Waits for the history, but only a short time. If something else is late already, it does not wait at all.
    async fn wait_for_history(&mut self, stored: Stored) -> Option<Result<(), NotStored>> {
        if self.late.clone().is_some_and(|late| late.now_or_never().is_none()) {
            self.late = Some(stored);
            return None;
        }
        self.late = None;
        match select(stored, Timer::after(STORE_WAIT)).await {
            Either::Left((result, _)) => Some(result),
            Either::Right((_, stored)) => {
                self.late = Some(stored);
                None
            }
        }
    }

    /// Takes back a message that could not be stored.
    fn refuse_unstored(&mut self, author: PeerId) {
        if let Some(sender) = self.peers.get_mut(&author) {
            sender.accepted -= 1;
        }
        self.refuse(author, &Refusal::MessageNotKept);
    }

    /// Whose messages a peer does not want.
    pub(super) fn ignored_by(&self, peer: PeerId) -> Vec<Name> {
        self.ignores.names(peer, |followed| &self.peers[&followed].name)
    }

    /// Changes how messages are written for a peer.
    pub(super) fn use_ids(&mut self, peer: PeerId, has_ids: bool) {
        let Some(user) = self.peers.get_mut(&peer) else { return };
        let before = (user.dialect(), user.dialect_of_heard());
        user.has_ids = has_ids;
        let after = (user.dialect(), user.dialect_of_heard());
        self.rooms.at(user.room).change_dialect(peer, before.0, after.0);
        for room in &user.heard {
            self.rooms.at(*room).change_dialect(peer, before.1, after.1);
        }
        self.rooms.at(user.room).tell(peer, &Reply::Ids(has_ids));
    }

    /// Shows a newcomer of a room what it has asked for, or what newcomers usually see.
    pub(super) fn replay_to_newcomer(&mut self, peer: PeerId, options: &JoinOptions, is_waiting: bool) {
        let JoinOptions { since, last, replay, .. } = *options;
        if since.is_some() || last.is_some() {
            return self.add_replay(peer, since, last, Why::Asked);
        }
        let Some(newcomer) = self.peers.get(&peer) else { return };
        let count = match replay {
            Some(count) => count,
            None if is_waiting => newcomer.replay,
            None => 0,
        };
        if count == 0 || !self.is_recorded {
            return;
        }
        let room = self.rooms.at(newcomer.room);
        let oldest = room.history.extent().map(|extent| extent.oldest);
        if count == room.recent.limit() && room.recent.is_complete(room.batch.values(), oldest) {
            let turn = room.batch.values();
            if let Some(text) = room.recent.render(turn, newcomer.dialect(), &room.name, self.date.into()) {
                room.batch.control(peer, Control::Send(text));
            }
        } else {
            self.add_replay(peer, None, Some(count), Why::Usual);
        }
    }

    /// Makes a peer's writer send messages from the history of the room that it is in.
    pub(super) fn replay(&mut self, peer: PeerId, since: Option<Since>, last: Option<usize>) -> Result<(), Refusal> {
        if since.is_none() && self.history.retention() == Retention::Nothing {
            return Err(Refusal::NoHistory);
        }
        let has_room = self.peers.get(&peer).is_none_or(|asking| asking.waiting.add());
        if !has_room {
            return Err(Refusal::TooManyReplays);
        }
        self.add_replay(peer, since, last, Why::Command);
        Ok(())
    }

    fn add_replay(&mut self, peer: PeerId, since: Option<Since>, last: Option<usize>, why: Why) {
        let Some(asking) = self.peers.get(&peer) else { return };
        self.replay_in(asking.room, peer, since, last, why);
    }

    /// Makes a peer's writer send messages from the history of a room that the peer reads.
    pub(super) fn replay_in(&mut self, id: RoomId, peer: PeerId, since: Option<Since>, last: Option<usize>, why: Why) {
        let ignored = self.ignored_by(peer);
        let Some(asking) = self.peers.get(&peer) else { return };
        if why != Why::Command {
            asking.waiting.add();
        }
        let room = self.rooms.at(id);
        let replay = Replay {
            after: since.map(|since| since.resolve(self.date)),
            newest: last,
            up_to: room.newest(),
            ignored,
            is_unasked: why == Why::Usual,
            now: self.date.into(),
            // Someone who comes back after a lost connection should not have to wait for it.
            payer: (why == Why::Command).then(|| Arc::clone(&asking.throttle)),
            waiting: asking.waiting.clone(),
        };
        room.batch.control(peer, Control::Replay(Arc::new(replay)));
    }

    /// Sends a peer what its search has found.
    pub(super) fn show_found(&mut self, peer: PeerId, room: &RoomName, messages: &[Message], has_more: bool) {
        let Some(asking) = self.peers.get(&peer) else { return };
        let here = self.rooms.at(asking.room);
        for message in messages {
            here.tell(peer, &asking.dialect().replayed(room, message, self.date.into()));
        }
        here.tell(peer, &Reply::Found { count: messages.len() as u64, has_more });
    }
}

/// Why messages are replayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nobody has asked for it.
    Usual,
    /// The peer has asked for it as it joined.
    Asked,
    /// The peer has asked for it since.
    Command,
}
