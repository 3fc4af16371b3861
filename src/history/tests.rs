use std::fs;
use std::time::{Instant, SystemTime};

use async_std::task::block_on;
use proptest::prelude::*;

use super::*;
use crate::database::tests::Folder;
use crate::limits::{FREE_PAGES, HISTORY_WAITING_BYTES, NUMBERS_AHEAD};
use crate::model::{Name, SafeText};

fn message(number: u64, text: &str) -> Message {
    let text = SafeText::new(text.to_owned());
    Message { number, at: Timestamp::from_millis(1000 * number), from: Name::parse("Bob").unwrap(), text }
}

fn append(history: &History, messages: &[(u64, &str)]) {
    let messages: Arc<[Message]> = messages.iter().map(|&(number, text)| message(number, text)).collect();
    block_on(history.append(messages)).unwrap();
}

fn numbers(messages: &[Message]) -> Vec<u64> {
    messages.iter().map(|message| message.number).collect()
}

/// The numbers of a page, how many are missing, and its end.
fn seen(page: Result<Page, ReadError>) -> (Vec<u64>, u64, u64) {
    let page = page.unwrap();
    (numbers(&page.messages), page.missing, page.end)
}

/// What a history should contain.
#[derive(Debug, Default)]
struct Model(Vec<(u64, String)>);

impl Model {
    fn after(&self, after: u64, up_to: u64, limit: usize) -> (Vec<u64>, u64, u64) {
        let range = self.0.iter().map(|&(number, _)| number).filter(|number| (after + 1..=up_to).contains(number));
        let all: Vec<_> = range.collect();
        let page = all[..limit.min(all.len())].to_vec();
        let end = if all.len() > limit { *page.last().unwrap_or(&after) } else { up_to };
        let missing = end.saturating_sub(after) - page.len() as u64;
        (page, missing, end)
    }

    fn newest(&self, count: usize, up_to: u64) -> (Vec<u64>, u64, u64) {
        let all: Vec<_> = self.0.iter().map(|&(number, _)| number).filter(|&number| number <= up_to).collect();
        let page = all[all.len().saturating_sub(count)..].to_vec();
        let missing = page.first().map_or(0, |first| up_to + 1 - first - page.len() as u64);
        (page, missing, up_to)
    }

    fn search(&self, text: &str, count: usize, before: u64) -> Vec<u64> {
        let older = self.0.iter().filter(|(number, _)| *number < before);
        let all: Vec<_> = older.filter(|(_, said)| said.contains(text)).map(|&(number, _)| number).collect();
        all[all.len().saturating_sub(count)..].to_vec()
    }
}

/// A batch: how many numbers are skipped before it, and what is said.
fn batches() -> impl Strategy<Value = Vec<(u64, Vec<String>)>> {
    prop::collection::vec(
        (prop_oneof![4 => Just(0u64), 1 => 1..9u64], prop::collection::vec("[abc]{0,3}", 0..6)),
        0..12,
    )
}

/// Appends batches, and checks what can be read against the model after each.
fn check(history: &History, batches: Vec<(u64, Vec<String>)>, (from, up_to, limit): (u64, u64, usize)) {
    let mut model = Model::default();
    let mut next = history.next_number();
    for (skipped, texts) in batches {
        next += skipped;
        let messages: Vec<_> = (next..).zip(texts).collect();
        next += messages.len() as u64;
        let borrowed: Vec<_> = messages.iter().map(|(number, text)| (*number, text.as_str())).collect();
        append(history, &borrowed);
        model.0.extend(messages);
        let extent = model.0.first().zip(model.0.last());
        let extent = extent.map(|(first, last)| Extent { oldest: first.0, newest: last.0 });
        assert_eq!(history.extent(), extent);
        block_on(async {
            assert_eq!(
                seen(history.after(from, up_to.max(from), limit).await),
                model.after(from, up_to.max(from), limit)
            );
            assert_eq!(seen(history.newest_messages(limit, up_to).await), model.newest(limit, up_to));
            let found = history.search("A", limit, Some(up_to)).await.unwrap();
            assert_eq!(numbers(&found.messages), model.search("a", limit, up_to));
            assert_eq!(found.has_more, found.messages.len() == limit);
            for &(number, _) in &model.0 {
                assert_eq!(history.last_before(Timestamp::from_millis(1000 * number + 999)).await.unwrap(), number);
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_history_in_memory_behaves_like_a_list(batches in batches(), from in 0..40u64, up_to in 1..60u64, limit in 1..9usize) {
        check(&History::in_memory(), batches, (from, up_to, limit));
    }
}

#[test]
fn all_pages_together_are_the_whole_range() {
    let history = History::in_memory();
    append(&history, &[(1, "a"), (2, "b")]);
    append(&history, &[(7, "c"), (8, "d"), (9, "e")]);
    let (mut after, mut pages) = (0, Vec::new());
    while after < 12 {
        let page = seen(block_on(history.after(after, 12, 2)));
        after = page.2;
        pages.push(page);
    }
    assert_eq!(pages, [(vec![1, 2], 0, 2), (vec![7, 8], 4, 8), (vec![9], 3, 12)]);
}

#[test]
fn a_page_ends_after_its_bytes() {
    let history = History::in_memory();
    let long = "x".repeat(HISTORY_PAGE_BYTES / 2);
    append(&history, &[(1, &long), (2, &long), (3, &long)]);
    assert_eq!(seen(block_on(history.after(0, 3, 9))), (vec![1, 2], 0, 2));
    assert_eq!(seen(block_on(history.newest_messages(9, 3))), (vec![2, 3], 0, 3));
}

#[test]
fn memory_keeps_the_newest_messages_up_to_its_limits() {
    let mut memory = Memory::new(1, 5, Budget::new(1_000_000).holder());
    let batch = |numbers: &[u64]| -> Arc<[Message]> { numbers.iter().map(|&number| message(number, "hi")).collect() };
    memory.push(batch(&[1, 2, 3]));
    memory.push(batch(&[4, 5, 6]));
    assert_eq!(seen(Ok(memory.after(0, 6, 9))), (vec![2, 3, 4, 5, 6], 1, 6));
    assert_eq!(memory.last_before(Timestamp::from_millis(0)), 1, "the number before the oldest");
    memory.push(batch(&[7, 8, 9, 10, 11, 12]));
    assert_eq!(memory.extent(), Some(Extent { oldest: 8, newest: 12 }));

    let mut memory = Memory::new(1, 100, Budget::new(100_000).holder());
    for number in 1..=100 {
        memory.push(Arc::from([message(number, &"x".repeat(10_000))]));
    }
    assert_eq!(memory.extent(), Some(Extent { oldest: 92, newest: 100 }));
}

#[test]
fn a_history_that_is_off_has_nothing_and_says_so() {
    let history = History::off();
    append(&history, &[(1, "a")]);
    assert_eq!(history.extent(), None);
    block_on(async {
        assert_eq!(seen(history.after(0, 5, 9).await), (vec![], 5, 5));
        assert_eq!(seen(history.newest_messages(9, 5).await), (vec![], 0, 5));
        assert!(history.search("a", 9, None).await.unwrap().messages.is_empty());
    });
}

/// Messages of tests are from 1970, so they are kept forever.
const FOREVER: Settings = Settings { keep: Keep::For(None), keep_bytes: None, sync: Sync::Within(SYNC_WITHIN) };

fn open(folder: &Folder) -> History {
    open_with(folder, FOREVER)
}

/// All pages of a range.
fn whole(history: &History, after: u64, up_to: u64, limit: usize) -> (Vec<u64>, u64, u64) {
    let mut all = seen(block_on(history.after(after, up_to, limit)));
    while all.2 < up_to {
        let (numbers, missing, end) = seen(block_on(history.after(all.2, up_to, limit)));
        assert!(end > all.2, "it makes progress");
        all.0.extend(numbers);
        all = (all.0, all.1 + missing, end);
    }
    all
}

fn open_with(folder: &Folder, settings: Settings) -> History {
    History::open(&folder.open(), settings).unwrap()
}

/// Waits for something that the thread that writes does, such as retention.
fn within(mut is_done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is_done() {
        assert!(since.elapsed() < Duration::from_secs(60), "it takes too long");
        std::thread::sleep(Duration::from_millis(5));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_history_on_disk_behaves_like_a_list(batches in batches(), range in (0..40u64, 1..60u64, 1..9usize)) {
        check(&open(&Folder::new()), batches, range);
    }

    /// Everything is read from the file, because the newest messages are not in memory after a start.
    #[test]
    fn a_history_is_the_same_after_a_restart(batches in batches(), (from, up_to, limit) in (0..40u64, 1..60u64, 1..9usize)) {
        let folder = Folder::new();
        let (history, mut next, mut model) = (open(&folder), 1, Model::default());
        for (skipped, texts) in batches {
            next += skipped;
            let messages: Vec<_> = (next..).zip(texts).collect();
            next += messages.len() as u64;
            append(&history, &messages.iter().map(|(number, text)| (*number, text.as_str())).collect::<Vec<_>>());
            model.0.extend(messages);
        }
        drop(history);
        let history = open(&folder);
        assert_eq!(history.next_number(), model.0.last().map_or(0, |last| last.0) + 1);
        let up_to = up_to.max(from);
        assert_eq!(whole(&history, from, up_to, limit), model.after(from, up_to, usize::MAX));
        block_on(async {
            assert_eq!(seen(history.newest_messages(limit, up_to).await), model.newest(limit, up_to));
            let found = history.search("A", limit, Some(up_to)).await.unwrap();
            assert_eq!(numbers(&found.messages), model.search("a", limit, up_to));
            for &(number, _) in &model.0 {
                assert_eq!(history.last_before(Timestamp::from_millis(1000 * number + 999)).await.unwrap(), number);
            }
        });
    }
}

#[test]
fn numbering_continues_densely_after_a_clean_stop_and_above_the_ceiling_after_a_crash() {
    let folder = Folder::new();
    let history = open(&folder);
    assert_eq!((history.next_number(), history.ceiling()), (1, 2 * NUMBERS_AHEAD));
    append(&history, &[(1, "a"), (2, "b")]);
    block_on(history.close()).unwrap();
    assert_eq!(block_on(history.append(Arc::from([message(3, "c")]))), Err(NotStored::Closed));
    drop(history);
    let history = open(&folder);
    assert_eq!(history.next_number(), 3);
    append(&history, &[(3, "c")]);
    // As the files are after a crash.
    let copy = Folder::new();
    fs::create_dir(&copy.0).unwrap();
    for file in ["linechat.db", "linechat.db-wal"] {
        fs::copy(folder.0.join(file), copy.0.join(file)).unwrap();
    }
    let after_crash = open(&copy);
    assert_eq!(after_crash.next_number(), 2 + 2 * NUMBERS_AHEAD + 1);
    let first = after_crash.next_number();
    append(&after_crash, &[(first, "d")]);
    assert_eq!(whole(&after_crash, 2, first, 9), (vec![3, first], first - 4, first));
}

#[test]
fn the_ceiling_rises_before_it_is_reached() {
    let history = open(&Folder::new());
    for number in [1, NUMBERS_AHEAD - 1, NUMBERS_AHEAD, NUMBERS_AHEAD + 1, 3 * NUMBERS_AHEAD, 1_000_000] {
        append(&history, &[(number, "a")]);
        assert!(history.ceiling() >= number + NUMBERS_AHEAD, "{number}: {}", history.ceiling());
    }
}

#[test]
fn old_messages_are_removed_and_counted_as_missing() {
    let folder = Folder::new();
    let history = open(&folder);
    let old: Vec<_> = (1..=3000).map(|number| (number, "old")).collect();
    append(&history, &old);
    let now = Timestamp::from(SystemTime::now());
    let new = Message { at: now, ..message(3001, "new") };
    block_on(history.append(Arc::from([new]))).unwrap();
    drop(history);
    let history = open_with(&folder, Settings::default());
    within(|| history.extent() == Some(Extent { oldest: 3001, newest: 3001 }));
    assert_eq!(seen(block_on(history.after(0, 3001, 9))), (vec![3001], 3000, 3001));
}

#[test]
fn the_oldest_messages_are_removed_when_there_are_too_many_bytes_and_the_file_shrinks() {
    let folder = Folder::new();
    let history = open(&folder);
    let text = "x".repeat(1000);
    for batch in 0..50 {
        let messages: Vec<_> = (1..=200).map(|number| (200 * batch + number, text.as_str())).collect();
        append(&history, &messages);
    }
    drop(history);
    let size = || fs::metadata(folder.file()).unwrap().len();
    assert!(size() > 10_000_000);
    let keep_bytes = Some(1_000_000);
    let history = open_with(&folder, Settings { keep_bytes, ..FOREVER });
    within(|| {
        history.extent().is_none_or(|extent| extent.oldest > 9000) && size() < 1_000_000 + 4096 * (FREE_PAGES + 9)
    });
    assert_eq!(history.extent().map(|extent| extent.newest), Some(10_000));
}

#[test]
fn with_keep_0_nothing_stays_and_numbers_are_still_not_reused() {
    let folder = Folder::new();
    append(&open(&folder), &[(1, "a"), (2, "b")]);
    let off = Settings { keep: Keep::Nothing, ..FOREVER };
    let history = open_with(&folder, off);
    within(|| history.extent().is_none());
    append(&history, &[(3, "c")]);
    assert_eq!(seen(block_on(history.after(0, 3, 9))), (vec![], 3, 3));
    drop(history);
    assert_eq!(open(&folder).next_number(), 4);
}

#[test]
fn a_damaged_row_counts_as_missing() {
    let folder = Folder::new();
    append(&open(&folder), &[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    let connection = rusqlite::Connection::open(folder.file()).unwrap();
    connection.execute("UPDATE messages SET name = 'admin' WHERE text = 'b'", []).unwrap();
    connection.execute("UPDATE messages SET text = x'ff' WHERE text = 'c'", []).unwrap();
    drop(connection);
    let history = open(&folder);
    assert_eq!(seen(block_on(history.after(0, 4, 9))), (vec![1, 4], 2, 4));
    assert_eq!(seen(block_on(history.newest_messages(9, 4))), (vec![1, 4], 2, 4));
}

#[test]
fn garbage_in_the_middle_of_the_file_is_an_error_and_not_a_panic() {
    let folder = Folder::new();
    let text = "x".repeat(1000);
    let messages: Vec<_> = (1..=2000).map(|number| (number, text.as_str())).collect();
    append(&open(&folder), &messages);
    let mut bytes = fs::read(folder.file()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 100_000].fill(0xa5);
    fs::write(folder.file(), bytes).unwrap();
    let history = open(&folder);
    let why = block_on(history.after(0, 2000, 2000)).map(|page| page.end);
    assert!(why.is_err() || why.unwrap() < 2000);
    assert!(block_on(history.search("y", 9, None)).is_err());
    append(&history, &[(history.next_number(), "and on")]);
    assert_eq!(block_on(history.newest_messages(5, u64::MAX)).unwrap().messages.len(), 5);
}

#[test]
fn the_view_shows_what_was_said() {
    let folder = Folder::new();
    append(&open(&folder), &[(1, "a"), (2, "it's")]);
    let connection = rusqlite::Connection::open(folder.file()).unwrap();
    let row = |row: &rusqlite::Row<'_>| {
        Ok(format!(
            "{} {} {} {}",
            row.get::<_, String>(0)?,
            row.get::<_, i64>(1)?,
            row.get::<_, String>(2)?,
            row.get::<_, String>(4)?
        ))
    };
    let rows: Vec<String> =
        connection.prepare("SELECT * FROM history").unwrap().query_map([], row).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, ["lobby 1 1970-01-01T00:00:01.000Z a", "lobby 2 1970-01-01T00:00:02.000Z it's"]);
}

#[test]
fn too_much_that_waits_is_refused_and_the_rest_is_stored() {
    let folder = Folder::new();
    let database = folder.open();
    let history = History::open(&database, FOREVER).unwrap();
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocking = database.write(move |_| {
        blocked.recv().unwrap();
        Ok(())
    });
    let long = "x".repeat(HISTORY_WAITING_BYTES / 8);
    let waiting: Vec<_> = (1..=20).map(|number| history.append(Arc::from([message(number, &long)]))).collect();
    release.send(()).unwrap();
    block_on(blocking).unwrap();
    let stored: Vec<_> = waiting.into_iter().map(block_on).collect();
    assert_eq!(stored[..8], vec![Ok(()); 8]);
    assert_eq!(stored[9..], vec![Err(NotStored::Overloaded); 11]);
    assert!(block_on(history.append(Arc::from([message(21, "and on")]))).is_ok());
    drop((history, database));
    let history = open(&folder);
    assert_eq!(history.extent(), Some(Extent { oldest: 1, newest: 21 }));
}
