//! The names in use and their holders.

use std::collections::{BTreeMap, HashMap};

use crate::model::{Name, PeerId};
use crate::protocol::Refusal;

#[derive(Debug, Default)]
pub(crate) struct NameTable {
    holders: HashMap<Name, PeerId>,
    /// Keyed by folded name, for the order of `/who`. Names that fold to the same text are the same name, so each is
    /// there once.
    sorted: BTreeMap<String, PeerId>,
}

impl NameTable {
    pub(crate) fn check(&self, name: &Name, peer: PeerId) -> Result<(), Refusal> {
        match self.holders.get_key_value(name) {
            Some((held, &holder)) if holder != peer => Err(Refusal::name_taken(name, held)),
            _ => Ok(()),
        }
    }

    /// Gives a name, which has been checked, to a peer.
    pub(crate) fn insert(&mut self, name: &Name, peer: PeerId) {
        self.remove(name);
        self.holders.insert(name.clone(), peer);
        self.sorted.insert(name.folded().to_owned(), peer);
    }

    pub(crate) fn remove(&mut self, name: &Name) {
        if let Some((held, _)) = self.holders.remove_entry(name) {
            self.sorted.remove(held.folded());
        }
    }

    /// The peer with this name.
    pub(crate) fn holder(&self, name: &Name) -> Option<PeerId> {
        self.holders.get(name).copied()
    }

    /// All named peers, sorted by name.
    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.sorted.values().copied()
    }
}
