//! The broker: the one task that owns the peers, and numbers what they say.
//!
//! Between the sessions' events and the feed. It waits for its inbox and for nothing else: no peer can make it wait.
//! `handle` is plain and non-async, so the whole behaviour of the room is tested without an executor.

use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::net::SocketAddr;
use std::task::Poll;

use async_channel::Receiver;

use super::{Answer, Audience, BatchBuilder, Event, Feed, PeerId};
use crate::journal::{Journal, Record};
use crate::limits::WELCOME_NAMES;
use crate::protocol::{Command, Name, Refusal, Reply, SafeText};

/// Who is here, and what is being said in this turn.
#[derive(Debug)]
pub struct Broker {
    feed: Feed,
    journal: Journal,
    peers: HashMap<PeerId, Peer>,
    /// The peers by the keys of their names: what makes a name unique, and the order of `/who`.
    names: BTreeMap<String, PeerId>,
    batch: BatchBuilder,
    /// The server stops; the room is over when the last peer has left.
    closing: bool,
}

/// Somebody in the room.
#[derive(Debug)]
struct Peer {
    name: Name,
    from: SocketAddr,
    /// How many of its messages were accepted.
    accepted: u64,
    /// How many of its lines were answered with a refusal.
    refused: u64,
}

impl Broker {
    /// An empty room that publishes to `feed`.
    pub fn new(feed: Feed, journal: Journal) -> Self {
        Self {
            feed,
            journal,
            peers: HashMap::new(),
            names: BTreeMap::new(),
            batch: BatchBuilder::default(),
            closing: false,
        }
    }

    /// Takes turns until the room is over: after [`Event::Shutdown`] and the last leave, or when nobody can send
    /// any more.
    ///
    /// A turn takes all events that wait, up to about a batch, and publishes what they led to.
    pub async fn run(mut self, inbox: Receiver<Event>) {
        while !self.is_over() {
            let Ok(event) = inbox.recv().await else { break };
            self.handle(event);
            while !self.batch.is_full() {
                let Ok(event) = inbox.try_recv() else { break };
                self.handle(event);
            }
            self.publish();
            let_others_run().await;
        }
    }

    /// Handles one event. What it leads to is in the batch of this turn, or published when that is full.
    pub fn handle(&mut self, event: Event) {
        match event {
            Event::Join { peer, from, name, answer } => {
                let joined = self.join(peer, from, name);
                // A session that is gone by now has let go of the other end; its leave follows.
                let _ = answer.send(joined);
            }
            Event::Lines { peer, lines } => {
                for line in lines {
                    self.line(peer, line);
                    if self.batch.is_full() {
                        self.publish();
                    }
                }
            }
            Event::Leave { peer, reason } => self.leave(peer, reason),
            Event::Shutdown => {
                self.closing = true;
                self.batch.push(Audience::Everyone, &Reply::ShuttingDown);
            }
        }
    }

    /// Publishes what was said in this turn.
    pub fn publish(&mut self) {
        if !self.batch.is_empty() {
            self.feed.publish(self.batch.take());
        }
    }

    fn is_over(&self) -> bool {
        self.closing && self.peers.is_empty()
    }

    fn join(&mut self, peer: PeerId, from: SocketAddr, name: Name) -> Answer {
        if self.closing {
            return Err(Refusal::ShuttingDown);
        }
        if self.names.contains_key(name.key()) {
            return Err(Refusal::NameTaken(name));
        }
        let reader = self.feed.subscribe(peer, &self.batch);
        let named: Vec<_> = self.names.values().take(WELCOME_NAMES).map(|other| &self.peers[other].name).collect();
        let welcome = Reply::Welcome { name: &name, others: self.peers.len(), named: &named };
        self.batch.push(Audience::Only(peer), &welcome);
        self.batch.push(Audience::AllBut(peer), &Reply::Joined(&name));
        self.journal.note(Record::Joined { peer, name: name.clone(), from });
        self.names.insert(name.key().to_owned(), peer);
        self.peers.insert(peer, Peer { name, from, accepted: 0, refused: 0 });
        Ok(reader)
    }

    fn leave(&mut self, peer: PeerId, reason: Option<SafeText>) {
        let Some(Peer { name, from, accepted, refused }) = self.peers.remove(&peer) else { return };
        self.names.remove(name.key());
        self.batch.push(Audience::Farewell(peer), &Reply::Bye { name: &name, accepted, refused });
        if !self.closing {
            self.batch.push(Audience::AllBut(peer), &Reply::Left { name: &name, reason: reason.as_ref() });
        }
        self.journal.note(Record::Left { peer, name, from, reason, accepted, refused });
    }

    fn line(&mut self, peer: PeerId, line: Result<Command, Refusal>) {
        let done = line.and_then(|command| self.command(peer, command));
        if let (Err(refusal), Some(sender)) = (done, self.peers.get_mut(&peer)) {
            sender.refused += 1;
            self.batch.push(Audience::Only(peer), &Reply::Refused(&refusal));
            self.journal.note(Record::Refused { peer, code: refusal.code() });
        }
    }

    fn command(&mut self, peer: PeerId, command: Command) -> Result<(), Refusal> {
        let Some(sender) = self.peers.get_mut(&peer) else { return Ok(()) };
        match command {
            Command::Say(text) => {
                sender.accepted += 1;
                self.batch.push(Audience::AllBut(peer), &Reply::Said { from: &sender.name, text: &text });
            }
            Command::Tell { to, text } => {
                let Some(&receiver) = self.names.get(to.key()) else {
                    return Err(Refusal::NoSuchUser(SafeText::new(to.to_string())));
                };
                sender.accepted += 1;
                self.batch.push(Audience::Only(receiver), &Reply::Told { from: &sender.name, text: &text });
            }
            Command::Rename(name) => return self.rename(peer, name),
            Command::Who => {
                let here: Vec<_> = self.names.values().map(|peer| &self.peers[peer].name).collect();
                self.batch.push(Audience::Only(peer), &Reply::Here(&here));
            }
            Command::Help => self.batch.push(Audience::Only(peer), &Reply::Help),
            // The session leaves by an event of its own, so that every way out is the same.
            Command::Quit(_) => {}
        }
        Ok(())
    }

    fn rename(&mut self, peer: PeerId, name: Name) -> Result<(), Refusal> {
        if self.names.get(name.key()).is_some_and(|&holder| holder != peer) {
            return Err(Refusal::NameTaken(name));
        }
        let Some(sender) = self.peers.get_mut(&peer) else { return Ok(()) };
        if sender.name == name {
            self.batch.push(Audience::Only(peer), &Reply::SameName(&name));
            return Ok(());
        }
        self.batch.push(Audience::Everyone, &Reply::Renamed { old: &sender.name, new: &name });
        self.journal.note(Record::Renamed { peer, old: sender.name.clone(), new: name.clone() });
        self.names.remove(sender.name.key());
        self.names.insert(name.key().to_owned(), peer);
        sender.name = name;
        Ok(())
    }
}

/// However the broker ends, a panic included, nobody waits for it afterwards.
impl Drop for Broker {
    fn drop(&mut self) {
        self.feed.close();
    }
}

/// Lets the writers have their turn: an inbox that is never empty would keep the broker's thread for ever.
async fn let_others_run() {
    let mut waited = false;
    poll_fn(|context| {
        if std::mem::replace(&mut waited, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
