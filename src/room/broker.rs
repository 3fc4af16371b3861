//! The broker: the task that owns the peers and the rooms, and puts what is said in order.
//!
//! It takes events from the sessions and publishes batches to the feeds of the rooms. It waits for its inbox, for the end
//! of a round, and for the history. If the readers of a room are far behind, only that room waits for them.
//! `handle` is synchronous, so the room can be tested without an executor.

mod history;
mod moderation;
mod moving;
mod rooms;
mod turns;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::history::History;
use crate::log::{Log, Record};
use crate::model::address::PeerAddr;
use crate::model::budget::Budget;
use crate::model::{AccountId, Message, Name, PeerId, RoomName, SafeText};
use crate::protocol::{Command, Dialect, LeaveReason, Refusal, Reply};
use crate::room::broker::rooms::{RoomId, Rooms, Stored};
use crate::room::event::HistoryAnswer;
use crate::room::ignores::Ignores;
use crate::room::names::NameTable;
use crate::room::presence::Leave;
use crate::room::replay::Waiting;
use crate::room::unannounced::Unannounced;
use crate::room::{Audience, Counted, Event, Feed, Moves, Mute, PeerSet, Policy, Throttle};

/// The state of all rooms, and what is being said in this turn.
#[derive(Debug)]
pub struct Broker {
    rooms: Rooms,
    peers: HashMap<PeerId, Peer>,
    names: NameTable,
    ignores: Ignores,
    policy: Policy,
    /// The history of the lobby, from which those of all rooms come.
    history: History,
    /// The memory for the feeds of all rooms.
    feeds: Budget,
    /// Messages are stored.
    is_recorded: bool,
    /// How many messages newcomers are shown.
    replay: usize,
    /// How long a peer must have been in a room before that is announced.
    announce_after: Duration,
    log: Log,
    /// Rooms that hold events of their peers.
    held: BTreeSet<RoomId>,
    /// A batch of this turn was full.
    is_full: bool,
    /// The rooms wait for most of their readers without a time limit.
    waits_for_readers: bool,
    /// The start of this turn.
    now: Instant,
    /// The same in wall-clock time, which bans and mutes use.
    date: SystemTime,
    /// The rooms in which something was published in this turn.
    published: Vec<RoomId>,
    /// Rooms with batches that wait for the history.
    waiting: Vec<RoomId>,
    /// Who asked for the history in this turn.
    history_asked: Vec<(PeerId, HistoryAnswer)>,
    /// The history has not stored this yet, and nobody waits for it.
    late: Option<Stored>,
    /// The server is stopping. Peers that leave still receive the lines of those who leave later. The rooms end with
    /// the last of them.
    closing: bool,
}

#[derive(Debug)]
struct Peer {
    name: Name,
    from: PeerAddr,
    account_id: Option<AccountId>,
    mute: Option<Mute>,
    /// It is in this room.
    room: RoomId,
    /// It also hears these.
    heard: Vec<RoomId>,
    /// Where its writer learns of rooms to read.
    moves: Moves,
    /// What its writer reads, and is still to read.
    subscriptions: Counted,
    has_ids: bool,
    /// How many messages it is shown when it enters a room.
    replay: usize,
    accepted: u64,
    refused: u64,
    /// The number of its join of the room, while that is not announced.
    unannounced: Option<u64>,
    /// What its session is told about its pace.
    throttle: Arc<Throttle>,
    /// The room that holds events of it, and how many.
    held: Option<(RoomId, usize)>,
    /// The replays that it waits for.
    waiting: Waiting,
    /// It has left while the server is stopping.
    is_done: bool,
}

impl Broker {
    /// An empty lobby. The feeds of all rooms keep about `feed_bytes` for readers that lag.
    pub fn new(feed_bytes: usize, log: Log, now: Instant) -> Self {
        let feeds = Budget::new(feed_bytes);
        let history = History::off();
        let lobby =
            rooms::Room::new(RoomName::lobby(), Feed::new(&feeds), history.clone(), Unannounced::default(), now);
        Self {
            rooms: Rooms::new(lobby),
            peers: HashMap::new(),
            names: NameTable::default(),
            ignores: Ignores::default(),
            policy: Policy::default(),
            history,
            feeds,
            is_recorded: false,
            replay: 0,
            announce_after: Duration::ZERO,
            log,
            held: BTreeSet::new(),
            is_full: false,
            waits_for_readers: false,
            now,
            date: SystemTime::UNIX_EPOCH,
            published: Vec::new(),
            waiting: Vec::new(),
            history_asked: Vec::new(),
            late: None,
            closing: false,
        }
    }

    /// Uses this policy. Without one, everybody may join with any name.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Makes the rooms wait without a time limit when half or more of their readers lag.
    ///
    /// They must not do so with rate limits on: many peers that send, and read slowly, could bring the others to a halt.
    pub fn wait_for_readers(mut self, waits_for_readers: bool) -> Self {
        self.waits_for_readers = waits_for_readers;
        self
    }

    /// Announces joins after this time, and not at all if the peer has left by then. By default joins are announced at
    /// once.
    pub fn announce_after(mut self, time: Duration) -> Self {
        self.announce_after = time;
        self.rooms.at(rooms::LOBBY).unannounced = Unannounced::new(time);
        self
    }

    /// Begins a turn and announces what is due by `now`.
    pub fn tick(&mut self, now: Instant, date: SystemTime) {
        (self.now, self.date) = (now, date);
        for id in self.rooms.due_at(now) {
            let room = self.rooms.at(id);
            if room.presence.due().is_some_and(|due| due <= now) {
                room.presence.tell(&mut room.batch);
            }
            self.announce_due(id);
        }
        self.rooms.count_written();
    }

    /// Announces peers that have been in a room for long enough.
    fn announce_due(&mut self, id: RoomId) {
        while let Some(peer) = self.rooms.at(id).unannounced.pop_due(self.now) {
            self.announce(id, peer);
        }
    }

    /// Announces a peer that was just taken from the unannounced ones.
    fn announce(&mut self, id: RoomId, peer: PeerId) {
        let Some(newcomer) = self.peers.get_mut(&peer) else { return };
        let room = self.rooms.at(id);
        newcomer.unannounced = None;
        if room.presence.joins(peer, &newcomer.name, room.members.len().saturating_sub(1), self.now) {
            room.batch.push(room.unannounced.audience(peer), &Reply::Joined(&newcomer.name));
        }
    }

    /// Handles one event. The resulting lines go into the batches of this turn. They are published when one is full.
    pub fn handle(&mut self, event: Event) {
        match event {
            Event::Join { join, answer } => {
                // If the session is gone, nobody receives the answer; its leave follows.
                let _ = answer.send(self.join(*join));
            }
            Event::Lines { peer, lines, bytes } => {
                let mut written = 0;
                for line in lines {
                    self.line(peer, line);
                    let (bytes, is_full) = self.rooms.count_written();
                    written += bytes;
                    if is_full {
                        self.is_full = true;
                        self.publish();
                    }
                }
                self.charge(peer, written.saturating_sub(bytes));
            }
            Event::Slowed { peer } => {
                if let Some(slowed) = self.peers.get(&peer) {
                    self.rooms.at(slowed.room).tell(peer, &Reply::Slowed);
                    self.log.note(Record::Slowed { peer, from: slowed.from });
                }
            }
            Event::Ask { peer, answer } => {
                if let Some(asked) = self.peers.get(&peer) {
                    // The session may be gone.
                    let _ = answer.send(asked.as_person(peer, &self.rooms, self.date));
                }
            }
            Event::AskHistory { peer, answer } => self.history_asked.push((peer, answer)),
            Event::Found { peer, room, messages, has_more } => {
                self.show_found(peer, &room, &messages, has_more);
                let written = self.count_written();
                self.charge(peer, written);
            }
            Event::Tell { peer, told } => {
                self.tell(peer, told);
                let written = self.count_written();
                self.charge(peer, written);
            }
            Event::SetAccount { peer, account_id } => {
                self.peers.entry(peer).and_modify(|peer| peer.account_id = account_id);
            }
            Event::AdminRequest(request) => self.handle_admin(*request),
            Event::Leave { peer, reason } => self.leave(peer, reason, Some(peer)),
            Event::Shutdown => {
                self.handle_held();
                self.closing = true;
                for id in self.rooms.ids() {
                    let room = self.rooms.at(id);
                    room.unannounced.clear();
                    room.presence.tell(&mut room.batch);
                    room.batch.push(Audience::Everyone, &Reply::ShuttingDown);
                }
            }
        }
        self.count_written();
    }

    /// How many bytes were written since the last call.
    fn count_written(&mut self) -> usize {
        let (bytes, is_full) = self.rooms.count_written();
        self.is_full |= is_full;
        bytes
    }

    fn is_over(&self) -> bool {
        self.closing && self.peers.is_empty()
    }

    /// Charges a peer for what its lines caused beyond their own size: replies, and text that grew when it was made
    /// safe.
    fn charge(&self, peer: PeerId, bytes: usize) {
        if let Some(peer) = self.peers.get(&peer) {
            peer.throttle.charge(bytes);
        }
    }

    /// Removes a peer and announces that. `author` may have written a part of the reason.
    fn leave(&mut self, peer: PeerId, reason: Option<LeaveReason>, author: Option<PeerId>) {
        if !self.closing {
            // The words of a muted peer reach neither the others nor the log.
            let is_muted = self.peers.get(&peer).is_some_and(|peer| peer.is_muted(self.date).is_some());
            let reason = reason.filter(|reason| !(is_muted && matches!(reason, LeaveReason::Quit(_))));
            let has_words = reason.as_ref().is_some_and(LeaveReason::has_words_of_a_user);
            let author = author.filter(|_| has_words);
            let ignored_by = author.map_or_else(PeerSet::default, |author| self.ignores.who_ignores_peer(author));
            if let Some(Peer { name, room, unannounced: None, .. }) = self.dismiss(peer, reason.clone()) {
                self.announce_leave(room, Leave { peer, name, reason, ignored_by });
            }
            return;
        }
        if let Some(left) = self.peers.get_mut(&peer) {
            left.is_done = true;
        }
        if self.peers.values().all(|peer| peer.is_done) {
            let all: Vec<_> = self.peers.keys().copied().collect();
            for peer in all {
                self.dismiss(peer, None);
            }
        }
    }

    fn announce_leave(&mut self, id: RoomId, leave: Leave) {
        let room = self.rooms.at(id);
        room.presence.leaves(leave, room.members.len(), self.now, &mut room.batch);
    }

    /// Removes a peer from the server, with its farewell. Its name is free now.
    fn dismiss(&mut self, peer: PeerId, reason: Option<LeaveReason>) -> Option<Peer> {
        let left = self.peers.remove(&peer)?;
        let Peer { ref name, from, accepted, refused, .. } = left;
        for id in &left.heard {
            self.rooms.at(*id).stop_hearing(peer, &left);
        }
        self.names.remove(name);
        self.ignores.left(peer, &self.names);
        let room = self.rooms.at(left.room);
        room.remove(peer, &left);
        let since = self.is_recorded.then_some(room.newest());
        let bye = Reply::Bye { name, accepted, refused, room: &room.name, since };
        room.batch.push(Audience::Farewell(peer), &bye);
        self.log.note(Record::Left { peer, name: name.clone(), from, reason, accepted, refused });
        Some(left)
    }

    fn line(&mut self, peer: PeerId, line: Result<Command, Refusal>) {
        let done = line.and_then(|command| self.command(peer, command));
        if let Err(refusal) = done {
            self.refuse(peer, &refusal);
        }
    }

    fn refuse(&mut self, peer: PeerId, refusal: &Refusal) {
        if let Some(sender) = self.peers.get_mut(&peer) {
            sender.refused += 1;
            self.rooms.at(sender.room).tell(peer, &Reply::Refused(refusal));
            self.log.note(Record::Refused { peer, from: sender.from, code: refusal.code() });
        }
    }

    fn command(&mut self, peer: PeerId, command: Command) -> Result<(), Refusal> {
        let Some(sender) = self.peers.get(&peer) else { return Ok(()) };
        if let Some(mute) = sender.is_muted(self.date) {
            match &command {
                Command::Say(_) | Command::SayIn(..) | Command::Tell { .. } | Command::Topic(Some(_)) => {
                    return Err(crate::room::sanctions::silenced(mute));
                }
                Command::Rename(_) => return Err(crate::room::sanctions::pinned(mute)),
                _ => {}
            }
        }
        let here = sender.room;
        match command {
            Command::Say(text) => self.say(peer, here, text),
            Command::SayIn(room, text) => {
                let room = self.heard_by(peer, &room)?;
                self.say(peer, room, text);
            }
            Command::Tell { to, text } => self.tell_privately(peer, &to, &text)?,
            Command::Rename(name) => self.rename(peer, *name)?,
            Command::Ignore(name) => self.ignore(peer, &name)?,
            Command::Unignore(name) => self.unignore(peer, &name)?,
            Command::Ignored => self.list_ignored(peer),
            Command::Who(room) => self.list_people(peer, room.as_ref())?,
            Command::Join(room) => self.go_to(peer, &room)?,
            Command::Rooms => self.list_rooms(peer),
            Command::Topic(change) => self.topic(peer, change),
            Command::Hear(room, since) => self.hear(peer, &room, since)?,
            Command::Heard => self.list_heard(peer),
            Command::Deaf(room) => self.stop_hearing(peer, &room)?,
            Command::Help => self.rooms.at(here).tell(peer, &Reply::Help),
            Command::Ping(token) => self.rooms.at(here).tell(peer, &Reply::Pong(token.as_ref())),
            Command::Ids(has_ids) => self.use_ids(peer, has_ids),
            Command::Since(since) => {
                self.rooms.get(here).check_since(since)?;
                self.replay(peer, Some(since), None)?;
            }
            Command::Last(count) => self.replay(peer, None, Some(count))?,
            // The session leaves by an event of its own, so that there is only one way out. It also does what must wait
            // for a password or the disk.
            Command::Quit(_) | Command::Account(_) | Command::Moderation(_) | Command::Grep(_) => {}
        }
        Ok(())
    }

    /// Sends a message to everyone else who is in a room or hears it.
    fn say(&mut self, peer: PeerId, id: RoomId, text: SafeText) {
        let Some(sender) = self.peers.get_mut(&peer) else { return };
        let room = self.rooms.at(id);
        room.reserve_numbers();
        let number = room.next_number;
        room.next_number += 1;
        sender.accepted += 1;
        room.presence.tell_join_of(peer, &mut room.batch);
        let audience = self.ignores.audience(peer, sender.has_ids);
        let message = Message { number, at: self.date.into(), from: sender.name.clone(), text };
        room.batch.say(audience, peer, &room.name, message);
    }

    fn tell_privately(&mut self, peer: PeerId, to: &Name, text: &SafeText) -> Result<(), Refusal> {
        let Some(receiver) = self.names.holder(to) else { return Err(Refusal::NoSuchUser(to.into())) };
        if self.ignores.ignores(receiver, peer) {
            return Err(Refusal::Ignored(to.into()));
        }
        let Some(sender) = self.peers.get_mut(&peer) else { return Ok(()) };
        sender.accepted += 1;
        let here = self.rooms.at(sender.room);
        here.presence.tell_join_of(peer, &mut here.batch);
        let (sender, receiving) = (&self.peers[&peer], &self.peers[&receiver]);
        self.rooms.at(receiving.room).tell(receiver, &Reply::Told { from: &sender.name, text });
        Ok(())
    }

    fn ignore(&mut self, peer: PeerId, name: &Name) -> Result<(), Refusal> {
        self.ignores.add(peer, name, self.names.holder(name))?;
        self.answer(peer, &Reply::Ignoring(name));
        Ok(())
    }

    fn unignore(&mut self, peer: PeerId, name: &Name) -> Result<(), Refusal> {
        self.ignores.remove(peer, name, self.names.holder(name))?;
        self.answer(peer, &Reply::NoLongerIgnoring(name));
        Ok(())
    }

    fn list_ignored(&mut self, peer: PeerId) {
        let ignored = self.ignores.list(peer, |followed| &self.peers[&followed].name);
        self.answer(peer, &Reply::Ignored(&ignored));
    }

    /// Sends a reply to a command of a peer.
    fn answer(&mut self, peer: PeerId, reply: &Reply<'_>) {
        if let Some(asking) = self.peers.get(&peer) {
            self.rooms.at(asking.room).tell(peer, reply);
        }
    }

    fn rename(&mut self, peer: PeerId, name: Name) -> Result<(), Refusal> {
        let Some(sender) = self.peers.get(&peer) else { return Ok(()) };
        let here = sender.room;
        if sender.name.as_str() == name.as_str() {
            self.rooms.at(here).tell(peer, &Reply::SameName(&name));
            return Ok(());
        }
        self.policy.may_give_up(&sender.name, self.date)?;
        self.policy.may_have(&name, sender.account_id, self.date)?;
        self.names.check(&name, peer)?;
        let mute = self.policy.mute_of(&name, self.date);
        // Everyone must know the old name. Joins are announced in order, so earlier ones come first.
        if let Some(join) = sender.unannounced {
            while let Some(earlier) = self.rooms.at(here).unannounced.pop_until(join) {
                self.announce(here, earlier);
            }
        }
        self.tell_leaves_of(&name, peer);
        let Some(sender) = self.peers.get_mut(&peer) else { return Ok(()) };
        let room = self.rooms.at(here);
        room.presence.tell_join_of(peer, &mut room.batch);
        room.batch.push(Audience::Everyone, &Reply::Renamed { old: &sender.name, new: &name });
        room.members.remove(sender.name.folded());
        room.members.insert(name.folded().to_owned(), peer);
        let (from, old) = (sender.from, sender.name.clone());
        self.log.note(Record::Renamed { peer, from, old, new: name.clone() });
        self.names.remove(&sender.name);
        self.names.insert(&name, peer);
        self.ignores.renamed(peer, &sender.name, &name);
        // The peer's own mute stays, and a mute of the new name applies too.
        sender.mute = mute.or(sender.mute);
        sender.name = name;
        Ok(())
    }

    /// Called before a peer gets a name: announces the leaves under that name which are not announced yet.
    fn tell_leaves_of(&mut self, name: &Name, peer: PeerId) {
        for id in self.rooms.with_leaves() {
            let room = self.rooms.at(id);
            room.presence.tell_leaves_of(name, peer, &mut room.batch);
        }
    }
}

impl Peer {
    /// How it reads messages of the room that it is in.
    fn dialect(&self) -> Dialect {
        if self.has_ids { Dialect::Ids } else { Dialect::Plain }
    }

    /// How it reads messages of other rooms.
    fn dialect_of_heard(&self) -> Dialect {
        if self.has_ids { Dialect::Ids } else { Dialect::Heard }
    }
}

/// However the broker ends, even by a panic, nobody waits for it afterwards.
impl Drop for Broker {
    fn drop(&mut self) {
        for (_, room) in self.rooms.iter() {
            room.feed.close();
        }
    }
}

#[cfg(test)]
mod tests;
