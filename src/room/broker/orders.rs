//! What the broker does for those who keep order, and for the accounts of those who are here.

use std::time::SystemTime;

use super::{Broker, Peer};
use crate::origin::Origin;
use crate::protocol::{Banned, LeaveReason, Name, Notice, Refusal, Reply, SafeText};
use crate::registry::{AccountId, Sanction};
use crate::room::{Audience, Mute, Order, PeerId, Person};

impl Broker {
    /// Whether the registry lets somebody with this account have this name.
    pub(super) fn may_have(&self, name: &Name, member: Option<AccountId>) -> Result<(), Refusal> {
        let Some(registry) = &self.registry else { return Ok(()) };
        if let Some(ban) = registry.ban_of(name, self.date) {
            return Err(banned(&ban));
        }
        match registry.account(name) {
            Some(account) if Some(account.id) == member => Ok(()),
            Some(account) => Err(Refusal::name_registered(name, &account.name)),
            None if self.registered_only => Err(Refusal::RegisteredOnly),
            None => Ok(()),
        }
    }

    /// For how long the registry mutes a name.
    pub(super) fn mute_of(&self, name: &Name) -> Option<Mute> {
        let sanction = self.registry.as_ref()?.mute_of(name, self.date)?;
        Some(Mute { until: sanction.until() })
    }

    /// Whether somebody with this name may take another one, as far as the registry knows. The room is told of a ban or a mute
    /// only when the registry has written it down, and nobody may get out of its way in between.
    pub(super) fn may_leave(&self, name: &Name) -> Result<(), Refusal> {
        let ban = self.registry.as_ref().and_then(|registry| registry.ban_of(name, self.date));
        ban.map_or(Ok(()), |ban| Err(banned(&ban)))?;
        self.mute_of(name).map_or(Ok(()), |mute| Err(pinned(mute)))
    }

    /// Whether somebody from there is let in. The door has asked that too, but a connection may have waited since.
    pub(super) fn may_come_from(&self, from: Origin) -> Result<(), Refusal> {
        let ban = self.registry.as_ref().and_then(|registry| registry.ban_on(from.source(), self.date));
        ban.map_or(Ok(()), |ban| Err(banned(&ban)))
    }

    /// Takes out whoever has the name that its owner comes for.
    pub(super) fn make_room_for(&mut self, name: &Name, member: Option<AccountId>) {
        if member.is_none() {
            return;
        }
        if let Some(ghost) = self.names.holder(name) {
            self.expel(ghost, &Refusal::Replaced, &LeaveReason::server("has come in by another connection"), None);
        }
    }

    /// Does as those say who keep order.
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Expel { whom, refusal, reason, by, answer } => {
                let people = self.people_meant(&whom);
                people.iter().for_each(|person| self.expel(person.peer, &refusal, &reason, by));
                // Whoever gave the order need not wait for what came of it.
                let _ = answer.send(people);
            }
            Order::Mute { whom, mute, answer } => {
                let people = self.people_meant(&Banned::Name(whom));
                for person in &people {
                    if let Some(peer) = self.peers.get_mut(&person.peer) {
                        peer.mute = mute;
                    }
                }
                let _ = answer.send(people);
            }
            Order::Announce(text) => self.batch.push(Audience::Everyone, &Reply::Announced(&text)),
            Order::Census(answer) => {
                let _ = answer.send(self.people(|_| true));
            }
        }
    }

    /// Tells a peer what its session has to say.
    pub(super) fn tell(&mut self, peer: PeerId, told: Result<Notice, Refusal>) {
        match told {
            Ok(notice) => self.batch.push(Audience::Only(peer), &Reply::Noticed(&notice)),
            Err(refusal) => self.refuse(peer, &refusal),
        }
    }

    /// Those whom an operator means: a name is also that of the account that somebody has logged in to.
    fn people_meant(&self, whom: &Banned) -> Vec<Person> {
        match whom {
            Banned::Source(source) => self.people(|peer| source.contains(peer.from.source())),
            Banned::Name(name) => {
                let account =
                    self.registry.as_ref().and_then(|registry| registry.account(name)).map(|account| account.id);
                self.people(|peer| peer.name == *name || account.is_some() && peer.member == account)
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
    pub(super) fn is_muted(&self, now: SystemTime) -> Option<Mute> {
        self.mute.filter(|mute| mute.until.is_none_or(|until| until > now))
    }

    pub(super) fn as_person(&self, peer: PeerId, now: SystemTime) -> Person {
        let Self { name, from, member, .. } = self;
        Person { peer, name: name.clone(), from: *from, member: *member, mute: self.is_muted(now) }
    }
}

/// What somebody is told who is not let in.
pub(crate) fn banned(ban: &Sanction) -> Refusal {
    let reason = ban.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    Refusal::Banned(SafeText::new(format!("you are banned{}{reason}", until(ban.until()))))
}

/// What somebody is told who may say nothing.
pub(super) fn silenced(mute: Mute) -> Refusal {
    Refusal::Muted(SafeText::new(format!("you are muted{}; you can read, but not write", until(mute.until))))
}

/// What a muted operator is told.
pub(crate) fn suspended(mute: Mute) -> Refusal {
    let end = until(mute.until);
    Refusal::Suspended(SafeText::new(format!(
        "you are muted{end}, so you cannot moderate; another operator can unmute you"
    )))
}

/// What they are told who would like another name. A client can tell which of the two was refused.
pub(super) fn pinned(mute: Mute) -> Refusal {
    Refusal::Muted(SafeText::new(format!("you keep your name, because you are muted{}", until(mute.until))))
}

/// The end of a sanction, in UTC, with a blank before it.
pub(crate) fn until(end: Option<SystemTime>) -> String {
    end.map_or_else(|| " forever".to_owned(), |end| format!(" until {}", humantime::format_rfc3339_seconds(end)))
}
