//! The accounts after their process is killed, and when the disk is full.
//!
//! Each test starts itself again as a child process, and then checks the file that the child left. The child makes a
//! fixed sequence of changes. After a crash, the file must contain all changes that were acknowledged. The next change,
//! which was in progress, may be there or not.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_std::task::block_on;
use linechat::accounts::{Accounts, ChangeError, Sanction};
use linechat::database::Database;
use linechat::model::Name;
use linechat::model::address::Network;
use linechat::protocol::Banned;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// How long a child may take for one step.
const DEADLINE: Duration = Duration::from_secs(60);
/// Environment variables for the child: the folder of its accounts, and the number of its first change.
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

/// The content of an accounts file: accounts with their hashes, bans and mutes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct State {
    accounts: BTreeMap<String, (u64, String, bool)>,
    banned: BTreeMap<String, String>,
    muted: BTreeMap<String, String>,
    next: u64,
}

impl State {
    fn of(accounts: &Accounts) -> Self {
        let listed = |all: Vec<(Banned, Sanction)>| {
            all.into_iter().map(|(banned, sanction)| (banned.to_string(), sanction.by().to_string())).collect()
        };
        let by_name = accounts.accounts().into_iter();
        let by_name = by_name.map(|it| (it.name.to_string(), (it.id.0, it.hash, it.is_operator))).collect();
        Self { accounts: by_name, banned: listed(accounts.bans(now())), muted: listed(accounts.mutes(now())), next: 0 }
    }

    /// Applies the change of this number.
    fn apply(&mut self, number: u64) {
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

    /// Without what cannot be read from a file.
    fn seen(&self) -> Self {
        Self { next: 0, ..self.clone() }
    }
}

/// Makes the change of this number.
async fn change(accounts: &Accounts, number: u64) -> Result<(), ChangeError> {
    let at = number / 8;
    let sanction = Sanction::new(&number.to_string(), None, now(), None);
    let id = |name: &Name| accounts.account(name).expect("it was registered").id;
    match number % 8 {
        0 | 1 => accounts.register(name(number), format!("hash {number}"), now()).await.map(drop),
        2 => accounts.change_password(id(&name(8 * at)), None, format!("hash {number}")).await,
        3 => accounts.set_operator(&name(8 * at), true).await,
        4 => accounts.ban(Banned::Network(source(at)), sanction).await,
        5 => accounts.mute(name(number), sanction).await,
        6 => accounts.unregister(id(&name(8 * at + 1))).await,
        _ => accounts.unban(Banned::Network(source(at / 2)), now()).await.map(drop),
    }
}

/// A command that runs the test of this name in a child process.
fn child(test: &str, folder: &Path, from: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder).env(FROM, from.to_string());
    command
}

/// In the child, the folder of the accounts and the number of the first change.
fn child_task() -> Option<(PathBuf, u64)> {
    let folder = std::env::var_os(FOLDER)?;
    Some((folder.into(), std::env::var(FROM).unwrap().parse().unwrap()))
}

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    // A former process with this number may have left it.
    let _ = std::fs::remove_dir_all(&folder);
    folder
}

/// The numbers of the changes that the child reports as done. The channel closes when the child ends.
fn acknowledged(child: &mut Child) -> Receiver<u64> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (said, heard) = channel();
    thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            // The test harness prints other lines.
            if let Some(number) = line.strip_prefix("done ") {
                // The receiver is gone if the test has failed.
                let _ = said.send(number.parse().unwrap());
            }
        }
    });
    heard
}

#[test]
fn acknowledged_changes_survive_kill_9() {
    let test = "acknowledged_changes_survive_kill_9";
    if let Some((folder, from)) = child_task() {
        let accounts = Accounts::open(&Database::open(&folder).unwrap(), now()).unwrap();
        for number in from.. {
            block_on(change(&accounts, number)).unwrap();
            writeln!(stdout(), "\ndone {number}").unwrap();
        }
    }
    let folder = folder("crash");
    let is_long = std::env::var_os("LINECHAT_LONG_TESTS").is_some_and(|value| value == "1");
    let (mut state, mut from) = (State::default(), 0);
    for _ in 0..if is_long { 50 } else { 5 } {
        let done = kill_one(test, &folder, from);
        (from..done).for_each(|number| state.apply(number));
        let accounts = Accounts::open(&Database::open(&folder).unwrap(), now()).unwrap();
        let mut with_next = state.clone();
        with_next.apply(done);
        let found = State::of(&accounts);
        let is_next_done = found == with_next.seen();
        assert!(is_next_done || found == state.seen(), "after {done} changes: {found:#?}\nnot {:#?}", state.seen());
        (state, from) = if is_next_done { (with_next, done + 1) } else { (state, done) };
    }
    assert!(from > 0);
    std::fs::remove_dir_all(folder).unwrap();
}

/// Runs a child for a while and kills it. Returns the number of changes that it reported as done.
fn kill_one(test: &str, folder: &Path, from: u64) -> u64 {
    let mut child = child(test, folder, from).stdout(Stdio::piped()).spawn().unwrap();
    let acknowledged = acknowledged(&mut child);
    let mut done = from;
    for _ in 0..fastrand::u64(1..40) {
        done = acknowledged.recv_timeout(DEADLINE).unwrap() + 1;
    }
    // A random pause, so that the child is killed at any point of a change.
    thread::sleep(Duration::from_micros(fastrand::u64(..3000)));
    child.kill().unwrap();
    assert!(!child.wait().unwrap().success());
    acknowledged.iter().last().map_or(done, |last| last + 1)
}

#[test]
fn a_full_disk_refuses_changes_and_loses_nothing() {
    let test = "a_full_disk_refuses_changes_and_loses_nothing";
    if let Some((folder, _)) = child_task() {
        return fill_the_disk(&folder);
    }
    let folder = folder("full");
    // A process is killed when it exceeds its file size limit, unless it ignores the signal.
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
    assert!(status.success(), "see the output of the child above");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Limits the file to several sizes, down to 0, and lifts the limit again.
fn fill_the_disk(folder: &Path) {
    let accounts = Accounts::open(&Database::open(folder).unwrap(), now()).unwrap();
    let mut workload = Workload { accounts, state: State::default(), number: 0 };
    let size = 64 * 1024;
    for room in [0, size / 2, size / 4, 4096, 8192, size - 1, size] {
        allow(Some(room));
        let refused = (0..2000).find_map(|_| workload.change().err()).expect("the disk is full at last");
        assert_eq!(refused.to_string(), "cannot save it: disk I/O error");
        for _ in 0..3 {
            // A change may find space that the previous one has freed, unless the limit is 0.
            assert!(workload.change().is_err() || room > 0, "there is no room");
        }
        allow(None);
        workload.change().unwrap();
    }
    let Workload { accounts, state, .. } = workload;
    drop(accounts);
    assert_eq!(State::of(&Accounts::open(&Database::open(folder).unwrap(), now()).unwrap()), state.seen());
    allow(Some(0));
    let refusal = Database::open(folder).unwrap_err().to_string();
    assert!(refusal.ends_with("linechat.db: disk I/O error"), "{refusal}");
    allow(None);
}

/// Makes changes, and checks their result.
struct Workload {
    accounts: Accounts,
    state: State,
    number: u64,
}

impl Workload {
    /// Makes the next change. Checks that the accounts contain it if it was acknowledged, and are unchanged if not.
    fn change(&mut self) -> Result<(), ChangeError> {
        let outcome = block_on(change(&self.accounts, self.number));
        if outcome.is_ok() {
            self.state.apply(self.number);
            self.number += 1;
        }
        assert_eq!(State::of(&self.accounts), self.state.seen(), "after {outcome:?}");
        outcome
    }
}

/// Limits the size of all files that this process writes to.
fn allow(bytes: Option<u64>) {
    let Rlimit { maximum, .. } = getrlimit(Resource::Fsize);
    setrlimit(Resource::Fsize, Rlimit { current: bytes.or(maximum), maximum }).unwrap();
}
