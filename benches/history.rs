//! The history on disk: `cargo bench --bench history`. One item is one message.
//!
//! Searches read a million messages, or as many as `LINECHAT_BENCH_MESSAGES` says. They are made once, which takes a
//! few seconds for each million.
#![allow(missing_docs)]

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_std::task::block_on;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use linechat::database::{Database, Sync};
use linechat::history::{History, Keep, Settings};
use linechat::model::{Message, Name, SafeText};

const SETTINGS: Settings =
    Settings { keep: Keep::For(None), keep_bytes: None, sync: Sync::Within(Duration::from_millis(200)) };

/// In one message of the big history, the oldest one.
const RARE: &str = "Straße";

fn main() {
    divan::main();
    let _ = fs::remove_dir_all(folder("big"));
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("bench-history-{name}-{}", std::process::id()))
}

fn open(name: &str, sync: Sync) -> History {
    let folder = folder(name);
    let _ = fs::remove_dir_all(&folder);
    let database = Database::open(&folder).expect("the folder is free");
    History::open(&database, Settings { sync, ..SETTINGS }).expect("it is new")
}

/// Messages of about 60 bytes.
fn messages(first: u64, count: u64) -> Arc<[Message]> {
    let from = Name::parse("Bob").expect("it is a name");
    let at = SystemTime::now().into();
    let text = |number| match number {
        1 => format!("the only message about the {RARE}"),
        _ => format!("{number} a line as people type it, with a few words more, so"),
    };
    let message = |number| Message { number, at, from: from.clone(), text: SafeText::new(text(number)) };
    (first..first + count).map(message).collect()
}

fn append_with(bencher: Bencher<'_, '_>, sync: Sync, batch: u64) {
    let history = open("append", sync);
    let mut next = history.next_number();
    bencher
        .counter(ItemsCount::new(batch))
        .with_inputs(|| {
            next += batch;
            messages(next - batch, batch)
        })
        .bench_local_values(|messages| block_on(history.append(messages)).expect("it is stored"));
    drop(history);
    let _ = fs::remove_dir_all(folder("append"));
}

/// A batch at a time, as the room does it.
#[divan::bench(args = [1, 32, 512])]
fn append(bencher: Bencher<'_, '_>, batch: u64) {
    append_with(bencher, SETTINGS.sync, batch);
}

#[divan::bench(args = [1, 32, 512])]
fn append_and_sync(bencher: Bencher<'_, '_>, batch: u64) {
    append_with(bencher, Sync::Always, batch);
}

/// A history with many messages, opened again, so that none of them is in memory.
fn big() -> &'static History {
    static BIG: OnceLock<History> = OnceLock::new();
    BIG.get_or_init(|| {
        let count = std::env::var("LINECHAT_BENCH_MESSAGES").ok().and_then(|count| count.parse().ok());
        let count = count.unwrap_or(1_000_000);
        let history = open("big", SETTINGS.sync);
        for first in (1..=count).step_by(5000) {
            block_on(history.append(messages(first, 5000.min(count + 1 - first)))).expect("it is stored");
        }
        drop(history);
        let database = Database::open(&folder("big")).expect("it was closed");
        History::open(&database, SETTINGS).expect("it is intact")
    })
}

#[divan::bench]
fn last_50(bencher: Bencher<'_, '_>) {
    let history = big();
    bencher.counter(ItemsCount::new(50u32)).bench(|| block_on(history.newest_messages(50, u64::MAX)));
}

/// From a number in the middle.
#[divan::bench]
fn page_of_256(bencher: Bencher<'_, '_>) {
    let history = big();
    let newest = history.extent().expect("it is not empty").newest;
    bencher.counter(ItemsCount::new(256u32)).bench(|| block_on(history.after(newest / 2, newest, 256)));
}

/// The time is somewhere in the middle.
#[divan::bench]
fn by_time(bencher: Bencher<'_, '_>) {
    let history = big();
    bencher.bench(|| block_on(history.last_before(black_box(SystemTime::now().into()))));
}

/// For a word that is in the oldest message only.
#[divan::bench(sample_count = 5)]
fn search(bencher: Bencher<'_, '_>) {
    let history = big();
    let all = history.extent().expect("it is not empty").newest;
    bencher.counter(ItemsCount::new(all)).bench(|| {
        let found = block_on(history.search("STRASSE", 20, None)).expect("it is intact");
        assert_eq!(found.messages.len(), 1);
    });
}
