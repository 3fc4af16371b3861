//! Which peers ignore which names.
//!
//! A name can be ignored even if nobody here has it. Peers that had an ignored name and changed it stay ignored while
//! they are here. For each present peer that is ignored, the set of those who ignore it is kept, so that a line costs
//! one lookup, and nothing if nobody is ignored.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::limits::IGNORED_NAMES;
use crate::model::{Name, PeerId, SafeText};
use crate::protocol::Refusal;
use crate::room::names::NameTable;
use crate::room::{Audience, PeerSet};

#[derive(Debug, Default)]
pub(crate) struct Ignores {
    /// By the ignoring peer. Contains only peers that ignore somebody.
    choices: FxHashMap<PeerId, Choices>,
    /// By ignored name: the peers that ignore it.
    by_name: HashMap<Arc<Name>, PeerSet>,
    /// By present peer that is ignored: the peers that ignore it, and itself. This is the set to exclude from its
    /// audience.
    deaf: FxHashMap<PeerId, Arc<PeerSet>>,
    /// The same without the peer itself, for those who hear themselves. Made when it is needed.
    deaf_others: FxHashMap<PeerId, Arc<PeerSet>>,
}

/// What one peer ignores.
#[derive(Debug, Default)]
struct Choices {
    names: BTreeSet<Arc<Name>>,
    /// Peers that had one of these names here and have another name now.
    followed: BTreeSet<PeerId>,
}

impl Ignores {
    /// The audience of `sender`'s public messages.
    pub(crate) fn audience(&mut self, sender: PeerId, hears_itself: bool) -> Audience {
        match self.deaf.get(&sender) {
            None if hears_itself => Audience::Everyone,
            None => Audience::AllBut(sender),
            Some(deaf) if hears_itself => {
                let others = || Arc::new(deaf.iter().filter(|peer| *peer != sender).collect());
                Audience::AllButThese(Arc::clone(self.deaf_others.entry(sender).or_insert_with(others)))
            }
            Some(deaf) => Audience::AllButThese(Arc::clone(deaf)),
        }
    }

    pub(crate) fn ignores(&self, receiver: PeerId, sender: PeerId) -> bool {
        receiver != sender && self.deaf.get(&sender).is_some_and(|deaf| deaf.contains(receiver))
    }

    pub(crate) fn who_ignores_peer(&self, sender: PeerId) -> PeerSet {
        let deaf = self.deaf.get(&sender).into_iter().flat_map(|deaf| deaf.iter());
        deaf.filter(|peer| *peer != sender).collect()
    }

    /// Makes `peer` ignore the name and its current `holder`.
    pub(crate) fn add(&mut self, peer: PeerId, name: &Name, holder: Option<PeerId>) -> Result<(), Refusal> {
        if holder == Some(peer) {
            return Err(Refusal::IgnoresSelf);
        }
        let choices = self.choices.entry(peer).or_default();
        let is_full = choices.names.len() >= IGNORED_NAMES;
        if !choices.names.contains(name) {
            if is_full {
                return Err(Refusal::TooManyIgnored);
            }
            let name = Arc::new(name.clone());
            choices.names.insert(Arc::clone(&name));
            self.by_name.entry(name).or_default().insert(peer);
        }
        if let Some(holder) = holder {
            choices.followed.remove(&holder);
            self.deafen(peer, holder);
        }
        Ok(())
    }

    /// Makes `peer` stop ignoring the name and its current `holder`.
    pub(crate) fn remove(&mut self, peer: PeerId, name: &Name, holder: Option<PeerId>) -> Result<(), Refusal> {
        let was_followed = holder.is_some_and(|holder| self.ignores(peer, holder));
        let choices = self.choices.get_mut(&peer);
        let was_named = choices.is_some_and(|choices| choices.names.remove(name));
        if !was_followed && !was_named {
            return Err(Refusal::NotIgnored(name.into()));
        }
        self.forget_name(name, peer);
        if let Some(holder) = holder {
            self.unfollow(peer, holder);
            self.undeafen(peer, holder);
        }
        self.tidy(peer);
        Ok(())
    }

    /// The names whose messages `peer` does not want: those that it gave, and the current names of peers that it follows.
    pub(crate) fn names<'a>(&self, peer: PeerId, name_of: impl Fn(PeerId) -> &'a Name) -> Vec<Name> {
        let Some(choices) = self.choices.get(&peer) else { return Vec::new() };
        let followed = choices.followed.iter().map(|&followed| name_of(followed));
        followed.chain(choices.names.iter().map(Arc::as_ref)).cloned().collect()
    }

    /// What `peer` ignores, sorted by name: the names that it gave, and the current names of peers that it follows.
    pub(crate) fn list<'a>(&self, peer: PeerId, name_of: impl Fn(PeerId) -> &'a Name) -> Vec<SafeText> {
        let Some(choices) = self.choices.get(&peer) else { return Vec::new() };
        let followed = choices.followed.iter().map(|&followed| name_of(followed));
        let names = followed.chain(choices.names.iter().map(Arc::as_ref));
        names.map(|name| (name.folded(), name.into())).collect::<BTreeMap<_, _>>().into_values().collect()
    }

    /// `peer` has joined under this name.
    pub(crate) fn came(&mut self, peer: PeerId, name: &Name) {
        for other in self.who_ignores(name).iter() {
            self.deafen(other, peer);
        }
    }

    /// `peer` has changed its name. Those who ignored it keep ignoring it.
    pub(crate) fn renamed(&mut self, peer: PeerId, old: &Name, new: &Name) {
        let (before, after) = (self.who_ignores(old), self.who_ignores(new));
        for other in before.iter().filter(|other| *other != peer && !after.contains(*other)) {
            self.follow(other, peer);
        }
        for other in after.iter().filter(|other| *other != peer) {
            self.unfollow(other, peer);
            self.deafen(other, peer);
        }
    }

    /// `peer`, which had this name, has left. The name table may or may not still contain it.
    pub(crate) fn left(&mut self, peer: PeerId, names: &NameTable) {
        self.deaf_others.remove(&peer);
        for other in self.deaf.remove(&peer).iter().flat_map(|deaf| deaf.iter()) {
            self.unfollow(other, peer);
        }
        let Some(choices) = self.choices.remove(&peer) else { return };
        for name in &choices.names {
            self.forget_name(name, peer);
            if let Some(holder) = names.holder(name) {
                self.undeafen(peer, holder);
            }
        }
        for followed in choices.followed {
            self.undeafen(peer, followed);
        }
    }

    fn who_ignores(&self, name: &Name) -> PeerSet {
        self.by_name.get(name).cloned().unwrap_or_default()
    }

    /// Makes `peer` follow `followed`, unless it already follows as many as it can.
    fn follow(&mut self, peer: PeerId, followed: PeerId) {
        let Some(choices) = self.choices.get_mut(&peer) else { return };
        if choices.followed.len() < IGNORED_NAMES {
            choices.followed.insert(followed);
        } else {
            self.undeafen(peer, followed);
        }
    }

    fn unfollow(&mut self, peer: PeerId, followed: PeerId) {
        if let Some(choices) = self.choices.get_mut(&peer) {
            choices.followed.remove(&followed);
            self.tidy(peer);
        }
    }

    /// Removes the entry of a peer that ignores nobody.
    fn tidy(&mut self, peer: PeerId) {
        if self.choices.get(&peer).is_some_and(|choices| choices.names.is_empty() && choices.followed.is_empty()) {
            self.choices.remove(&peer);
        }
    }

    fn forget_name(&mut self, name: &Name, peer: PeerId) {
        if let Some(ignoring) = self.by_name.get_mut(name) {
            ignoring.remove(peer);
            if ignoring.len() == 0 {
                self.by_name.remove(name);
            }
        }
    }

    /// Adds `peer` to the set of those who ignore `sender`. Batches that hold the old set keep it.
    fn deafen(&mut self, peer: PeerId, sender: PeerId) {
        self.deaf_others.remove(&sender);
        let deaf = self.deaf.entry(sender).or_insert_with(|| Arc::new(PeerSet::from_iter([sender])));
        if !deaf.contains(peer) {
            Arc::make_mut(deaf).insert(peer);
        }
    }

    fn undeafen(&mut self, peer: PeerId, sender: PeerId) {
        self.deaf_others.remove(&sender);
        let Some(deaf) = self.deaf.get_mut(&sender) else { return };
        if peer != sender && deaf.contains(peer) {
            Arc::make_mut(deaf).remove(peer);
            if deaf.len() == 1 {
                self.deaf.remove(&sender);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.choices.is_empty() && self.by_name.is_empty() && self.deaf.is_empty() && self.deaf_others.is_empty()
    }
}
