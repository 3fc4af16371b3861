//! The server: sockets and tasks around the protocol and the room.
//!
//! [`Listener`] accepts connections. Each gets a session, the only task that reads its socket. After the join it also
//! gets a writer, the only task that writes to it. The broker is the only task that owns the peers.

pub mod access;
pub mod admin;
pub mod config;
mod connection;
pub mod listen;
pub(crate) mod shared;
pub mod systemd;

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
use crate::history::History;
use crate::limits::{FEED_BYTES, INBOX_EVENTS, LOGINS_NOTED, PINGS, POOL_THREADS, SHUTDOWN_LIMIT, STOPPING_LIMIT};
use crate::log::{Log, Record};
use crate::os::systemd::{Notice, is_listening};
use crate::room::{AdminRequest, Broker, Event, Ping};
use crate::server::access::auth::Auth;
use crate::server::shared::{Shared, note_login};

/// The broker's task panicked. Nothing owns the room any more, so the server cannot continue.
#[derive(Debug, Error)]
#[error("the broker crashed, and everyone was disconnected; this is a bug in the server")]
pub struct BrokerPanicked;

/// Starts this many threads for the tasks of this process. It must be called before async-std runs, which otherwise
/// starts one per processor.
///
/// It also limits the threads for blocking work. By default there could be up to 500, and each keeps some memory
/// forever.
pub fn start_threads(count: usize) {
    let cores = available_parallelism().map_or(1, NonZeroUsize::get);
    let others = NonZeroUsize::new(cores + POOL_THREADS).expect("it is not zero");
    blocking::set_max_blocking_threads(others);
    let config = GlobalExecutorConfig::default().with_min_threads(count).with_max_threads(count);
    async_global_executor::init_with_config(config);
}

/// Serves all listeners and the control socket until `shutdown` is ready. Then ends all connections gracefully, within
/// [`SHUTDOWN_LIMIT`].
///
/// During the shutdown, no new connections are accepted. Everyone is told, what has arrived is still delivered, and
/// each peer gets a farewell with the number of its accepted lines.
///
/// # Errors
/// [`BrokerPanicked`], at once.
///
/// # Panics
/// If there is nothing to listen on.
pub async fn run(
    listeners: Vec<Listener>,
    control: Option<Control>,
    config: Config,
    (auth, history): (Auth, History),
    log: Log,
    shutdown: impl Future<Output = ()>,
) -> Result<(), BrokerPanicked> {
    let (inbox, events) = async_channel::bounded(INBOX_EVENTS);
    let (ping, pings) = async_channel::bounded(PINGS);
    let broker = Broker::new(FEED_BYTES, log.clone(), Instant::now());
    let broker = broker.wait_for_readers(config.pace.waits_for_readers()).announce_after(config.announce_after);
    let broker = broker.with_policy(auth.policy.clone()).with_history(history.clone(), config.replay);
    serve(listeners, control, (config, auth, history), log, shutdown, (inbox, ping), broker.run(events, pings)).await
}

/// Removes unused accounts, now and once a day. An account is in use while its owner is in the room.
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
    settings: (Config, Auth, History),
    log: Log,
    shutdown: impl Future<Output = ()>,
    (inbox, pings): (Sender<Event>, Sender<Ping>),
    broker: impl Future<Output = ()> + Send + 'static,
) -> Result<(), BrokerPanicked> {
    let (stop_sessions, stop) = oneshot::channel::<()>();
    let (alive, all_gone) = async_channel::bounded(1);
    let shared =
        Arc::new(Shared::new(settings, (inbox.clone(), pings), log.clone(), stop.map(drop).boxed().shared(), alive));
    // Each remaining session holds a reference.
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
        let reporting = is_listening().then(|| systemd::report(Arc::clone(&shared)).boxed());
        let accepting = select_all(accepting.chain(attending).chain(expiring).chain(reporting)).fuse();
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
        // The room comes first, so that everyone reads the notice before the farewell. A panic of the broker is
        // detected below.
        let _ = inbox.send(Event::Shutdown).await;
        drop(stop_sessions);
        let room = broker.await;
        let _: Result<Infallible, _> = all_gone.recv().await;
        room
    };
    let told = log.clone();
    let telling = task::spawn(async move { systemd::tell(&told, vec![Notice::Stopping]).await });
    let ended = timeout(SHUTDOWN_LIMIT, ending).await;
    // It may be too busy.
    let _ = timeout(STOPPING_LIMIT, telling).await;
    log.note(Record::Stopped { cut: sessions.strong_count() });
    if matches!(ended, Ok(Err(_))) { Err(BrokerPanicked) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_the_broker_ends_the_server_with_an_error() {
        let listener = Listener::bind("127.0.0.1", 0).unwrap();
        let (inbox, _events) = async_channel::bounded(1);
        let (ping, _pings) = async_channel::bounded(1);
        let served = serve(
            vec![listener],
            None,
            (Config::default(), Auth::default(), History::off()),
            Log::off(),
            futures::future::pending(),
            (inbox, ping),
            async { panic!("as a test") },
        );
        let ended = task::block_on(timeout(Duration::from_secs(10), served)).expect("it ends");
        assert!(matches!(ended, Err(BrokerPanicked)));
    }
}
