//! Reads pages of the history for the writers of all connections.

use std::sync::Arc;

use async_lock::Semaphore;

use crate::database::DatabaseError;
use crate::history::{History, Page};
use crate::limits::{HISTORY_READS, PORTION_BYTES, REPLAY_PAGE};
use crate::model::Message;
use crate::room::Replay;

/// Reads pages of the history, a few at once for all connections together.
#[derive(Debug, Clone)]
pub(crate) struct HistoryReader {
    permits: Arc<Semaphore>,
}

/// A part of a range of messages, rendered.
pub(super) struct Part {
    pub(super) text: String,
    /// How many messages are in the text.
    pub(super) lines: u64,
    /// How many messages of the part are not stored.
    pub(super) missing: u64,
    /// How many cannot be read. They come after the text.
    pub(super) unreadable: u64,
    /// The last number of the part. No message need have it.
    pub(super) end: u64,
    /// The number of the last message in it, also if that is left out of the text or cannot be read.
    pub(super) newest: Option<u64>,
}

impl HistoryReader {
    pub(crate) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(HISTORY_READS)) }
    }

    /// A part of the messages with numbers above `after` and up to `up_to`, of about [`PORTION_BYTES`].
    pub(super) async fn read(
        &self,
        history: &History,
        (after, up_to): (u64, u64),
        render: impl Fn(&Message, &mut String) -> bool,
    ) -> Result<Part, DatabaseError> {
        let _permit = self.permits.acquire().await;
        let Page { messages, missing, unreadable, end } = history.after(after, up_to, REPLAY_PAGE).await?;
        let mut part =
            Part { text: String::new(), lines: 0, missing, unreadable, end: end.max(after + 1), newest: None };
        for (read, message) in (1..).zip(&messages) {
            part.lines += u64::from(render(message, &mut part.text));
            part.newest = Some(message.number);
            if part.text.len() >= PORTION_BYTES && read < messages.len() as u64 {
                part.end = message.number;
                (part.missing, part.unreadable) = ((part.end - after).saturating_sub(read), 0);
                break;
            }
        }
        if part.unreadable > 0 {
            part.newest = Some(part.end);
        }
        Ok(part)
    }

    /// The number before the newest `count` messages up to `up_to`. `None` if there are none. If there are fewer, messages
    /// that cannot be read come after that number.
    pub(super) async fn before_newest(
        &self,
        history: &History,
        count: usize,
        up_to: u64,
    ) -> Result<Option<u64>, DatabaseError> {
        let (mut before, mut left) = (None, count);
        while left > 0 {
            let _permit = self.permits.acquire().await;
            let to = before.unwrap_or(up_to);
            let page = history.newest_messages(left.min(REPLAY_PAGE), to).await?;
            let Some(first) = page.messages.first() else {
                before = if page.unreadable > 0 { Some(0) } else { before };
                break;
            };
            left = left.saturating_sub(page.messages.len());
            before = Some(first.number.saturating_sub(1));
        }
        Ok(before)
    }

    /// The number after which the replay begins. `None` if there is nothing to send.
    pub(super) async fn start_of(&self, history: &History, replay: &Replay) -> Result<Option<u64>, DatabaseError> {
        // Before the first number of the room there was nothing. Whoever names a number below it has seen an earlier room
        // of this name, and learns that what followed there is gone. 0 means everything that there is.
        let before_first = history.first_number() - 1;
        let after = match replay.after {
            None | Some(Ok(0)) => before_first,
            Some(Ok(number)) => number,
            Some(Err(at)) => history.last_before(at).await?.max(before_first).min(replay.up_to),
        };
        match replay.newest {
            None => Ok(Some(after)),
            Some(count) => Ok(self.before_newest(history, count, replay.up_to).await?.map(|before| before.max(after))),
        }
    }
}
