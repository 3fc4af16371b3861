//! The server: sockets and tasks around the protocol and the room.
//!
//! [`Listener`] accepts connections; each gets a session, the one task that reads its socket, and, once it has
//! joined, a writer, the one task that writes to it. The broker is the one task that owns the peers.

pub mod access;
pub mod admin;
pub mod config;
mod connection;
pub mod listen;
pub(crate) mod shared;

pub use admin::Control;
pub use config::Config;
pub use listen::{BindError, Listener, Tls};

use std::convert::Infallible;
use std::future::Future;
use std::num::NonZeroUsize;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, Instant, SystemTime};

use async_channel::Sender;
use async_global_executor::GlobalExecutorConfig;
use async_std::future::timeout;
use async_std::task;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::select_all;
use thiserror::Error;

use crate::accounts::{Account, Accounts};
use crate::limits::{FEED_BYTES, INBOX_EVENTS, LOGINS_NOTED, POOL_THREADS, SHUTDOWN_LIMIT};
use crate::log::{Log, Record};
use crate::room::{AdminRequest, Broker, Event, Feed};
use crate::server::access::auth::Auth;
use crate::server::shared::{Shared, note_login};

/// The broker's task panicked. Nobody owns the room any more, so the server cannot go on.
#[derive(Debug, Error)]
#[error("the broker crashed, and everyone was disconnected; this is a bug in the server")]
pub struct BrokerPanicked;

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
/// [`BrokerPanicked`], at once.
///
/// # Panics
/// When there is no place to listen at.
pub async fn run(
    listeners: Vec<Listener>,
    control: Option<Control>,
    config: Config,
    auth: Auth,
    log: Log,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BrokerPanicked> {
    let (inbox, events) = async_channel::bounded(INBOX_EVENTS);
    let broker = Broker::new(Feed::new(FEED_BYTES), log.clone(), Instant::now());
    let broker = broker.wait_for_readers(config.pace.waits_for_readers()).announce_after(config.announce_after);
    let broker = broker.with_policy(auth.policy.clone());
    serve(listeners, control, (config, auth), log, shutdown, inbox, broker.run(events)).await
}

/// Removes the accounts that nobody has logged in with for so long, now and once a day. Who is in the room uses an account.
async fn remove_unused(shared: Arc<Shared>, accounts: Accounts, time: Duration) -> Infallible {
    loop {
        let here = shared.ask_room(AdminRequest::ListPeople).await;
        for account_id in here.into_iter().filter_map(|person| person.account_id) {
            note_login(&shared.log, &accounts, account_id).await;
        }
        match accounts.remove_unused(time, SystemTime::now()).await {
            Ok(removed) => removed.into_iter().for_each(|Account { name, used, .. }| {
                shared.log.note(Record::AccountExpired { name, used });
            }),
            Err(error) => shared.log.note(Record::NotKept { why: error.to_string() }),
        }
        task::sleep(LOGINS_NOTED).await;
    }
}

/// [`run`] with a broker of the caller's choice.
async fn serve(
    listeners: Vec<Listener>,
    control: Option<Control>,
    settings: (Config, Auth),
    log: Log,
    shutdown: impl Future<Output = ()>,
    inbox: Sender<Event>,
    broker: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BrokerPanicked> {
    let (stop_sessions, stop) = oneshot::channel::<()>();
    let (alive, all_gone) = async_channel::bounded(1);
    let shared = Arc::new(Shared::new(settings, inbox.clone(), log.clone(), stop.map(drop).boxed().shared(), alive));
    // One end is held by each session that is left.
    let sessions = Arc::downgrade(&shared);
    let places = listeners.iter().map(Listener::to_string).chain(control.as_ref().map(Control::to_string));
    for place in places {
        log.note(Record::Started { place });
    }
    for (account, older) in shared.auth.accounts().into_iter().flat_map(Accounts::set_aside) {
        log.note(Record::AccountSetAside { name: account.name, older });
    }
    let unused = shared.config.account_unused.zip(shared.auth.accounts().cloned());
    let mut broker = task::spawn(AssertUnwindSafe(broker).catch_unwind()).fuse();
    {
        let accepting = listeners.into_iter().map(|listener| listener.accept_all(Arc::clone(&shared)).boxed());
        let attending = control.map(|control| control.attend_all(Arc::clone(&shared)).boxed());
        let expiring = unused.map(|(time, accounts)| remove_unused(Arc::clone(&shared), accounts, time).boxed());
        let accepting = select_all(accepting.chain(attending).chain(expiring)).fuse();
        drop(shared);
        let shutdown = shutdown.fuse();
        futures::pin_mut!(accepting, shutdown);
        futures::select! {
            () = shutdown => {}
            _ = broker => return Err(BrokerPanicked),
            (never, ..) = accepting => match never {},
        }
    }
    log.note(Record::Stopping);
    let ending = async {
        // First the room, so that everybody reads the notice before the farewell. A dead broker is found below.
        let _ = inbox.send(Event::Shutdown).await;
        drop(stop_sessions);
        let room = broker.await;
        let _: Result<Infallible, _> = all_gone.recv().await;
        room
    };
    let ended = timeout(SHUTDOWN_LIMIT, ending).await;
    log.note(Record::Stopped { cut: sessions.strong_count() });
    if matches!(ended, Ok(Err(_))) { Err(BrokerPanicked) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_dies_ends_the_server_with_an_error() {
        let listener = Listener::bind("127.0.0.1", 0).unwrap();
        let (inbox, _events) = async_channel::bounded(1);
        let served =
            serve(vec![listener], None, Default::default(), Log::off(), futures::future::pending(), inbox, async {
                panic!("as a test")
            });
        let ended = task::block_on(timeout(Duration::from_secs(10), served)).expect("it ends");
        assert!(matches!(ended, Err(BrokerPanicked)));
    }
}
