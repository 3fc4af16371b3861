//! What becomes of the registry when its process is killed, or its disk is full.
//!
//! Each test starts itself again as a child, which does the damage; the parent looks at what is left. The child's acts are a
//! fixed sequence, so after a crash the file must hold exactly what the acts came to that were acknowledged, or those
//! and the next one, which was being done.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_std::task::block_on;
use linechat::accounts::{Accounts, ChangeError, Sanction};
use linechat::model::Name;
use linechat::model::address::Network;
use linechat::protocol::Banned;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long a child may take for anything.
const DEADLINE: Duration = Duration::from_secs(60);
/// Where the child's registry is, and from which act on it is to go on.
const FOLDER: &str = "LINECHAT_CRASH_FOLDER";
const FROM: &str = "LINECHAT_CRASH_FROM";

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_000_000)
}

fn name(number: u64) -> Name {
    let letters: String =
        number.to_string().bytes().map(|digit| char::from(b"abefghjkpq"[usize::from(digit - b'0')])).collect();
    Name::parse(&format!("x{letters}")).unwrap()
}

fn source(number: u64) -> Network {
    Network::V4((number as u32).to_be_bytes())
}

/// What is in a registry: accounts with their hashes, who is banned, and who is muted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    accounts: BTreeMap<String, (u64, String, bool)>,
    banned: BTreeMap<String, String>,
    muted: BTreeMap<String, String>,
    next: u64,
}

impl State {
    fn of(registry: &Accounts) -> Self {
        let listed = |all: Vec<(Banned, Sanction)>| {
            all.into_iter().map(|(banned, sanction)| (banned.to_string(), sanction.by().to_string())).collect()
        };
        let accounts = registry.accounts().into_iter();
        let accounts = accounts.map(|it| (it.name.to_string(), (it.id.0, it.hash, it.is_operator))).collect();
        Self { accounts, banned: listed(registry.bans(now())), muted: listed(registry.mutes(now())), next: 0 }
    }

    /// What the act of this number makes of it.
    fn act(&mut self, number: u64) {
        let at = number / 8;
        match number % 8 {
            0 | 1 => {
                let account = (self.next, format!("hash {number}"), false);
                self.accounts.insert(name(number).to_string(), account);
                self.next += 1;
            }
            2 => self.accounts.get_mut(name(8 * at).as_str()).unwrap().1 = format!("hash {number}"),
            3 => self.accounts.get_mut(name(8 * at).as_str()).unwrap().2 = true,
            4 => drop(self.banned.insert(source(at).to_string(), number.to_string())),
            5 => drop(self.muted.insert(name(number).to_string(), number.to_string())),
            6 => drop(self.accounts.remove(name(8 * at + 1).as_str())),
            _ => drop(self.banned.remove(&source(at / 2).to_string())),
        }
    }

    /// What a registry that was read can say of it.
    fn seen(&self) -> Self {
        Self { next: 0, ..self.clone() }
    }
}

/// Does the act of this number.
async fn act(registry: &Accounts, number: u64) -> Result<(), ChangeError> {
    let at = number / 8;
    let sanction = Sanction::new(&number.to_string(), None, now(), None);
    let id = |name: &Name| registry.account(name).expect("it was registered").id;
    match number % 8 {
        0 | 1 => registry.register(name(number), format!("hash {number}"), now()).await.map(drop),
        2 => registry.change_password(id(&name(8 * at)), None, format!("hash {number}")).await,
        3 => registry.set_operator(&name(8 * at), true).await,
        4 => registry.ban(Banned::Network(source(at)), sanction).await,
        5 => registry.mute(name(number), sanction).await,
        6 => registry.unregister(id(&name(8 * at + 1))).await,
        _ => registry.unban(Banned::Network(source(at / 2)), now()).await.map(drop),
    }
}

/// The test of this name, again, in a process of its own.
fn child(test: &str, folder: &Path, from: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder).env(FROM, from.to_string());
    command
}

/// Where this process is to do its damage, if it is the child, and from which act on.
fn errand() -> Option<(PathBuf, u64)> {
    let folder = std::env::var_os(FOLDER)?;
    Some((folder.into(), std::env::var(FROM).unwrap().parse().unwrap()))
}

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    // What a former run with this number has left, if anything.
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// The numbers that the child says it has done. They end with it.
fn acknowledged(child: &mut Child) -> Receiver<u64> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (said, heard) = channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // The test harness says things of its own.
            if let Some(number) = line.strip_prefix("done ") {
                // The test may have failed, and be gone.
                let _ = said.send(number.parse().unwrap());
            }
        }
    });
    heard
}

#[test]
fn whatever_was_acknowledged_is_there_after_the_server_is_killed() {
    let test = "whatever_was_acknowledged_is_there_after_the_server_is_killed";
    if let Some((folder, from)) = errand() {
        let registry = Accounts::open(&folder, now()).unwrap();
        for number in from.. {
            block_on(act(&registry, number)).unwrap();
            writeln!(stdout(), "\ndone {number}").unwrap();
        }
    }
    let folder = folder("crash");
    let is_long = std::env::var_os("LINECHAT_LONG_TESTS").is_some_and(|value| value == "1");
    let (mut state, mut from) = (State::default(), 0);
    for _ in 0..if is_long { 50 } else { 5 } {
        let done = kill_one(test, &folder, from);
        (from..done).for_each(|number| state.act(number));
        let registry = Accounts::open(&folder, now()).unwrap();
        let mut with_next = state.clone();
        with_next.act(done);
        let found = State::of(&registry);
        let is_next_done = found == with_next.seen();
        assert!(is_next_done || found == state.seen(), "after {done} acts: {found:#?}\nnot {:#?}", state.seen());
        (state, from) = if is_next_done { (with_next, done + 1) } else { (state, done) };
    }
    assert!(from > 0);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Lets a child act for a while, kills it, and says up to which act it came.
fn kill_one(test: &str, folder: &Path, from: u64) -> u64 {
    let mut child = child(test, folder, from).stdout(Stdio::piped()).spawn().unwrap();
    let acknowledged = acknowledged(&mut child);
    let mut done = from;
    for _ in 0..fastrand::u64(1..40) {
        done = acknowledged.recv_timeout(DEADLINE).unwrap() + 1;
    }
    // Not to wait for anything, but so that it is killed anywhere within an act.
    thread::sleep(Duration::from_micros(fastrand::u64(..3000)));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    acknowledged.iter().last().map_or(done, |last| last + 1)
}

#[test]
fn a_full_disk_refuses_acts_and_forgets_nothing_and_is_used_again_when_there_is_room() {
    let test = "a_full_disk_refuses_acts_and_forgets_nothing_and_is_used_again_when_there_is_room";
    if let Some((folder, _)) = errand() {
        return fill_the_disk(&folder);
    }
    let folder = folder("full");
    // A process is killed when it goes beyond the size that its files may have, unless it ignores that.
    let inner = child(test, &folder, 0);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh"]).arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if since.elapsed() > DEADLINE {
            child.kill().unwrap();
        }
        thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "see what the child says above");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Takes the room away at several sizes of the file, down to nothing, and gives it back.
fn fill_the_disk(folder: &Path) {
    let registry = Accounts::open(folder, now()).unwrap();
    let mut crowd = Crowd { registry, state: State::default(), number: 0 };
    let size = std::fs::metadata(folder.join("registry.redb")).unwrap().len();
    for room in [0, size / 2, size / 4, 4096, 8192, size - 1, size] {
        allow(Some(room));
        let refused = (0..2000).find_map(|_| crowd.act().err()).expect("the disk is full at last");
        assert!(refused.to_string().ends_with("registry.redb: File too large"), "{refused}");
        for _ in 0..3 {
            // With some room, an act may find some that the one before has given back.
            assert!(crowd.act().is_err() || room > 0, "there is no room");
        }
        allow(None);
        crowd.act().unwrap();
    }
    let Crowd { registry, state, .. } = crowd;
    drop(registry);
    assert_eq!(State::of(&Accounts::open(folder, now()).unwrap()), state.seen());
    allow(Some(0));
    let refusal = Accounts::open(folder, now()).unwrap_err().to_string();
    assert!(refusal.ends_with("registry.redb: File too large"), "{refusal}");
    allow(None);
}

/// Those who act, and what it must have come to.
struct Crowd {
    registry: Accounts,
    state: State,
    number: u64,
}

impl Crowd {
    /// Does the next act, and looks whether the registry is what it was before it or, if it was acknowledged, after it.
    fn act(&mut self) -> Result<(), ChangeError> {
        let outcome = block_on(act(&self.registry, self.number));
        if outcome.is_ok() {
            self.state.act(self.number);
            self.number += 1;
        }
        assert_eq!(State::of(&self.registry), self.state.seen(), "after {outcome:?}");
        outcome
    }
}

/// Limits the size of all files that this process writes to.
fn allow(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}
