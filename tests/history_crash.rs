//! The history after its process is killed, and after a power cut.
//!
//! The first test starts itself again as a child process, which appends messages and reports what it does, and kills it.
//! A power cut loses what was not synced, which a copy of the files with a shorter write-ahead log shows.

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
/// Environment variables for the child: its folder, and whether it syncs always.
const FOLDER: &str = "LINECHAT_CRASH_FOLDER";
const ALWAYS: &str = "LINECHAT_CRASH_ALWAYS";
/// With this variable, the child is killed 1000 times.
const LONG: &str = "LINECHAT_LONG_STORE";

fn text(number: u64) -> String {
    format!("message {number} {}", "x".repeat((number * 37 % 300) as usize))
}

fn messages(first: u64, count: u64) -> Arc<[Message]> {
    let message = |number| {
        let (from, text) = (Name::parse("Bob").unwrap(), SafeText::new(text(number)));
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

/// Appends messages until it is killed. Says which number it gives last before each batch, and then that it may be
/// shown.
fn append_forever(folder: &Path) {
    let sync = match std::env::var_os(ALWAYS) {
        Some(_) => Sync::Always,
        None => Sync::Within(Duration::from_millis(20)),
    };
    let (_database, history) = open(folder, sync);
    let mut next = history.next_number();
    println!("\nfirst {next}");
    // Some batches wait at the same time.
    loop {
        let mut waiting = Vec::new();
        for _ in 0..fastrand::u64(1..5) {
            let count = fastrand::u64(1..40);
            let last = next + count - 1;
            assert!(last <= history.ceiling());
            println!("\ngiven {last}");
            waiting.push((last, history.append(messages(next, count))));
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

fn reports(child: &mut Child) -> Receiver<Reported> {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (said, heard) = channel();
    thread::spawn(move || {
        let mut reported = Reported::default();
        for line in lines.map_while(Result::ok) {
            match line.split_once(' ') {
                Some(("first", first)) => reported.first = first.parse().unwrap(),
                Some(("given", last)) => reported.given = last.parse().unwrap(),
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
        append_forever(Path::new(&folder));
    }
    let folder = folder("history-crash");
    let rounds = if std::env::var_os(LONG).is_some_and(|value| value == "1") { 1000 } else { 50 };
    let mut highest = 0;
    for round in 0..rounds {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, &folder);
        if round % 2 == 0 {
            command.env(ALWAYS, "1");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let heard = reports(&mut child);
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
        println!("\ngiven {}", first + count - 1);
        block_on(room.append(messages(first, count))).unwrap();
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
    let rounds = if std::env::var_os(LONG).is_some_and(|value| value == "1") { 1000 } else { 50 };
    let mut highest = 0;
    for round in 0..rounds {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(FOLDER, &folder);
        if round % 4 == 0 {
            command.env(ALWAYS, "1");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let heard = reports(&mut child);
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
            assert_eq!((message.number, message.text.as_str()), (number, text(number).as_str()));
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
            block_on(history.append(messages(next, count))).unwrap();
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
