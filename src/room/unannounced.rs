//! Peers whose join is not announced yet.
//!
//! A join is announced after a while, so that a cron job that says one line and leaves causes no notices. It knows no
//! clock: time is a parameter.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::model::PeerId;
use crate::room::Audience;

/// In the order of their joins. Bounded by the number of peers in the room.
#[derive(Debug, Default)]
pub(crate) struct Unannounced {
    /// How long a peer must have been in the room.
    after: Duration,
    /// The number of joins so far.
    joins: u64,
    /// By the number of the join: when it is due, and the peer.
    peers: BTreeMap<u64, (Instant, PeerId)>,
}

impl Unannounced {
    pub(crate) fn new(after: Duration) -> Self {
        Self { after, ..Self::default() }
    }

    /// Adds a peer that has joined. Returns the number of its join.
    pub(crate) fn add(&mut self, peer: PeerId, now: Instant) -> u64 {
        self.joins += 1;
        self.peers.insert(self.joins, (now + self.after, peer));
        self.joins
    }

    /// Removes a join, which is then never announced.
    pub(crate) fn remove(&mut self, join: u64) {
        self.peers.remove(&join);
    }

    /// Removes all joins.
    pub(crate) fn clear(&mut self) {
        self.peers.clear();
    }

    /// When the next one is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.peers.first_key_value().map(|(_, &(due, _))| due)
    }

    /// Takes the next peer that is due by now.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<PeerId> {
        let next = self.peers.first_entry().filter(|next| next.get().0 <= now)?;
        Some(next.remove().1)
    }

    /// Takes the next peer with this join number or a lower one.
    pub(crate) fn pop_until(&mut self, join: u64) -> Option<PeerId> {
        let next = self.peers.first_entry().filter(|next| *next.key() <= join)?;
        Some(next.remove().1)
    }

    /// Who hears that `peer`, which was just taken, has joined: those who joined before it. The others have read its
    /// name in their welcome.
    pub(crate) fn audience(&self, peer: PeerId) -> Audience {
        if self.peers.is_empty() {
            return Audience::AllBut(peer);
        }
        let later = self.peers.values().map(|&(_, later)| later);
        Audience::AllButThese(Arc::new(later.chain([peer]).collect()))
    }
}
