//! The writer: sends everything that a peer reads.
//!
//! Before the peer joins, the session uses it to send replies. After the join it is a task of its own, which reads the
//! feed from the peer's position and sends what is waiting with one system call. Only its own peer can make it wait.

use std::io::{self, IoSlice};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_std::future::timeout;
use futures::future::{BoxFuture, Shared as SharedFuture, select_all};
use futures::{AsyncWriteExt, FutureExt};

use crate::limits::FAREWELL_LIMIT;
use crate::log::Log;
use crate::model::address::PeerAddr;
use crate::model::{PeerId, RoomName};
use crate::net::transport::Transport;
use crate::os::yielding::Budget;
use crate::protocol::Reply;
use crate::room::{Joined, Move, Moves, Portion, Progress, Source, Subscription, Then};
use crate::server::connection::liveness::stall_deadline;
use crate::server::connection::pages::HistoryReader;
use crate::server::connection::state::ConnectionState;
use crate::server::shared::Shared;

/// The writing side of a connection.
#[derive(Debug)]
pub(crate) struct Writer {
    transport: Transport,
    pub(super) peer: PeerId,
    pub(super) from: PeerAddr,
    pub(super) log: Log,
    stall_limit: Duration,
    pub(super) state: Arc<ConnectionState>,
    pub(super) pages: HistoryReader,
    /// Ready once the server stops.
    pub(super) stop: SharedFuture<BoxFuture<'static, ()>>,
    /// It sends messages from the history. The room does not wait for that.
    pub(super) is_replaying: bool,
    /// Records progress. `None` until the peer has joined.
    progress: Option<Progress>,
}

/// The rooms that the peer reads.
struct Rooms {
    current: Subscription,
    heard: Vec<Subscription>,
    moves: Moves,
    /// Where the peer goes when its reader of the current room ends.
    entering: Option<Subscription>,
}

/// Which of these rooms.
#[derive(Debug, Clone, Copy)]
enum At {
    Current,
    Heard(usize),
}

impl Rooms {
    fn new(Joined { current, moves }: Joined) -> Self {
        Self { current, heard: Vec::new(), moves, entering: None }
    }

    /// Whether the peer reads only the room that it is in, and is not about to go to another one.
    fn hears_only_its_own(&self) -> bool {
        self.heard.is_empty() && self.entering.is_none()
    }

    /// Waits for something to send. `None` means the end of the feed.
    async fn next(&mut self) -> (At, Option<Portion>) {
        let heard = self.heard.iter_mut().map(|heard| heard.reader.next().boxed());
        futures::select_biased! {
            portion = self.current.reader.next().fuse() => (At::Current, portion),
            (portion, at, _) = select_all(heard).fuse() => (At::Heard(at), portion),
        }
    }

    fn stop_hearing(&mut self, room: &RoomName) -> Option<Subscription> {
        let at = self.heard.iter().position(|heard| heard.source.room == *room)?;
        Some(self.heard.remove(at))
    }
}

/// How much of a portion was sent.
enum Sent {
    All {
        is_last: bool,
    },
    /// The number of bytes sent.
    Part(usize),
}

impl Writer {
    pub(crate) fn new(
        transport: Transport,
        (peer, from): (PeerId, PeerAddr),
        shared: &Shared,
        state: Arc<ConnectionState>,
    ) -> Self {
        Self {
            transport,
            peer,
            from,
            log: shared.log.clone(),
            stall_limit: shared.config.stall_limit,
            state,
            pages: shared.pages.clone(),
            stop: shared.stop.clone(),
            is_replaying: false,
            progress: None,
        }
    }

    /// Sends one reply to a peer that is not in the room.
    pub(crate) async fn say(&mut self, reply: &Reply<'_>) -> io::Result<()> {
        let line = format!("{reply}\n");
        self.write(&mut [IoSlice::new(line.as_bytes())]).await
    }

    /// Sends replies to telnet commands of a peer that is not in the room.
    pub(crate) async fn answer(&mut self) -> io::Result<()> {
        self.write_all(&mut [IoSlice::new(&self.state.take_answers())]).await
    }

    /// Sends everything in the feed for the peer, until its farewell or the end of the feed. Then closes this side of
    /// the connection.
    ///
    /// If the connection fails, both sides are closed so that the session notices.
    ///
    /// It is not an async function, because its future would be larger: it would keep its arguments twice.
    pub(crate) fn follow(mut self, joined: Joined) -> impl Future<Output = ()> {
        let mut rooms = Rooms::new(joined);
        async move {
            match self.follow_to_end(&mut rooms).await {
                // An error means that the peer is already gone. If closing takes too long, the session cuts the
                // connection.
                Ok(()) => drop(self.transport.close().await),
                Err(_lost) => {
                    self.state.note_broken();
                    self.transport.cut();
                }
            }
        }
    }

    /// Closes this side of the connection of a peer that is not in the room.
    pub(crate) async fn end(mut self) {
        // An error means that the peer is already gone.
        let _ = timeout(FAREWELL_LIMIT, self.transport.close()).await;
    }

    async fn follow_to_end(&mut self, rooms: &mut Rooms) -> io::Result<()> {
        let mut budget = Budget::default();
        loop {
            let next = match rooms.heard[..] {
                [] => futures::select_biased! {
                    portion = rooms.current.reader.next().fuse() => Some((At::Current, portion)),
                    () = self.state.has_answers().fuse() => None,
                },
                // Boxed because it is rare and the future is large.
                _ => futures::select_biased! {
                    next = Box::pin(rooms.next()).fuse() => Some(next),
                    () = self.state.has_answers().fuse() => None,
                },
            };
            match next {
                Some((at, Some(portion))) if self.send_in(rooms, at, &portion).await? => return Ok(()),
                Some((_, None)) => return Ok(()),
                Some((_, Some(_))) | None => {}
            }
            let answers = self.state.take_answers();
            if !answers.is_empty() {
                Box::pin(self.write_all(&mut [IoSlice::new(&answers)])).await?;
            }
            budget.spend().await;
        }
    }

    /// Sends a portion of one of the rooms. Returns whether it was the last one of all.
    async fn send_in(&mut self, rooms: &mut Rooms, at: At, portion: &Portion) -> io::Result<bool> {
        // Boxed because they are rare and the futures are large.
        if portion.moves() || !rooms.hears_only_its_own() {
            return Box::pin(self.send_in_several(rooms, at, portion)).await;
        }
        let is_last = self.send(portion, &rooms.current).await?;
        if is_last { Box::pin(self.is_over(rooms)).await } else { Ok(false) }
    }

    /// Goes to the next room after the end of the last one. Returns whether there is none.
    async fn is_over(&mut self, rooms: &mut Rooms) -> io::Result<bool> {
        let next = self.next_room(rooms).await?;
        let is_over = next.is_none();
        next.into_iter().for_each(|next| rooms.current = next);
        Ok(is_over)
    }

    /// [`Self::send_in`] for a peer that reads several rooms, or moves to another one.
    async fn send_in_several(&mut self, rooms: &mut Rooms, at: At, portion: &Portion) -> io::Result<bool> {
        let is_last = portion.is_last();
        match at {
            At::Current if is_last => {
                let next = self.next_room(rooms).await?;
                if next.is_none() {
                    // The farewell comes after everything else.
                    while let Some(heard) = rooms.heard.pop() {
                        self.send_to_end(heard).await?;
                    }
                }
                self.send(portion, &rooms.current).await?;
                let Some(next) = next else { return Ok(true) };
                if let Some(heard) = rooms.stop_hearing(&next.source.room) {
                    // The peer has heard this room, and is in it now.
                    self.send_to_end(heard).await?;
                }
                rooms.current = next;
            }
            At::Current => {
                self.send(portion, &rooms.current).await?;
                rooms.entering = self.next_room(rooms).await?;
            }
            At::Heard(at) => {
                self.send(portion, &rooms.heard[at]).await?;
                if is_last {
                    rooms.heard.remove(at);
                } else {
                    // So that a busy room does not keep the others waiting.
                    rooms.heard[at..].rotate_left(1);
                }
            }
        }
        Ok(false)
    }

    /// Begins to read the rooms that the peer hears since. Returns the room that it goes to, if it goes.
    async fn next_room(&mut self, rooms: &mut Rooms) -> io::Result<Option<Subscription>> {
        if let Some(next) = rooms.entering.take() {
            return Ok(Some(next));
        }
        while let Some(change) = rooms.moves.take() {
            match change {
                Move::Enter(next) => return Ok(Some(next)),
                Move::Hear(room) => {
                    // It may have heard it before, and may not have read all of that.
                    if let Some(before) = rooms.stop_hearing(&room.source.room) {
                        self.send_to_end(before).await?;
                    }
                    rooms.heard.push(room);
                }
            }
        }
        Ok(None)
    }

    /// Sends the rest of a room that the peer no longer hears.
    async fn send_to_end(&mut self, mut heard: Subscription) -> io::Result<()> {
        while let Some(portion) = heard.reader.next().await {
            if self.send(&portion, &heard).await? {
                break;
            }
        }
        Ok(())
    }

    /// Sends a portion. Returns whether it was the last one.
    async fn send(&mut self, portion: &Portion, of: &Subscription) -> io::Result<bool> {
        match self.send_at_once(portion)? {
            Sent::All { is_last } => Ok(is_last),
            // Boxed because it is rare and the future is large.
            Sent::Part(written) => {
                self.progress = Some(of.reader.progress());
                Box::pin(self.send_rest(portion, written, &of.source)).await
            }
        }
    }

    /// Sends what the kernel accepts at once, which is nearly always everything.
    fn send_at_once(&mut self, portion: &Portion) -> io::Result<Sent> {
        if portion.lost().is_some() || self.state.wants_crlf() {
            return Ok(Sent::Part(0));
        }
        let (pieces, then) = portion.text(&mut portion.start());
        if let Then::Replay(_) = then {
            return Ok(Sent::Part(0));
        }
        let is_last = matches!(then, Then::End);
        let written = match pieces[..] {
            [] => return Ok(Sent::All { is_last }),
            [piece] => {
                self.state.note_sent();
                self.transport.write(piece).now_or_never()
            }
            _ => {
                self.state.note_sent();
                let slices: Vec<_> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
                self.transport.write_vectored(&slices).now_or_never()
            }
        };
        let written = written.transpose()?.unwrap_or(0);
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let is_all = written == length && self.transport.flush().now_or_never().transpose()?.is_some();
        Ok(if is_all { Sent::All { is_last } } else { Sent::Part(written) })
    }

    /// Sends the portion from byte `written` on. May wait.
    async fn send_rest(&mut self, portion: &Portion, mut written: usize, source: &Source) -> io::Result<bool> {
        if let Some(lost) = portion.lost() {
            self.make_up_for(lost, source).await?;
        }
        let mut position = portion.start();
        loop {
            let (text, then) = portion.text(&mut position);
            let mut slices: Vec<_> = text.into_iter().map(IoSlice::new).collect();
            let mut rest = &mut slices[..];
            IoSlice::advance_slices(&mut rest, std::mem::take(&mut written));
            self.write(rest).await?;
            match then {
                Then::Next => return Ok(false),
                Then::End => return Ok(true),
                Then::Replay(replay) => self.replay(&replay, position.dialect(), source).await?,
            }
        }
    }

    /// Sends complete lines.
    pub(super) async fn send_text(&mut self, text: &str) -> io::Result<()> {
        self.write(&mut [IoSlice::new(text.as_bytes())]).await
    }

    async fn write(&mut self, slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        if self.state.wants_crlf() {
            let text = with_crlf(slices);
            return self.write_all(&mut [IoSlice::new(&text)]).await;
        }
        self.write_all(slices).await
    }

    async fn write_all(&mut self, mut slices: &mut [IoSlice<'_>]) -> io::Result<()> {
        // Skip empty slices: a write of nothing would look like a closed connection.
        IoSlice::advance_slices(&mut slices, 0);
        while !slices.is_empty() {
            match self.write_some(slices).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => IoSlice::advance_slices(&mut slices, count),
            }
        }
        self.flush().await
    }

    /// Writes what the socket accepts. Waits no longer than the stall limit.
    async fn write_some(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.state.note_sent();
        if let Some(written) = self.transport.write_vectored(slices).now_or_never() {
            return written;
        }
        let mut transport = self.transport.clone();
        self.within_limits(transport.write_vectored(slices)).await
    }

    /// Flushes the transport. Waits no longer than the stall limit.
    async fn flush(&mut self) -> io::Result<()> {
        if let Some(flushed) = self.transport.flush().now_or_never() {
            return flushed;
        }
        let mut transport = self.transport.clone();
        self.within_limits(transport.flush()).await
    }

    /// Waits for a socket operation, but no longer than the stall limit. Records progress.
    async fn within_limits<T>(&mut self, operation: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        let progress = self.progress.as_ref();
        let is_leaving = || progress.is_some_and(Progress::is_leaving);
        let made = futures::select_biased! {
            made = pin!(operation.fuse()) => made,
            () = pin!(stall_deadline(self.stall_limit, is_leaving).fuse()) => {
                if !is_leaving() {
                    self.state.note_stalled();
                }
                Err(io::ErrorKind::TimedOut.into())
            }
        };
        progress.filter(|_| !self.is_replaying).into_iter().for_each(Progress::note);
        made
    }
}

/// The text with each LF replaced by CR LF. In safe text, every LF is a line ending.
fn with_crlf(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut text = Vec::with_capacity(slices.iter().map(|slice| slice.len() + slice.len() / 16 + 1).sum());
    for &byte in slices.iter().flat_map(|slice| slice.iter()) {
        if byte == b'\n' {
            text.push(b'\r');
        }
        text.push(byte);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_endings_become_crlf_across_slices() {
        let slices = [IoSlice::new(b"a: x\nb"), IoSlice::new(b": y\n"), IoSlice::new(b"")];
        assert_eq!(with_crlf(&slices), b"a: x\r\nb: y\r\n");
    }
}
