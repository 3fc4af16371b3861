//! The login: a connection from its first byte until it has a name.
//!
//! Until then it has no place in the room: it is given nothing to read but answers, and has a limited time, a
//! limited number of tries, and may have to make room for others.

use std::time::{Duration, Instant};

use async_std::future::timeout;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Fuse;

use super::House;
use super::intake::Intake;
use super::writer::Writer;
use crate::journal::Record;
use crate::limits::{LOGIN_BYTES, NAME_TRIES, PROMPT_AFTER};
use crate::origin::Origin;
use crate::protocol::{Line, Name, Refusal, Reply};
use crate::room::{Answer, Event, PeerId, Reader};
use crate::turns::Turns;

pub(super) struct Login<'a> {
    house: &'a House,
    peer: PeerId,
    from: Origin,
    intake: &'a mut Intake,
    writer: &'a mut Writer,
    deadline: Instant,
    /// How many bytes have come.
    bytes: usize,
    /// Is ready when this connection has to make room for another.
    evicted: Fuse<oneshot::Receiver<()>>,
    /// How long the peer may be silent before it is told what to send, as long as it has been silent all the time.
    prompt: Option<Duration>,
}

impl<'a> Login<'a> {
    /// It has until `deadline` to come to an end.
    pub(super) fn new(
        house: &'a House,
        (peer, from): (PeerId, Origin),
        (intake, writer): (&'a mut Intake, &'a mut Writer),
        (evicted, deadline): (oneshot::Receiver<()>, Instant),
    ) -> Self {
        Self {
            house,
            peer,
            from,
            intake,
            writer,
            deadline,
            bytes: 0,
            evicted: evicted.fuse(),
            prompt: Some(PROMPT_AFTER),
        }
    }

    /// Reads names until one is accepted. `None`: it came to nothing, and the connection is to be closed.
    pub(super) async fn join(mut self) -> Option<Reader> {
        for tries_left in (0..NAME_TRIES).rev() {
            let line = match self.name_line().await {
                Ok(line) => line?,
                Err(refusal) => {
                    self.refuse(&refusal).await?;
                    return None;
                }
            };
            let refusal = match self.try_name(line).await {
                Ok(reader) => return Some(reader),
                Err(refusal) => refusal,
            };
            self.refuse(&refusal).await?;
            if tries_left == 0 {
                self.refuse(&Refusal::TooManyTries).await?;
            } else if !may_try_again(&refusal) || self.has_said_more() {
                // What follows was meant as a message; it must not become a name, nor what follows that a message.
                return None;
            } else {
                self.writer.say(&Reply::PromptAgain).await.ok()?;
            }
        }
        None
    }

    /// The next line, or `None` at the end of input. A peer that stays silent is told what to send.
    ///
    /// # Errors
    /// Why the peer is not listened to any longer.
    async fn name_line(&mut self) -> Result<Option<Line>, Refusal> {
        let mut stop = self.house.stop.clone().fuse();
        let mut turns = Turns::default();
        while self.intake.lines().is_empty() && self.intake.end().is_none() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Refusal::LoginTimeout);
            }
            let patience = self.prompt.map_or(left, |prompt| prompt.min(left));
            // What the peer sends comes last, or it could keep the others from ever being looked at.
            let is_silent = futures::select_biased! {
                () = stop => return Err(Refusal::ShuttingDown),
                _ = &mut self.evicted => {
                    // In a storm of honest connections its name may have come while it waited for its turn.
                    let _ = self.intake.fill().now_or_never();
                    if self.intake.lines().is_empty() {
                        return Err(Refusal::Evicted);
                    }
                    false
                }
                filled = timeout(patience, self.intake.fill()).fuse() => {
                    self.bytes += filled.unwrap_or(0);
                    filled.is_err()
                }
            };
            if self.bytes > LOGIN_BYTES && self.intake.lines().is_empty() {
                return Err(Refusal::Nameless);
            }
            if let Some(stranger) = self.intake.stranger() {
                return Err(Refusal::WrongProtocol(stranger));
            }
            if is_silent && self.prompt.take().is_some() && !self.intake.has_more() {
                // A broken connection is noticed by the next read.
                let _ = self.writer.say(&Reply::Prompt).await;
            }
            let _ = self.writer.answer().await;
            turns.end_round().await;
        }
        self.prompt = None;
        Ok(self.intake.lines().pop_front())
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

    /// `None`: the connection is broken.
    async fn refuse(&mut self, refusal: &Refusal) -> Option<()> {
        self.house.journal.note(Record::Refused { peer: self.peer, code: refusal.code() });
        self.writer.say(&Reply::Refused(refusal)).await.ok()
    }

    /// Whether more has arrived than the lines that were handled, be it in the socket yet.
    fn has_said_more(&mut self) -> bool {
        if !self.intake.has_more() {
            // It is noted by the intake.
            let _ = self.intake.fill().now_or_never();
        }
        self.intake.has_more()
    }
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
