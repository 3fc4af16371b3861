//! One session in the room, from the name to the farewell: what the server says is shown and understood.
//!
//! It knows nothing of what we say but the name, and whether there is more of it to come.

use std::cell::Cell;
use std::io;
use std::time::Instant;

use async_std::future::timeout;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::select;
use zeroize::Zeroizing;

use crate::cli::stdio::is_unread;
use crate::client::bot::queue::MessageQueue;
use crate::client::connection::{Incoming, Outgoing};
use crate::client::display::Display;
use crate::client::filter::Filter;
use crate::client::recipient::Recipient;
use crate::client::session_state::SessionState;
use crate::client::taken::Tries;
use crate::client::{ClientError, Config, IfTaken, Outcome, connection, login_line};
use crate::limits::WELCOME_LIMIT;
use crate::model::{Name, Secret};
use crate::protocol::ServerLine;

/// A connection, and what has come of it so far.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    incoming: Incoming,
    display: Display,
    /// Only messages are shown.
    filter: Option<Filter>,
    session_state: SessionState,
    /// When the server should have taken the name.
    welcome_by: Instant,
    /// What the server has not asked for yet.
    password: Option<Secret>,
    /// Who got it at the first try, and may have it again.
    given_to: Option<Recipient>,
    allow_plain_password: bool,
    /// Another try follows when the name is taken.
    may_retry: bool,
    /// This is not the first try.
    is_retry: bool,
    /// The refusals of a try, which are shown only if it was the last one.
    withheld: Vec<u8>,
    /// Who else wants to know what is said.
    queue: Option<MessageQueue>,
    /// Nothing more is to be sent.
    all_said: &'a Cell<bool>,
    /// Dropped when nothing more can be shown.
    shown: Option<oneshot::Sender<()>>,
    /// Why not.
    unshown: Option<io::Error>,
}

impl<'a> Session<'a> {
    /// Connects and joins the room. Without an [`Outgoing`], the server has refused that.
    pub(crate) async fn join(
        config: &Config,
        lines_only: bool,
        mut display: Display,
        queue: Option<MessageQueue>,
        all_said: &'a Cell<bool>,
    ) -> Result<(Self, Option<Outgoing>), ClientError> {
        let mut tries = Tries::new(config.name.clone(), config.if_taken.unwrap_or(IfTaken::Wait));
        let welcome_by = Instant::now() + WELCOME_LIMIT;
        let (incoming, mut outgoing) = connection::connect(&config.endpoint).await?;
        display.connected().await.map_err(ClientError::Output)?;
        let mut session = Self {
            incoming,
            display,
            filter: lines_only.then(Filter::default),
            session_state: SessionState::default(),
            welcome_by,
            password: config.password.clone(),
            given_to: None,
            allow_plain_password: config.allow_plain_password,
            may_retry: tries.goes_on(),
            is_retry: false,
            withheld: Vec::new(),
            queue,
            all_said,
            shown: None,
            unshown: None,
        };
        let mut name = config.name.clone();
        while !session.give_name(&name, &outgoing).await? {
            let next = if session.session_state.is_name_taken() { tries.next().await } else { None };
            let Some(next) = next else {
                let withheld = std::mem::take(&mut session.withheld);
                session.show(&withheld).await?;
                return Ok((session, None));
            };
            name = next;
            outgoing = session.connect_again(config).await?;
        }
        Ok((session, Some(outgoing)))
    }

    /// Connects for another try. The server may have closed the connection, and would ask for a password again anyway.
    async fn connect_again(&mut self, config: &Config) -> Result<Outgoing, ClientError> {
        self.welcome_by = Instant::now() + WELCOME_LIMIT;
        let (incoming, outgoing) = connection::connect(&config.endpoint).await?;
        self.incoming = incoming;
        self.session_state = SessionState::default();
        self.password = config.password.clone();
        self.is_retry = true;
        self.withheld.clear();
        Ok(outgoing)
    }

    /// Sends the name and waits until the server has taken it; false when it did not.
    ///
    /// Nothing may be said before: if the name is refused, the next line would be taken for another name.
    async fn give_name(&mut self, name: &Name, outgoing: &Outgoing) -> Result<bool, ClientError> {
        let has_password = self.password.is_some() && outgoing.may_carry_password(self.allow_plain_password);
        outgoing.send(login_line(name, has_password).as_bytes()).await.map_err(ClientError::Failed)?;
        while !self.session_state.joined {
            // Only the server is waited for, not whoever reads what it says.
            let left = self.welcome_by.saturating_duration_since(Instant::now());
            let next = timeout(left, self.incoming.next()).await.map_err(|_elapsed| ClientError::NoWelcome)?;
            if !self.take_in(next.map_err(ClientError::Failed)?).await? {
                return Ok(false);
            }
            if std::mem::take(&mut self.session_state.wants_password) && !self.session_state.joined {
                self.give_password(outgoing).await?;
            }
            if self.session_state.is_turned_away() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends the password once. When it was wrong it will not be right the next time.
    async fn give_password(&mut self, outgoing: &Outgoing) -> Result<(), ClientError> {
        if !outgoing.may_carry_password(self.allow_plain_password) {
            self.session_state.is_unprotected = true;
            return Ok(());
        }
        let Some(password) = self.password.take() else {
            self.session_state.lack_password("; give it with --password-file or LINECHAT_PASSWORD");
            return Ok(());
        };
        let recipient = outgoing.remote_end().ok_or(ClientError::Cut)?.recipient();
        if !recipient.may_have(*self.given_to.get_or_insert(recipient)) {
            let advice = format!("; it was not sent, because this may be another server than before ({recipient})");
            self.session_state.lack_password(&advice);
            return Ok(());
        }
        let line = Zeroizing::new(format!("{}\n", password.expose()));
        outgoing.send(line.as_bytes()).await.map_err(ClientError::Failed)
    }

    /// Is ready when nothing more can be shown, or nobody would read it.
    pub(crate) fn until_unshown(&mut self) -> Result<impl Future<Output = ()> + use<>, ClientError> {
        let (shown, unshown) = oneshot::channel();
        self.shown = Some(shown);
        let unread = self.display.until_unread().map_err(ClientError::Output)?;
        Ok(select(unshown, Box::pin(unread)).map(drop))
    }

    /// Shows what comes until the server closes the connection.
    pub(crate) async fn listen(&mut self) -> Result<(), ClientError> {
        while self.step().await? {}
        Ok(())
    }

    /// How it all went, when the server has closed the connection.
    pub(crate) fn outcome(self) -> Result<Outcome, ClientError> {
        match self.unshown {
            // A reader who has seen enough is no loss, but a full disk is.
            Some(error) if !is_unread(&error) => Err(ClientError::Output(error)),
            _ => self.session_state.outcome(),
        }
    }

    /// Shows what comes next; false at the end.
    async fn step(&mut self) -> Result<bool, ClientError> {
        let next = self.incoming.next().await.map_err(ClientError::Failed)?;
        self.take_in(next).await
    }

    /// Shows and understands lines; false at the end.
    async fn take_in(&mut self, lines: Option<Vec<u8>>) -> Result<bool, ClientError> {
        let Some(lines) = lines else { return Ok(false) };
        let mut shown = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            let read = ServerLine::parse(&text);
            self.session_state.hear(read);
            if let Some(queue) = &mut self.queue {
                queue.hear(read, line.ends_with(b"\n"));
            }
            let is_withheld =
                !self.session_state.joined && (self.is_retry || self.may_retry && self.session_state.is_name_taken());
            if !is_withheld {
                shown.extend_from_slice(line);
            } else if matches!(read, ServerLine::Refused { .. }) {
                self.withheld.extend_from_slice(line);
            }
            if self.session_state.is_turned_away() {
                break; // Another name is asked for, and there is none.
            }
        }
        self.show(&shown).await?;
        Ok(!self.session_state.is_turned_away())
    }

    async fn show(&mut self, lines: &[u8]) -> Result<(), ClientError> {
        if self.unshown.is_some() {
            return Ok(());
        }
        let shown = match &mut self.filter {
            None => self.display.show(lines).await,
            Some(filter) => {
                let (messages, warnings) = filter.filter(lines);
                self.display.warn(&warnings).await;
                self.display.show(&messages).await
            }
        };
        match shown {
            // It cannot be shown, but there may be more to say, and the farewell is waited for.
            Err(error) if is_unread(&error) || self.all_said.get() => {
                self.unshown = Some(error);
                self.shown = None;
                Ok(())
            }
            shown => shown.map_err(ClientError::Output),
        }
    }
}
