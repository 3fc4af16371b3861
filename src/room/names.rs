//! The names in use and their holders.

use std::collections::HashMap;

use crate::model::{Name, PeerId};
use crate::protocol::Refusal;

#[derive(Debug, Default)]
pub(crate) struct NameTable {
    holders: HashMap<Name, PeerId>,
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
    }

    pub(crate) fn remove(&mut self, name: &Name) {
        self.holders.remove(name);
    }

    /// The peer with this name.
    pub(crate) fn holder(&self, name: &Name) -> Option<PeerId> {
        self.holders.get(name).copied()
    }
}
