//! The newest messages, in memory.

use std::collections::VecDeque;
use std::mem::size_of;
use std::sync::Arc;

use crate::history::needle::Needle;
use crate::history::{Extent, Found, Page};
use crate::limits::HISTORY_PAGE_BYTES;
use crate::model::budget::Used;
use crate::model::message::{Message, Timestamp};

/// The newest messages of a room, at most `limit` of them, and as many bytes as it may use. They stay in the batches in which they came, so that
/// none is copied.
#[derive(Debug)]
pub(super) struct Memory {
    limit: usize,
    /// Every message that was pushed with this number or a higher one is here.
    complete_from: u64,
    batches: VecDeque<Arc<[Message]>>,
    /// How many messages of the first batch are not counted any more, ...
    forgotten: usize,
    /// ... and how many bytes they take, until all messages of the batch are forgotten or the others are copied.
    forgotten_bytes: usize,
    messages: usize,
    /// The bytes of the counted messages.
    used: Used,
}

impl Memory {
    /// An empty memory for messages with this number or a higher one.
    pub(super) fn new(first: u64, limit: usize, used: Used) -> Self {
        Self {
            limit,
            complete_from: first,
            batches: VecDeque::new(),
            forgotten: 0,
            forgotten_bytes: 0,
            messages: 0,
            used,
        }
    }

    pub(super) fn push(&mut self, messages: Arc<[Message]>) {
        if messages.is_empty() {
            return;
        }
        debug_assert!(messages.is_sorted_by(|one, next| one.number < next.number), "numbers rise");
        self.messages += messages.len();
        self.used.add(messages.iter().map(size).sum::<usize>());
        self.batches.push_back(messages);
        self.trim();
    }

    /// Forgets the oldest messages while there are too many.
    pub(super) fn trim(&mut self) {
        while self.messages > self.limit || self.used.is_over() {
            self.forget_first();
        }
        self.release_forgotten();
    }

    /// Forgets the messages up to this number.
    pub(super) fn forget_up_to(&mut self, number: u64) {
        while self.extent().is_some_and(|extent| extent.oldest <= number) {
            self.forget_first();
        }
        self.release_forgotten();
    }

    fn forget_first(&mut self) {
        let Some(batch) = self.batches.front() else { return };
        if let Some(message) = batch.get(self.forgotten) {
            self.used.remove(size(message));
            self.forgotten_bytes += size(message);
            self.complete_from = message.number + 1;
            self.messages -= 1;
            self.forgotten += 1;
        }
        if self.forgotten >= batch.len() {
            self.batches.pop_front();
            (self.forgotten, self.forgotten_bytes) = (0, 0);
        }
    }

    /// Copies the rest of the first batch, if what is forgotten of it takes much memory. That is rare in a room that has
    /// many batches. But there may be many rooms that have only one.
    fn release_forgotten(&mut self) {
        if self.forgotten_bytes > self.used.bytes() / 4
            && let Some(batch) = self.batches.front_mut()
        {
            *batch = batch[self.forgotten..].into();
            (self.forgotten, self.forgotten_bytes) = (0, 0);
        }
    }

    /// The number after the newest message.
    pub(super) fn next_number(&self) -> u64 {
        self.newest_first().next().map_or(self.complete_from, |newest| newest.number + 1)
    }

    pub(super) fn complete_from(&self) -> u64 {
        self.complete_from
    }

    pub(super) fn extent(&self) -> Option<Extent> {
        let oldest = self.newest_first().next_back()?.number;
        Some(Extent { oldest, newest: self.newest_first().next()?.number })
    }

    /// See [`History::after`](super::History::after).
    pub(super) fn after(&self, after: u64, up_to: u64, limit: usize) -> Page {
        let mut messages = self.from(after.saturating_add(1)).take_while(|message| message.number <= up_to).peekable();
        let mut page = Page { messages: Vec::new(), missing: 0, unreadable: 0, end: up_to };
        let mut bytes = 0;
        while page.messages.len() < limit && bytes < HISTORY_PAGE_BYTES {
            let Some(message) = messages.next() else { break };
            bytes += size(message);
            page.messages.push(message.clone());
        }
        if messages.peek().is_some() {
            page.end = page.messages.last().map_or(after, |last| last.number);
        }
        page.missing = page.end.saturating_sub(after) - page.messages.len() as u64;
        page
    }

    /// See [`History::newest_messages`](super::History::newest_messages).
    pub(super) fn newest_messages(&self, count: usize, up_to: u64) -> Page {
        let mut bytes = 0;
        let mut messages = Vec::new();
        for message in self.newest_first().skip_while(|message| message.number > up_to).take(count) {
            if bytes >= HISTORY_PAGE_BYTES {
                break;
            }
            bytes += size(message);
            messages.push(message.clone());
        }
        messages.reverse();
        Page::of_newest(messages, 0, up_to)
    }

    /// See [`History::last_before`](super::History::last_before).
    pub(super) fn last_before(&self, at: Timestamp) -> u64 {
        self.last_if_before(at).or_else(|| self.extent().map(|extent| extent.oldest - 1)).unwrap_or_default()
    }

    /// The number of the newest message that is not after this time, if it is here.
    pub(super) fn last_if_before(&self, at: Timestamp) -> Option<u64> {
        self.newest_first().find(|message| message.at <= at).map(|message| message.number)
    }

    /// See [`History::search`](super::History::search).
    pub(super) fn search(&self, needle: &mut Needle, count: usize, before: u64) -> Found {
        let older = self.newest_first().skip_while(|message| message.number >= before);
        let mut matching = older.filter(|message| needle.is_in(message.text.as_str())).cloned();
        let mut messages: Vec<_> = matching.by_ref().take(count).collect();
        messages.reverse();
        Found { has_more: messages.len() >= count, unreadable: 0, messages }
    }

    /// The messages from this number on, oldest first.
    fn from(&self, number: u64) -> impl Iterator<Item = &Message> {
        let first = self.batches.partition_point(|batch| batch.last().is_none_or(|last| last.number < number));
        let forgotten = if first == 0 { self.forgotten } else { 0 };
        let batches = self.batches.range(first..).flat_map(|batch| batch.iter());
        batches.skip(forgotten).skip_while(move |message| message.number < number)
    }

    fn newest_first(&self) -> impl DoubleEndedIterator<Item = &Message> {
        let batches = self.batches.iter().enumerate().rev();
        batches.flat_map(|(at, batch)| batch[if at == 0 { self.forgotten } else { 0 }..].iter().rev())
    }
}

/// About how much memory a message takes. A name consists of three strings.
pub(super) fn size(message: &Message) -> usize {
    size_of::<Message>() + 4 * message.from.as_str().len() + message.text.as_str().len()
}
