//! The broker: the task that owns the peers and puts what they say in order.
//!
//! It takes events from the sessions and publishes batches to the feed. It waits for its inbox, for the end of a round,
//! and for the readers when half or more of the active ones are far behind; for a single reader it waits only a little.
//! `handle` is synchronous, so the room can be tested without an executor.

mod history;
mod moderation;

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use async_channel::Receiver;
use async_io::Timer;
use futures::FutureExt;

use crate::history::History;
use crate::limits::{CONGESTION_PAUSE, WELCOME_NAMES, WHO_NAMES};
use crate::log::{Log, Record};
use crate::model::address::PeerAddr;
use crate::model::{AccountId, Message, Name, PeerId, RoomName};
use crate::os::yielding::let_others_run;
use crate::protocol::{Command, Dialect, LeaveReason, Refusal, Reply};
use crate::room::backpressure::Backpressure;
use crate::room::broker::history::{Stored, Unpublished};
use crate::room::ignores::Ignores;
use crate::room::names::NameTable;
use crate::room::presence::{Leave, PresenceNotices};
use crate::room::recent::Recent;
use crate::room::replay::Waiting;
use crate::room::unannounced::Unannounced;
use crate::room::{Answer, Audience, BatchBuilder, Event, Feed, Join, Mute, PeerSet, Policy, SlowReaders};

/// The state of the room, and what is being said in this turn.
#[derive(Debug)]
pub struct Broker {
    feed: Feed,
    log: Log,
    peers: HashMap<PeerId, Peer>,
    names: NameTable,
    ignores: Ignores,
    batch: BatchBuilder,
    /// A full batch was published in this turn, so other tasks should run before more events are taken.
    is_turn_over: bool,
    presence: PresenceNotices,
    unannounced: Unannounced,
    backpressure: Backpressure,
    /// The room waits for most of its readers without a time limit.
    waits_for_readers: bool,
    /// The start of this turn.
    now: Instant,
    /// The same in wall-clock time, which bans and mutes use.
    date: SystemTime,
    policy: Policy,
    history: History,
    /// What newcomers are told about the history.
    recorded: Option<String>,
    /// The number of the next message.
    next_number: u64,
    recent: Recent,
    /// How many peers use the dialect with numbers.
    ids_peers: usize,
    /// Batches that wait for the history.
    unpublished: VecDeque<Unpublished>,
    /// The history has not stored this yet, and the room does not wait for it.
    late: Option<Stored>,
    /// The server is stopping. Peers that leave still receive the lines of those who leave later. The room ends with
    /// the last of them.
    closing: bool,
}

#[derive(Debug)]
struct Peer {
    name: Name,
    from: PeerAddr,
    account_id: Option<AccountId>,
    mute: Option<Mute>,
    dialect: Dialect,
    accepted: u64,
    refused: u64,
    /// The number of its join, while that is not announced.
    unannounced: Option<u64>,
    /// Bytes that the peer must pay for besides those that it sent. Its session takes them from here.
    owed: Arc<AtomicU64>,
    /// The replays that it waits for.
    waiting: Waiting,
    /// It has left while the server is stopping.
    is_done: bool,
}

impl Broker {
    /// An empty room that publishes to `feed`.
    pub fn new(feed: Feed, log: Log, now: Instant) -> Self {
        Self {
            feed,
            log,
            peers: HashMap::new(),
            names: NameTable::default(),
            ignores: Ignores::default(),
            batch: BatchBuilder::default(),
            is_turn_over: false,
            presence: PresenceNotices::new(now),
            unannounced: Unannounced::default(),
            backpressure: Backpressure::new(now),
            waits_for_readers: false,
            now,
            date: SystemTime::UNIX_EPOCH,
            policy: Policy::default(),
            history: History::off(),
            recorded: None,
            next_number: 1,
            recent: Recent::default(),
            ids_peers: 0,
            unpublished: VecDeque::new(),
            late: None,
            closing: false,
        }
    }

    /// Uses this policy. Without one, everybody may join with any name.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Makes the room wait without a time limit when half or more of its readers lag.
    ///
    /// It must not do so with rate limits on: many peers that send, and read slowly, could bring the others to a halt.
    pub fn wait_for_readers(mut self, waits_for_readers: bool) -> Self {
        self.waits_for_readers = waits_for_readers;
        self
    }

    /// Announces joins after this time, and not at all if the peer has left by then. By default joins are announced at
    /// once.
    pub fn announce_after(mut self, time: Duration) -> Self {
        self.unannounced = Unannounced::new(time);
        self
    }

    /// Runs until the room ends: after [`Event::Shutdown`] and the last leave, or when there are no senders left.
    ///
    /// A turn takes all waiting events, up to about a batch of text, and publishes the result. The next turn begins
    /// when the round is over: when all readers that were woken have come.
    pub async fn run(mut self, inbox: Receiver<Event>) {
        self.load_recent().await;
        while !self.is_over() {
            let event = futures::select_biased! {
                event = inbox.recv().fuse() => match event {
                    Ok(event) => Some(event),
                    Err(_nobody) => break,
                },
                () = self.until_due().fuse() => None,
            };
            self.tick(Instant::now(), SystemTime::now());
            event.into_iter().for_each(|event| self.handle(event));
            while !self.is_turn_over
                && !self.batch.is_full()
                && let Ok(event) = inbox.try_recv()
            {
                self.handle(event);
            }
            self.publish();
            self.publish_when_stored().await;
            self.is_turn_over = false;
            self.feed.round().await;
            // If the inbox is never empty, the broker would occupy its thread forever. Also, what others read meanwhile
            // makes the next batch larger.
            let_others_run().await;
            while self.has_to_wait(Instant::now()) {
                Timer::after(CONGESTION_PAUSE).await;
            }
        }
        // Whatever came too late is answered. Later senders find the inbox closed.
        inbox.close();
        while let Ok(event) = inbox.try_recv() {
            self.handle(event);
        }
        self.publish();
        self.publish_when_stored().await;
    }

    /// Whether no events are taken until the readers have caught up.
    fn has_to_wait(&mut self, now: Instant) -> bool {
        match self.feed.slow_readers(now) {
            SlowReaders::None => false,
            SlowReaders::Most if self.waits_for_readers => true,
            SlowReaders::Some | SlowReaders::Most => self.backpressure.spend(CONGESTION_PAUSE, now),
        }
    }

    /// Begins a turn and announces what is due by `now`.
    pub fn tick(&mut self, now: Instant, date: SystemTime) {
        (self.now, self.date) = (now, date);
        if self.presence.due().is_some_and(|due| due <= now) {
            self.presence.tell(&mut self.batch);
        }
        self.announce_due();
    }

    /// Announces peers that have been here for long enough.
    fn announce_due(&mut self) {
        while let Some(peer) = self.unannounced.pop_due(self.now) {
            self.announce(peer);
        }
    }

    /// Announces a peer that was just taken from the unannounced ones.
    fn announce(&mut self, peer: PeerId) {
        let others = self.peers.len().saturating_sub(1);
        let Some(newcomer) = self.peers.get_mut(&peer) else { return };
        newcomer.unannounced = None;
        if self.presence.joins(peer, &newcomer.name, others, self.now) {
            self.batch.push(self.unannounced.audience(peer), &Reply::Joined(&newcomer.name));
        }
    }

    /// Waits until something is due, or forever.
    async fn until_due(&self) {
        match self.presence.due().into_iter().chain(self.unannounced.due()).min() {
            Some(due) => drop(Timer::at(due).await),
            None => std::future::pending().await,
        }
    }

    /// Handles one event. The resulting lines go into the batch of this turn, which is published when it is full.
    pub fn handle(&mut self, event: Event) {
        match event {
            Event::Join { join, answer } => {
                // If the session is gone, nobody receives the answer; its leave follows.
                let _ = answer.send(self.join(*join));
            }
            Event::Lines { peer, lines, bytes } => {
                let mut written = 0;
                for line in lines {
                    let before = self.batch.len();
                    self.line(peer, line);
                    written += self.batch.len() - before;
                    if self.batch.is_full() {
                        self.publish();
                        self.is_turn_over = true;
                    }
                }
                self.charge(peer, written.saturating_sub(bytes));
            }
            Event::Slowed { peer } => {
                self.batch.push(Audience::Only(peer), &Reply::Slowed);
                if let Some(slowed) = self.peers.get(&peer) {
                    self.log.note(Record::Slowed { peer, from: slowed.from });
                }
            }
            Event::Ask { peer, answer } => {
                if let Some(asked) = self.peers.get(&peer) {
                    // The session may be gone.
                    let _ = answer.send(asked.as_person(peer, self.date));
                }
            }
            Event::AskIgnored { peer, answer } => {
                // The session may be gone.
                let _ = answer.send(self.ignored_by(peer));
            }
            Event::Found { peer, messages, has_more } => {
                let before = self.batch.len();
                self.show_found(peer, &messages, has_more);
                self.charge(peer, self.batch.len() - before);
            }
            Event::Tell { peer, told } => {
                let before = self.batch.len();
                self.tell(peer, told);
                self.charge(peer, self.batch.len() - before);
            }
            Event::SetAccount { peer, account_id } => {
                self.peers.entry(peer).and_modify(|peer| peer.account_id = account_id);
            }
            Event::AdminRequest(request) => self.handle_admin(*request),
            Event::Leave { peer, reason } => self.leave(peer, reason, Some(peer)),
            Event::Shutdown => {
                self.closing = true;
                self.unannounced.clear();
                self.presence.tell(&mut self.batch);
                self.batch.push(Audience::Everyone, &Reply::ShuttingDown);
            }
        }
    }

    fn is_over(&self) -> bool {
        self.closing && self.peers.is_empty()
    }

    /// Charges a peer for what its lines caused beyond their own size: replies, and text that grew when it was made
    /// safe.
    fn charge(&self, peer: PeerId, bytes: usize) {
        if let Some(peer) = self.peers.get(&peer) {
            peer.owed.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    fn join(&mut self, join: Join) -> Answer {
        let Join { peer, from, name, account_id, options, is_waiting, owed } = join;
        if self.closing {
            return Err(Refusal::ShuttingDown);
        }
        self.policy.may_connect(from, self.date)?;
        self.policy.may_have(&name, account_id, self.date)?;
        options.since.map_or(Ok(()), |since| self.check_since(since))?;
        self.make_room_for(&name, account_id);
        self.names.check(&name, peer)?;
        self.presence.tell_leaves_of(&name, peer, &mut self.batch);
        let dialect = if options.ids == Some(true) { Dialect::Ids } else { Dialect::Plain };
        let reader = self.feed.subscribe(peer, dialect, &mut self.batch);
        let named: Vec<_> = self.names.peers().take(WELCOME_NAMES).map(|other| &self.peers[&other].name).collect();
        let recorded = self.recorded.as_deref();
        self.batch.use_dialect(dialect);
        let welcome =
            Reply::Welcome { room: &RoomName::lobby(), name: &name, others: self.peers.len(), named: &named, recorded };
        self.batch.push(Audience::Only(peer), &welcome);
        self.log.note(Record::Joined { peer, name: name.clone(), from });
        self.names.insert(&name, peer);
        self.ignores.came(peer, &name);
        let mute = self.policy.mute_of(&name, self.date);
        let unannounced = Some(self.unannounced.add(peer, self.now));
        self.ids_peers += usize::from(dialect == Dialect::Ids);
        let newcomer = Peer {
            name,
            from,
            account_id,
            mute,
            dialect,
            accepted: 0,
            refused: 0,
            unannounced,
            owed,
            waiting: Waiting::default(),
            is_done: false,
        };
        self.peers.insert(peer, newcomer);
        self.replay_to_newcomer(peer, options, is_waiting);
        self.announce_due();
        Ok(reader)
    }

    /// Removes a peer and announces that. `author` may have written a part of the reason.
    fn leave(&mut self, peer: PeerId, reason: Option<LeaveReason>, author: Option<PeerId>) {
        if !self.closing {
            // The words of a muted peer reach neither the others nor the log.
            let is_muted = self.peers.get(&peer).is_some_and(|peer| peer.is_muted(self.date).is_some());
            let reason = reason.filter(|reason| !(is_muted && matches!(reason, LeaveReason::Quit(_))));
            let has_words = reason.as_ref().is_some_and(LeaveReason::has_words_of_a_user);
            let author = author.filter(|_| has_words);
            let ignored_by = author.map_or_else(PeerSet::default, |author| self.ignores.who_ignores_peer(author));
            if let Some(Peer { name, unannounced: None, .. }) = self.dismiss(peer, reason.clone()) {
                let leave = Leave { peer, name, reason, ignored_by };
                self.presence.leaves(leave, self.peers.len(), self.now, &mut self.batch);
            }
            return;
        }
        if let Some(left) = self.peers.get_mut(&peer) {
            left.is_done = true;
        }
        if self.peers.values().all(|peer| peer.is_done) {
            let all: Vec<_> = self.peers.keys().copied().collect();
            for peer in all {
                self.dismiss(peer, None);
            }
        }
    }

    /// Removes a peer from the room, with its farewell. Its name is free now.
    fn dismiss(&mut self, peer: PeerId, reason: Option<LeaveReason>) -> Option<Peer> {
        let left = self.peers.remove(&peer)?;
        let Peer { ref name, from, dialect, accepted, refused, unannounced, .. } = left;
        self.ids_peers -= usize::from(dialect == Dialect::Ids);
        unannounced.into_iter().for_each(|join| self.unannounced.remove(join));
        self.names.remove(name);
        self.ignores.left(peer, &self.names);
        self.batch.push(
            Audience::Farewell(peer),
            &Reply::Bye { name, accepted, refused, since: self.position(), room: &RoomName::lobby() },
        );
        self.log.note(Record::Left { peer, name: name.clone(), from, reason, accepted, refused });
        Some(left)
    }

    fn line(&mut self, peer: PeerId, line: Result<Command, Refusal>) {
        let done = line.and_then(|command| self.command(peer, command));
        if let Err(refusal) = done {
            self.refuse(peer, &refusal);
        }
    }

    fn refuse(&mut self, peer: PeerId, refusal: &Refusal) {
        if let Some(sender) = self.peers.get_mut(&peer) {
            sender.refused += 1;
            self.batch.push(Audience::Only(peer), &Reply::Refused(refusal));
            self.log.note(Record::Refused { peer, from: sender.from, code: refusal.code() });
        }
    }

    fn command(&mut self, peer: PeerId, command: Command) -> Result<(), Refusal> {
        let Some(sender) = self.peers.get_mut(&peer) else { return Ok(()) };
        if let Some(mute) = sender.is_muted(self.date) {
            match &command {
                Command::Say(_) | Command::SayIn(..) | Command::Tell { .. } => {
                    return Err(crate::room::sanctions::silenced(mute));
                }
                Command::Rename(_) => return Err(crate::room::sanctions::pinned(mute)),
                _ => {}
            }
        }
        match command {
            Command::Say(text) => {
                let number = self.next_number;
                if number > self.history.ceiling() {
                    return Err(Refusal::MessageNotKept);
                }
                self.next_number += 1;
                sender.accepted += 1;
                self.presence.tell_join_of(peer, &mut self.batch);
                let audience = self.ignores.audience(peer, sender.dialect == Dialect::Ids);
                let message = Message { number, at: self.date.into(), from: sender.name.clone(), text };
                self.batch.say(audience, peer, message);
            }
            Command::Tell { to, text } => {
                let Some(receiver) = self.names.holder(&to) else {
                    return Err(Refusal::NoSuchUser((&*to).into()));
                };
                if self.ignores.ignores(receiver, peer) {
                    return Err(Refusal::Ignored((&*to).into()));
                }
                sender.accepted += 1;
                self.presence.tell_join_of(peer, &mut self.batch);
                self.batch.push(Audience::Only(receiver), &Reply::Told { from: &sender.name, text: &text });
            }
            Command::Rename(name) => return self.rename(peer, *name),
            Command::Ignore(name) => return self.ignore(peer, &name),
            Command::Unignore(name) => return self.unignore(peer, &name),
            Command::Ignored => self.list_ignored(peer),
            Command::Join(room)
            | Command::Hear(room, _)
            | Command::Deaf(room)
            | Command::SayIn(room, _)
            | Command::Who(Some(room)) => return Err(Refusal::NoSuchRoom(room)),
            Command::Rooms | Command::Topic(_) | Command::Heard => {}
            Command::Who(None) => {
                let names: Vec<_> = self.names.peers().take(WHO_NAMES).map(|peer| &self.peers[&peer].name).collect();
                self.batch.push(Audience::Only(peer), &Reply::Here { count: self.peers.len(), names: &names });
            }
            Command::Help => self.batch.push(Audience::Only(peer), &Reply::Help),
            Command::Ping(token) => self.batch.push(Audience::Only(peer), &Reply::Pong(token.as_ref())),
            Command::Ids(has_ids) => self.use_ids(peer, has_ids),
            Command::Since(since) => {
                self.check_since(since)?;
                self.replay(peer, Some(since), None)?;
            }
            Command::Last(count) => self.replay(peer, None, Some(count))?,
            // The session leaves by an event of its own, so that there is only one way out. It also does what must wait
            // for a password or the disk.
            Command::Quit(_) | Command::Account(_) | Command::Moderation(_) | Command::Grep(_) => {}
        }
        Ok(())
    }

    fn ignore(&mut self, peer: PeerId, name: &Name) -> Result<(), Refusal> {
        self.ignores.add(peer, name, self.names.holder(name))?;
        self.batch.push(Audience::Only(peer), &Reply::Ignoring(name));
        Ok(())
    }

    fn unignore(&mut self, peer: PeerId, name: &Name) -> Result<(), Refusal> {
        self.ignores.remove(peer, name, self.names.holder(name))?;
        self.batch.push(Audience::Only(peer), &Reply::NoLongerIgnoring(name));
        Ok(())
    }

    fn list_ignored(&mut self, peer: PeerId) {
        let ignored = self.ignores.list(peer, |followed| &self.peers[&followed].name);
        self.batch.push(Audience::Only(peer), &Reply::Ignored(&ignored));
    }

    fn rename(&mut self, peer: PeerId, name: Name) -> Result<(), Refusal> {
        let Some(sender) = self.peers.get(&peer) else { return Ok(()) };
        if sender.name.as_str() == name.as_str() {
            self.batch.push(Audience::Only(peer), &Reply::SameName(&name));
            return Ok(());
        }
        self.policy.may_give_up(&sender.name, self.date)?;
        self.policy.may_have(&name, sender.account_id, self.date)?;
        self.names.check(&name, peer)?;
        let mute = self.policy.mute_of(&name, self.date);
        // Everyone must know the old name. Joins are announced in order, so earlier ones come first.
        if let Some(join) = sender.unannounced {
            while let Some(earlier) = self.unannounced.pop_until(join) {
                self.announce(earlier);
            }
        }
        let Some(sender) = self.peers.get_mut(&peer) else { return Ok(()) };
        self.presence.tell_join_of(peer, &mut self.batch);
        self.presence.tell_leaves_of(&name, peer, &mut self.batch);
        self.batch.push(Audience::Everyone, &Reply::Renamed { old: &sender.name, new: &name });
        let (from, old) = (sender.from, sender.name.clone());
        self.log.note(Record::Renamed { peer, from, old, new: name.clone() });
        self.names.remove(&sender.name);
        self.names.insert(&name, peer);
        self.ignores.renamed(peer, &sender.name, &name);
        // The peer's own mute stays, and a mute of the new name applies too.
        sender.mute = mute.or(sender.mute);
        sender.name = name;
        Ok(())
    }
}

/// However the broker ends, even by a panic, nobody waits for it afterwards.
impl Drop for Broker {
    fn drop(&mut self) {
        self.feed.close();
    }
}

#[cfg(test)]
mod tests;
