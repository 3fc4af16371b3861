//! Sends messages from the history: those that the peer has asked for, and those that it was too slow for.
//!
//! The writer reads them in pages, at the speed of its peer, and holds one page at a time.

use std::fmt::Write;
use std::io;

use async_std::future::timeout;
use futures::FutureExt;

use crate::limits::HISTORY_WAIT;
use crate::log::Record;
use crate::model::Message;
use crate::protocol::{Dialect, Refusal, Reply};
use crate::room::{Lost, Replay, Source};
use crate::server::connection::pages::Part;
use crate::server::connection::writer::Writer;

impl Writer {
    /// Sends what a peer has asked for.
    pub(super) async fn replay(&mut self, replay: &Replay, dialect: Dialect, source: &Source) -> io::Result<()> {
        self.is_replaying = true;
        let sent = self.send_replay(replay, dialect, source).await;
        self.is_replaying = false;
        replay.waiting.remove();
        sent
    }

    async fn send_replay(&mut self, replay: &Replay, dialect: Dialect, source: &Source) -> io::Result<()> {
        let (pages, history, room) = (self.pages.clone(), &source.history, source.heard());
        let Ok(start) = pages.start_of(history, replay).await else {
            return self.say(&Reply::Refused(&Refusal::HistoryFailed)).await;
        };
        let Some(start) = start.filter(|&start| start < replay.up_to) else {
            return match replay.after {
                Some(Ok(number)) => self.say(&Reply::NothingAfter { number, room }).await,
                Some(Err(_)) => self.say(&Reply::NothingAfter { number: replay.up_to, room }).await,
                None if replay.is_unasked => Ok(()),
                None => self.say(&Reply::NothingStored { room }).await,
            };
        };
        if replay.is_unasked {
            self.say(&Reply::Earlier).await?;
        }
        let render = |message: &Message, text: &mut String| {
            let is_wanted = !replay.ignored.contains(&message.from);
            if is_wanted {
                write_line(text, &dialect.replayed(&source.room, message, replay.now));
            }
            is_wanted
        };
        let (mut after, mut lines, mut newest) = (start, 0, None);
        while after < replay.up_to {
            if self.stop.clone().now_or_never().is_some() {
                // The farewell must still be sent.
                let count = replay.up_to - after;
                return self.say(&Reply::Missed { count, since: Some(after), room }).await;
            }
            let Ok(part) = pages.read(history, (after, replay.up_to), render).await else {
                return self.say(&Reply::Refused(&Refusal::HistoryFailed)).await;
            };
            if part.missing > 0 && replay.after.is_some() {
                self.say_missing(source, after, &part).await?;
            }
            self.send_text(&part.text).await?;
            self.state.note_page();
            replay.charge(part.text.len());
            if part.unreadable > 0 {
                self.say(&Reply::Unreadable { count: part.unreadable, room }).await?;
            }
            (after, lines, newest) = (part.end, lines + part.lines, part.newest.or(newest));
        }
        // After a crash, many numbers are skipped. Who has not asked for a range need not learn of them.
        let last = newest.filter(|_| replay.is_unasked).unwrap_or(replay.up_to);
        self.say(&Reply::ThatWas { first: start + 1, last, lines, room }).await
    }

    /// Says how many messages of a part after this number are not stored. Those before the oldest one were removed.
    async fn say_missing(&mut self, source: &Source, after: u64, part: &Part) -> io::Result<()> {
        let room = source.heard();
        let oldest = source.history.extent().map_or(u64::MAX, |extent| extent.oldest);
        let removed = part.end.min(oldest - 1).saturating_sub(after).min(part.missing);
        if removed > 0 {
            self.say(&Reply::NoLongerKept { count: removed, room }).await?;
        }
        if part.missing > removed {
            self.say(&Reply::Skipped { count: part.missing - removed, room }).await?;
        }
        Ok(())
    }

    /// Sends what the peer has asked for and the messages that it was too slow for, if they are stored. Tells it how many
    /// lines it has missed.
    pub(super) async fn make_up_for(&mut self, lost: &Lost, source: &Source) -> io::Result<()> {
        for replay in &lost.replays {
            self.replay(replay, lost.dialect, source).await?;
        }
        self.is_replaying = true;
        let sent = self.send_lost(lost, source).await;
        self.is_replaying = false;
        sent
    }

    async fn say_missed(&mut self, count: u64, since: Option<u64>, source: &Source) -> io::Result<()> {
        if count == 0 {
            return Ok(());
        }
        let (peer, from) = (self.peer, self.from);
        self.log.note(Record::Missed { peer, from, lines: count });
        self.say(&Reply::Missed { count, since, room: source.heard() }).await
    }

    /// Sends lost messages, and says where some are missing. Nobody knows where the other lost lines were: they are
    /// counted with the first missing messages, or at the end.
    async fn send_lost(&mut self, lost: &Lost, source: &Source) -> io::Result<()> {
        let (pages, history) = (self.pages.clone(), &source.history);
        let up_to = lost.messages.end.saturating_sub(1);
        let is_stored = history.extent().is_some_and(|extent| extent.oldest <= up_to);
        if !is_stored || lost.messages.is_empty() {
            return self.say_missed(lost.others + lost.count(), None, source).await;
        }
        let (mut after, mut others) = (lost.messages.start - 1, lost.others);
        let render = |message: &Message, text: &mut String| {
            let is_for_it = lost.is_for_it(message.number);
            if is_for_it {
                write_line(text, &lost.dialect.said(&source.room, message));
            }
            is_for_it
        };
        while after < up_to {
            let read = timeout(HISTORY_WAIT, pages.read(history, (after, up_to), render)).await;
            let is_stopping = self.stop.clone().now_or_never().is_some();
            let Some(part) = read.ok().and_then(Result::ok).filter(|_| !is_stopping) else {
                return self.say_missed(others + lost.count_in(after + 1..up_to + 1), Some(after), source).await;
            };
            let missing = lost.count_in(after + 1..part.end + 1).saturating_sub(part.lines);
            if missing > 0 {
                self.say_missed(missing + std::mem::take(&mut others), None, source).await?;
            }
            self.send_text(&part.text).await?;
            self.state.note_page();
            after = part.end;
        }
        self.say_missed(others, None, source).await
    }
}

fn write_line(text: &mut String, reply: &Reply<'_>) {
    writeln!(text, "{reply}").expect("a String takes all that is written to it");
}

#[cfg(all(test, unix))]
mod tests;
