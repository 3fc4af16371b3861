//! A session: the task of one connection, from its first byte to its close.
//!
//! It reads the name, joins, passes on what its peer sends, leaves exactly once, and sees the connection closed
//! gently. When the broker's inbox is full it waits, so the kernel slows its peer, and only its peer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use async_std::future::timeout;
use async_std::net::TcpStream;
use async_std::task::{self, JoinHandle};
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::{Fuse, FusedFuture};

use super::House;
use super::intake::{End, Intake, Read};
use super::link::Link;
use super::writer::Writer;
use crate::journal::Record;
use crate::limits::{FAREWELL_LIMIT, LAST_READS, LINGER_BYTES, LINGER_LIMIT, NAME_TRIES, PROMPT_AFTER};
use crate::protocol::{Command, Line, Name, Refusal, Reply, SafeText};
use crate::room::{Answer, Event, PeerId, Reader};

/// Sees to one connection. Never fails: what goes wrong is its peer's trouble alone.
pub(super) async fn attend(stream: TcpStream, from: SocketAddr, peer: PeerId, house: House) {
    let link = Arc::new(Link::default());
    let mut writer = Writer::new(stream.clone(), peer, house.journal.clone(), Arc::clone(&link));
    let intake = Intake::new(stream, house.config.idle_line, link);
    let mut session =
        Session { from, peer, house, intake, waiting: VecDeque::new(), end: None, prompt: Some(PROMPT_AFTER) };
    match session.join(&mut writer).await {
        Some(reader) => session.stay(task::spawn(writer.follow(reader)).fuse()).await,
        None => writer.end(),
    }
    session.linger().await;
}

struct Session {
    from: SocketAddr,
    peer: PeerId,
    house: House,
    intake: Intake,
    /// Lines that came with the name, and are yet to be passed on.
    waiting: VecDeque<Line>,
    /// How the peer's input has ended, once it has.
    end: Option<End>,
    /// How long the peer may be silent before it is told what to send, if it has been silent all the time.
    prompt: Option<Duration>,
}

/// The task that writes to the peer.
type Writing = Fuse<JoinHandle<()>>;

/// Why a peer leaves.
enum Leaving {
    /// It said so, or has said everything.
    Wish(Option<SafeText>),
    /// The connection broke.
    Lost,
    /// The server stops, or the room is gone.
    Stop,
}

impl Session {
    /// Reads names until one is accepted. `None`: it came to nothing, and the connection is to be closed.
    async fn join(&mut self, writer: &mut Writer) -> Option<Reader> {
        for tries_left in (0..NAME_TRIES).rev() {
            let line = self.name_line(writer).await?;
            let refusal = match self.try_name(line).await {
                Ok(reader) => return Some(reader),
                Err(refusal) => refusal,
            };
            self.house.journal.note(Record::Refused { peer: self.peer, code: refusal.code() });
            writer.say(&Reply::Refused(&refusal)).await.ok()?;
            if tries_left == 0 {
                writer.say(&Reply::Refused(&Refusal::TooManyTries)).await.ok()?;
            } else if !may_try_again(&refusal) || self.has_said_more() {
                // What follows was meant as a message; it must not become a name, nor what follows that a message.
                return None;
            } else {
                writer.say(&Reply::PromptAgain).await.ok()?;
            }
        }
        None
    }

    /// The next line, while the peer has no name. A peer that stays silent is told what to send.
    async fn name_line(&mut self, writer: &mut Writer) -> Option<Line> {
        let mut stop = self.house.stop.clone().fuse();
        while self.waiting.is_empty() {
            if self.end.is_some() {
                return None;
            }
            let read = futures::select_biased! {
                () = stop => {
                    // The connection is closed whether it can be told or not.
                    let _ = writer.say(&Reply::Refused(&Refusal::ShuttingDown)).await;
                    return None;
                }
                read = timeout(self.prompt.unwrap_or(Duration::MAX), self.intake.read()).fuse() => read,
            };
            match read {
                Ok(read) => self.keep(read),
                Err(_silent) => {
                    self.prompt = None;
                    if !self.intake.is_inside_line() {
                        writer.say(&Reply::Prompt).await.ok()?;
                    }
                }
            }
        }
        self.prompt = None;
        self.waiting.pop_front()
    }

    /// Asks the broker for a name.
    async fn try_name(&mut self, line: Line) -> Answer {
        let name = parse_name(line)?;
        let (answer, answered) = oneshot::channel();
        let join = Event::Join { peer: self.peer, from: self.from, name, answer };
        // The room is over when nobody takes the event, or nobody answers it.
        self.house.inbox.send(join).await.map_err(|_| Refusal::ShuttingDown)?;
        answered.await.map_err(|_| Refusal::ShuttingDown)?
    }

    fn keep(&mut self, read: Read) {
        self.waiting.extend(read.lines);
        self.end = read.end;
    }

    /// Whether more has arrived than the lines that were handled, be it in the socket yet.
    fn has_said_more(&mut self) -> bool {
        if self.waiting.is_empty()
            && self.end.is_none()
            && let Some(read) = self.intake.read().now_or_never()
        {
            self.keep(read);
        }
        !self.waiting.is_empty() || self.intake.is_inside_line() || self.end.is_some()
    }

    /// From the join to the farewell.
    async fn stay(&mut self, mut writing: Writing) {
        // A panic of ours is this peer's trouble alone, and it still leaves.
        let talked = AssertUnwindSafe(self.talk(&mut writing)).catch_unwind().await;
        let reason = match talked {
            Ok(Leaving::Wish(reason)) => reason,
            Ok(Leaving::Stop) => None,
            Ok(Leaving::Lost) => Some(SafeText::new("connection lost".to_owned())),
            Err(_) => {
                self.house.journal.note(Record::SessionDied { peer: self.peer });
                Some(SafeText::new("an error of the server".to_owned()))
            }
        };
        // Without a broker there is nobody to tell, and the writer has ended with it.
        let _ = self.house.inbox.send(Event::Leave { peer: self.peer, reason }).await;
        if !writing.is_terminated() && timeout(FAREWELL_LIMIT, &mut writing).await.is_err() {
            // The peer does not read its last lines.
            self.intake.cut();
        }
    }

    /// Passes on what the peer sends until there is a reason to leave.
    async fn talk(&mut self, mut writing: &mut Writing) -> Leaving {
        let mut stop = self.house.stop.clone().fuse();
        loop {
            if let Some(leaving) = self.pass_on().await {
                return leaving;
            }
            let read = futures::select_biased! {
                () = writing => return Leaving::Lost,
                // Before the read: a peer that never pauses would keep it from ever being looked at.
                () = stop => break,
                read = self.intake.read().fuse() => read,
            };
            self.keep(read);
        }
        self.last_reads().await
    }

    /// Takes in what had arrived when the server was stopped.
    async fn last_reads(&mut self) -> Leaving {
        for _ in 0..LAST_READS {
            let Some(read) = self.intake.read().now_or_never() else { break };
            self.keep(read);
            if let Some(leaving) = self.pass_on().await {
                return leaving;
            }
        }
        Leaving::Stop
    }

    /// Sends the lines that wait to the broker, as one event.
    async fn pass_on(&mut self) -> Option<Leaving> {
        let mut lines = Vec::with_capacity(self.waiting.len());
        let mut leaving = match self.end {
            None => None,
            Some(End::HalfClose) => Some(Leaving::Wish(None)),
            Some(End::Lost) => Some(Leaving::Lost),
        };
        for line in self.waiting.drain(..) {
            match Command::parse(line) {
                Ok(Command::Quit(reason)) => {
                    leaving = Some(Leaving::Wish(reason));
                    break;
                }
                parsed => lines.push(parsed),
            }
        }
        if !lines.is_empty() && self.house.inbox.send(Event::Lines { peer: self.peer, lines }).await.is_err() {
            leaving = Some(Leaving::Stop);
        }
        leaving
    }

    /// Waits a moment for the peer to close its side, so that closing ours destroys nothing that it has yet to read.
    async fn linger(&mut self) {
        if self.end.is_none() {
            // Time is up: the connection is closed as it is.
            let _ = timeout(LINGER_LIMIT, self.intake.drain(LINGER_BYTES)).await;
        }
    }
}

fn parse_name(line: Line) -> Result<Name, Refusal> {
    match line {
        Line::Text(text) => Ok(Name::parse(&text)?),
        Line::NotUtf8 => Err(Refusal::NotUtf8),
        Line::TooLong => Err(Refusal::LineTooLong),
    }
}

/// Nobody who sends an endless first line is choosing a name, and at a shutdown no name will do.
fn may_try_again(refusal: &Refusal) -> bool {
    !matches!(refusal, Refusal::LineTooLong | Refusal::ShuttingDown)
}
