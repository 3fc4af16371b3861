//! A compact set of peers, for those excluded from an audience.

use crate::model::PeerId;

/// Sorted by number, without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerSet(Vec<PeerId>);

impl PeerSet {
    pub fn contains(&self, peer: PeerId) -> bool {
        self.0.binary_search(&peer).is_ok()
    }

    pub fn iter(&self) -> impl Iterator<Item = PeerId> + '_ {
        self.0.iter().copied()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// The approximate memory that it holds, in bytes.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>() + self.0.capacity() * size_of::<PeerId>()
    }

    pub(crate) fn insert(&mut self, peer: PeerId) {
        if let Err(at) = self.0.binary_search(&peer) {
            self.0.insert(at, peer);
        }
    }

    pub(crate) fn remove(&mut self, peer: PeerId) {
        if let Ok(at) = self.0.binary_search(&peer) {
            self.0.remove(at);
        }
    }
}

impl FromIterator<PeerId> for PeerSet {
    fn from_iter<I: IntoIterator<Item = PeerId>>(peers: I) -> Self {
        let mut peers = Vec::from_iter(peers);
        peers.sort_unstable();
        peers.dedup();
        Self(peers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_holds_each_peer_once_in_whatever_order_they_come() {
        let mut peers: PeerSet = [5, 1, 3, 1].map(PeerId).into_iter().collect();
        peers.insert(PeerId(2));
        peers.insert(PeerId(5));
        peers.remove(PeerId(3));
        peers.remove(PeerId(4));
        assert_eq!((peers.iter().collect::<Vec<_>>(), peers.len()), (vec![PeerId(1), PeerId(2), PeerId(5)], 3));
        assert!((0..7).map(PeerId).filter(|peer| peers.contains(*peer)).eq(peers.iter()));
    }
}
