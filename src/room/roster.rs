//! The roster: which names are taken, and by whom.
//!
//! A name is taken by whoever has it without regard to case, and by whoever has one that looks like it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::PeerId;
use crate::protocol::{Name, Refusal};

/// The names in use.
#[derive(Debug, Default)]
pub(super) struct Roster {
    /// By key, which is also the order of `/who`.
    by_key: BTreeMap<String, PeerId>,
    by_look: HashMap<String, PeerId>,
}

impl Roster {
    /// Whether `peer` may have this name.
    pub(super) fn check(&self, name: &Name, peer: PeerId) -> Result<(), Refusal> {
        if self.by_key.get(name.key()).is_some_and(|&holder| holder != peer) {
            return Err(Refusal::NameTaken(name.into()));
        }
        if self.by_look.get(name.look()).is_some_and(|&holder| holder != peer) {
            return Err(Refusal::NameLooksTaken(name.into()));
        }
        Ok(())
    }

    /// Who has this name, or one that looks like it.
    pub(super) fn in_the_way_of(&self, name: &Name) -> BTreeSet<PeerId> {
        [self.by_key.get(name.key()), self.by_look.get(name.look())].into_iter().flatten().copied().collect()
    }

    /// Gives a name, which has been checked, to a peer.
    pub(super) fn insert(&mut self, name: &Name, peer: PeerId) {
        self.by_key.insert(name.key().to_owned(), peer);
        self.by_look.insert(name.look().to_owned(), peer);
    }

    /// Frees a name.
    pub(super) fn remove(&mut self, name: &Name) {
        self.by_key.remove(name.key());
        self.by_look.remove(name.look());
    }

    /// Who has the name with this key.
    pub(super) fn holder(&self, key: &str) -> Option<PeerId> {
        self.by_key.get(key).copied()
    }

    /// All who have a name, in the order of the names.
    pub(super) fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.by_key.values().copied()
    }
}
