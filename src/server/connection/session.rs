//! A session: the task of one connection, from its first byte to its close.
//!
//! It passes the peer's lines to the broker at a limited rate, leaves the room exactly once, and closes the connection
//! gracefully. When the broker's inbox is full, it waits, so the kernel slows down this peer only.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use async_channel::SendError;
use async_std::future::timeout;
use async_std::task::{self, JoinHandle};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{Fuse, FusedFuture};

use crate::limits::{FAREWELL_LIMIT, LAST_READS, LOGIN_LIMIT, LONG_LINES, PACE_CHECK};
use crate::log::Record;
use crate::model::address::PeerAddr;
use crate::model::{PeerId, SafeText};
use crate::os::yielding::Budget;
use crate::protocol::{Command, LeaveReason, Line, Notice, Refusal};
use crate::room::{Counted, Event, Throttle};
use crate::server::access::connection_limits::Permit;
use crate::server::access::rate_limit::RateLimit;
use crate::server::connection::account_flow::{AccountFlow, Step};
use crate::server::connection::handshake::Accepted;
use crate::server::connection::liveness::watch;
use crate::server::connection::login::Login;
use crate::server::connection::reader::{End, LineReader};
use crate::server::connection::state::ConnectionState;
use crate::server::connection::writer::Writer;
use crate::server::shared::Shared;

/// Handles one connection. A failure affects only this peer.
pub(crate) async fn attend(
    accepted: Accepted,
    shared: Arc<Shared>,
    (mut permit, evicted): (Permit, oneshot::Receiver<()>),
) {
    // The login's memory is freed afterwards, because a connection spends most of its time in the room.
    let Some((mut session, writing)) = Box::pin(enter(accepted, shared, evicted)).await else { return };
    permit.is_named();
    session.stay(writing).await;
    session.lines.linger().await;
}

/// From the first byte to the join. `None` if the connection does not get that far.
async fn enter(
    accepted: Accepted,
    shared: Arc<Shared>,
    mut evicted: oneshot::Receiver<()>,
) -> Option<(Session, Writing)> {
    let (peer, from, deadline) = (accepted.peer, accepted.from, Instant::now() + LOGIN_LIMIT);
    let transport = accepted.handshake(&shared, &mut evicted, deadline).await?;
    let state = Arc::new(ConnectionState::default());
    let mut writer = Writer::new(transport.clone(), (peer, from), &shared, Arc::clone(&state));
    let mut lines = LineReader::new(transport, shared.config.idle_line, Arc::clone(&state));
    let throttle = Arc::default();
    let login = Login::new(&shared, (peer, from), (&mut lines, &mut writer), (evicted, deadline), &throttle);
    let Some(joined) = login.join().await else {
        writer.end().await;
        lines.linger().await;
        return None;
    };
    let pace = RateLimit::new(shared.config.pace, from, &shared.networks, lines.waiting_bytes(), Instant::now());
    let (long_lines, flow) = (LongLines::default(), None);
    let subscriptions = joined.current.counted.clone();
    let session = Session { peer, from, shared, state, lines, pace, throttle, subscriptions, long_lines, flow };
    Some((session, task::spawn(writer.follow(joined)).fuse()))
}

/// A connection in the room.
struct Session {
    peer: PeerId,
    from: PeerAddr,
    shared: Arc<Shared>,
    state: Arc<ConnectionState>,
    lines: LineReader,
    pace: RateLimit,
    /// What the broker says about the pace of the peer.
    throttle: Arc<Throttle>,
    /// What the peer reads, or has not read to the end.
    subscriptions: Counted,
    long_lines: LongLines,
    /// An account command in progress. Boxed because it is rare and large.
    flow: Option<Box<AccountFlow>>,
}

/// The task that writes to the peer.
type Writing = Fuse<JoinHandle<()>>;

/// Why a peer leaves.
enum Leaving {
    /// `/quit`, or the end of input.
    Wish(Option<SafeText>),
    /// It has sent too many overlong lines.
    Expelled,
    /// The connection broke.
    ClientError,
    /// The server is stopping, or the room has ended.
    Stop,
}

/// The times of the latest overlong lines.
#[derive(Default)]
struct LongLines(VecDeque<Instant>);

impl LongLines {
    /// Records another overlong line. Returns whether there were too many recently.
    fn is_one_too_many(&mut self, now: Instant) -> bool {
        let (limit, period) = LONG_LINES;
        self.0.retain(|&then| now.duration_since(then) < period);
        self.0.push_back(now);
        self.0.len() >= limit
    }
}

impl Session {
    /// From the join to the farewell.
    async fn stay(&mut self, mut writing: Writing) {
        // A panic here must affect only this peer, and the peer must still leave.
        let talked = AssertUnwindSafe(self.talk(&mut writing)).catch_unwind().await;
        let reason = match talked {
            Ok(Leaving::Wish(reason)) => reason.map(LeaveReason::Quit),
            Ok(Leaving::Stop) => None,
            Ok(Leaving::Expelled) => Some(LeaveReason::server("sent overlong lines")),
            Ok(Leaving::ClientError) if self.state.is_stalled() => Some(LeaveReason::server("stopped reading")),
            Ok(Leaving::ClientError) => Some(LeaveReason::server("connection lost")),
            Err(_) => {
                self.shared.log.note(Record::SessionDied { peer: self.peer, from: self.from });
                Some(LeaveReason::server("server error"))
            }
        };
        // Without a broker, nobody needs this, and the writer has ended as well.
        let _ = self.shared.inbox.send(Event::Leave { peer: self.peer, reason }).await;
        let mut pages = self.state.pages();
        while !writing.is_terminated() && timeout(FAREWELL_LIMIT, &mut writing).await.is_err() {
            // A peer that reads what it has asked for may take its time, unless the server is stopping.
            let is_stopping = self.shared.stop.clone().now_or_never().is_some();
            if is_stopping || std::mem::replace(&mut pages, self.state.pages()) == self.state.pages() {
                // The peer does not read its last lines.
                self.lines.cut();
                return;
            }
        }
    }

    /// Passes the peer's lines to the broker, at a limited rate, until there is a reason to leave.
    async fn talk(&mut self, mut writing: &mut Writing) -> Leaving {
        let mut stop = self.shared.stop.clone().fuse();
        let mut budget = Budget::default();
        let (transport, state) = (self.lines.transport().clone(), Arc::clone(&self.state));
        let watching = watch(&transport, &state, self.shared.config.stall_limit).fuse();
        futures::pin_mut!(watching);
        loop {
            if let Some(leaving) = self.pass_on().await {
                return leaving;
            }
            self.charge_owed();
            let (lines, now) = (self.lines.waiting(), Instant::now());
            let has_moved_much = self.subscriptions.are_many();
            let pause = if has_moved_much { Some(PACE_CHECK) } else { self.pace.pause(lines, now) };
            if pause.is_some() && self.lines.is_broken() {
                return Leaving::ClientError;
            }
            if pause.is_some() && !has_moved_much && self.pace.is_news(lines, now) {
                // Without a broker the writer ends, which is noticed below.
                let _ = self.shared.inbox.send(Event::Slowed { peer: self.peer }).await;
            }
            let shared = &self.shared;
            let fill = async {
                if self.throttle.is_held() {
                    // What it has sent waits for others in its room, so it sends nothing more.
                    let _ = shared.who_is(self.peer).await;
                    return 0;
                }
                match pause {
                    Some(pause) => {
                        task::sleep(pause.min(PACE_CHECK)).await;
                        0
                    }
                    None => self.lines.fill().await,
                }
            };
            // The input comes last. Otherwise a peer that sends all the time could keep the other cases from being
            // checked.
            let bytes = futures::select_biased! {
                () = writing => return Leaving::ClientError,
                () = watching => return Leaving::ClientError,
                () = stop => break,
                bytes = fill.fuse() => bytes,
            };
            self.pace.take_bytes(bytes, Instant::now());
            budget.spend().await;
        }
        self.last_words().await
    }

    /// Handles input that had arrived when the server stopped.
    async fn last_words(&mut self) -> Leaving {
        self.pace.turn_off();
        self.subscriptions = Counted::default();
        for _ in 0..LAST_READS {
            if let Some(leaving) = self.pass_on().await {
                return leaving;
            }
            if self.lines.fill().now_or_never().is_none() {
                break;
            }
        }
        Leaving::Stop
    }

    /// Sends waiting lines to the broker as one event, as many as the rate limit allows.
    async fn pass_on(&mut self) -> Option<Leaving> {
        self.charge_owed();
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let mut leaving = None;
        while let Some(line) = self.next_line() {
            let line = match line {
                Ok(line) => line,
                Err(refusal) => {
                    self.flow = None;
                    Box::pin(self.answer(Err(refusal))).await;
                    break;
                }
            };
            bytes += line.bytes();
            if let Some(flow) = self.flow.take_if(|_| line != Line::Endless) {
                // There are no earlier lines to send: no line is parsed while an account command is in progress.
                Box::pin(self.go_on(flow, line)).await;
                continue;
            }
            let parsed = match Command::parse(line) {
                Ok(Command::Quit(reason)) => {
                    leaving = Some(Leaving::Wish(reason));
                    break;
                }
                Ok(command @ (Command::Account(_) | Command::Moderation(_) | Command::Grep(_))) => {
                    // Earlier lines must reach the room first.
                    if self.send(std::mem::take(&mut lines), std::mem::take(&mut bytes)).await.is_err() {
                        return Some(Leaving::Stop);
                    }
                    Box::pin(self.run(command)).await;
                    continue;
                }
                // What follows waits until the peer has moved, so that it cannot overtake that. Also, many long answers
                // in one turn would delay everyone.
                Ok(command) if command.moves() || command.has_long_answer() => {
                    lines.push(Ok(command));
                    if self.send(std::mem::take(&mut lines), std::mem::take(&mut bytes)).await.is_err() {
                        return Some(Leaving::Stop);
                    }
                    self.wait_for_broker().await;
                    continue;
                }
                Err(Refusal::LineTooLong) if self.long_lines.is_one_too_many(Instant::now()) => Err(Refusal::LongLines),
                parsed => parsed,
            };
            let must_leave = matches!(parsed, Err(Refusal::Endless | Refusal::LongLines));
            lines.push(parsed);
            if must_leave {
                leaving = Some(Leaving::Expelled);
                break;
            }
        }
        if self.send(lines, bytes).await.is_err() {
            return Some(Leaving::Stop);
        }
        match self.lines.end() {
            _ if leaving.is_some() || self.lines.waiting() > 0 => leaving,
            None => None,
            Some(End::Said) => Some(Leaving::Wish(None)),
            Some(End::ClientError) => Some(Leaving::ClientError),
        }
    }

    /// The next waiting line, if the rate limit allows one, and unless the peer has left many rooms that it has not read
    /// to the end.
    fn next_line(&mut self) -> Option<Result<Line, Refusal>> {
        let may_go_on =
            self.lines.waiting() > 0 && !self.subscriptions.are_many() && self.pace.take_line(Instant::now());
        if may_go_on { self.lines.next_line() } else { None }
    }

    /// Sends lines to the broker, if there are any. `bytes` is their total size.
    async fn send(&self, lines: Vec<Result<Command, Refusal>>, bytes: usize) -> Result<(), SendError<Event>> {
        if lines.is_empty() {
            return Ok(());
        }
        self.shared.inbox.send(Event::Lines { peer: self.peer, lines, bytes }).await
    }

    /// Waits until the broker has handled everything sent so far. So a peer pays for a long reply before it can ask for
    /// another.
    async fn wait_for_broker(&mut self) {
        // Without a broker the writer ends, which is noticed elsewhere.
        let _ = self.shared.who_is(self.peer).await;
        self.charge_owed();
    }

    /// Charges the peer for what the broker has written because of it.
    fn charge_owed(&mut self) {
        match self.throttle.take_owed() {
            0 => {}
            owed => self.pace.take_bytes(owed, Instant::now()),
        }
    }

    /// Runs a command that has to wait for a password or the disk.
    async fn run(&mut self, command: Command) {
        match command {
            Command::Account(command) => {
                let is_protected = self.shared.is_protected(self.from, self.lines.transport());
                let payer = Shared::payer(self.from, self.lines.transport());
                if let Some(step) = AccountFlow::begin(&self.shared, self.peer, (payer, is_protected), command).await {
                    if step.is_ok() {
                        self.lines.hide_typing();
                    }
                    self.answer(step).await;
                }
            }
            Command::Moderation(act) => {
                let Some(asked) = self.shared.who_is(self.peer).await else { return };
                let told = self.shared.perform_for(&asked, *act).await;
                self.shared.tell(self.peer, told.map(Notice::Text)).await;
            }
            Command::Grep(grep) => {
                if let Err(refusal) = self.shared.search(self.peer, &grep).await {
                    self.shared.tell(self.peer, Err(refusal)).await;
                }
                self.wait_for_broker().await;
            }
            _ => {}
        }
    }

    /// Passes a line to the account command that asked for it.
    async fn go_on(&mut self, flow: Box<AccountFlow>, line: Line) {
        let step = flow.take(&self.shared, self.peer, line).await;
        if !matches!(step, Ok(Step::Ask(_))) {
            self.lines.show_typing();
        }
        self.answer(step).await;
    }

    /// Sends the result of a step to the peer, and continues or ends the account command.
    ///
    /// After a refusal, lines that were sent in advance could be passwords. They are discarded, up to the end of the
    /// line in progress. This happens before the peer gets the refusal, so that what it sends in reply is kept.
    async fn answer(&mut self, step: Result<Step, Refusal>) {
        let discarded = if step.is_err() { self.lines.discard() } else { 0 };
        self.shared.tell(self.peer, step.as_ref().map(Step::notice).map_err(Refusal::clone)).await;
        if discarded > 0 {
            self.shared.tell(self.peer, Err(Refusal::Discarded(discarded))).await;
        }
        if let Ok(Step::Ask(flow)) = step {
            self.flow = Some(flow);
        }
    }
}
