//! The history after its process is killed, and after a power cut.
//!
//! Most tests start themselves again as a child process, which appends messages and reports what it does, and kill it.
//! A power cut loses what was not synced. What that leaves is shown by copies of the files with a shorter write-ahead
//! log, and by a library that keeps a copy of all files at each sync of the child.

// It replaces functions of glibc. Programs for musl load no library that could do that, and other systems do it
// differently.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[path = "support/power_cut.rs"]
mod power_cut;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use async_std::task::block_on;
use linechat::accounts::Accounts;
use linechat::database::{Database, Sync};
use linechat::history::{History, Keep, Settings};
use linechat::model::{Message, Name, RoomName, SafeText};

const DEADLINE: Duration = Duration::from_secs(60);
/// See [`text`].
const LONGEST: u64 = 300;
/// Environment variables for the child: its folder, and whether it syncs always.
const FOLDER: &str = "LINECHAT_CRASH_FOLDER";
const ALWAYS: &str = "LINECHAT_CRASH_ALWAYS";
/// How soon the child syncs otherwise.
const SOON: Sync = Sync::Within(Duration::from_millis(20));
/// With this variable, the child is killed 1000 times.
const LONG: &str = "LINECHAT_LONG_STORE";

/// The text of a message. It is shorter than `longest`, apart from its number.
fn text(number: u64, longest: u64) -> String {
    format!("message {number} {}", "x".repeat((number * 37 % longest) as usize))
}

fn messages(first: u64, count: u64, longest: u64) -> Arc<[Message]> {
    let message = |number| {
        let (from, text) = (Name::parse("Bob").unwrap(), SafeText::new(text(number, longest)));
        Message { number, at: SystemTime::now().into(), from, text }
    };
    (first..first + count).map(message).collect()
}

fn open(folder: &Path, sync: Sync) -> (Database, History) {
    let database = Database::open(folder).unwrap();
    let history = History::open(&database, Settings { sync, ..Settings::default() }).unwrap();
    (database, history)
}

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}-{}", std::process::id()));
    // A former process with this number may have left it.
    let _ = fs::remove_dir_all(&folder);
    folder
}

/// What a child appends.
#[derive(Debug, Clone, Copy)]
struct Load {
    sync: Sync,
    /// See [`text`].
    longest: u64,
    /// How many numbers it sometimes leaves out, so that it soon needs a higher ceiling.
    skip: u64,
}

/// Appends messages until it is killed. Says which numbers it gives before each batch, and then that it may be shown.
fn append_forever(folder: &Path, Load { sync, longest, skip }: Load) {
    let (_database, history) = open(folder, sync);
    let mut next = history.next_number();
    println!("\nfirst {next}");
    // Some batches wait at the same time.
    loop {
        let mut waiting = Vec::new();
        if skip > 0 && fastrand::bool() {
            next += fastrand::u64(..skip);
        }
        for _ in 0..fastrand::u64(1..5) {
            let count = fastrand::u64(1..40);
            let last = next + count - 1;
            assert!(last <= history.ceiling());
            println!("\ngiven {next} {last}");
            waiting.push((last, history.append(messages(next, count, longest))));
            next += count;
        }
        for (last, stored) in waiting {
            block_on(stored).unwrap();
            println!("\nshown {last}");
        }
    }
}

/// What the child has reported: its first number, the last one that it gave, and the last one that was shown.
#[derive(Debug, Clone, Copy, Default)]
struct Reported {
    first: u64,
    given: u64,
    shown: u64,
}

/// How often the child is killed.
fn rounds() -> u64 {
    if std::env::var_os(LONG).is_some_and(|value| value == "1") { 1000 } else { 50 }
}

/// Starts the test again as a child. Returns it, and what it reports.
fn start(test: &str, folder: &Path, is_always: bool) -> (Child, Receiver<Reported>) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
    if is_always {
        command.env(ALWAYS, "1");
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let heard = reports(&mut child);
    (child, heard)
}

fn reports(child: &mut Child) -> Receiver<Reported> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (said, heard) = channel();
    thread::spawn(move || {
        let mut reported = Reported::default();
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ') {
                Some(("first", first)) => reported.first = first.parse().unwrap(),
                Some(("given", numbers)) => reported.given = numbers.split_once(' ').unwrap().1.parse().unwrap(),
                Some(("shown", last)) => reported.shown = last.parse().unwrap(),
                // The test harness prints other lines.
                _ => continue,
            }
            // The receiver is gone if the test has failed.
            let _ = said.send(reported);
        }
    });
    heard
}

#[test]
fn what_was_shown_survives_kill_9_and_no_number_is_given_twice() {
    let test = "what_was_shown_survives_kill_9_and_no_number_is_given_twice";
    if let Some(folder) = std::env::var_os(FOLDER) {
        let sync = if std::env::var_os(ALWAYS).is_some() { Sync::Always } else { SOON };
        append_forever(Path::new(&folder), Load { sync, longest: LONGEST, skip: 0 });
    }
    let folder = folder("history-crash");
    let mut highest = 0;
    for round in 0..rounds() {
        let (mut child, heard) = start(test, &folder, round % 2 == 0);
        for _ in 0..fastrand::u64(1..60) {
            heard.recv_timeout(DEADLINE).unwrap();
        }
        // A random pause, so that the child is killed at any point of a transaction.
        thread::sleep(Duration::from_micros(fastrand::u64(..3000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let Some(Reported { first, given, shown }) = heard.iter().last() else { continue };
        assert!(first > highest, "round {round}: {first} was given before, up to {highest}");
        highest = highest.max(given);
        // It opens.
        let (database, history) = open(&folder, Sync::Always);
        let next = history.next_number();
        assert!(next > highest, "round {round}: {next} was given before, up to {highest}");
        check(&history, first, shown);
        if round % 3 == 0 {
            block_on(history.close()).unwrap();
        }
        drop((history, database));
    }
    fs::remove_dir_all(folder).unwrap();
}

/// Says something in a room, closes it or lets it vanish, and opens it again, until it is killed. Says which numbers the
/// room may give before that.
fn close_forever(folder: &Path) {
    let vanishes = std::env::var_os(ALWAYS).is_some();
    let database = Database::open(folder).unwrap();
    let keep = if vanishes { Keep::Nothing } else { Keep::For(None) };
    let sync = Sync::Within(Duration::from_millis(20));
    let history = History::open(&database, Settings { keep, sync, ..Settings::default() }).unwrap();
    let dev = RoomName::parse("dev").unwrap();
    loop {
        let room = history.room(&dev);
        let (first, count) = (room.next_number(), fastrand::u64(1..40));
        println!("\nfirst {first}");
        if first > room.ceiling() {
            block_on(room.reserve()).unwrap();
        }
        println!("\ngiven {first} {}", first + count - 1);
        block_on(room.append(messages(first, count, LONGEST))).unwrap();
        if vanishes {
            history.release(&dev);
            continue;
        }
        let forgotten = history.forget(&dev);
        if fastrand::bool() {
            block_on(forgotten).unwrap();
        }
    }
}

#[test]
fn a_room_that_is_opened_again_gives_no_number_of_the_former_one_whatever_crashes() {
    let test = "a_room_that_is_opened_again_gives_no_number_of_the_former_one_whatever_crashes";
    if let Some(folder) = std::env::var_os(FOLDER) {
        close_forever(Path::new(&folder));
    }
    let folder = folder("close-crash");
    let mut highest = 0;
    for round in 0..rounds() {
        let (mut child, heard) = start(test, &folder, round % 4 == 0);
        let mut last = (0, 0);
        let mut check = |Reported { first, given, .. }| {
            // Each room is reported twice: with its first number, and with the last one too.
            if last.0 != first {
                assert!(first > highest, "round {round}: {first} was given before, up to {highest}");
            }
            highest = highest.max(given);
            last = (first, given);
        };
        for _ in 0..fastrand::u64(1..40) {
            check(heard.recv_timeout(DEADLINE).unwrap());
        }
        thread::sleep(Duration::from_micros(fastrand::u64(..3000)));
        child.kill().unwrap();
        child.wait().unwrap();
        heard.iter().for_each(check);
    }
    fs::remove_dir_all(folder).unwrap();
}

/// Checks that all messages of a range are there, each once.
fn check(history: &History, first: u64, last: u64) {
    let mut after = first.saturating_sub(1);
    while after < last {
        let page = block_on(history.after(after, last, 1000)).unwrap();
        assert_eq!(page.missing, 0, "of {first} to {last}, after {after}");
        for (number, message) in (after + 1..).zip(&page.messages) {
            assert_eq!((message.number, message.text.as_str()), (number, text(number, LONGEST).as_str()));
        }
        after = page.end;
    }
}

/// Copies a database whose process has crashed. The end of the write-ahead log is cut off, or is garbage.
fn cut(from: &Path, to: &Path, length: usize, is_garbage: bool) {
    let _ = fs::remove_dir_all(to);
    fs::create_dir(to).unwrap();
    fs::copy(from.join("linechat.db"), to.join("linechat.db")).unwrap();
    let mut wal = fs::read(from.join("linechat.db-wal")).unwrap();
    if is_garbage {
        wal[length..].fill_with(|| fastrand::u8(..));
    } else {
        wal.truncate(length);
    }
    fs::write(to.join("linechat.db-wal"), wal).unwrap();
}

#[test]
fn a_power_cut_loses_only_what_was_not_synced_and_no_number_is_given_twice() {
    let (folder, copy) = (folder("power-cut"), folder("power-cut-copy"));
    // Nothing is synced, except for the account.
    let (database, history) = open(&folder, Sync::Within(DEADLINE));
    let accounts = Accounts::open(&database, SystemTime::now()).unwrap();
    let length = || fs::metadata(folder.join("linechat.db-wal")).unwrap().len() as usize;
    let mut next = 1;
    let mut append = |batches: u64| {
        for _ in 0..batches {
            let count = fastrand::u64(1..10);
            block_on(history.append(messages(next, count, LONGEST))).unwrap();
            next += count;
        }
        next - 1
    };
    let before_sync = append(20);
    block_on(accounts.register(Name::parse("Alice").unwrap(), String::new(), SystemTime::now())).unwrap();
    let synced = length();
    let last = append(40);
    let whole = length();
    assert!(whole > synced);
    for round in 0..60 {
        let at = if round == 0 { whole } else { fastrand::usize(synced..=whole) };
        cut(&folder, &copy, at, round % 2 == 1);
        let (database, history) = open(&copy, Sync::Always);
        assert!(history.next_number() > last, "{} could be given again", history.next_number());
        let newest = history.extent().unwrap().newest;
        assert!(newest >= before_sync && newest <= last, "{newest} of {before_sync} to {last}");
        assert!(round != 0 || newest == last);
        check(&history, 1, newest);
        let accounts = Accounts::open(&database, SystemTime::now()).unwrap();
        assert!(accounts.account(&Name::parse("Alice").unwrap()).is_some());
    }
    drop((history, accounts, database));
    fs::remove_dir_all(folder).unwrap();
    fs::remove_dir_all(copy).unwrap();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod at_each_sync {
    use std::os::unix::fs::DirBuilderExt;

    use super::power_cut::Line;
    use super::*;

    /// The file that only a checkpoint writes to.
    const DATABASE: &str = "linechat.db";
    /// How many syncs each child makes at least.
    const SYNCS: usize = 40;

    /// A batch of messages that was given numbers.
    #[derive(Debug, Clone, Copy)]
    struct Batch {
        first: u64,
        last: u64,
    }

    /// What a power cut leaves from one sync to the next.
    #[derive(Debug)]
    struct Cut {
        synced: power_cut::Synced,
        /// How many batches it must leave.
        kept: usize,
        /// How many batches were given numbers before the next sync had succeeded.
        given: usize,
    }

    #[test]
    fn a_power_cut_loses_only_what_was_not_shown_before_the_last_sync_began() {
        let test = "at_each_sync::a_power_cut_loses_only_what_was_not_shown_before_the_last_sync_began";
        cut_at_each_sync(test, Load { sync: SOON, longest: LONGEST, skip: 60_000 });
    }

    #[test]
    fn a_power_cut_loses_nothing_that_was_shown_if_each_message_is_synced() {
        let test = "at_each_sync::a_power_cut_loses_nothing_that_was_shown_if_each_message_is_synced";
        // Long messages soon fill the write-ahead log.
        cut_at_each_sync(test, Load { sync: Sync::Always, longest: 3000, skip: 60_000 });
    }

    #[test]
    fn what_was_shown_is_synced_even_if_nothing_follows() {
        let test = "at_each_sync::what_was_shown_is_synced_even_if_nothing_follows";
        if let Some(folder) = std::env::var_os(FOLDER) {
            let (_database, history) = open(Path::new(&folder), SOON);
            block_on(history.append(messages(1, 5, LONGEST))).unwrap();
            println!("\nshown 5");
            loop {
                thread::park();
            }
        }
        let root = folder("sync-at-the-end");
        fs::create_dir(&root).unwrap();
        let (library, folder) = (power_cut::library(&root), root.join("data"));
        copy_folder(None, &folder);
        // A sync that began later.
        let (mut has_shown, mut has_begun) = (false, false);
        let lines = power_cut::run(child(test, &folder), &library, [&folder, &root.join("snapshots")], |line| {
            has_shown |= matches!(line, Line::Other(line) if line.starts_with("shown "));
            has_begun |= has_shown && matches!(line, Line::Begins);
            has_begun && matches!(line, Line::Synced(_))
        });
        let last =
            lines.iter().rev().find_map(|line| if let Line::Synced(synced) = line { Some(synced) } else { None });
        let copy = root.join("copy");
        copy_folder(Some(&last.unwrap().disk), &copy);
        let (database, history) = open(&copy, Sync::Always);
        check(&history, 1, 5);
        drop((history, database));
        fs::remove_dir_all(root).unwrap();
    }

    /// This program with one test, which finds the folder in its environment.
    fn child(test: &str, folder: &Path) -> Command {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, folder);
        child
    }

    /// Cuts the power at each sync of a child. Then does the same to a child that starts with what one of these cuts
    /// has left.
    fn cut_at_each_sync(test: &str, load: Load) {
        if let Some(folder) = std::env::var_os(FOLDER) {
            append_forever(Path::new(&folder), load);
        }
        let root = folder(if load.sync == Sync::Always { "each-sync-always" } else { "each-sync" });
        fs::create_dir(&root).unwrap();
        let library = power_cut::library(&root);
        let (folder, copy) = (root.join("data"), root.join("copy"));
        copy_folder(None, &folder);
        // What is left of the children so far.
        let (mut batches, mut highest) = (Vec::new(), 0);
        for round in 0..2 {
            let (mut syncs, mut has_given, mut has_checkpoint) = (0, false, false);
            let snapshots = root.join(format!("snapshots-{round}"));
            let lines = power_cut::run(child(test, &folder), &library, [&folder, &snapshots], |line| {
                match line {
                    Line::Begins => {}
                    Line::Synced(synced) => {
                        syncs += 1;
                        // Before there are messages, its creation syncs it.
                        has_checkpoint |= has_given && synced.is(DATABASE);
                    }
                    Line::Other(line) => has_given |= line.starts_with("given "),
                }
                syncs >= SYNCS && has_checkpoint
            });
            let cuts = cuts(lines, &mut batches, highest, load.sync);
            assert!(cuts.len() >= SYNCS);
            let mut left: Vec<(usize, u64)> = Vec::new();
            for (index, cut) in cuts.iter().enumerate() {
                copy_folder(Some(&cut.synced.disk), &copy);
                let given = &batches[..cut.given];
                highest = highest.max(given.last().map_or(0, |batch| batch.last));
                // To read all of each would take most of the time. What is old changes its place only in a checkpoint.
                let before = index.checked_sub(1).filter(|_| index % 8 > 0 && !cut.synced.is(DATABASE));
                let before = before.filter(|&before| !cuts[before].synced.is(DATABASE));
                let unread = before.map_or(0, |before| left[before].0.saturating_sub(20));
                left.push((stored(&copy, given, unread, highest, cut, load.longest), highest));
            }
            let chosen = fastrand::usize(cuts.len() / 2..cuts.len());
            copy_folder(Some(&cuts[chosen].synced.disk), &folder);
            (_, highest) = left[chosen];
            batches.truncate(left[chosen].0);
            fs::remove_dir_all(snapshots).unwrap();
        }
        fs::remove_dir_all(root).unwrap();
    }

    /// Replaces a folder by a copy of another one, or by an empty one. The server wants it to be private.
    fn copy_folder(from: Option<&Path>, to: &Path) {
        let _ = fs::remove_dir_all(to);
        fs::DirBuilder::new().mode(0o700).create(to).unwrap();
        for entry in from.into_iter().flat_map(|from| fs::read_dir(from).unwrap()) {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }

    /// What a power cut leaves after each sync, according to what the child has printed. Adds the batches of the child
    /// to those that were left before, all of which must stay. No number up to `highest` may be given.
    fn cuts(lines: Vec<Line>, batches: &mut Vec<Batch>, highest: u64, sync: Sync) -> Vec<Cut> {
        let mut cuts: Vec<Cut> = Vec::new();
        let mut shown = batches.len();
        let mut before_sync = shown;
        for line in lines {
            match line {
                Line::Begins => before_sync = shown,
                Line::Synced(synced) => cuts.push(Cut { synced, kept: before_sync, given: batches.len() }),
                Line::Other(line) => match line.split(' ').collect::<Vec<_>>()[..] {
                    ["first", first] => assert!(first.parse::<u64>().unwrap() > highest, "{first} was given before"),
                    ["given", first, last] => {
                        batches.push(Batch { first: first.parse().unwrap(), last: last.parse().unwrap() });
                    }
                    ["shown", last] => {
                        assert_eq!(batches[shown].last, last.parse::<u64>().unwrap());
                        shown += 1;
                    }
                    // The test harness prints other lines.
                    _ => {}
                },
            }
            // The power may also be cut just before the next sync succeeds.
            if let Some(cut) = cuts.last_mut() {
                cut.given = batches.len();
                if sync == Sync::Always {
                    cut.kept = shown;
                }
            }
        }
        cuts
    }

    /// Opens what a power cut has left, and checks it: all but the first `unread` batches. Returns how many batches
    /// there are.
    fn stored(folder: &Path, given: &[Batch], unread: usize, highest: u64, cut: &Cut, longest: u64) -> usize {
        let (_database, history) = open(folder, Sync::Always);
        let next = history.next_number();
        assert!(next > highest, "{next} was given before, up to {highest}: {cut:?}");
        // Each once, in order, and with its text.
        let mut expected = given[unread..].iter().flat_map(|batch| batch.first..=batch.last);
        let newest = history.extent().map_or(0, |extent| extent.newest);
        let mut after = unread.checked_sub(1).map_or(0, |last| given[last].last);
        while after < newest {
            let page = block_on(history.after(after, newest, 1000)).unwrap();
            assert_eq!(page.unreadable, 0, "{cut:?}");
            for message in page.messages {
                assert_eq!(Some(message.number), expected.next(), "{cut:?}");
                assert_eq!(message.text.as_str(), text(message.number, longest));
            }
            after = page.end;
        }
        // Only whole batches, because each is written in one transaction.
        let stored = given.iter().take_while(|batch| batch.last <= newest).count();
        assert_eq!(stored.checked_sub(1).map_or(0, |newest| given[newest].last), newest, "{cut:?}");
        assert!(stored >= cut.kept, "of {} batches that must be left, there are only {stored}: {cut:?}", cut.kept);
        stored
    }
}
