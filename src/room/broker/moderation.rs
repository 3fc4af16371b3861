//! What the broker does for operators, and for the accounts of the peers in the room.

use std::time::SystemTime;

use crate::model::{AccountId, Name, PeerId};
use crate::protocol::{Banned, LeaveReason, Notice, Refusal, Reply};
use crate::room::broker::Peer;
use crate::room::{AdminRequest, Audience, Broker, Mute, Person};

impl Broker {
    /// Takes out whoever has the name that its owner comes for.
    pub(crate) fn make_room_for(&mut self, name: &Name, account_id: Option<AccountId>) {
        if account_id.is_none() {
            return;
        }
        if let Some(ghost) = self.names.holder(name) {
            self.expel(ghost, &Refusal::Replaced, &LeaveReason::server("has come in by another connection"), None);
        }
    }

    /// Does as those say who keep order.
    pub(crate) fn obey(&mut self, order: AdminRequest) {
        match order {
            AdminRequest::Expel { whom, refusal, reason, by, answer } => {
                let people = self.people_meant(&whom);
                people.iter().for_each(|person| self.expel(person.peer, &refusal, &reason, by));
                // Whoever gave the order need not wait for what came of it.
                let _ = answer.send(people);
            }
            AdminRequest::Mute { whom, mute, answer } => {
                let people = self.people_meant(&Banned::Name(whom));
                for person in &people {
                    if let Some(peer) = self.peers.get_mut(&person.peer) {
                        peer.mute = mute;
                    }
                }
                let _ = answer.send(people);
            }
            AdminRequest::Announce(text) => self.batch.push(Audience::Everyone, &Reply::Announced(&text)),
            AdminRequest::Census(answer) => {
                let _ = answer.send(self.people(|_| true));
            }
        }
    }

    /// Tells a peer what its session has to say.
    pub(crate) fn tell(&mut self, peer: PeerId, told: Result<Notice, Refusal>) {
        match told {
            Ok(notice) => self.batch.push(Audience::Only(peer), &Reply::Noticed(&notice)),
            Err(refusal) => self.refuse(peer, &refusal),
        }
    }

    /// Those whom an operator means: a name is also that of the account that somebody has logged in to.
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

    /// Those who are meant, by their names.
    fn people(&self, is_meant: impl Fn(&Peer) -> bool) -> Vec<Person> {
        let peers = self.names.peers().map(|peer| (peer, &self.peers[&peer]));
        let meant = peers.filter(|(_, it)| !it.is_done && is_meant(it));
        meant.map(|(peer, it)| it.as_person(peer, self.date)).collect()
    }

    /// Sends somebody out. Its writer ends with the farewell, and its session with the writer.
    fn expel(&mut self, peer: PeerId, refusal: &Refusal, reason: &LeaveReason, by: Option<PeerId>) {
        self.refuse(peer, refusal);
        self.leave(peer, Some(reason.clone()), by);
    }
}

impl Peer {
    /// Whether it may say nothing.
    pub(crate) fn is_muted(&self, now: SystemTime) -> Option<Mute> {
        self.mute.filter(|mute| mute.until.is_none_or(|until| until > now))
    }

    pub(crate) fn as_person(&self, peer: PeerId, now: SystemTime) -> Person {
        let Self { name, from, account_id, .. } = self;
        Person { peer, name: name.clone(), from: *from, account_id: *account_id, mute: self.is_muted(now) }
    }
}
