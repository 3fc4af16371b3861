//! One session in the room, from the login to the goodbye: shows what the server says, and tracks its state.
//!
//! It does not know what is sent after the name, only whether more follows.

use std::cell::Cell;
use std::io;
use std::time::Instant;

use async_std::future::timeout;
use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::select;
use zeroize::Zeroizing;

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
use crate::os::io_error::is_unread;
use crate::protocol::ServerLine;

/// A connection, and the state of its session.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    incoming: Incoming,
    display: Display,
    /// Set for `--lines-only`.
    filter: Option<Filter>,
    session_state: SessionState,
    /// When to give up waiting for the welcome.
    welcome_by: Instant,
    /// The password, until it is sent.
    password: Option<Secret>,
    /// The server that got it at the first attempt, and may get it again.
    given_to: Option<Recipient>,
    allow_plain_password: bool,
    /// There is another attempt if the name is taken.
    may_retry: bool,
    is_retry: bool,
    /// The refusals of this attempt, which are shown only if it was the last one.
    withheld: Vec<u8>,
    /// Gets the messages for a bot's program.
    queue: Option<MessageQueue>,
    /// Nothing more will be sent.
    all_said: &'a Cell<bool>,
    /// Dropped when nothing more can be shown.
    shown: Option<oneshot::Sender<()>>,
    /// Why nothing more can be shown.
    unshown: Option<io::Error>,
}

impl<'a> Session<'a> {
    /// Connects and joins the room. Returns no [`Outgoing`] if the server refused the login.
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
        let options = config.options();
        while !session.give_name(&name, &options, &outgoing).await? {
            let next = if session.session_state.is_name_taken() { tries.next().await } else { None };
            let Some(next) = next else {
                let withheld = std::mem::take(&mut session.withheld);
                session.show(&withheld).await?;
                return Ok((session, None));
            };
            name = next;
            outgoing = session.connect_again(config).await?;
        }
        for room in &config.hear {
            // If this fails, the receiving half reports it.
            let _ = outgoing.send(format!("/hear {room}\n").as_bytes()).await;
        }
        Ok((session, Some(outgoing)))
    }

    /// Connects for another attempt. The server may have closed the connection, and would ask for a password again
    /// anyway.
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

    /// Sends the name and waits for the welcome. False if the server did not accept it.
    ///
    /// Nothing may be sent before: if the name is refused, the server would take the next line for another name.
    async fn give_name(&mut self, name: &Name, options: &str, outgoing: &Outgoing) -> Result<bool, ClientError> {
        let has_password = self.password.is_some() && outgoing.may_carry_password(self.allow_plain_password);
        outgoing.send(login_line(name, options, has_password).as_bytes()).await.map_err(ClientError::Failed)?;
        while !self.session_state.joined {
            // The time limit applies to the server, not to a slow reader of our output.
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

    /// Sends the password once. A wrong password stays wrong.
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
            let advice = format!("; it was not sent, because this may be a different server ({recipient})");
            self.session_state.lack_password(&advice);
            return Ok(());
        }
        let line = Zeroizing::new(format!("{}\n", password.expose()));
        // The server gives as much time for the password as for the name.
        self.welcome_by = Instant::now() + WELCOME_LIMIT;
        outgoing.send(line.as_bytes()).await.map_err(ClientError::Failed)
    }

    /// Resolves when nothing more can be shown, or nobody reads it.
    pub(crate) fn until_unshown(&mut self) -> Result<impl Future<Output = ()> + use<>, ClientError> {
        let (shown, unshown) = oneshot::channel();
        self.shown = Some(shown);
        let unread = self.display.until_unread().map_err(ClientError::Output)?;
        Ok(select(unshown, Box::pin(unread)).map(drop))
    }

    /// Shows what the server says until it closes the connection.
    pub(crate) async fn listen(&mut self) -> Result<(), ClientError> {
        while self.step().await? {}
        Ok(())
    }

    /// The result, once the server has closed the connection.
    pub(crate) fn outcome(self) -> Result<Outcome, ClientError> {
        match self.unshown {
            // A reader that has seen enough is not an error, but a full disk is.
            Some(error) if !is_unread(&error) => Err(ClientError::Output(error)),
            _ => self.session_state.outcome(),
        }
    }

    /// Reads and handles the next lines. False at the end.
    async fn step(&mut self) -> Result<bool, ClientError> {
        let next = self.incoming.next().await.map_err(ClientError::Failed)?;
        self.take_in(next).await
    }

    /// Handles lines and shows them. False at the end.
    async fn take_in(&mut self, lines: Option<Vec<u8>>) -> Result<bool, ClientError> {
        let Some(lines) = lines else { return Ok(false) };
        let mut shown = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let text = String::from_utf8_lossy(line);
            let read = ServerLine::parse(&text);
            self.session_state.hear(read);
            if let Some(queue) = &mut self.queue {
                let SessionState { name, room, .. } = &self.session_state;
                queue.hear(read, line.ends_with(b"\n"), name.as_ref(), room);
            }
            let is_withheld =
                !self.session_state.joined && (self.is_retry || self.may_retry && self.session_state.is_name_taken());
            if !is_withheld {
                shown.extend_from_slice(line);
            } else if matches!(read, ServerLine::Refused { .. }) {
                self.withheld.extend_from_slice(line);
            }
            if self.session_state.is_turned_away() {
                break; // The server asks for another name, and there is none.
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
            // The output failed, but there may be more to send, and the goodbye is still to come.
            Err(error) if is_unread(&error) || self.all_said.get() => {
                self.unshown = Some(error);
                self.shown = None;
                Ok(())
            }
            shown => shown.map_err(ClientError::Output),
        }
    }
}
