//! Notices of joins and leaves, and how they are gathered when there are many.
//!
//! In a storm of joins every notice goes to everybody, which grows with the square of the room. So up to
//! [`NOTICES_PER_SECOND`] are told one by one, and the rest is gathered into one line for each [`GATHER`], with exact
//! counts. In a large room both are less often: [`NOTICE_PER_PEER`].
//!
//! What is gathered is told earlier when it would be untrue, or misleading, to tell it later: before the next line of a
//! peer whose join is gathered, and before a name is used again whose leave is gathered.
//! Nobody can pose as one whose leave is not yet told. There are never more notices than joins and leaves.
//!
//! Peers that were never announced are none of its business, see [`crate::room::unannounced`].
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

/// Decides which comings and goings are told at once, and gathers the others.
#[derive(Debug)]
pub(crate) struct PresenceNotices {
    /// How many notices may go out at once, and since when it has been growing.
    allowance: f64,
    since: Instant,
    joined: Gathered<PeerId>,
    left: Gathered<Leave>,
    /// Whose joins are gathered, and under which names the leaves are.
    newcomers: HashSet<PeerId>,
    names_left: NameTable,
    /// When what was gathered is told.
    due: Option<Instant>,
}

/// Those who came, or those who went, in one stretch of time.
#[derive(Debug)]
struct Gathered<T> {
    count: usize,
    /// The names of the first of them.
    names: Vec<Name>,
    /// The first one, for the notice if it stays the only one.
    first: Option<T>,
}

/// A peer that has left and was announced.
#[derive(Debug)]
pub(crate) struct Leave {
    pub(crate) peer: PeerId,
    pub(crate) name: Name,
    pub(crate) reason: Option<LeaveReason>,
    /// Who ignores the user whose words are in the reason.
    pub(crate) ignored_by: PeerSet,
}

impl Leave {
    /// Tells everybody, but those who ignore the author of the reason without those words.
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
        Self {
            allowance: NOTICES_PER_SECOND,
            since: now,
            joined: Gathered::default(),
            left: Gathered::default(),
            newcomers: HashSet::new(),
            names_left: NameTable::default(),
            due: None,
        }
    }

    /// Somebody came into a room of so many: true when that is to be told at once, otherwise it is gathered.
    pub(crate) fn joins(&mut self, peer: PeerId, name: &Name, room: usize, now: Instant) -> bool {
        let is_calm = self.is_calm(room, now);
        if !is_calm {
            self.joined.add(name, peer);
            self.newcomers.insert(peer);
        }
        is_calm
    }

    /// Somebody went: tells it at once, or gathers it.
    pub(crate) fn leaves(&mut self, leave: Leave, room: usize, now: Instant, batch: &mut BatchBuilder) {
        if self.is_calm(room, now) {
            leave.tell(batch);
        } else {
            self.names_left.insert(&leave.name, leave.peer);
            self.left.add(&leave.name.clone(), leave);
        }
    }

    /// When there is something gathered to be told.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Tells what was gathered.
    ///
    /// Joins come first. Of a name that is among both, the leave is of the peer that joined: who had the name before
    /// it left earlier, and [`Self::tell_leaves_of`] has told that.
    pub(crate) fn tell(&mut self, batch: &mut BatchBuilder) {
        self.due = None;
        self.newcomers = HashSet::new();
        self.names_left = NameTable::default();
        let (joined, left) = (std::mem::take(&mut self.joined), std::mem::take(&mut self.left));
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

    /// Before others hear a line of `peer`: tells what is gathered, if its join is.
    pub(crate) fn tell_join_of(&mut self, peer: PeerId, batch: &mut BatchBuilder) {
        if self.newcomers.contains(&peer) {
            self.tell(batch);
        }
    }

    /// Before `peer` gets the name: tells what is gathered, if a leave under it is.
    pub(crate) fn tell_leaves_of(&mut self, name: &Name, peer: PeerId, batch: &mut BatchBuilder) {
        if self.names_left.check(name, peer).is_err() {
            self.tell(batch);
        }
    }

    fn is_calm(&mut self, room: usize, now: Instant) -> bool {
        let pause = NOTICE_PER_PEER * room.try_into().unwrap_or(u32::MAX);
        let rate = NOTICES_PER_SECOND.min(1.0 / pause.as_secs_f64());
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.allowance = (self.allowance + seconds * rate).min(rate.max(1.0));
        // While some are gathered nobody is told at once, or a leave could be told before its join.
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

    /// How many notices are told in 10 s, when somebody joins every 10 ms.
    fn notices(room: usize) -> usize {
        let start = Instant::now();
        let mut traffic = PresenceNotices::new(start);
        (0..1000)
            .map(|join| {
                let now = start + Duration::from_millis(10) * join;
                let mut batch = BatchBuilder::default();
                if traffic.due().is_some_and(|due| due <= now) {
                    traffic.tell(&mut batch);
                }
                let name = Name::parse(&format!("peer{join}")).unwrap();
                let is_told = traffic.joins(PeerId(join.into()), &name, room, now);
                usize::from(is_told) + usize::from(!batch.is_empty())
            })
            .sum()
    }

    #[test]
    fn a_large_room_is_told_less_often() {
        // 20 a second one by one, and 5 a second gathered.
        assert!((200..=270).contains(&notices(100)), "{}", notices(100));
        assert_eq!(notices(1000), notices(100));
        // 50 us for each of 10,000 peers are 500 ms, for either kind.
        assert!((20..=42).contains(&notices(10_000)), "{}", notices(10_000));
    }
}
