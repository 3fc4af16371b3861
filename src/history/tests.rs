use async_std::task::block_on;
use proptest::prelude::*;

use super::*;
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
    let mut next = history.first_number();
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
    let mut memory = Memory::new(5, 1_000_000);
    let batch = |numbers: &[u64]| -> Arc<[Message]> { numbers.iter().map(|&number| message(number, "hi")).collect() };
    memory.push(batch(&[1, 2, 3]));
    memory.push(batch(&[4, 5, 6]));
    assert_eq!(seen(Ok(memory.after(0, 6, 9))), (vec![2, 3, 4, 5, 6], 1, 6));
    assert_eq!(memory.last_before(Timestamp::from_millis(0)), 1, "the number before the oldest");
    memory.push(batch(&[7, 8, 9, 10, 11, 12]));
    assert_eq!(memory.extent(), Some(Extent { oldest: 8, newest: 12 }));

    let mut memory = Memory::new(100, 100_000);
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
