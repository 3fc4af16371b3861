//! The login: a connection from its first byte until it has a name and has proved that it may use it.
//!
//! Until then the peer is not in the room. It receives only replies, has limited time and a limited number of tries,
//! and may be evicted to make room for others.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_std::future::timeout;
use async_std::task;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::Fuse;

use crate::limits::{LOGIN_BYTES, LOGIN_LIMIT, NAME_TRIES, PASSWORD_TRIES, PROMPT_AFTER};
use crate::log::Record;
use crate::model::address::PeerAddr;
use crate::model::limit_key::LimitKeys;
use crate::model::{AccountId, BadSecret, Name, PeerId, Secret};
use crate::os::yielding::Budget;
use crate::protocol::secret_line::read_secret;
use crate::protocol::{JoinOptions, Line, LoginLine, Refusal, Reply};
use crate::room::{Answer, Event, Join, Joined, Throttle};
use crate::server::access::auth::Requirement;
use crate::server::access::penalties::Offence;
use crate::server::connection::reader::LineReader;
use crate::server::connection::writer::Writer;
use crate::server::shared::{Shared, note_login};

pub(crate) struct Login<'a> {
    shared: &'a Shared,
    peer: PeerId,
    from: PeerAddr,
    lines: &'a mut LineReader,
    writer: &'a mut Writer,
    deadline: Instant,
    awaited: Awaited,
    /// How many more passwords the peer may try.
    passwords_left: usize,
    /// The peer has given the server's password.
    knows_room: bool,
    /// The number of bytes received.
    bytes: usize,
    /// Ready when this connection is evicted to make room for another.
    evicted: Fuse<oneshot::Receiver<()>>,
    /// How long the peer may be silent before it is prompted. `None` once it has sent a line or was prompted.
    prompt: Option<Duration>,
    /// The options of all first lines so far.
    options: JoinOptions,
    /// What the broker says about the pace of the peer.
    throttle: Arc<Throttle>,
}

/// What the next line must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Name,
    Password,
}

impl<'a> Login<'a> {
    /// The login must be complete by `deadline`.
    pub(crate) fn new(
        shared: &'a Shared,
        (peer, from): (PeerId, PeerAddr),
        (lines, writer): (&'a mut LineReader, &'a mut Writer),
        (evicted, deadline): (oneshot::Receiver<()>, Instant),
        throttle: &Arc<Throttle>,
    ) -> Self {
        Self {
            shared,
            peer,
            from,
            lines,
            writer,
            deadline,
            awaited: Awaited::Name,
            passwords_left: PASSWORD_TRIES,
            knows_room: false,
            bytes: 0,
            evicted: evicted.fuse(),
            prompt: Some(PROMPT_AFTER),
            options: JoinOptions::default(),
            throttle: Arc::clone(throttle),
        }
    }

    /// Reads names until one is accepted. `None` means that the login failed and the connection must be closed.
    pub(crate) async fn join(mut self) -> Option<Joined> {
        for tries_left in (0..NAME_TRIES).rev() {
            let refusal = match self.try_name().await {
                Ok(joined) => return Some(joined),
                Err(Failed::Refused(refusal)) => refusal,
                Err(Failed::Ended(refusal)) => {
                    self.refuse(&refusal).await?;
                    if refusal == Refusal::Evicted {
                        // Another connection already has its place, and is waiting for its descriptor.
                        self.lines.cut();
                    }
                    return None;
                }
                Err(Failed::Gone) => return None,
            };
            // Checked before the refusal is sent: what the peer says after that is a reply to it.
            let has_said_more = self.has_said_more();
            self.refuse(&refusal).await?;
            if tries_left == 0 {
                self.refuse(&Refusal::TooManyTries).await?;
            } else if !may_try_again(&refusal) || has_said_more {
                // What follows was meant as a message. It must not become a name.
                return None;
            } else {
                let prompt = if is_name_fine(&refusal) { Reply::PromptSame } else { Reply::PromptAgain };
                self.writer.say(&prompt).await.ok()?;
            }
        }
        None
    }

    /// Reads one name, and tries to join with it.
    async fn try_name(&mut self) -> Result<Joined, Failed> {
        let LoginLine { name, auth, options } = parse_line(self.line().await?)?;
        self.options = options.or(self.options.clone());
        // With `auth`, the next line is a password, which must not become another name.
        let name = name.map_err(if auth { Failed::Ended } else { Failed::Refused })?;
        let requirement = match self.shared.auth.requirement(&name) {
            Requirement::Room(_) if self.knows_room => Requirement::Nothing,
            requirement => requirement,
        };
        let account_id = match requirement {
            Requirement::Nothing if !auth => None,
            // The future is large, and servers without passwords should not need memory for it.
            requirement => Box::pin(self.prove(&name, requirement)).await?,
        };
        let joined = self.ask_broker(name, account_id).await?;
        if let Some((account_id, accounts)) = account_id.zip(self.shared.auth.accounts()) {
            // Nobody waits for this, because the disk may be slow.
            let (accounts, log) = (accounts.clone(), self.shared.log.clone());
            task::spawn(async move { note_login(&log, &accounts, account_id).await });
        }
        Ok(joined)
    }

    /// Makes the peer prove that it may use the name. Returns its account, if it has one.
    ///
    /// If there is nothing to prove, a password is still read and discarded, because the peer has announced one.
    async fn prove(&mut self, name: &Name, requirement: Requirement) -> Result<Option<AccountId>, Failed> {
        if !self.shared.is_protected(self.from, self.lines.transport()) {
            return Err(Failed::Ended(Refusal::Unprotected));
        }
        let keys = self.keys(name, &requirement);
        loop {
            let secret = self.ask_password(name, &requirement, &keys).await?;
            if self.is_right(&requirement, secret, &keys).await.map_err(Failed::Ended)? {
                self.knows_room = true;
                return Ok(requirement.account());
            }
            self.passwords_left -= 1;
            self.shared.log.note(Record::WrongPassword { peer: self.peer, from: self.from, name: name.clone() });
            self.pause().await?;
            let has_said_more = self.has_said_more();
            self.refuse(&Refusal::WrongPassword).await.ok_or(Failed::Gone)?;
            if self.passwords_left == 0 {
                return Err(Failed::Ended(Refusal::TooManyPasswords));
            }
            if has_said_more {
                // What follows was meant as a message: the peer was sure of its password.
                return Err(Failed::Gone);
            }
        }
    }

    /// Pauses after a wrong password from this machine, so that many local connections do not fill the queue.
    async fn pause(&mut self) -> Result<(), Failed> {
        if !self.from.is_this_machine() {
            return Ok(());
        }
        futures::select_biased! {
            () = self.shared.stop.clone().fuse() => Err(Failed::Ended(Refusal::ShuttingDown)),
            _ = &mut self.evicted => Err(Failed::Ended(Refusal::Evicted)),
            () = task::sleep(self.shared.config.wrong_password_pause).fuse() => Ok(()),
        }
    }

    /// The keys that are charged for a wrong password.
    fn keys(&self, name: &Name, requirement: &Requirement) -> LimitKeys {
        let payer = Shared::payer(self.from, self.lines.transport());
        match requirement {
            Requirement::Account(_) => LimitKeys::with_name(payer, name),
            Requirement::Nothing | Requirement::Room(_) => LimitKeys::of(payer),
        }
    }

    /// Whether the password meets the requirement. If not, it is charged to these keys.
    async fn is_right(
        &self,
        requirement: &Requirement,
        secret: Result<Secret, BadSecret>,
        keys: &LimitKeys,
    ) -> Result<bool, Refusal> {
        if requirement.is_nothing() {
            return Ok(true);
        }
        let tried = self.shared.connection_limits.begin_try(keys).await?;
        let Ok(secret) = secret else { return Ok(false) };
        let is_met = self.shared.auth.is_met(requirement, secret, keys).await;
        if is_met != Ok(false) {
            tried.forgive();
        }
        is_met
    }

    /// Asks for a password. This restarts the time limit.
    async fn ask_password(
        &mut self,
        name: &Name,
        requirement: &Requirement,
        keys: &LimitKeys,
    ) -> Result<Result<Secret, BadSecret>, Failed> {
        if !requirement.is_nothing() {
            self.shared.connection_limits.may_try(keys).map_err(Failed::Ended)?;
        }
        // Not logged as a refusal, because everyone with a password gets this question.
        self.writer.say(&Reply::Refused(&requirement.question(name))).await.map_err(|_| Failed::Gone)?;
        self.lines.hide_typing();
        let _ = self.writer.answer().await;
        (self.awaited, self.deadline) = (Awaited::Password, Instant::now() + LOGIN_LIMIT);
        let line = self.line().await;
        self.awaited = Awaited::Name;
        self.lines.show_typing();
        let _ = self.writer.answer().await;
        match &line {
            // A password that was tried has already been charged.
            _ if self.passwords_left < PASSWORD_TRIES || requirement.is_nothing() => {}
            Err(Failed::Ended(Refusal::PasswordTimeout)) => {
                self.shared.connection_limits.charge(keys, Offence::NoLogin)
            }
            Err(Failed::Gone | Failed::Ended(Refusal::UnfinishedPassword)) => {
                self.shared.connection_limits.charge(keys, Offence::NoPassword)
            }
            _ => {}
        }
        read_secret(line?).map_err(Failed::Ended)
    }

    /// The next line. A silent peer is prompted.
    async fn line(&mut self) -> Result<Line, Failed> {
        let mut stop = self.shared.stop.clone().fuse();
        let mut budget = Budget::default();
        while self.lines.waiting() == 0 && self.lines.end().is_none() {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Failed::Ended(match self.awaited {
                    Awaited::Name => Refusal::LoginTimeout,
                    Awaited::Password => Refusal::PasswordTimeout,
                }));
            }
            let wait = self.prompt.map_or(left, |prompt| prompt.min(left));
            // The input comes last. Otherwise a peer that sends all the time could keep the other cases from being
            // checked.
            let is_silent = futures::select_biased! {
                () = stop => return Err(Failed::Ended(Refusal::ShuttingDown)),
                _ = &mut self.evicted => {
                    // When many honest clients connect at once, its name may have arrived while it waited.
                    let _ = self.lines.fill().now_or_never();
                    if self.lines.waiting() == 0 {
                        return Err(Failed::Ended(Refusal::Evicted));
                    }
                    false
                }
                filled = timeout(wait, self.lines.fill()).fuse() => {
                    self.bytes += filled.unwrap_or(0);
                    filled.is_err()
                }
            };
            if self.bytes > LOGIN_BYTES && self.lines.waiting() == 0 {
                return Err(Failed::Ended(Refusal::Nameless));
            }
            if self.awaited == Awaited::Name
                && let Some(stranger) = self.lines.stranger()
            {
                return Err(Failed::Ended(Refusal::WrongProtocol(stranger)));
            }
            if is_silent && self.prompt.take().is_some() && !self.lines.has_more() {
                // A broken connection is noticed by the next read.
                let _ = self.writer.say(&Reply::Prompt).await;
            }
            let _ = self.writer.answer().await;
            budget.spend().await;
        }
        self.prompt = None;
        self.lines.next_line().ok_or(Failed::Gone)?.map_err(Failed::Ended)
    }

    /// Asks the broker to let the peer join with this name.
    async fn ask_broker(&mut self, name: Name, account_id: Option<AccountId>) -> Answer {
        let (answer, answered) = oneshot::channel();
        let (peer, from, options) = (self.peer, self.from, self.options.clone());
        let throttle = Arc::clone(&self.throttle);
        let is_waiting = !self.has_said_more();
        let join = Box::new(Join { peer, from, name, account_id, options, is_waiting, throttle });
        let join = Event::Join { join, answer };
        // If nobody takes the event or replies to it, the room has ended.
        self.shared.inbox.send(join).await.map_err(|_| Refusal::ShuttingDown)?;
        let answer = answered.await.map_err(|_| Refusal::ShuttingDown)?;
        if let Err(Refusal::BadSince(_)) = answer {
            // Another name would be refused for the same reason.
            self.options.since = None;
        }
        if answer.as_ref().is_err_and(is_room_refused) {
            self.options.room = None;
        }
        answer
    }

    /// Sends and logs a refusal. `None` if the connection is broken.
    async fn refuse(&mut self, refusal: &Refusal) -> Option<()> {
        self.shared.log.note(Record::Refused { peer: self.peer, from: self.from, code: refusal.code() });
        self.writer.say(&Reply::Refused(refusal)).await.ok()
    }

    /// Whether anything has arrived after the handled lines, including data that is still in the socket.
    fn has_said_more(&mut self) -> bool {
        if !self.lines.has_more() {
            // The reader keeps the result.
            let _ = self.lines.fill().now_or_never();
        }
        self.lines.has_more()
    }
}

/// Why a try to join failed.
enum Failed {
    /// The peer may try again.
    Refused(Refusal),
    /// The peer may not try again.
    Ended(Refusal),
    /// The input has ended, or the connection is gone.
    Gone,
}

impl From<Refusal> for Failed {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn parse_line(line: Line) -> Result<LoginLine, Refusal> {
    match line {
        Line::Text(text) => Ok(LoginLine::parse(&text)),
        Line::NotUtf8 => Err(Refusal::NotUtf8),
        Line::TooLong | Line::Endless => Err(Refusal::LineTooLong),
    }
}

/// Whether another name could be accepted. It could not after an overlong line, which is not an attempt at a name,
/// during a shutdown, or for a banned peer.
fn may_try_again(refusal: &Refusal) -> bool {
    !matches!(refusal, Refusal::LineTooLong | Refusal::ShuttingDown | Refusal::Banned(_))
}

/// Whether the peer may join, but not open the room. A muted peer may open none.
fn is_room_refused(refusal: &Refusal) -> bool {
    matches!(
        refusal,
        Refusal::RoomsAreFixed(_) | Refusal::OnlyRegisteredOpenRooms | Refusal::TooManyRooms | Refusal::Muted(_)
    )
}

/// Whether it refuses an option or the room, and the name could be accepted.
fn is_name_fine(refusal: &Refusal) -> bool {
    let is_option = matches!(
        refusal,
        Refusal::BadOption(_) | Refusal::BadSince(_) | Refusal::UnreadableSince | Refusal::BadRoom(_)
    );
    is_option || is_room_refused(refusal)
}
