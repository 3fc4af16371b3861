//! The server: sockets and tasks around the protocol and the room.
//!
//! [`Listener`] accepts connections; each gets a session, the one task that reads its socket, and, once it has
//! joined, a writer, the one task that writes to it. The broker is the one task that owns the peers.

mod account;
pub mod admission;
mod arrival;
pub mod config;
pub mod control;
pub mod door;
mod intake;
mod link;
pub mod listener;
mod local_user;
mod login;
mod operator;
pub mod pace;
mod penalties;
mod session;
mod socket_file;
pub mod tls;
mod unnamed;
mod watch;
mod writer;

use std::convert::Infallible;
use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::available_parallelism;
use std::time::{Duration, Instant, SystemTime};

use async_channel::Sender;
use async_global_executor::GlobalExecutorConfig;
use async_std::future::timeout;
use async_std::task;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{BoxFuture, Shared, select_all};
use thiserror::Error;

use door::Door;
use local_user::local_user;
use pace::Networks;

use crate::journal::{Journal, Record};
use crate::limits::{FEED_BYTES, INBOX_EVENTS, LOGINS_NOTED, POOL_THREADS, SHUTDOWN_LIMIT};
use crate::origin::{Origin, Source};
use crate::protocol::{Notice, Refusal, SafeText};
use crate::registry::{Account, AccountId, ActError, Registry};
use crate::room::{Broker, Event, Feed, Order, PeerId, Person};
use crate::transport::Transport;

pub use config::Config;
pub use control::Control;
pub use listener::{BindError, Listener};
pub use tls::Tls;

/// What every session has a share of.
#[derive(Debug)]
struct House {
    config: Config,
    door: Arc<Door>,
    /// How much each network has said lately.
    networks: Arc<Networks>,
    inbox: Sender<Event>,
    journal: Journal,
    /// Since when the server runs.
    since: Instant,
    /// How many connections there were.
    arrivals: Arc<AtomicU64>,
    /// Is ready once the server stops.
    stop: Shared<BoxFuture<'static, ()>>,
    #[expect(dead_code, reason = "nothing is ever sent: that it is dropped says that no session is left")]
    alive: Sender<Infallible>,
}

impl House {
    fn new(
        config: Config,
        inbox: Sender<Event>,
        journal: Journal,
        stop: Shared<BoxFuture<'static, ()>>,
        alive: Sender<Infallible>,
    ) -> Self {
        let (door, since, arrivals) = (Door::new(config.capacity), Instant::now(), Arc::default());
        Self { config, door, networks: Arc::default(), inbox, journal, since, arrivals, stop, alive }
    }

    /// How many connections there were.
    fn arrivals(&self) -> u64 {
        self.arrivals.load(Ordering::Relaxed)
    }

    /// Who the next connection is.
    fn next_peer(&self) -> PeerId {
        PeerId(self.arrivals.fetch_add(1, Ordering::Relaxed) + 1)
    }

    /// Whether nobody on the way can read a password that comes from there, or the operator does not mind.
    fn is_protected(&self, from: Origin, transport: &Transport) -> bool {
        self.config.admission.allow_plain_password || transport.is_encrypted() || from.is_this_machine()
    }

    /// Where a connection comes from, for what its passwords and registrations cost: on this machine its user, if the system
    /// tells.
    fn payer(from: Origin, transport: &Transport) -> Source {
        match from.source() {
            Source::Loopback => local_user(transport).map_or(Source::Loopback, Source::User),
            source => source,
        }
    }

    /// Who a peer in the room is. `None`: it is not there any more.
    async fn who_is(&self, peer: PeerId) -> Option<Person> {
        let (answer, answered) = oneshot::channel();
        self.inbox.send(Event::Ask { peer, answer }).await.ok()?;
        answered.await.ok()
    }

    /// Tells a peer in the room something. When the room is over, there is nobody to tell.
    async fn tell(&self, peer: PeerId, told: Result<Notice, Refusal>) {
        let _ = self.inbox.send(Event::Tell { peer, told }).await;
    }

    /// Ties a peer in the room to its account, or no longer.
    async fn enrol(&self, peer: PeerId, member: Option<AccountId>) {
        // As above.
        let _ = self.inbox.send(Event::Enrol { peer, member }).await;
    }

    /// Notes that somebody has logged in with an account. What is wrong with the disk is for the operator.
    async fn note_login(&self, registry: &Registry, member: AccountId) {
        if let Err(error) = registry.note_login(member, SystemTime::now()).await {
            self.journal.note(Record::NotKept { why: error.to_string() });
        }
    }

    /// What somebody is told whose wish the registry does not grant. What is wrong with the disk is for the operator.
    fn not_done(&self, error: ActError, name: SafeText) -> Refusal {
        match error {
            ActError::AlreadyRegistered(owner) => Refusal::NameLooksRegistered { name, owner: (&owner).into() },
            ActError::NotRegistered => Refusal::NotRegistered,
            ActError::Full => Refusal::RegistryFull,
            ActError::NotKept(why) => {
                self.journal.note(Record::NotKept { why });
                Refusal::NotKept
            }
        }
    }
}

/// The broker's task panicked. Nobody owns the room any more, so the server cannot go on.
#[derive(Debug, Error)]
#[error("the broker died; this is a defect of the server, and everybody was disconnected")]
pub struct BrokerDied;

/// Starts so many threads for the tasks of this process. It has no effect once async-std runs; by itself it would start
/// one for each processor.
///
/// What blocks or takes long gets a few threads, too. By itself it would get up to 500, and each of them keeps some
/// memory for ever.
pub fn start_threads(count: usize) {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let others = NonZeroUsize::new(cores + POOL_THREADS).expect("it is not zero");
    blocking::set_max_blocking_threads(others);
    let config = GlobalExecutorConfig::default().with_min_threads(count).with_max_threads(count);
    async_global_executor::init_with_config(config);
}

/// Serves at all these places, and does what it is told through `control`, until `shutdown` is ready; then ends all
/// connections gently, within [`SHUTDOWN_LIMIT`].
///
/// At a shutdown nobody new is accepted, everybody is told, what has arrived is still delivered, and each peer gets
/// its farewell, which counts the lines of it that were accepted.
///
/// # Errors
/// [`BrokerDied`], at once.
///
/// # Panics
/// When there is no place to listen at.
pub async fn run(
    listeners: Vec<Listener>,
    control: Option<Control>,
    config: Config,
    journal: Journal,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BrokerDied> {
    let (inbox, events) = async_channel::bounded(INBOX_EVENTS);
    let broker = Broker::new(Feed::new(FEED_BYTES), journal.clone(), Instant::now());
    let broker = broker.patient(config.pace.is_patient()).announce_after(config.announce_after);
    let broker = broker.registered(config.admission.registry.clone(), config.admission.registered_only);
    serve(listeners, control, config, journal, shutdown, inbox, broker.run(events)).await
}

/// Removes the accounts that nobody has logged in with for so long, now and once a day. Who is in the room uses an account.
async fn remove_unused(house: Arc<House>, registry: Registry, time: Duration) -> Infallible {
    loop {
        let here = house.order(Order::Census).await;
        for member in here.into_iter().filter_map(|person| person.member) {
            house.note_login(&registry, member).await;
        }
        match registry.remove_unused(time, SystemTime::now()).await {
            Ok(removed) => removed.into_iter().for_each(|Account { name, used, .. }| {
                house.journal.note(Record::AccountExpired { name, used });
            }),
            Err(error) => house.journal.note(Record::NotKept { why: error.to_string() }),
        }
        task::sleep(LOGINS_NOTED).await;
    }
}

/// [`run`] with a broker of the caller's choice.
async fn serve(
    listeners: Vec<Listener>,
    control: Option<Control>,
    config: Config,
    journal: Journal,
    shutdown: impl Future<Output = ()>,
    inbox: Sender<Event>,
    broker: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BrokerDied> {
    let (stop_sessions, stop) = oneshot::channel::<()>();
    let (alive, all_gone) = async_channel::bounded(1);
    let house = Arc::new(House::new(config, inbox.clone(), journal.clone(), stop.map(drop).boxed().shared(), alive));
    // One end is held by each session that is left.
    let sessions = Arc::downgrade(&house);
    let places = listeners.iter().map(Listener::to_string).chain(control.as_ref().map(Control::to_string));
    for place in places {
        journal.note(Record::Started { place });
    }
    for (account, older) in house.config.admission.registry.iter().flat_map(Registry::set_aside) {
        journal.note(Record::AccountSetAside { name: account.name, older });
    }
    let unused = house.config.account_unused.zip(house.config.admission.registry.clone());
    let mut broker = task::spawn(AssertUnwindSafe(broker).catch_unwind()).fuse();
    {
        let accepting = listeners.into_iter().map(|listener| listener.accept_all(Arc::clone(&house)).boxed());
        let attending = control.map(|control| control.attend_all(Arc::clone(&house)).boxed());
        let expiring = unused.map(|(time, registry)| remove_unused(Arc::clone(&house), registry, time).boxed());
        let accepting = select_all(accepting.chain(attending).chain(expiring)).fuse();
        drop(house);
        let shutdown = shutdown.fuse();
        futures::pin_mut!(accepting, shutdown);
        futures::select! {
            () = shutdown => {}
            _ = broker => return Err(BrokerDied),
            (never, ..) = accepting => match never {},
        }
    }
    journal.note(Record::Stopping);
    let ending = async {
        // First the room, so that everybody reads the notice before the farewell. A dead broker is found below.
        let _ = inbox.send(Event::Shutdown).await;
        drop(stop_sessions);
        let room = broker.await;
        let _: Result<Infallible, _> = all_gone.recv().await;
        room
    };
    let ended = timeout(SHUTDOWN_LIMIT, ending).await;
    journal.note(Record::Stopped { cut: sessions.strong_count() });
    if matches!(ended, Ok(Err(_))) { Err(BrokerDied) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_dies_ends_the_server_with_an_error() {
        let listener = Listener::bind("127.0.0.1", 0).unwrap();
        let (inbox, _events) = async_channel::bounded(1);
        let served =
            serve(vec![listener], None, Config::default(), Journal::off(), futures::future::pending(), inbox, async {
                panic!("as a test")
            });
        let ended = task::block_on(timeout(Duration::from_secs(10), served)).expect("it ends");
        assert!(ended.unwrap_err().to_string().starts_with("the broker died"));
    }
}
