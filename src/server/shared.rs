//! What the tasks of the server share.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

use async_channel::Sender;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Shared as SharedFuture};

use crate::accounts::{Accounts, ChangeError};
use crate::log::{Log, Record};
use crate::model::address::{Network, PeerAddr};
use crate::model::{AccountId, PeerId, SafeText};
use crate::net::tcp_info::user_of_peer;
use crate::net::transport::Transport;
use crate::protocol::{Notice, Refusal};
use crate::room::{Event, Person};
use crate::server::Config;
use crate::server::access::auth::Auth;
use crate::server::access::connection_limits::ConnectionLimits;
use crate::server::access::rate_limit::NetworkLimits;

/// What every session has a share of.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) auth: Auth,
    pub(crate) connection_limits: Arc<ConnectionLimits>,
    /// How much each network has said lately.
    pub(crate) networks: Arc<NetworkLimits>,
    pub(crate) inbox: Sender<Event>,
    pub(crate) log: Log,
    /// Since when the server runs.
    pub(crate) since: Instant,
    /// How many connections there were.
    arrivals: AtomicU64,
    /// Is ready once the server stops.
    pub(crate) stop: SharedFuture<BoxFuture<'static, ()>>,
    #[expect(dead_code, reason = "nothing is ever sent: that it is dropped says that no session is left")]
    alive: Sender<Infallible>,
}

impl Shared {
    pub(crate) fn new(
        (config, auth): (Config, Auth),
        inbox: Sender<Event>,
        log: Log,
        stop: SharedFuture<BoxFuture<'static, ()>>,
        alive: Sender<Infallible>,
    ) -> Self {
        let (connection_limits, networks) = (ConnectionLimits::new(config.capacity), Arc::default());
        let (since, arrivals) = (Instant::now(), AtomicU64::new(0));
        Self { config, auth, connection_limits, networks, inbox, log, since, arrivals, stop, alive }
    }

    /// How many connections there were.
    pub(crate) fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed)
    }

    /// Who the next connection is.
    pub(crate) fn next_peer(&self) -> PeerId {
        PeerId(self.arrivals.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Whether nobody on the way can read a password that comes from there, or the operator does not mind.
    pub(crate) fn is_protected(&self, from: PeerAddr, transport: &Transport) -> bool {
        self.config.allow_plain_password || transport.is_encrypted() || from.is_this_machine()
    }

    /// Where a connection comes from, for what its passwords and registrations cost: on this machine its user, if the system
    /// tells.
    pub(crate) fn payer(from: PeerAddr, transport: &Transport) -> Network {
        match from.network() {
            Network::Loopback => user_of_peer(transport).map_or(Network::Loopback, Network::User),
            source => source,
        }
    }

    /// Who a peer in the room is. `None`: it is not there any more.
    pub(crate) async fn who_is(&self, peer: PeerId) -> Option<Person> {
        let (answer, answered) = oneshot::channel();
        self.inbox.send(Event::Ask { peer, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Tells a peer in the room something. When the room is over, there is nobody to tell.
    pub(crate) async fn tell(&self, peer: PeerId, told: Result<Notice, Refusal>) {
        let _ = self.inbox.send(Event::Tell { peer, told }).await;
    }

    /// Ties a peer in the room to its account, or no longer.
    pub(crate) async fn set_account(&self, peer: PeerId, account_id: Option<AccountId>) {
        // As above.
        let _ = self.inbox.send(Event::SetAccount { peer, account_id }).await;
    }

    /// What somebody is told whose change of an account was not made. What is wrong with the disk is for the operator.
    pub(crate) fn not_done(&self, error: ChangeError, name: SafeText) -> Refusal {
        match error {
            ChangeError::AlreadyRegistered(owner) => Refusal::NameLooksRegistered { name, owner: (&owner).into() },
            ChangeError::NotRegistered => Refusal::NotRegistered,
            ChangeError::Full => Refusal::AccountsFull,
            ChangeError::NotKept(why) => {
                self.log.note(Record::NotKept { why });
                Refusal::NotKept
            }
        }
    }
}

/// Notes that somebody has logged in with an account. What is wrong with the disk is for the operator.
pub(crate) async fn note_login(log: &Log, accounts: &Accounts, account_id: AccountId) {
    if let Err(error) = accounts.note_login(account_id, SystemTime::now()).await {
        log.note(Record::NotKept { why: error.to_string() });
    }
}
