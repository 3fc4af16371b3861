//! The login of the terminal client: from connecting to the welcome.
//!
//! A password that worked before, or was passed to the program, is sent without asking. It goes only to the server that
//! got it first. For any other server, the person is asked.

use std::time::Instant;

use crate::client::recipient::Recipient;
use crate::client::terminal::reconnect::Connection;
use crate::limits::WELCOME_LIMIT;
use crate::model::{SafeText, Secret};

const ANOTHER_SERVER: &str = "Your password was not sent again, because this may be a different server";

/// The password that is remembered until the client ends.
pub(crate) struct Remembered {
    pub(crate) password: Option<Secret>,
    pub(crate) given_to: Option<Recipient>,
    /// The server's refusal, if the password was wrong.
    pub(crate) refusal: Option<SafeText>,
}

/// A connection until the server accepts the name.
pub(crate) struct Login {
    pub(crate) connection: Connection,
    /// When to give up waiting for the welcome.
    pub(crate) welcome_by: Instant,
    /// The server is waiting for the person to type a password.
    pub(crate) is_asked: bool,
    /// The last password that was sent.
    tried: Option<Tried>,
}

struct Tried {
    password: Secret,
    recipient: Option<Recipient>,
    /// The person typed it for this connection.
    is_typed: bool,
}

impl Login {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { connection, welcome_by: Instant::now() + WELCOME_LIMIT, is_asked: false, tried: None }
    }

    /// Handles lines of the server. Sends the remembered password if the server asks for it. Returns a warning to show
    /// before the person is asked.
    pub(crate) fn hear(&mut self, lines: &[u8], remembered: &mut Remembered, allow_plain: bool) -> Option<String> {
        self.connection.hear(lines);
        let session = &mut self.connection.session_state;
        let (wrong, is_asked) = (session.wrong_password.take(), std::mem::take(&mut session.wants_password));
        if let Some(wrong) = wrong
            && self.tried.as_ref().is_some_and(|tried| !tried.is_typed)
            && remembered.password.take().is_some()
        {
            // The person is asked for another password, but may be away.
            remembered.refusal = Some(wrong);
        }
        if !is_asked || session.joined {
            return None;
        }
        if !self.connection.is_private() && !allow_plain {
            self.connection.session_state.is_unprotected = true;
            return None;
        }
        // It was wrong, and stays wrong.
        remembered.password.take_if(|_| self.tried.as_ref().is_some_and(|tried| !tried.is_typed));
        let mut warning = None;
        if let Some(password) = remembered.password.clone() {
            let recipient = self.connection.recipient();
            let first = remembered.given_to.or(recipient);
            if recipient.zip(first).is_some_and(|(recipient, first)| recipient.may_have(first)) {
                remembered.given_to = first;
                self.give(password, false);
                return None;
            }
            let now = recipient.map(|recipient| format!(" ({recipient})")).unwrap_or_default();
            warning = self.tried.is_none().then(|| format!("{ANOTHER_SERVER}{now}."));
        }
        self.is_asked = true;
        warning
    }

    /// Whether the server has asked for a password.
    pub(crate) fn was_asked(&self) -> bool {
        self.is_asked || self.tried.is_some()
    }

    /// Sends a typed password. False if the server is not waiting for one.
    pub(crate) fn give_typed(&mut self, password: Secret) -> bool {
        let is_asked = std::mem::take(&mut self.is_asked);
        if is_asked {
            self.give(password, true);
        }
        is_asked
    }

    fn give(&mut self, password: Secret, is_typed: bool) {
        self.welcome_by = Instant::now() + WELCOME_LIMIT;
        self.connection.send(password.expose());
        self.tried = Some(Tried { password, recipient: self.connection.recipient(), is_typed });
    }

    /// The server has accepted the name, so the password was right.
    pub(crate) fn into_joined(self, remembered: &mut Remembered) -> Connection {
        remembered.refusal = None;
        if let Some(Tried { password, recipient, .. }) = self.tried {
            (remembered.password, remembered.given_to) = (Some(password), recipient);
        }
        self.connection
    }

    /// The refusal of the remembered password, if the person typed no other on this connection. Trying again would be
    /// useless, and the server counts the attempts of an address.
    pub(crate) fn hopeless_refusal(&self, remembered: &Remembered) -> Option<SafeText> {
        let has_typed = self.tried.as_ref().is_some_and(|tried| tried.is_typed);
        remembered.refusal.clone().filter(|_| self.was_asked() && !has_typed)
    }
}
