use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime};

use async_std::task::block_on;
use proptest::prelude::*;

use super::*;
use crate::database::tests::Folder;
use crate::limits::{FREE_PAGES, HISTORY_WAITING_BYTES, NUMBERS_AHEAD, WAL_PAUSE_BYTES};
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
fn seen(page: Result<Page, DatabaseError>) -> (Vec<u64>, u64, u64) {
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
fn memory_keeps_little_of_messages_that_are_forgotten_in_a_batch_of_which_it_keeps_one() {
    let mut memory = Memory::new(1, 100, Budget::new(1000).holder());
    let batch: Arc<[Message]> = [message(1, &"x".repeat(10_000)), message(2, "a"), message(3, "b")].into();
    let weak = Arc::downgrade(&batch);
    memory.push(batch);
    assert_eq!(seen(Ok(memory.after(0, 3, 9))), (vec![2, 3], 1, 3));
    assert_eq!(weak.strong_count(), 0, "the long message is still in memory");
    memory.push([message(4, "c")].into());
    assert_eq!(seen(Ok(memory.after(0, 4, 9))), (vec![2, 3, 4], 1, 4));
    memory.forget_up_to(2);
    assert_eq!(seen(Ok(memory.after(0, 4, 9))), (vec![3, 4], 2, 4));
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
fn what_is_removed_from_the_file_is_not_read_from_memory() {
    let folder = Folder::new();
    let history = open_with(&folder, Settings::default());
    append(&history, &[(1, "old"), (2, "old")]);
    let now = Timestamp::from(SystemTime::now());
    block_on(history.append(Arc::from([Message { at: now, ..message(3, "new") }]))).unwrap();
    within(|| history.extent() == Some(Extent { oldest: 3, newest: 3 }));
    assert_eq!(numbers(&block_on(history.newest_messages(9, u64::MAX)).unwrap().messages), [3]);
    assert_eq!(whole(&history, 0, 3, 9), (vec![3], 2, 3));
}

#[test]
fn a_room_that_everyone_has_left_stays_while_its_messages_wait_for_the_disk() {
    let folder = Folder::new();
    let database = folder.open();
    let history = History::open(&database, FOREVER).unwrap();
    let dev = RoomName::parse("dev").unwrap();
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let block = move |_: &rusqlite::Connection| {
        wait.recv().unwrap();
        Ok(())
    };
    database.submit(Sync::Always, block, |_| {});
    let room = history.room(&dev);
    let stored = room.append(Arc::from([message(1, "hi")]));
    history.release(&dev);
    assert!(history.has_room(&dev));
    go_on.send(()).unwrap();
    block_on(stored).unwrap();
    drop((room, history, database));
    let history = open(&folder);
    assert!(history.has_room(&dev));
    assert_eq!(numbers(&block_on(history.room(&dev).newest_messages(9, u64::MAX)).unwrap().messages), [1]);
}

#[test]
fn a_new_room_starts_above_all_numbers_of_rooms_that_are_gone() {
    let (folder, name) = (Folder::new(), |name| RoomName::parse(name).unwrap());
    for history in [History::off(), History::in_memory(), open(&folder)] {
        let is_off = history.retention() == Retention::Nothing;
        let dev = history.room(&name("dev"));
        assert_eq!((dev.first_number(), dev.next_number()), (1, 1));
        append(&dev, &[(1, "a"), (2, "b")]);
        // These were refused, but a farewell may have told the last one.
        dev.note_given(if is_off || matches!(history.kind, Kind::OnDisk(_)) { 7 } else { 2 });
        let floor = dev.next_number() - 1;
        let forgotten = history.forget(&name("dev"));
        assert!(!history.has_room(&name("dev")));
        for room in ["dev", "ops"] {
            let opened = history.room(&name(room));
            assert_eq!((opened.first_number(), opened.next_number()), (floor + 1, floor + 1), "{room}");
            assert_eq!(opened.extent(), None);
            // Nobody has said anything, so the next one may have the same numbers.
            history.release(&name(room));
        }
        block_on(forgotten).unwrap();
        assert!(dev.extent().is_none() && block_on(dev.newest_messages(9, u64::MAX)).unwrap().messages.is_empty());
        let opened = history.room(&name("dev"));
        block_on(opened.reserve()).unwrap();
        append(&opened, &[(floor + 1, "c")]);
        // The numbers before the room are as if they were not kept, for those who ask for them.
        if !is_off {
            assert_eq!(whole(&opened, floor - 1, floor + 1, 9), (vec![floor + 1], 1, floor + 1));
        }
    }
    let history = open(&folder);
    let dev = history.room(&name("dev"));
    assert_eq!((dev.first_number(), dev.next_number()), (8, 9), "also after a restart");
    assert_eq!(history.room(&name("new")).next_number(), 8);
    assert_eq!(history.next_number(), 1, "the lobby is older");
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
fn a_damaged_row_counts_as_unreadable() {
    let folder = Folder::new();
    append(&open(&folder), &[(1, "a"), (2, "b"), (3, "c"), (4, "d")]);
    let connection = rusqlite::Connection::open(folder.file()).unwrap();
    connection.execute("UPDATE messages SET name = 'admin' WHERE text = 'b'", []).unwrap();
    connection.execute("UPDATE messages SET text = x'ff' WHERE text = 'c'", []).unwrap();
    drop(connection);
    let history = open(&folder);
    assert_eq!(read_all(&history, 0, 4), (vec![1, 4], 0, vec![2]));
    let page = block_on(history.newest_messages(9, 4)).unwrap();
    assert_eq!((numbers(&page.messages), page.missing, page.unreadable), (vec![1, 4], 0, 2));
}

/// All messages of a range, how many are missing, and how many are unreadable at each place where some are.
fn read_all(history: &History, after: u64, up_to: u64) -> (Vec<u64>, u64, Vec<u64>) {
    let (mut all, mut missing, mut unreadable, mut end) = (Vec::new(), 0, Vec::new(), after);
    while end < up_to {
        let page = block_on(history.after(end, up_to, 256)).unwrap();
        assert!(page.end > end && page.end <= up_to, "it makes progress");
        assert_eq!(page.end - end, page.messages.len() as u64 + page.missing + page.unreadable);
        all.extend(numbers(&page.messages));
        missing += page.missing;
        unreadable.extend((page.unreadable > 0).then_some(page.unreadable));
        end = page.end;
    }
    (all, missing, unreadable)
}

const PAGE: usize = 4096;

/// A history of this many messages on disk, in pages of about 30.
fn long_history(count: u64) -> Folder {
    let folder = Folder::new();
    let texts: Vec<_> = (1..=count).map(|number| format!("<{number}> {}", "x".repeat(100))).collect();
    append(&open(&folder), &(1..).zip(&texts).map(|(number, text)| (number, text.as_str())).collect::<Vec<_>>());
    folder
}

/// The numbers of the messages in some bytes of the file.
fn numbers_in(bytes: &[u8]) -> Vec<u64> {
    let text = String::from_utf8_lossy(bytes);
    let numbers = text.split('<').filter_map(|rest| rest.split_once("> xxx")?.0.parse().ok());
    let mut numbers: Vec<_> = numbers.collect();
    numbers.sort_unstable();
    numbers
}

/// Overwrites a part of the file. Returns the numbers of the messages that were there.
fn damage(folder: &Folder, at: usize, length: usize, garbage: &[u8]) -> Vec<u64> {
    let mut bytes = fs::read(folder.file()).unwrap();
    let damaged = &mut bytes[at..at + length];
    let lost = numbers_in(damaged);
    damaged.iter_mut().zip(garbage.iter().cycle()).for_each(|(byte, garbage)| *byte = *garbage);
    fs::write(folder.file(), bytes).unwrap();
    lost
}

/// The page of the file with this message.
fn page_of(folder: &Folder, number: u64) -> usize {
    let bytes = fs::read(folder.file()).unwrap();
    bytes.chunks(PAGE).position(|page| numbers_in(page).contains(&number)).unwrap() * PAGE
}

#[test]
fn a_damaged_page_is_stepped_over_and_what_was_in_it_is_counted() {
    const ALL: u64 = 3000;
    let folder = long_history(ALL);
    let (one, two) = (page_of(&folder, 700), page_of(&folder, 1900));
    let lost_here = damage(&folder, one, PAGE, &[0xa5]);
    // An intact page between two damaged ones.
    let mut lost = damage(&folder, two, PAGE, &[0xff, 0, 13, 7]);
    lost.extend(damage(&folder, two + 2 * PAGE, PAGE, &[0]));
    let places = [lost_here.len(), lost.len() / 2, lost.len() - lost.len() / 2].map(|lost| lost as u64);
    lost.extend(&lost_here);
    assert!(lost.len() > 60 && lost.contains(&700) && lost.contains(&1900), "{lost:?}");
    let intact: Vec<_> = (1..=ALL).filter(|number| !lost.contains(number)).collect();

    let history = open(&folder);
    let (read, missing, unreadable) = read_all(&history, 0, ALL);
    assert!(read == intact, "{} of {}", read.len(), intact.len());
    assert_eq!((missing, unreadable.iter().sum::<u64>()), (0, lost.len() as u64));
    assert_eq!((unreadable.len(), unreadable[0]), (3, places[0]));

    // The newest ones before the first place, and those around it.
    let page = block_on(history.newest_messages(100, 600)).unwrap();
    assert_eq!((page.messages.len(), page.missing, page.unreadable), (100, 0, 0));
    let page = block_on(history.newest_messages(100, 750)).unwrap();
    let expected: Vec<_> = intact.iter().copied().filter(|number| *number <= 750).collect();
    assert_eq!(numbers(&page.messages), expected[expected.len() - 100..]);
    assert_eq!((page.missing, page.unreadable), (0, lost_here.len() as u64));

    // A search finds all others.
    let found = block_on(history.search("> XXX", ALL as usize + 1, None)).unwrap();
    assert!(numbers(&found.messages) == intact, "{} of {}", found.messages.len(), intact.len());
    assert_eq!(found.unreadable, lost.len() as u64);
    // It counts only what it has looked for.
    let found = block_on(history.search("> XXX", 10, Some(750))).unwrap();
    assert_eq!((found.messages.len(), found.unreadable), (10, 0));
    let found = block_on(history.search("<600>", 1, Some(750))).unwrap();
    assert_eq!((numbers(&found.messages), found.unreadable), (vec![600], lost_here.len() as u64));

    // Times are found, except for those of damaged messages: then it begins before them.
    for number in 1..=ALL {
        let before = block_on(history.last_before(Timestamp::from_millis(1000 * number))).unwrap();
        let readable = intact.iter().rev().find(|intact| **intact <= number).unwrap();
        assert!(before <= number && before >= *readable, "{before} for {number}");
    }

    // The room goes on.
    append(&history, &[(history.next_number(), "and on")]);
    assert_eq!(block_on(history.newest_messages(5, u64::MAX)).unwrap().messages.len(), 5);
}

/// The page may still look like one, with rows that are lost or have other numbers. Whether such a row was removed or
/// damaged is not known.
#[test]
fn a_page_that_is_damaged_in_part_is_read_as_far_as_possible() {
    const ALL: u64 = 3000;
    let mut random = fastrand::Rng::with_seed(1);
    for round in 0..60 {
        let folder = long_history(ALL);
        let garbage: Vec<_> = std::iter::repeat_with(|| random.u8(..)).take(1024).collect();
        let at = page_of(&folder, 1500) + 512 * random.usize(0..7);
        damage(&folder, at, 512 * random.usize(1..3), &garbage);
        let history = open(&folder);
        let (read, missing, unreadable) = read_all(&history, 0, ALL);
        assert!(read.is_sorted_by(|one, next| one < next), "round {round}");
        assert!(read.len() >= 2880, "round {round}: {} read, {missing} missing, {unreadable:?}", read.len());
    }
}

/// SQLite returns its row in the wrong place, or takes it for the end.
#[test]
fn a_damaged_key_hides_no_other_message() {
    const ALL: u64 = 3000;
    // https://sqlite.org/fileformat.html, section 1.6: a varint of seven bytes.
    let varint = |number: u64| -> Vec<u8> {
        let key = 1 << 44 | number;
        (0..7).rev().map(|byte| (key >> (7 * byte)) as u8 & 0x7f | if byte > 0 { 0x80 } else { 0 }).collect()
    };
    for wrong in [3, 1_000_000] {
        let folder = long_history(ALL);
        let mut bytes = fs::read(folder.file()).unwrap();
        let page = page_of(&folder, 1500);
        let key = bytes[page..].windows(7).position(|window| window == varint(1500)).unwrap();
        bytes[page + key..page + key + 7].copy_from_slice(&varint(wrong));
        fs::write(folder.file(), bytes).unwrap();
        let history = open(&folder);
        let (read, missing, unreadable) = read_all(&history, 0, ALL);
        assert!(read == (1..=ALL).filter(|number| *number != 1500).collect::<Vec<_>>(), "{wrong}: {} read", read.len());
        assert_eq!((missing, unreadable), (0, vec![1]), "{wrong}");
    }
}

/// Thousands of messages are below such a page.
#[test]
fn a_damaged_inner_page_takes_the_messages_below_it_and_no_others() {
    const ALL: u64 = 60_000;
    let folder = long_history(ALL);
    let bytes = fs::read(folder.file()).unwrap();
    // https://sqlite.org/fileformat.html, section 1.6: the first byte of an inner page is 5, of a leaf 13.
    let inner: Vec<_> = (1..bytes.len() / PAGE).filter(|page| bytes[page * PAGE] == 5).collect();
    assert!(inner.len() > 3, "{inner:?}");
    // The root is the first of them. The last one leads to the newest messages.
    damage(&folder, inner[2] * PAGE, PAGE, &[0xa5]);
    let history = open(&folder);
    let (read, missing, unreadable) = read_all(&history, 0, ALL);
    assert_eq!((missing, unreadable.len()), (0, 1));
    assert_eq!(read.len() as u64 + unreadable[0], ALL);
    assert!((5000..20_000).contains(&unreadable[0]), "{unreadable:?}");
    let found = block_on(history.search("<2> ", 1, None)).unwrap();
    assert_eq!((numbers(&found.messages), found.unreadable), (vec![2], unreadable[0]));
    // As many as are asked for, from both sides.
    let page =
        block_on(history.newest_messages(256, read[read.partition_point(|number| *number < 30_000)] + 20_000)).unwrap();
    assert_eq!(page.messages.len(), 256);
}

/// Such as one that goes on in another page, which is damaged.
#[test]
fn a_long_message_whose_end_is_damaged_is_the_only_one_that_is_lost() {
    let folder = Folder::new();
    let long = format!("{}END", "x".repeat(6000));
    append(&open(&folder), &[(1, "a"), (2, "b"), (3, &long), (4, "d"), (5, "e")]);
    let bytes = fs::read(folder.file()).unwrap();
    let end = bytes.windows(3).position(|window| window == b"END").unwrap();
    damage(&folder, end / PAGE * PAGE, PAGE, &[0xff]);
    let history = open(&folder);
    assert_eq!(read_all(&history, 0, 5), (vec![1, 2, 4, 5], 0, vec![1]));
}

#[test]
fn removed_messages_are_not_counted_as_damaged() {
    let folder = long_history(3000);
    let connection = rusqlite::Connection::open(folder.file()).unwrap();
    connection.execute("DELETE FROM messages WHERE key & 0xfffffffffff <= 1000", []).unwrap();
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(connection);
    let first = page_of(&folder, 1010);
    let history = open(&folder);
    let lost = damage(&folder, first, PAGE, &[0xa5]);
    // It is still known what was there.
    let (read, missing, unreadable) = read_all(&history, 0, 3000);
    assert_eq!((missing, unreadable), (1000, vec![lost[lost.len() - 1] - 1000]));
    assert_eq!(read.len() as u64, 3000 - lost[lost.len() - 1]);
    // It opens, too.
    drop(history);
    assert_eq!(open(&folder).extent(), Some(Extent { oldest: lost[lost.len() - 1] + 1, newest: 3000 }));
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

/// No transaction of a reader is open for longer than a page takes, but one of them always is.
#[test]
fn the_write_ahead_log_stays_small_while_others_read_and_search() {
    /// More than the messages and the pages above them that one transaction writes here.
    const TRANSACTION: u64 = 1024 * 1024;
    let folder = Folder::new();
    let history = open(&folder);
    let (is_done, since) = (AtomicBool::new(false), Instant::now());
    let largest = std::thread::scope(|scope| {
        let repeat = |work: fn(&History)| {
            let (history, is_done) = (&history, &is_done);
            scope.spawn(move || {
                while !is_done.load(Ordering::Relaxed) && since.elapsed() < Duration::from_secs(300) {
                    work(history);
                }
            });
        };
        for _ in 0..4 {
            repeat(|history| drop(read_all(history, 0, history.extent().map_or(0, |extent| extent.newest))));
        }
        for _ in 0..2 {
            repeat(|history| drop(block_on(history.search("y", 9, None)).unwrap()));
        }
        let text = "x".repeat(1000);
        let batches = 2 * WAL_PAUSE_BYTES / (64 * text.len() as u64);
        let sizes = (0..batches).map(|batch| {
            append(&history, &(1..=64).map(|number| (64 * batch + number, text.as_str())).collect::<Vec<_>>());
            fs::metadata(folder.0.join("linechat.db-wal")).unwrap().len()
        });
        let largest = sizes.max();
        is_done.store(true, Ordering::Relaxed);
        largest
    });
    assert!(largest < Some(WAL_PAUSE_BYTES + TRANSACTION), "{largest:?}");
}
