//! Notices of joins and leaves, combined when there are many.
//!
//! Every notice goes to everyone, so the cost of a storm of joins grows with the square of the room. So up to
//! [`NOTICES_PER_SECOND`] are sent one by one. The rest is combined into one line per [`GATHER`], with exact counts. In
//! a large room both are less frequent: [`NOTICE_PER_PEER`].
//!
//! A combined notice is sent early if it would otherwise be wrong or misleading: before the next line of a peer in it
//! that joined, and before a name in it that is free is used again. So nobody can pose as a peer whose leave is not
//! announced yet. There are never more notices than joins and leaves.
//!
//! Peers that were never announced are handled in [`crate::room::unannounced`].
//!
//! It knows no clock: time is a parameter.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use crate::limits::{GATHER, GATHERED_NAMES, NOTICE_PER_PEER, NOTICES_PER_SECOND};
use crate::model::{Name, PeerId};
use crate::protocol::{LeaveReason, Reply};
use crate::room::names::NameTable;
use crate::room::{Audience, BatchBuilder, PeerSet};

/// Decides which joins and leaves are announced at once, and combines the others.
#[derive(Debug)]
pub(crate) struct PresenceNotices {
    /// How many notices may be sent at once, and since when that number has been growing.
    allowance: f64,
    since: Instant,
    /// When the combined notice is due.
    due: Option<Instant>,
    /// Boxed because it is rare, and there can be many rooms.
    combined: Option<Box<Combined>>,
}

/// The joins and leaves that wait.
#[derive(Debug, Default)]
struct Combined {
    joined: Gathered<PeerId>,
    left: Gathered<Leave>,
    /// The peers that have joined, and the names of those that have left.
    newcomers: HashSet<PeerId>,
    names_left: NameTable,
}

/// Joins or leaves that are combined.
#[derive(Debug)]
struct Gathered<T> {
    count: usize,
    /// The names of the first ones.
    names: Vec<Name>,
    /// The first one, in case it stays the only one.
    first: Option<T>,
}

/// An announced peer that has left.
#[derive(Debug)]
pub(crate) struct Leave {
    pub(crate) peer: PeerId,
    pub(crate) name: Name,
    pub(crate) reason: Option<LeaveReason>,
    /// Those who ignore the author of the reason.
    pub(crate) ignored_by: PeerSet,
}

impl Leave {
    /// Announces it to everyone. Those who ignore the author of the reason do not get the author's words.
    fn tell(&self, batch: &mut BatchBuilder) {
        let Self { peer, name, reason, ignored_by } = self;
        if ignored_by.len() == 0 {
            return batch.push(Audience::AllBut(*peer), &Reply::Left { name, reason: reason.as_ref() });
        }
        let but_these = Arc::new(ignored_by.iter().chain([*peer]).collect());
        batch.push(Audience::AllButThese(but_these), &Reply::Left { name, reason: reason.as_ref() });
        let reason = reason.as_ref().and_then(LeaveReason::without_words_of_a_user);
        let these = Arc::new(ignored_by.iter().filter(|other| other != peer).collect());
        batch.push(Audience::These(these), &Reply::Left { name, reason: reason.as_ref() });
    }
}

impl PresenceNotices {
    pub(crate) fn new(now: Instant) -> Self {
        Self { allowance: NOTICES_PER_SECOND, since: now, due: None, combined: None }
    }

    /// Records a join in a room of `room` peers. Returns true if it is to be announced at once.
    pub(crate) fn joins(&mut self, peer: PeerId, name: &Name, room: usize, now: Instant) -> bool {
        let is_calm = self.is_calm(room, now);
        if !is_calm {
            let combined = self.combined.get_or_insert_default();
            combined.joined.add(name, peer);
            combined.newcomers.insert(peer);
        }
        is_calm
    }

    /// Announces a leave, or adds it to the combined notice.
    pub(crate) fn leaves(&mut self, leave: Leave, room: usize, now: Instant, batch: &mut BatchBuilder) {
        if self.is_calm(room, now) {
            leave.tell(batch);
        } else {
            let combined = self.combined.get_or_insert_default();
            combined.names_left.insert(&leave.name, leave.peer);
            combined.left.add(&leave.name.clone(), leave);
        }
    }

    /// When the combined notice is due, if there is one.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Whether the combined notice has leaves.
    pub(crate) fn has_leaves(&self) -> bool {
        self.combined.as_ref().is_some_and(|combined| combined.left.count > 0)
    }

    /// Sends the combined notices.
    ///
    /// Joins come first. If a name is in both, the leave is of the peer that joined: [`Self::tell_leaves_of`] has
    /// announced the leave of its previous holder.
    pub(crate) fn tell(&mut self, batch: &mut BatchBuilder) {
        self.due = None;
        let Combined { joined, left, .. } = *self.combined.take().unwrap_or_default();
        match (&joined.names[..], &joined.first) {
            ([name], Some(peer)) => batch.push(Audience::AllBut(*peer), &Reply::Joined(name)),
            ([], _) => {}
            (names, _) => batch.push(Audience::Everyone, &Reply::ManyJoined { count: joined.count, names }),
        }
        match (&left.names[..], &left.first) {
            ([_], Some(leave)) => leave.tell(batch),
            ([], _) => {}
            (names, _) => batch.push(Audience::Everyone, &Reply::ManyLeft { count: left.count, names }),
        }
    }

    /// Called before others hear a line of `peer`: sends the combined notice if the peer's join is in it.
    pub(crate) fn tell_join_of(&mut self, peer: PeerId, batch: &mut BatchBuilder) {
        if self.combined.as_ref().is_some_and(|combined| combined.newcomers.contains(&peer)) {
            self.tell(batch);
        }
    }

    /// Called before a peer gets the name: sends the combined notice if a leave under that name is in it.
    pub(crate) fn tell_leaves_of(&mut self, name: &Name, peer: PeerId, batch: &mut BatchBuilder) {
        if self.combined.as_ref().is_some_and(|combined| combined.names_left.check(name, peer).is_err()) {
            self.tell(batch);
        }
    }

    fn is_calm(&mut self, room: usize, now: Instant) -> bool {
        let pause = NOTICE_PER_PEER * room.try_into().unwrap_or(u32::MAX);
        let rate = NOTICES_PER_SECOND.min(1.0 / pause.as_secs_f64());
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.allowance = (self.allowance + seconds * rate).min(rate.max(1.0));
        // While some are waiting, nobody is announced at once, or a leave could come before its join.
        let is_calm = self.due.is_none() && self.allowance >= 1.0;
        if is_calm {
            self.allowance -= 1.0;
        } else {
            self.due.get_or_insert(now + GATHER.max(pause));
        }
        is_calm
    }
}

impl<T> Default for Gathered<T> {
    fn default() -> Self {
        Self { count: 0, names: Vec::new(), first: None }
    }
}

impl<T> Gathered<T> {
    fn add(&mut self, name: &Name, one: T) {
        self.count += 1;
        self.first.get_or_insert(one);
        if self.names.len() < GATHERED_NAMES {
            self.names.push(name.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// The number of notices in 10 s if somebody joins every 10 ms.
    fn notices(room: usize) -> usize {
        let start = Instant::now();
        let mut presence = PresenceNotices::new(start);
        (0..1000)
            .map(|join| {
                let now = start + Duration::from_millis(10) * join;
                let mut batch = BatchBuilder::default();
                if presence.due().is_some_and(|due| due <= now) {
                    presence.tell(&mut batch);
                }
                let name = Name::parse(&format!("peer{join}")).unwrap();
                let is_told = presence.joins(PeerId(join.into()), &name, room, now);
                usize::from(is_told) + usize::from(!batch.is_empty())
            })
            .sum()
    }

    #[test]
    fn a_large_room_is_told_less_often() {
        // 20 per second one by one, and 5 per second combined.
        assert!((200..=270).contains(&notices(100)), "{}", notices(100));
        assert_eq!(notices(1000), notices(100));
        // 50 µs for each of 10,000 peers are 500 ms, for either kind.
        assert!((20..=42).contains(&notices(10_000)), "{}", notices(10_000));
    }
}
