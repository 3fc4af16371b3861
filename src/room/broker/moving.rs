//! How peers come into rooms and leave them.

use std::time::Instant;

use crate::history::Forgotten;
use crate::limits::{ROOMS_HEARD, WELCOME_NAMES, WHO_NAMES};
use crate::log::Record;
use crate::model::{AccountId, PeerId, RoomName, SafeText};
use crate::protocol::command::TopicChange;
use crate::protocol::{Dialect, JoinOptions, LeaveReason, Refusal, Reply, Since};
use crate::room::batch::Control;
use crate::room::broker::Peer;
use crate::room::broker::history::Why;
use crate::room::broker::rooms::{LOBBY, Room, RoomId};
use crate::room::presence::Leave;
use crate::room::recent::Recent;
use crate::room::replay::{Waiting, recorded};
use crate::room::unannounced::Unannounced;
use crate::room::{
    Answer, Audience, Broker, Counted, Feed, Join, Joined, Move, Moves, Mute, PeerSet, Source, Subscription,
};

impl Room {
    /// Adds a peer that is in another room, or in none.
    fn admit(&mut self, peer: PeerId, person: &mut Peer, now: Instant) {
        self.members.insert(person.name.folded().to_owned(), peer);
        self.dialects[person.dialect() as usize] += 1;
        person.unannounced = Some(self.unannounced.add(peer, now));
    }

    /// Removes a peer that is in it.
    pub(super) fn remove(&mut self, peer: PeerId, person: &Peer) {
        person.unannounced.into_iter().for_each(|join| self.unannounced.remove(join));
        self.members.remove(person.name.folded());
        self.dialects[person.dialect() as usize] -= 1;
        debug_assert!(!self.hearers.contains(&peer), "nobody hears the room that it is in");
    }

    fn subscribe(&mut self, peer: PeerId, dialect: Dialect, is_heard: bool, counted: Counted) -> Subscription {
        self.batch.use_dialect(dialect);
        let reader = self.feed.subscribe(peer, dialect, &mut self.batch);
        let source = Source { room: self.name.clone(), history: self.history.clone(), is_heard };
        Subscription { reader, source, counted }
    }

    /// Ends what a peer hears of it.
    pub(super) fn stop_hearing(&mut self, peer: PeerId, person: &Peer) {
        self.hearers.remove(&peer);
        self.batch.only_hear(self.hearers.iter().copied());
        self.dialects[person.dialect_of_heard() as usize] -= 1;
        self.batch.end(peer);
    }

    pub(super) fn change_dialect(&mut self, peer: PeerId, before: Dialect, after: Dialect) {
        self.dialects[before as usize] -= 1;
        self.dialects[after as usize] += 1;
        if before != after {
            self.batch.control(peer, Control::Use(after));
        }
    }
}

impl Broker {
    /// A room that nobody is in yet.
    pub(super) fn make_room(&self, name: RoomName) -> Room {
        let unannounced = Unannounced::new(self.announce_after);
        let (history, topic) = (self.history.room(&name), self.history.topic(&name));
        let mut room = Room::new(name, Feed::new(&self.feeds), history, unannounced, self.now);
        room.topic = topic;
        room.recent = Recent::new(self.replay, room.next_number, room.history.first_number());
        room.reserve_numbers();
        room.begin(self.is_recorded);
        room
    }

    /// The room with this name, which is made if the peer may do that.
    fn open(&mut self, name: &RoomName, login: Option<AccountId>, mute: Option<Mute>) -> Result<RoomId, Refusal> {
        if let Some(id) = self.rooms.id(name) {
            return Ok(id);
        }
        if !self.exists(name) {
            self.policy.may_open(name, login, mute)?;
            if self.are_rooms_at_limit() {
                return Err(Refusal::TooManyRooms);
            }
        }
        let room = self.make_room(name.clone());
        let id = self.rooms.add(room);
        // If nobody enters it, it goes at the end of the turn.
        self.rooms.at(id);
        Ok(id)
    }

    /// Whether there is a room with this name. Without people, messages and a topic it is gone at the end of the turn.
    fn exists(&self, name: &RoomName) -> bool {
        self.rooms.id(name).is_some_and(|id| self.rooms.get(id).has_people())
            || self.history.has_room(name)
            || self.policy.fixed_rooms().contains(name)
    }

    pub(super) fn join(&mut self, join: Join) -> Answer {
        let Join { peer, from, name, account_id, options, is_waiting, throttle } = join;
        if self.closing {
            return Err(Refusal::ShuttingDown);
        }
        self.policy.may_connect(from, self.date)?;
        self.policy.may_have(&name, account_id, self.date)?;
        let mute = self.policy.mute_of(&name, self.date);
        let wanted = options.room.clone().unwrap_or_else(RoomName::lobby);
        let id = self.open(&wanted, account_id, mute)?;
        options.since.map_or(Ok(()), |since| self.rooms.get(id).check_since(since))?;
        self.make_room_for(&name, account_id);
        self.names.check(&name, peer)?;
        self.tell_leaves_of(&name, peer);
        let moves = Moves::default();
        let mut newcomer = Peer {
            name: name.clone(),
            from,
            account_id,
            mute,
            room: id,
            heard: Vec::new(),
            moves: moves.clone(),
            subscriptions: Counted::default(),
            has_ids: options.ids == Some(true),
            replay: options.replay.unwrap_or(self.replay),
            accepted: 0,
            refused: 0,
            unannounced: None,
            throttle,
            held: None,
            waiting: Waiting::default(),
            is_done: false,
        };
        let room = self.rooms.at(id);
        let current = room.subscribe(peer, newcomer.dialect(), false, newcomer.subscriptions.clone());
        let others = room.members.len();
        let named: Vec<_> = room.members.values().take(WELCOME_NAMES).map(|other| &self.peers[other].name).collect();
        let recorded = recorded(room.history.retention());
        let recorded = recorded.as_deref();
        let welcome = Reply::Welcome { name: &name, room: &room.name, others, named: &named, recorded };
        room.batch.push(Audience::Only(peer), &welcome);
        room.tell_topic(peer);
        room.admit(peer, &mut newcomer, self.now);
        self.log.note(Record::Joined { peer, name: name.clone(), from });
        self.names.insert(&name, peer);
        self.ignores.came(peer, &name);
        self.peers.insert(peer, newcomer);
        self.replay_to_newcomer(peer, &options, is_waiting);
        self.announce_due(id);
        Ok(Joined { current, moves })
    }

    /// Moves a peer to another room.
    pub(super) fn go_to(&mut self, peer: PeerId, name: &RoomName) -> Result<(), Refusal> {
        let Some(person) = self.peers.get(&peer) else { return Ok(()) };
        if self.rooms.id(name) == Some(person.room) {
            self.rooms.at(person.room).tell(peer, &Reply::AlreadyIn(name));
            return Ok(());
        }
        let (from, was_announced, own_name) = (person.room, person.unannounced.is_none(), person.name.clone());
        let to = self.open(name, person.account_id, person.is_muted(self.date))?;
        self.move_to(peer, to);
        if was_announced {
            let reason = Some(LeaveReason::Gone(name.clone()));
            self.announce_leave(from, Leave { peer, name: own_name, reason, ignored_by: PeerSet::default() });
        }
        Ok(())
    }

    /// Moves a peer to another room. Those whom it leaves are not told.
    fn move_to(&mut self, peer: PeerId, to: RoomId) {
        let Some(person) = self.peers.get_mut(&peer) else { return };
        let left = self.rooms.at(std::mem::replace(&mut person.room, to));
        left.remove(peer, person);
        left.batch.end(peer);
        let room = self.rooms.at(to);
        if let Some(at) = person.heard.iter().position(|heard| *heard == to) {
            person.heard.swap_remove(at);
            room.stop_hearing(peer, person);
        }
        let subscription = room.subscribe(peer, person.dialect(), false, person.subscriptions.clone());
        person.moves.push(Move::Enter(subscription));
        let named: Vec<_> = room.members.values().take(WELCOME_NAMES).copied().collect();
        let others = room.members.len();
        room.admit(peer, person, self.now);
        let named: Vec<_> = named.iter().map(|other| &self.peers[other].name).collect();
        let entered = Reply::Entered { room: &room.name, others, named: &named };
        room.batch.push(Audience::Only(peer), &entered);
        room.tell_topic(peer);
        self.replay_to_newcomer(peer, &JoinOptions::default(), true);
        self.announce_due(to);
    }

    /// The room with this name, if the peer is in it or hears it.
    pub(super) fn heard_by(&self, peer: PeerId, name: &RoomName) -> Result<RoomId, Refusal> {
        let person = self.peers.get(&peer);
        let heard = |id| person.is_some_and(|person| person.room == id || person.heard.contains(&id));
        self.rooms.id(name).filter(|id| heard(*id)).ok_or_else(|| Refusal::NotHearing(name.clone()))
    }

    /// Lets a peer hear another room.
    pub(super) fn hear(&mut self, peer: PeerId, name: &RoomName, since: Option<Since>) -> Result<(), Refusal> {
        let Some(person) = self.peers.get(&peer) else { return Ok(()) };
        if let Ok(heard) = self.heard_by(peer, name) {
            let reply = if heard == person.room { Reply::AlreadyIn(name) } else { Reply::Hearing(name) };
            self.answer(peer, &reply);
            return Ok(());
        }
        if person.heard.len() >= ROOMS_HEARD {
            return Err(Refusal::TooManyHeard);
        }
        let id = self.open(name, person.account_id, person.is_muted(self.date))?;
        since.map_or(Ok(()), |since| self.rooms.get(id).check_since(since))?;
        let Some(person) = self.peers.get_mut(&peer) else { return Ok(()) };
        person.heard.push(id);
        let (dialect, room) = (person.dialect_of_heard(), self.rooms.at(id));
        let subscription = room.subscribe(peer, dialect, true, person.subscriptions.clone());
        person.moves.push(Move::Hear(subscription));
        room.hearers.insert(peer);
        room.batch.only_hear(room.hearers.iter().copied());
        room.dialects[dialect as usize] += 1;
        // In that room, so that it comes before the first message.
        room.tell(peer, &Reply::Hearing(name));
        let here = person.room;
        self.rooms.at(here).batch.control(peer, Control::Move);
        if since.is_some() {
            self.replay_in(id, peer, since, None, Why::Asked);
        }
        Ok(())
    }

    pub(super) fn stop_hearing(&mut self, peer: PeerId, name: &RoomName) -> Result<(), Refusal> {
        let Some(person) = self.peers.get_mut(&peer) else { return Ok(()) };
        let heard = self.rooms.id(name).and_then(|id| Some((id, person.heard.iter().position(|heard| *heard == id)?)));
        let Some((id, at)) = heard else { return Err(Refusal::NotAlsoHearing(name.clone())) };
        person.heard.swap_remove(at);
        self.rooms.at(id).stop_hearing(peer, person);
        self.answer(peer, &Reply::NoLongerHearing(name));
        Ok(())
    }

    pub(super) fn list_heard(&mut self, peer: PeerId) {
        let Some(person) = self.peers.get(&peer) else { return };
        let mut heard: Vec<_> = person.heard.iter().map(|id| self.rooms.get(*id).name.clone()).collect();
        heard.sort_unstable();
        self.answer(peer, &Reply::HearingList(&heard));
    }

    pub(super) fn list_people(&mut self, peer: PeerId, name: Option<&RoomName>) -> Result<(), Refusal> {
        let Some(person) = self.peers.get(&peer) else { return Ok(()) };
        let here = person.room;
        let id = match name {
            None => here,
            Some(name) if !self.exists(name) => return Err(Refusal::NoSuchRoom(name.clone())),
            Some(name) => match self.rooms.id(name) {
                Some(id) => id,
                None => {
                    self.answer(peer, &Reply::InRoom { room: name, count: 0, names: &[] });
                    return Ok(());
                }
            },
        };
        let room = self.rooms.get(id);
        let name_of = |peer: &PeerId| &self.peers[peer].name;
        let names: Vec<_> = room.members.values().take(WHO_NAMES).map(name_of).collect();
        let count = room.members.len();
        let mut hearing: Vec<_> = room.hearers.iter().map(name_of).collect();
        hearing.sort_unstable_by(|one, other| one.folded().cmp(other.folded()));
        let hearers = hearing.len();
        hearing.truncate(WHO_NAMES);
        let room_name = room.name.clone();
        let reply = if id == here {
            Reply::Here { count, names: &names }
        } else {
            Reply::InRoom { room: &room_name, count, names: &names }
        };
        let answers = self.rooms.at(here);
        answers.tell(peer, &reply);
        if !hearing.is_empty() {
            answers.tell(peer, &Reply::AlsoHearing { count: hearers, names: &hearing });
        }
        Ok(())
    }

    /// The rooms that exist, and how many people are in each. The fullest come first.
    pub(super) fn room_list(&self) -> Vec<(RoomName, usize)> {
        let mut names = self.history.room_names();
        names.extend_from_slice(self.policy.fixed_rooms());
        names.extend(self.rooms.iter().filter(|(_, room)| room.has_people()).map(|(_, room)| room.name.clone()));
        names.sort_unstable();
        names.dedup();
        let with_people = |name| {
            let people = self.rooms.id(&name).map_or(0, |id| self.rooms.get(id).members.len());
            (name, people)
        };
        let mut rooms: Vec<_> = names.into_iter().map(with_people).collect();
        rooms.sort_unstable_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(&other.0)));
        rooms
    }

    /// Whether no further room may be opened.
    fn are_rooms_at_limit(&self) -> bool {
        // The list is only made when it is needed.
        let most = self.history.rooms_known() + self.policy.fixed_rooms().len();
        most >= self.policy.room_limit && self.room_list().len() >= self.policy.room_limit
    }

    pub(super) fn list_rooms(&mut self, peer: PeerId) {
        let rooms = self.room_list();
        let (listed, more) = rooms.split_at(rooms.len().min(WHO_NAMES));
        self.answer(peer, &Reply::Rooms { rooms: listed, more: more.len() });
    }

    /// Shows, sets or removes the topic.
    pub(super) fn topic(&mut self, peer: PeerId, change: Option<TopicChange>) {
        let Some(person) = self.peers.get(&peer) else { return };
        let room = self.rooms.at(person.room);
        let change = match change {
            None if room.topic.is_some() => return room.tell_topic(peer),
            None => return room.tell(peer, &Reply::NoTopic),
            // The others need not know that somebody has removed nothing.
            Some(TopicChange::Remove) if room.topic.is_none() => return room.tell(peer, &Reply::NoTopic),
            Some(change) => change,
        };
        room.presence.tell_join_of(peer, &mut room.batch);
        room.topic = match change {
            TopicChange::Set(text) => Some(text),
            TopicChange::Remove => None,
        };
        let notice = match &room.topic {
            Some(text) => Reply::TopicSet { name: &person.name, text },
            None => Reply::TopicRemoved(&person.name),
        };
        let audience = self.ignores.audience(peer, true);
        room.batch.push(audience, &notice);
        self.history.set_topic(&room.name, room.topic.clone());
    }

    /// Sends everyone in a room to the lobby, and forgets what was said there. The future is ready when that is on the
    /// disk. `None` if there was no such room.
    pub(super) fn close_room(
        &mut self,
        name: &RoomName,
        by: Option<&SafeText>,
        reason: Option<&SafeText>,
    ) -> Option<Forgotten> {
        let existed = self.exists(name);
        if let Some(id) = self.rooms.id(name).filter(|id| *id != LOBBY) {
            // What was sent to this room must neither go to the lobby nor be kept.
            while self.handle_next_held(id) {}
            self.publish();
        }
        let open = self.rooms.id(name).filter(|id| *id != LOBBY);
        if let Some(room) = open.map(|id| self.rooms.get(id)) {
            room.history.note_given(room.newest());
        }
        let answer = existed.then_some(self.history.forget(name));
        let Some(id) = open else { return answer };
        let room = self.rooms.at(id);
        room.topic = None;
        room.presence.tell(&mut room.batch);
        room.unannounced.clear();
        let closed = Reply::RoomClosed { room: name, by, reason };
        room.batch.push(Audience::Everyone, &closed);
        let (members, hearers): (Vec<_>, Vec<_>) =
            (room.members.values().copied().collect(), room.hearers.iter().copied().collect());
        members.into_iter().for_each(|peer| self.move_to(peer, LOBBY));
        for peer in hearers {
            if let Some(person) = self.peers.get_mut(&peer) {
                person.heard.retain(|heard| *heard != id);
                self.rooms.at(id).stop_hearing(peer, person);
                // The room itself brings them only messages.
                self.answer(peer, &closed);
                self.answer(peer, &Reply::NoLongerHearing(name));
            }
        }
        self.rooms.detach(id);
        answer
    }
}

impl Room {
    /// Tells a peer the topic, if there is one.
    fn tell_topic(&mut self, peer: PeerId) {
        if let Some(topic) = &self.topic {
            self.batch.push(Audience::Only(peer), &Reply::TopicIs(topic));
        }
    }
}
