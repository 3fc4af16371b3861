//! The control socket: lets those who run the server administer it, through a socket in the data folder.
//!
//! A connection carries one request: a line, and a second line if the request needs a password. The reply is `ok` and
//! further lines, or a refusal as in the room. Requests are handled one at a time, so nothing piles up. Clients have
//! limited time. But a request that has arrived is carried out completely, even if nobody waits for the reply.

use std::convert::Infallible;
use std::fmt::{self, Write as _};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_std::io::timeout;
use async_std::task;
use futures::channel::oneshot;
use futures::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use crate::accounts::{Accounts, ChangeError, Sanction};
use crate::history::Keep;
use crate::limits::{ACCEPT_PAUSE, CONTROL_BYTES, CONTROL_LIMIT};
use crate::log::Record;
use crate::model::address::Network;
use crate::model::limit_key::LimitKeys;
use crate::model::{Name, RoomName, SafeText, Secret};
use crate::net::control;
use crate::net::control::ControlListener;
use crate::net::transport::Transport;
use crate::os::system::user;
use crate::protocol::{AdminCommand, Listing, Refusal};
use crate::room::sanctions::until;
use crate::room::{AdminRequest, Event, Person};
use crate::server::admin::moderation::Actor;
use crate::server::listen::BindError;
use crate::server::shared::Shared;

/// A control socket. `Display` shows its path.
#[derive(Debug)]
pub struct Control(ControlListener);

impl Control {
    /// Listens in the data folder. Only root and the user who runs the server can connect.
    ///
    /// # Errors
    /// [`BindError`], worded for the person who starts the server.
    pub fn bind(folder: &Path) -> Result<Self, BindError> {
        ControlListener::bind(folder).map(Self).map_err(|error| BindError::at(&control::path(folder), error))
    }

    /// Handles all requests, forever. Dropping the future stops listening, but a request in progress is completed.
    pub(crate) async fn attend_all(self, shared: Arc<Shared>) -> Infallible {
        loop {
            if self.attend_next(&shared).await.is_err() {
                // The client is gone, or there are no descriptors. Retrying at once would gain nothing.
                task::sleep(ACCEPT_PAUSE.0).await;
            }
        }
    }

    async fn attend_next(&self, shared: &Arc<Shared>) -> io::Result<()> {
        let Some((stream, user)) = self.0.accept().await? else { return Ok(()) };
        attend(stream, shared, Actor::Administrator(user), CONTROL_LIMIT).await
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.path().display().fmt(f)
    }
}

/// Handles one request. The client has `limit` to send it, and the same time again to read the reply.
async fn attend(mut stream: Transport, shared: &Arc<Shared>, by: Actor, limit: Duration) -> io::Result<()> {
    // The buffer never has to grow, which would leave a copy of a password in memory.
    let mut request = Zeroizing::new(Vec::with_capacity(CONTROL_BYTES + 1));
    timeout(limit, (&mut stream).take(CONTROL_BYTES as u64).read_to_end(&mut request)).await?;
    let shared = Arc::clone(shared);
    // A task of its own, so that a change on disk is also applied and logged if the server stops meanwhile.
    let answer = task::spawn(async move {
        match answer(&shared, &by, &request).await {
            Ok(text) => format!("ok\n{text}"),
            Err(refusal) => format!("! {}: {refusal}\n", refusal.code()),
        }
    });
    let answer = answer.await;
    let tell = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.close().await
    };
    timeout(limit, tell).await
}

async fn answer(shared: &Shared, by: &Actor, request: &[u8]) -> Result<String, Refusal> {
    let request = str::from_utf8(request).map_err(|_| Refusal::NotUtf8)?;
    let (line, secret) = request.split_once('\n').unwrap_or((request, ""));
    let command = AdminCommand::parse(line)?;
    let accounts = shared.auth.accounts().ok_or(Refusal::NoAccounts)?;
    match command {
        AdminCommand::Ping => shared.ping().await.map(|_| "pong\n".to_owned()).ok_or(Refusal::ShuttingDown),
        AdminCommand::Moderation(command) => shared.perform(by, command).await.map(|done| format!("{done}\n")),
        AdminCommand::Op(name) => set_operator(shared, accounts, by, true, &name).await,
        AdminCommand::Deop(name) => set_operator(shared, accounts, by, false, &name).await,
        AdminCommand::Register(name) => register(shared, accounts, by, name, secret).await,
        AdminCommand::Unregister(name) => unregister(shared, accounts, by, &name).await,
        AdminCommand::Say(text) => say(shared, by, text).await,
        AdminCommand::List(listing) => Ok(list(shared, accounts, listing).await),
        AdminCommand::Rooms => Ok(list_rooms(shared).await),
        AdminCommand::Keep(room, keep) => set_keep(shared, by, &room, keep).await,
        AdminCommand::Stats => stats(shared, accounts).await,
    }
}

async fn set_operator(
    shared: &Shared,
    accounts: &Accounts,
    by: &Actor,
    is_operator: bool,
    name: &Name,
) -> Result<String, Refusal> {
    accounts.set_operator(name, is_operator).await.map_err(|error| not_done(shared, error, name))?;
    shared.record(if is_operator { "op" } else { "deop" }, by, name.as_str(), None, None);
    Ok(format!("{name} is {} operator.\n", if is_operator { "an" } else { "not an" }))
}

/// Registers a name, or changes its password.
async fn register(
    shared: &Shared,
    accounts: &Accounts,
    by: &Actor,
    name: Name,
    secret: &str,
) -> Result<String, Refusal> {
    let secret = Secret::parse(secret.strip_suffix('\n').unwrap_or(secret))?;
    secret.check_strength()?;
    // These keys keep administrators from waiting for those who guess passwords.
    let keys = LimitKeys::of(user::id().map_or(Network::Loopback, Network::User));
    let hash = shared.auth.hash(secret, &keys).await?;
    let account = accounts.account(&name);
    let (act, done) = match &account {
        Some(_) => ("password", "has a new password"),
        None => ("register", "is registered"),
    };
    let kept = match account {
        Some(account) => accounts.change_password(account.id, None, hash).await,
        None => accounts.register(name.clone(), hash, SystemTime::now()).await.map(drop),
    };
    kept.map_err(|error| not_done(shared, error, &name))?;
    shared.record(act, by, name.as_str(), None, None);
    Ok(format!("{name} {done}.\n"))
}

async fn unregister(shared: &Shared, accounts: &Accounts, by: &Actor, name: &Name) -> Result<String, Refusal> {
    let account = accounts.account_written(name).ok_or_else(|| Refusal::NoSuchAccount(name.into()))?;
    let name = account.name;
    accounts.unregister(account.id).await.map_err(|error| not_done(shared, error, &name))?;
    shared.record("unregister", by, name.as_str(), None, None);
    Ok(format!("{name} is no longer registered.\n"))
}

async fn say(shared: &Shared, by: &Actor, text: SafeText) -> Result<String, Refusal> {
    shared
        .inbox
        .send(Event::AdminRequest(Box::new(AdminRequest::Announce(text))))
        .await
        .map_err(|_| Refusal::ShuttingDown)?;
    shared.record("say", by, "everyone", None, None);
    Ok("Said.\n".to_owned())
}

async fn list_rooms(shared: &Shared) -> String {
    let mut text = String::new();
    let (answer, answered) = oneshot::channel();
    // If the broker has ended, there are none.
    let _ = shared.inbox.send(Event::AdminRequest(Box::new(AdminRequest::ListRooms(answer)))).await;
    for (room, people) in answered.await.unwrap_or_default() {
        let topic = shared.history.topic(&room).map(|topic| format!("\t{topic}")).unwrap_or_default();
        let _ = writeln!(text, "{room}\t{people}{topic}");
    }
    text
}

/// Sets how long the messages of a room are kept.
async fn set_keep(
    shared: &Shared,
    by: &Actor,
    room: &RoomName,
    time: Option<Option<Duration>>,
) -> Result<String, Refusal> {
    if !shared.history.is_known(room) {
        if !shared.auth.policy.fixed_rooms().contains(room) {
            return Err(Refusal::NoSuchRoom(room.clone()));
        }
        // It is always there, but the history learns of it only when somebody enters it.
        let _ = shared.history.room(room);
    }
    if let Err(error) = shared.history.set_keep(room, time.map(Keep::For)).await {
        shared.log.note(Record::NotKept { why: error.to_string() });
        return Err(Refusal::NotKept);
    }
    shared.record("keep", by, room.as_str(), None, None);
    Ok(match time {
        None => format!("Messages in {room} are kept as long as those of other rooms.\n"),
        Some(None) => format!("Messages in {room} are kept forever.\n"),
        Some(Some(time)) => format!("Messages in {room} are kept for {}.\n", humantime::format_duration(time)),
    })
}

async fn list(shared: &Shared, accounts: &Accounts, listing: Listing) -> String {
    let now = SystemTime::now();
    let mut text = String::new();
    match listing {
        Listing::People => {
            for person in shared.ask_room(AdminRequest::ListPeople).await {
                let _ = writeln!(text, "{}", describe(accounts, &person));
            }
        }
        Listing::Names => {
            for account in accounts.accounts() {
                let since = humantime::format_rfc3339_seconds(account.registered);
                let operator = if account.is_operator { "\toperator" } else { "" };
                let _ = writeln!(text, "{}\tsince {since}{operator}", account.name);
            }
            for (account, older) in accounts.set_aside() {
                let since = humantime::format_rfc3339_seconds(account.registered);
                let _ = writeln!(text, "{}\tsince {since}\tset aside: the same name as {older}", account.name);
            }
        }
        Listing::Bans => accounts.bans(now).iter().for_each(|(whom, ban)| write_sanction(&mut text, whom, ban)),
        Listing::Mutes => accounts.mutes(now).iter().for_each(|(whom, mute)| write_sanction(&mut text, whom, mute)),
    }
    text
}

fn describe(accounts: &Accounts, person: &Person) -> String {
    let account = person.account_id.and_then(|account_id| accounts.account_of(account_id));
    let mut text = format!("{}\tfrom {}", person.name, person.from);
    if !person.room.is_lobby() {
        let _ = write!(text, "\tin {}", person.room);
    }
    match &account {
        Some(account) if account.is_operator => text.push_str("\toperator"),
        Some(_) => text.push_str("\tregistered"),
        None => {}
    }
    if let Some(mute) = person.mute {
        let _ = write!(text, "\tmuted{}", until(mute.until));
    }
    text
}

fn write_sanction(text: &mut String, whom: &impl ToString, sanction: &Sanction) {
    let since = humantime::format_rfc3339_seconds(sanction.since());
    let reason = sanction.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    let (whom, end, by) = (whom.to_string(), until(sanction.until()), sanction.by());
    let _ = writeln!(text, "{whom}\tsince {since}{end} by {by}{reason}");
}

async fn stats(shared: &Shared, accounts: &Accounts) -> Result<String, Refusal> {
    let now = SystemTime::now();
    let counts = shared.ping().await.ok_or(Refusal::ShuttingDown)?;
    let rows = [
        ("up", humantime::format_duration(Duration::from_secs(shared.since.elapsed().as_secs())).to_string()),
        ("connections", shared.connection_limits.connections().to_string()),
        ("people", counts.people.to_string()),
        ("rooms", counts.rooms.to_string()),
        ("accepted connections", shared.arrivals().to_string()),
        ("registered names", accounts.accounts().len().to_string()),
        ("bans", accounts.bans(now).len().to_string()),
        ("mutes", accounts.mutes(now).len().to_string()),
        ("password hashes", shared.auth.hasher.runs().to_string()),
        ("penalized addresses", shared.connection_limits.penalized().to_string()),
    ];
    Ok(rows.into_iter().map(|(what, value)| format!("{what}\t{value}\n")).collect())
}

fn not_done(shared: &Shared, error: ChangeError, name: &Name) -> Refusal {
    match error {
        ChangeError::NotRegistered => Refusal::NoSuchAccount(name.into()),
        error => shared.not_done(error, name.into()),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use std::io::{Read, Write};
    use std::net::Shutdown;
    use std::os::unix::net::UnixStream;

    use async_channel::Receiver;
    use async_io::Async;
    use async_std::task::block_on;
    use futures::channel::oneshot;
    use futures::{FutureExt, select};

    use super::*;
    use crate::database::Database;
    use crate::history::History;
    use crate::log::Log;
    use crate::room::Policy;
    use crate::server::Config;
    use crate::server::access::auth::Auth;

    /// Both ends of a connection to the server. The request is already sent.
    fn request(text: &str) -> (UnixStream, Transport) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(text.as_bytes()).unwrap();
        ours.shutdown(Shutdown::Write).unwrap();
        (ours, Transport::Unix(Arc::new(Async::new(theirs).unwrap())))
    }

    /// A server with accounts, and the inbox of its room.
    fn shared(test: &str) -> (Arc<Shared>, Receiver<Event>) {
        let folder = std::env::temp_dir().join(format!("linechat-control-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let accounts = Some(Accounts::open(&Database::open(&folder).unwrap(), SystemTime::now()).unwrap());
        let auth = Auth { policy: Policy { accounts, ..Policy::default() }, ..Auth::default() };
        std::fs::remove_dir_all(&folder).unwrap();
        let (inbox, events) = async_channel::bounded(1);
        let (ping, _) = async_channel::bounded(1);
        let (alive, _) = async_channel::bounded(1);
        let stop = futures::future::pending().boxed().shared();
        let settings = (Config::default(), auth, History::off());
        (Arc::new(Shared::new(settings, (inbox, ping), Log::off(), stop, alive)), events)
    }

    /// Where to reply to the next `Expel` request. Before that, requests to list the people get an empty list.
    async fn expelled(events: &Receiver<Event>) -> oneshot::Sender<Vec<Person>> {
        loop {
            match events.recv().await.unwrap() {
                Event::AdminRequest(request) => match *request {
                    AdminRequest::ListPeople(answer) => answer.send(Vec::new()).expect("somebody waits for it"),
                    AdminRequest::Expel { answer, .. } => return answer,
                    other => panic!("{other:?}"),
                },
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_request_is_completed_after_its_time_limit() {
        let (shared, events) = shared("long");
        let (mut ours, theirs) = request("ban Bob\n");
        block_on(async {
            let attended = attend(theirs, &shared, Actor::Administrator(Some(0)), Duration::ZERO);
            let room = async { expelled(&events).await.send(Vec::new()).expect("somebody waits for it") };
            // The request is already there. There is no time left to read it, or to send the reply.
            let (attended, ()) = futures::join!(attended, room);
            attended.unwrap();
        });
        let mut answer = String::new();
        ours.read_to_string(&mut answer).unwrap();
        assert_eq!(answer, "ok\nBanned: Bob forever; affects nobody here.\n");
    }

    #[test]
    fn a_request_is_completed_when_the_server_stops() {
        let (shared, events) = shared("stop");
        let (_ours, theirs) = request("ban Bob\n");
        block_on(async {
            let attended = attend(theirs, &shared, Actor::Administrator(Some(0)), CONTROL_LIMIT).fuse();
            let mut attended = Box::pin(attended);
            let answer = select! {
                ended = attended => panic!("it waits for the room: {ended:?}"),
                answer = expelled(&events).fuse() => answer,
            };
            drop(attended);
            answer.send(Vec::new()).expect("somebody waits for it");
        });
    }
}
