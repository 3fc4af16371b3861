//! A session: the task of one connection, from its first byte to its close.
//!
//! It reads the name, joins, passes on what its peer sends, leaves exactly once, and sees the connection closed
//! gently. When the broker's inbox is full it waits, so the kernel slows its peer, and only its peer.

use std::collections::VecDeque;
use std::net::{Shutdown, SocketAddr};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_lock::SemaphoreGuardArc;
use async_std::future::timeout;
use async_std::net::TcpStream;
use async_std::task::{self, JoinHandle};
use futures::channel::oneshot;
use futures::future::{Fuse, FusedFuture};
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt, io};

use super::House;
use super::door::Entrance;
use super::intake::{End, Intake, Read};
use super::link::Link;
use super::pace::{Pace, Profile};
use super::writer::Writer;
use crate::journal::Record;
use crate::limits::{
    FAREWELL_LIMIT, LAST_READS, LINGER_BYTES, LINGER_LIMIT, LOGIN_LIMIT, LONG_LINES, NAME_TRIES, PROMPT_AFTER,
    REFUSAL_LIMIT,
};
use crate::protocol::{Command, Line, Name, Refusal, Reply, SafeText};
use crate::room::{Answer, Event, PeerId, Reader};

/// Sees to one connection. Never fails: what goes wrong is its peer's trouble alone.
pub(super) async fn attend(
    stream: TcpStream,
    from: SocketAddr,
    peer: PeerId,
    house: House,
    entrance: Entrance,
    evicted: oneshot::Receiver<()>,
) {
    let link = Arc::new(Link::default());
    let mut writer = Writer::new(stream.clone(), peer, &house, Arc::clone(&link));
    let intake = Intake::new(stream, house.config.idle_line, Arc::clone(&link));
    let now = Instant::now();
    let pace = Pace::new(house.config.pace, now);
    let (waiting, long_lines) = Default::default();
    let mut session = Session { from, peer, house, link, intake, waiting, end: None, pace, long_lines };
    let mut waiting_room = WaitingRoom { deadline: now + LOGIN_LIMIT, evicted: evicted.fuse() };
    match session.join(&mut writer, &mut waiting_room).await {
        Some(reader) => {
            entrance.is_named();
            session.stay(task::spawn(writer.follow(reader)).fuse()).await;
        }
        None => writer.end(),
    }
    session.linger().await;
}

/// Tells a connection why it cannot come in, and closes it. Takes up a turn.
pub(super) async fn turn_away(stream: TcpStream, refusal: Refusal, _turn: SemaphoreGuardArc) {
    let telling = async {
        let line = format!("{}\n", Reply::Refused(&refusal));
        (&stream).write_all(line.as_bytes()).await?;
        stream.shutdown(Shutdown::Write)?;
        // As in `linger`: what it has sent is read, or closing would destroy what it has yet to read.
        io::copy((&stream).take(LINGER_BYTES as u64), &mut io::sink()).await
    };
    // Nobody waits for the outcome; the connection is closed in any case.
    let _ = timeout(REFUSAL_LIMIT, telling).await;
}

/// What a connection without a name has to reckon with.
struct WaitingRoom {
    deadline: Instant,
    /// Is ready when it has to make room for another connection.
    evicted: Fuse<oneshot::Receiver<()>>,
}

struct Session {
    from: SocketAddr,
    peer: PeerId,
    house: House,
    link: Arc<Link>,
    intake: Intake,
    /// Lines that came with the name, and are yet to be passed on.
    waiting: VecDeque<Line>,
    /// How the peer's input has ended, once it has.
    end: Option<End>,
    pace: Pace,
    long_lines: LongLines,
}

/// When the latest lines that were too long came.
#[derive(Default)]
struct LongLines(VecDeque<Instant>);

impl LongLines {
    /// Notes another one, and says whether there were too many of them lately.
    fn is_one_too_many(&mut self, now: Instant) -> bool {
        let (limit, period) = LONG_LINES;
        self.0.retain(|&then| now.duration_since(then) < period);
        self.0.push_back(now);
        self.0.len() >= limit
    }
}

/// The task that writes to the peer.
type Writing = Fuse<JoinHandle<()>>;

/// Why a peer leaves.
enum Leaving {
    /// It said so, or has said everything.
    Wish(Option<SafeText>),
    /// It has sent what no chat client sends.
    Expelled,
    /// The connection broke.
    Lost,
    /// The server stops, or the room is gone.
    Stop,
}

impl Session {
    /// Reads names until one is accepted. `None`: it came to nothing, and the connection is to be closed.
    async fn join(&mut self, writer: &mut Writer, room: &mut WaitingRoom) -> Option<Reader> {
        for tries_left in (0..NAME_TRIES).rev() {
            let line = self.name_line(writer, room).await?;
            let refusal = match self.try_name(line).await? {
                Ok(reader) => return Some(reader),
                Err(refusal) => refusal,
            };
            self.house.journal.note(Record::Refused { peer: self.peer, code: refusal.code() });
            writer.say(&Reply::Refused(&refusal)).await.ok()?;
            if tries_left == 0 {
                writer.say(&Reply::Refused(&Refusal::TooManyTries)).await.ok()?;
            } else if self.has_said_more() || !may_try_again(&refusal) {
                // What follows was meant as a message; it must not become a name, nor what follows that a message.
                return None;
            } else {
                writer.say(&Reply::PromptAgain).await.ok()?;
            }
        }
        None
    }

    /// The next line, while the peer has no name. A peer that stays silent is told what to send.
    async fn name_line(&mut self, writer: &mut Writer, room: &mut WaitingRoom) -> Option<Line> {
        let mut prompt = Some(PROMPT_AFTER);
        let mut stop = self.house.stop.clone().fuse();
        let mut evicted = &mut room.evicted;
        while self.waiting.is_empty() {
            if self.end.is_some() {
                return None;
            }
            let left = room.deadline.saturating_duration_since(Instant::now());
            let patience = prompt.map_or(left, |prompt| prompt.min(left));
            let read = futures::select_biased! {
                read = timeout(patience, self.intake.read()).fuse() => read.ok(),
                () = stop => return self.refuse(writer, &Refusal::ShuttingDown).await,
                _ = evicted => return self.refuse(writer, &Refusal::Evicted).await,
            };
            if let Some(read) = read {
                self.keep(read);
                writer.answer().await.ok()?;
                if let Some(stranger) = self.intake.stranger() {
                    return self.refuse(writer, &Refusal::WrongProtocol(stranger)).await;
                }
            } else if patience == left {
                return self.refuse(writer, &Refusal::LoginTimeout).await;
            } else if prompt.take().is_some() && !self.intake.is_inside_line() {
                writer.say(&Reply::Prompt).await.ok()?;
            }
        }
        self.waiting.pop_front()
    }

    /// Says why the connection is closed, which it is whether that can be said or not: there is no line.
    async fn refuse(&self, writer: &mut Writer, refusal: &Refusal) -> Option<Line> {
        self.house.journal.note(Record::Refused { peer: self.peer, code: refusal.code() });
        let _ = writer.say(&Reply::Refused(refusal)).await;
        None
    }

    /// Asks the broker for a name. `None`: there is no broker any more.
    async fn try_name(&mut self, line: Line) -> Option<Answer> {
        let name = match parse_name(line) {
            Ok(name) => name,
            Err(refusal) => return Some(Err(refusal)),
        };
        let (answer, answered) = oneshot::channel();
        let join = Event::Join { peer: self.peer, from: self.from, name, answer };
        self.house.inbox.send(join).await.ok()?;
        answered.await.ok()
    }

    fn keep(&mut self, read: Read) {
        self.pace.take_bytes(read.bytes, Instant::now());
        self.waiting.extend(read.lines);
        self.end = read.end;
    }

    fn has_said_more(&self) -> bool {
        !self.waiting.is_empty() || self.intake.is_inside_line() || self.end.is_some()
    }

    /// From the join to the farewell.
    async fn stay(&mut self, mut writing: Writing) {
        // A panic of ours is this peer's trouble alone, and it still leaves.
        let talked = AssertUnwindSafe(self.talk(&mut writing)).catch_unwind().await;
        let reason = match talked {
            Ok(Leaving::Wish(reason)) => reason,
            Ok(Leaving::Stop) => None,
            Ok(Leaving::Expelled) => Some(words("sent lines that are too long")),
            Ok(Leaving::Lost) if self.link.is_stalled() => Some(words("stopped reading")),
            Ok(Leaving::Lost) => Some(words("connection lost")),
            Err(_) => {
                self.house.journal.note(Record::SessionDied { peer: self.peer });
                Some(words("an error of the server"))
            }
        };
        // Without a broker there is nobody to tell, and the writer has ended with it.
        let _ = self.house.inbox.send(Event::Leave { peer: self.peer, reason }).await;
        if !writing.is_terminated() && timeout(FAREWELL_LIMIT, &mut writing).await.is_err() {
            // The peer does not read its last lines.
            self.intake.cut();
        }
    }

    /// Passes on what the peer sends, at its pace, until there is a reason to leave.
    async fn talk(&mut self, mut writing: &mut Writing) -> Leaving {
        let mut stop = self.house.stop.clone().fuse();
        loop {
            if let Some(leaving) = self.pass_on().await {
                return leaving;
            }
            let pause = self.pace.pause(self.waiting.len());
            if pause.is_some() && self.pace.is_news() {
                // Without a broker the writer ends, which is noticed below.
                let _ = self.house.inbox.send(Event::Slowed { peer: self.peer }).await;
            }
            let read = futures::select_biased! {
                () = writing => return Leaving::Lost,
                read = self.read_after(pause).fuse() => read,
                () = stop => return self.last_reads().await,
            };
            read.into_iter().for_each(|read| self.keep(read));
        }
    }

    /// The next read or, when the peer is too fast to be read, nothing but the time that it has to wait.
    async fn read_after(&mut self, pause: Option<Duration>) -> Option<Read> {
        match pause {
            None => Some(self.intake.read().await),
            Some(pause) => {
                task::sleep(pause).await;
                None
            }
        }
    }

    /// Takes in what had arrived when the server was stopped.
    async fn last_reads(&mut self) -> Leaving {
        self.pace = Pace::new(Profile::Off, Instant::now());
        for _ in 0..LAST_READS {
            let Some(read) = self.intake.read().now_or_never() else { break };
            self.keep(read);
            if let Some(leaving) = self.pass_on().await {
                return leaving;
            }
        }
        Leaving::Stop
    }

    /// Sends the lines that wait to the broker, as one event: as many of them as the pace allows.
    async fn pass_on(&mut self) -> Option<Leaving> {
        let allowed = self.pace.take_lines(self.waiting.len(), Instant::now());
        let mut lines = Vec::with_capacity(allowed);
        let mut leaving = None;
        for line in self.waiting.drain(..allowed) {
            let parsed = match Command::parse(line) {
                Ok(Command::Quit(reason)) => {
                    leaving = Some(Leaving::Wish(reason));
                    break;
                }
                Err(Refusal::LineTooLong) if self.long_lines.is_one_too_many(Instant::now()) => Err(Refusal::LongLines),
                parsed => parsed,
            };
            let is_last_straw = matches!(parsed, Err(Refusal::Endless | Refusal::LongLines));
            lines.push(parsed);
            if is_last_straw {
                leaving = Some(Leaving::Expelled);
                break;
            }
        }
        if !lines.is_empty() && self.house.inbox.send(Event::Lines { peer: self.peer, lines }).await.is_err() {
            return Some(Leaving::Stop);
        }
        match self.end {
            _ if leaving.is_some() || !self.waiting.is_empty() => leaving,
            None => None,
            Some(End::HalfClose) => Some(Leaving::Wish(None)),
            Some(End::Lost) => Some(Leaving::Lost),
        }
    }

    /// Waits a moment for the peer to close its side, so that closing ours destroys nothing that it has yet to read.
    async fn linger(&mut self) {
        if self.end.is_none() {
            // Time is up: the connection is closed as it is.
            let _ = timeout(LINGER_LIMIT, self.intake.drain(LINGER_BYTES)).await;
        }
    }
}

/// Words of our own, for the others to read.
fn words(text: &str) -> SafeText {
    SafeText::new(text.to_owned())
}

fn parse_name(line: Line) -> Result<Name, Refusal> {
    match line {
        Line::Text(text) => Ok(Name::parse(&text)?),
        Line::NotUtf8 => Err(Refusal::NotUtf8),
        Line::TooLong | Line::Endless => Err(Refusal::LineTooLong),
    }
}

/// Nobody who sends an endless first line is choosing a name, and at a shutdown no name will do.
fn may_try_again(refusal: &Refusal) -> bool {
    !matches!(refusal, Refusal::LineTooLong | Refusal::ShuttingDown)
}
