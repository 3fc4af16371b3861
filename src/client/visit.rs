//! One visit to the room, from the name to the farewell: what the server says is shown and understood.
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

use super::bot::Ears;
use super::connection::{self, Incoming, Outgoing};
use super::display::Display;
use super::sieve::Sieve;
use super::story::Story;
use super::streams::is_unread;
use super::{Config, Lost, Outcome};
use crate::limits::WELCOME_LIMIT;
use crate::protocol::Secret;

/// A connection, and what has come of it so far.
#[derive(Debug)]
pub(super) struct Visit<'a> {
    incoming: Incoming,
    display: Display,
    /// Only messages are shown.
    sieve: Option<Sieve>,
    story: Story,
    /// When the server should have taken the name.
    welcome_by: Instant,
    /// What the server has not asked for yet.
    password: Option<Secret>,
    allow_plain_password: bool,
    /// Who else wants to know what is said.
    ears: Option<Ears>,
    /// Nothing more is to be sent.
    all_said: &'a Cell<bool>,
    /// Dropped when nothing more can be shown.
    shown: Option<oneshot::Sender<()>>,
    /// Why not.
    unshown: Option<io::Error>,
}

impl<'a> Visit<'a> {
    /// Connects and sends the name.
    pub(super) async fn begin(
        config: &Config,
        lines_only: bool,
        mut display: Display,
        all_said: &'a Cell<bool>,
    ) -> Result<(Self, Outgoing), Lost> {
        let welcome_by = Instant::now() + WELCOME_LIMIT;
        let (incoming, outgoing) = connection::connect(&config.place).await?;
        display.connected().await.map_err(Lost::Output)?;
        outgoing.send(format!("{}\n", config.name).as_bytes()).await.map_err(Lost::Failed)?;
        let sieve = lines_only.then(Sieve::default);
        let visit = Self {
            incoming,
            display,
            sieve,
            story: Story::default(),
            welcome_by,
            password: config.password.clone(),
            allow_plain_password: config.allow_plain_password,
            ears: None,
            all_said,
            shown: None,
            unshown: None,
        };
        Ok((visit, outgoing))
    }

    /// Whoever else wants to know what is said.
    pub(super) fn hear_with(&mut self, ears: Ears) {
        self.ears = Some(ears);
    }

    /// Waits until the server has taken the name; false when it did not, and the visit is over.
    ///
    /// Nothing may be said before: if the name is refused, the next line would be taken for another name.
    pub(super) async fn join(&mut self, outgoing: &Outgoing) -> Result<bool, Lost> {
        while !self.story.joined {
            // Only the server is waited for, not whoever reads what it says.
            let left = self.welcome_by.saturating_duration_since(Instant::now());
            let next = timeout(left, self.incoming.next()).await.map_err(|_elapsed| Lost::NoWelcome)?;
            if !self.take_in(next.map_err(Lost::Failed)?).await? {
                return Ok(false);
            }
            if std::mem::take(&mut self.story.wants_password) && !self.story.joined {
                self.give_password(outgoing).await?;
            }
            if self.story.is_turned_away() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends the password once. When it was wrong it will not be right the next time.
    async fn give_password(&mut self, outgoing: &Outgoing) -> Result<(), Lost> {
        if !outgoing.is_private() && !self.allow_plain_password {
            self.story.keep_password();
            return Ok(());
        }
        let Some(password) = self.password.take() else {
            self.story.lack_password("; give it with --password-file or LINECHAT_PASSWORD");
            return Ok(());
        };
        let line = Zeroizing::new(format!("{}\n", password.expose()));
        outgoing.send(line.as_bytes()).await.map_err(Lost::Failed)
    }

    /// Is ready when nothing more can be shown, or nobody would read it.
    pub(super) fn until_unshown(&mut self) -> Result<impl Future<Output = ()> + use<>, Lost> {
        let (shown, unshown) = oneshot::channel();
        self.shown = Some(shown);
        let unread = self.display.until_unread().map_err(Lost::Output)?;
        Ok(select(unshown, Box::pin(unread)).map(drop))
    }

    /// Shows what comes until the server closes the connection.
    pub(super) async fn listen(&mut self) -> Result<(), Lost> {
        while self.step().await? {}
        Ok(())
    }

    /// How it all went, when the server has closed the connection.
    pub(super) fn outcome(self) -> Result<Outcome, Lost> {
        match self.unshown {
            // A reader who has seen enough is no loss, but a full disk is.
            Some(error) if !is_unread(&error) => Err(Lost::Output(error)),
            _ => self.story.outcome(),
        }
    }

    /// Shows what comes next; false at the end.
    async fn step(&mut self) -> Result<bool, Lost> {
        let next = self.incoming.next().await.map_err(Lost::Failed)?;
        self.take_in(next).await
    }

    /// Shows and understands lines; false at the end.
    async fn take_in(&mut self, lines: Option<Vec<u8>>) -> Result<bool, Lost> {
        let Some(mut lines) = lines else { return Ok(false) };
        let mut heard = 0;
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            self.story.hear(line);
            if let Some(ears) = &mut self.ears {
                ears.hear(line);
            }
            heard += line.len();
            if self.story.is_turned_away() {
                break; // Another name is asked for, and there is none.
            }
        }
        lines.truncate(heard);
        self.show(&lines).await?;
        Ok(!self.story.is_turned_away())
    }

    async fn show(&mut self, lines: &[u8]) -> Result<(), Lost> {
        if self.unshown.is_some() {
            return Ok(());
        }
        let shown = match &mut self.sieve {
            None => self.display.show(lines).await,
            Some(sieve) => {
                let (messages, warnings) = sieve.sift(lines);
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
            shown => shown.map_err(Lost::Output),
        }
    }
}
