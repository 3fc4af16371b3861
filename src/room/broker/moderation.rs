//! What the broker does for operators and for accounts of peers.

use std::time::SystemTime;

use crate::model::{AccountId, Name, PeerId};
use crate::protocol::{Banned, LeaveReason, Notice, Refusal, Reply};
use crate::room::broker::Peer;
use crate::room::broker::rooms::Rooms;
use crate::room::{AdminRequest, Audience, Broker, Mute, Person};

impl Broker {
    /// Removes the peer that has the name when its owner joins.
    pub(crate) fn make_room_for(&mut self, name: &Name, account_id: Option<AccountId>) {
        if account_id.is_none() {
            return;
        }
        if let Some(ghost) = self.names.holder(name) {
            self.expel(ghost, &Refusal::Replaced, &LeaveReason::server("logged in from another connection"), None);
        }
    }

    /// Handles a request of an operator or of `server admin`.
    pub(crate) fn handle_admin(&mut self, request: AdminRequest) {
        match request {
            AdminRequest::Expel { whom, refusal, reason, by, answer } => {
                let people = self.people_meant(&whom);
                people.iter().for_each(|person| self.expel(person.peer, &refusal, &reason, by));
                // The sender need not wait for the answer.
                let _ = answer.send(people);
            }
            AdminRequest::Mute { whom, mute, answer } => {
                let people = self.people_meant(&Banned::Name(whom));
                for person in &people {
                    if let Some(peer) = self.peers.get_mut(&person.peer) {
                        // The name that the peer has now may be muted as well.
                        peer.mute = mute.or_else(|| self.policy.mute_of(&peer.name, self.date));
                    }
                }
                let _ = answer.send(people);
            }
            AdminRequest::Announce(text) => {
                for id in self.rooms.ids() {
                    self.rooms.at(id).batch.push(Audience::Everyone, &Reply::Announced(&text));
                }
            }
            AdminRequest::ListRooms(answer) => {
                let _ = answer.send(self.room_list());
            }
            AdminRequest::CloseRoom { room, by, reason, answer } => {
                let _ = answer.send(self.close_room(&room, by.as_ref(), reason.as_ref()));
            }
            AdminRequest::ListPeople(answer) => {
                let _ = answer.send(self.people(|_| true));
            }
        }
    }

    /// Sends a peer a notice or refusal from its session.
    pub(crate) fn tell(&mut self, peer: PeerId, told: Result<Notice, Refusal>) {
        match told {
            Ok(notice) => self.answer(peer, &Reply::Noticed(&notice)),
            Err(refusal) => self.refuse(peer, &refusal),
        }
    }

    /// The people that an operator means. A name also stands for its account.
    fn people_meant(&self, whom: &Banned) -> Vec<Person> {
        match whom {
            Banned::Network(source) => self.people(|peer| source.contains(peer.from.network())),
            Banned::Name(name) => {
                let account =
                    self.policy.accounts.as_ref().and_then(|accounts| accounts.account(name)).map(|account| account.id);
                self.people(|peer| peer.name == *name || account.is_some() && peer.account_id == account)
            }
        }
    }

    /// The matching people, sorted by name.
    fn people(&self, is_meant: impl Fn(&Peer) -> bool) -> Vec<Person> {
        let meant = self.peers.iter().filter(|(_, it)| !it.is_done && is_meant(it));
        let mut people: Vec<_> = meant.map(|(peer, it)| it.as_person(*peer, &self.rooms, self.date)).collect();
        people.sort_unstable_by(|one, other| one.name.folded().cmp(other.name.folded()));
        people
    }

    /// Disconnects a peer. Its writer ends after the farewell, and its session with the writer.
    fn expel(&mut self, peer: PeerId, refusal: &Refusal, reason: &LeaveReason, by: Option<PeerId>) {
        self.refuse(peer, refusal);
        self.leave(peer, Some(reason.clone()), by);
    }
}

impl Peer {
    /// The mute in force, if any.
    pub(crate) fn is_muted(&self, now: SystemTime) -> Option<Mute> {
        self.mute.filter(|mute| mute.until.is_none_or(|until| until > now))
    }

    pub(super) fn as_person(&self, peer: PeerId, rooms: &Rooms, now: SystemTime) -> Person {
        let Self { name, from, account_id, .. } = self;
        let room = rooms.get(self.room).name.clone();
        Person { peer, name: name.clone(), room, from: *from, account_id: *account_id, mute: self.is_muted(now) }
    }
}
