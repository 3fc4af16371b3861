//! How the broker numbers, stores and replays messages.

use std::sync::Arc;

use async_io::Timer;
use futures::FutureExt;
use futures::future::{BoxFuture, Either, Shared, select};

use crate::history::{History, NotStored, Retention};
use crate::limits::STORE_WAIT;
use crate::model::{Message, Name, PeerId, RoomName};
use crate::protocol::{Dialect, JoinOptions, Refusal, Reply, Since};
use crate::room::batch::Control;
use crate::room::recent::Recent;
use crate::room::replay::recorded;
use crate::room::{Audience, Batch, Broker, Replay, Uses};

/// Ready when messages are stored.
pub(super) type Stored = Shared<BoxFuture<'static, Result<(), NotStored>>>;

/// A batch that waits for the history to store its messages.
#[derive(Debug)]
pub(super) struct Unpublished {
    batch: Batch,
    /// The author of each message.
    authors: Vec<PeerId>,
    stored: Stored,
}

impl Broker {
    /// Stores messages in this history, and shows newcomers the newest `replay` ones.
    pub fn with_history(mut self, history: History, replay: usize) -> Self {
        self.next_number = history.first_number();
        self.feed.start_numbers_at(self.next_number);
        self.recorded = recorded(history.retention());
        self.recent = Recent::new(if self.recorded.is_some() { replay } else { 0 });
        self.history = history;
        self.batch.take(self.uses());
        self
    }

    /// Reads the newest messages of an earlier run. An unreadable history is reported when somebody asks for it.
    pub(super) async fn load_recent(&mut self) {
        if let Ok(page) = self.history.newest_messages(self.recent.limit(), u64::MAX).await {
            self.recent.push(page.messages.into());
        }
    }

    /// What the next batch has to provide. A file needs all numbers, even if it keeps no messages.
    pub(super) fn uses(&self) -> Uses {
        let values = self.recorded.is_some() || self.history.ceiling() < u64::MAX;
        Uses { ids: self.ids_peers > 0, values }
    }

    /// Ends the batch of this turn. It is published at once if it need not wait for the history.
    pub fn publish(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        let turn = self.batch.take(self.uses());
        if turn.messages.is_empty() && self.unpublished.is_empty() {
            return self.feed.publish(turn.batch);
        }
        let messages: Arc<[Message]> = turn.messages.into();
        let stored = self.history.append(Arc::clone(&messages)).boxed().shared();
        self.recent.push(messages);
        if self.unpublished.is_empty() && stored.clone().now_or_never() == Some(Ok(())) {
            return self.feed.publish(turn.batch);
        }
        self.unpublished.push_back(Unpublished { batch: turn.batch, authors: turn.authors, stored });
    }

    /// Publishes what waits for the history. Waits only a short time, unless each message must be stored.
    pub(super) async fn publish_when_stored(&mut self) {
        while let Some(Unpublished { batch, authors, stored }) = self.unpublished.pop_front() {
            match self.wait_for_history(stored).await {
                Err(_) if self.history.must_store() => {
                    self.feed.publish(batch.without_messages());
                    authors.into_iter().for_each(|author| self.refuse_unstored(author));
                    self.publish();
                }
                // The history reports what it could not store, and readers learn about the gap.
                Ok(()) | Err(_) => self.feed.publish(batch),
            }
        }
    }

    /// Waits until messages are stored. If that takes too long, the room goes on, and does not wait again until the
    /// history has caught up.
    async fn wait_for_history(&mut self, stored: Stored) -> Result<(), NotStored> {
        if self.history.must_store() {
            return stored.await;
        }
        if self.late.clone().is_some_and(|late| late.now_or_never().is_none()) {
            self.late = Some(stored);
            return Ok(());
        }
        self.late = None;
        match select(stored, Timer::after(STORE_WAIT)).await {
            Either::Left((result, _)) => result,
            Either::Right((_, stored)) => {
                self.late = Some(stored);
                Ok(())
            }
        }
    }

    /// Takes back a message that could not be stored.
    fn refuse_unstored(&mut self, author: PeerId) {
        if let Some(sender) = self.peers.get_mut(&author) {
            sender.accepted -= 1;
        }
        self.refuse(author, &Refusal::MessageNotKept);
    }

    /// The number of the newest message.
    pub(super) fn newest(&self) -> u64 {
        self.next_number - 1
    }

    /// Where a peer that leaves can continue later. `None` if nothing is stored.
    pub(super) fn position(&self) -> Option<u64> {
        self.recorded.is_some().then_some(self.newest())
    }

    /// Nobody can continue after a message that is yet to come.
    pub(super) fn check_since(&self, since: Since) -> Result<(), Refusal> {
        match since {
            Since::Number(number) if number > self.newest() => Err(Refusal::BadSince(self.newest())),
            _ => Ok(()),
        }
    }

    /// Whose messages a peer does not want.
    pub(super) fn ignored_by(&self, peer: PeerId) -> Vec<Name> {
        self.ignores.names(peer, |followed| &self.peers[&followed].name)
    }

    /// Changes how messages are written for a peer.
    pub(super) fn use_ids(&mut self, peer: PeerId, has_ids: bool) {
        let Some(user) = self.peers.get_mut(&peer) else { return };
        let dialect = if has_ids { Dialect::Ids } else { Dialect::Plain };
        let before = std::mem::replace(&mut user.dialect, dialect);
        self.ids_peers += usize::from(dialect == Dialect::Ids);
        self.ids_peers -= usize::from(before == Dialect::Ids);
        if before != dialect {
            self.batch.control(peer, Control::Use(dialect));
        }
        self.batch.push(Audience::Only(peer), &Reply::Ids(has_ids));
    }

    /// Shows a newcomer what it has asked for, or the newest messages if it waits for something.
    pub(super) fn replay_to_newcomer(&mut self, peer: PeerId, options: JoinOptions, is_waiting: bool) {
        let JoinOptions { since, last, replay, .. } = options;
        if since.is_some() || last.is_some() {
            self.add_replay(peer, since, last, (false, false));
            return;
        }
        match replay {
            None if !is_waiting => {}
            Some(count) if count != self.recent.limit() => {
                if self.recorded.is_some() {
                    self.add_replay(peer, None, Some(count), (true, false));
                }
            }
            None | Some(_) => {
                let Some(newcomer) = self.peers.get(&peer) else { return };
                let turn = self.batch.values();
                if let Some(text) = self.recent.render(turn, newcomer.dialect, self.date.into()) {
                    self.batch.control(peer, Control::Send(text));
                }
            }
        }
    }

    /// Makes a peer's writer send messages from the history.
    pub(super) fn replay(&mut self, peer: PeerId, since: Option<Since>, last: Option<usize>) -> Result<(), Refusal> {
        if since.is_none() && self.history.retention() == Retention::Nothing {
            return Err(Refusal::NoHistory);
        }
        let has_room = self.peers.get(&peer).is_none_or(|asking| asking.waiting.add());
        if !has_room {
            return Err(Refusal::TooManyReplays);
        }
        self.add_replay(peer, since, last, (false, true));
        Ok(())
    }

    fn add_replay(
        &mut self,
        peer: PeerId,
        since: Option<Since>,
        last: Option<usize>,
        (is_unasked, is_command): (bool, bool),
    ) {
        let ignored = self.ignored_by(peer);
        let Some(asking) = self.peers.get(&peer) else { return };
        if !is_command {
            asking.waiting.add();
        }
        let replay = Replay {
            after: since.map(|since| since.resolve(self.date)),
            newest: last,
            up_to: self.newest(),
            ignored,
            is_unasked,
            now: self.date.into(),
            // Someone who comes back after a lost connection should not have to wait for it.
            owed: is_command.then(|| Arc::clone(&asking.owed)),
            waiting: asking.waiting.clone(),
        };
        self.batch.control(peer, Control::Replay(Arc::new(replay)));
    }

    /// Sends a peer what its search has found.
    pub(super) fn show_found(&mut self, peer: PeerId, messages: &[Message], has_more: bool) {
        let Some(asking) = self.peers.get(&peer) else { return };
        for message in messages {
            self.batch
                .push(Audience::Only(peer), &asking.dialect.replayed(&RoomName::lobby(), message, self.date.into()));
        }
        self.batch.push(Audience::Only(peer), &Reply::Found { count: messages.len() as u64, has_more });
    }
}
