//! State shared by the tasks of the server.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use async_channel::Sender;
use async_lock::Semaphore;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Shared as SharedFuture};

use crate::accounts::{Accounts, ChangeError};
use crate::history::{History, Retention};
use crate::limits::{BATCH_BYTES, SEARCHES};
use crate::log::{Log, Record};
use crate::model::address::{Network, PeerAddr};
use crate::model::{AccountId, PeerId, SafeText};
use crate::net::tcp_info::user_of_peer;
use crate::net::transport::Transport;
use crate::protocol::{Grep, Notice, Refusal};
use crate::room::{Counts, Event, Person, Ping};
use crate::server::Config;
use crate::server::access::auth::Auth;
use crate::server::access::connection_limits::ConnectionLimits;
use crate::server::access::rate_limit::NetworkLimits;
use crate::server::connection::pages::HistoryReader;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) auth: Auth,
    pub(crate) connection_limits: Arc<ConnectionLimits>,
    /// The rate limits of the networks.
    pub(crate) networks: Arc<NetworkLimits>,
    pub(crate) inbox: Sender<Event>,
    pings: Sender<Ping>,
    pub(crate) history: History,
    pub(crate) pages: HistoryReader,
    searches: Semaphore,
    pub(crate) log: Log,
    /// When the server started.
    pub(crate) since: Instant,
    /// The number of connections so far.
    arrivals: AtomicU64,
    /// Ready once the server stops.
    pub(crate) stop: SharedFuture<BoxFuture<'static, ()>>,
    #[expect(dead_code, reason = "nothing is ever sent: that it is dropped says that no session is left")]
    alive: Sender<Infallible>,
}

impl Shared {
    pub(crate) fn new(
        (config, auth, history): (Config, Auth, History),
        (inbox, pings): (Sender<Event>, Sender<Ping>),
        log: Log,
        stop: SharedFuture<BoxFuture<'static, ()>>,
        alive: Sender<Infallible>,
    ) -> Self {
        let (connection_limits, networks) = (ConnectionLimits::new(config.capacity), Arc::default());
        let (since, arrivals) = (Instant::now(), AtomicU64::new(0));
        let (pages, searches) = (HistoryReader::new(), Semaphore::new(SEARCHES));
        Self {
            config,
            auth,
            connection_limits,
            networks,
            inbox,
            pings,
            history,
            pages,
            searches,
            log,
            since,
            arrivals,
            stop,
            alive,
        }
    }

    /// The number of connections so far.
    pub(crate) fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed)
    }

    /// The number of the next connection.
    pub(crate) fn next_peer(&self) -> PeerId {
        PeerId(self.arrivals.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Whether nobody in between can read a password from there, or the operator accepts that.
    pub(crate) fn is_protected(&self, from: PeerAddr, transport: &Transport) -> bool {
        self.config.allow_plain_password || transport.is_encrypted() || from.is_this_machine()
    }

    /// The network that is charged for passwords and registrations. On this machine it is the user, if the kernel
    /// tells.
    pub(crate) fn payer(from: PeerAddr, transport: &Transport) -> Network {
        match from.network() {
            Network::Loopback => user_of_peer(transport).map_or(Network::Loopback, Network::User),
            source => source,
        }
    }

    /// Waits until the broker has shown that it works. `None` if the room has ended.
    pub(crate) async fn ping(&self) -> Option<Counts> {
        let (answer, answered) = oneshot::channel();
        self.pings.send(answer).await.ok()?;
        answered.await.ok()
    }

    /// What the room knows about a peer. `None` if it has left.
    pub(crate) async fn who_is(&self, peer: PeerId) -> Option<Person> {
        let (answer, answered) = oneshot::channel();
        self.inbox.send(Event::Ask { peer, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Searches the history for a peer in the room, and sends it what is found.
    pub(crate) async fn search(&self, peer: PeerId, grep: &Grep) -> Result<(), Refusal> {
        if self.history.retention() == Retention::Nothing {
            return Err(Refusal::NoHistory);
        }
        let Some(_permit) = self.searches.try_acquire() else { return Err(Refusal::TooManySearches) };
        let (answer, answered) = oneshot::channel();
        // If the room has ended or the peer has left, nobody needs the result.
        let _ = self.inbox.send(Event::AskHistory { peer, answer }).await;
        let Ok((history, room, ignored)) = answered.await else { return Ok(()) };
        let (mut messages, mut bytes, mut has_more, mut before) = (VecDeque::new(), 0, true, None);
        let mut unreadable = 0;
        while has_more && messages.len() < grep.count {
            let found = history.search(grep.text.as_str(), grep.count - messages.len(), before).await;
            let found = found.map_err(|_| Refusal::HistoryFailed)?;
            unreadable += found.unreadable;
            has_more = found.has_more && !found.messages.is_empty();
            before = found.messages.first().map(|oldest| oldest.number).or(before);
            let wanted = found.messages.into_iter().filter(|message| !ignored.contains(&message.from));
            for message in wanted.rev() {
                bytes += message.text.as_str().len();
                if bytes > BATCH_BYTES {
                    // A reply must not push what others have yet to read out of the feed.
                    has_more = true;
                    break;
                }
                messages.push_front(message);
            }
            if bytes > BATCH_BYTES {
                break;
            }
        }
        if unreadable > 0 {
            self.tell(peer, Ok(Notice::NotSearched(unreadable))).await;
        }
        let _ = self.inbox.send(Event::Found { peer, room, messages: messages.into(), has_more }).await;
        Ok(())
    }

    /// Sends a notice or refusal to a peer in the room. If the room has ended, nobody needs it.
    pub(crate) async fn tell(&self, peer: PeerId, told: Result<Notice, Refusal>) {
        let _ = self.inbox.send(Event::Tell { peer, told }).await;
    }

    /// Links a peer in the room to its account, or removes the link.
    pub(crate) async fn set_account(&self, peer: PeerId, account_id: Option<AccountId>) {
        // If the room has ended, nobody needs it.
        let _ = self.inbox.send(Event::SetAccount { peer, account_id }).await;
    }

    /// The refusal for an account change that failed. Disk errors are logged for the operator.
    pub(crate) fn not_done(&self, error: ChangeError, name: SafeText) -> Refusal {
        match error {
            ChangeError::AlreadyRegistered(owner) => Refusal::NameLooksRegistered { name, owner: (&owner).into() },
            ChangeError::NotRegistered => Refusal::NotRegistered,
            ChangeError::PasswordChanged => Refusal::WrongPassword,
            ChangeError::Full => Refusal::AccountsFull,
            ChangeError::NotKept(why) => {
                self.log.note(Record::NotKept { why });
                Refusal::NotKept
            }
        }
    }
}

/// Records a login to an account. Disk errors are logged for the operator.
pub(crate) async fn note_login(log: &Log, accounts: &Accounts, account_id: AccountId) {
    if let Err(error) = accounts.note_login(account_id, SystemTime::now()).await {
        log.note(Record::NotKept { why: error.to_string() });
    }
}
