//! Comings and goings: how they are told when there are many.
//!
//! In a storm of joins every notice goes to everybody, which grows with the square of the room. So up to
//! [`NOTICES_PER_SECOND`] are told one by one, and the rest is gathered into one line for each [`GATHER`], with exact
//! counts. It knows no clock: time is a parameter.

use std::time::Instant;

use super::PeerId;
use crate::limits::{GATHER, GATHERED_NAMES, NOTICES_PER_SECOND};
use crate::protocol::{Name, SafeText};

/// Decides which comings and goings are told at once, and gathers the others.
#[derive(Debug)]
pub(super) struct Traffic {
    /// How many notices may go out at once, and since when it has been growing.
    allowance: f64,
    since: Instant,
    joined: Gathered,
    left: Gathered,
    /// When what was gathered is told.
    due: Option<Instant>,
}

/// Those who came, or those who went, in one stretch of time.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) count: usize,
    /// The names of the first of them.
    pub(super) names: Vec<Name>,
    /// Who the first one is, and why it went.
    pub(super) first: Option<(PeerId, Option<SafeText>)>,
}

impl Traffic {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            allowance: NOTICES_PER_SECOND,
            since: now,
            joined: Gathered::default(),
            left: Gathered::default(),
            due: None,
        }
    }

    /// Somebody came: true when that is to be told at once, otherwise it is gathered.
    pub(super) fn joins(&mut self, peer: PeerId, name: &Name, now: Instant) -> bool {
        let is_calm = self.is_calm(now);
        if !is_calm {
            self.joined.add(peer, name, None);
        }
        is_calm
    }

    /// Somebody went; as above.
    pub(super) fn leaves(&mut self, peer: PeerId, name: &Name, reason: Option<&SafeText>, now: Instant) -> bool {
        let is_calm = self.is_calm(now);
        if !is_calm {
            self.left.add(peer, name, reason);
        }
        is_calm
    }

    /// When there is something gathered to be told.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// What was gathered: who came and who went.
    pub(super) fn take(&mut self) -> (Gathered, Gathered) {
        self.due = None;
        (std::mem::take(&mut self.joined), std::mem::take(&mut self.left))
    }

    fn is_calm(&mut self, now: Instant) -> bool {
        let seconds = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.allowance = (self.allowance + seconds * NOTICES_PER_SECOND).min(NOTICES_PER_SECOND);
        // While some are gathered nobody is told at once, or a leave could be told before its join.
        let is_calm = self.due.is_none() && self.allowance >= 1.0;
        if is_calm {
            self.allowance -= 1.0;
        } else {
            self.due.get_or_insert(now + GATHER);
        }
        is_calm
    }
}

impl Gathered {
    fn add(&mut self, peer: PeerId, name: &Name, reason: Option<&SafeText>) {
        self.count += 1;
        self.first.get_or_insert_with(|| (peer, reason.cloned()));
        if self.names.len() < GATHERED_NAMES {
            self.names.push(name.clone());
        }
    }
}
