//! The login of the terminal client: from connecting to the welcome.
//!
//! A password that worked before, or was passed to the program, is sent without asking. It goes only to the server that
//! got it first. For any other server, the person is asked.
//!
//! The server asks for the password of a registered name, and otherwise for its own, with the same words. So the client
//! has to remember which of them it knows.

use std::time::Instant;

use crate::client::recipient::Recipient;
use crate::client::terminal::reconnect::Connection;
use crate::limits::WELCOME_LIMIT;
use crate::model::{Name, SafeText, Secret};

const ANOTHER_SERVER: &str = "Your password was not sent again, because this may be a different server";

/// The passwords that are remembered until the client ends.
pub(crate) struct Remembered {
    /// For every name but that of `own`.
    general: Option<Known>,
    /// For one registered name.
    own: Option<Known>,
    /// The server's refusal, if the password was wrong.
    refusal: Option<SafeText>,
    /// The name at the last login. Unless it is registered, a name that `/nick` took later is not registered either.
    joined_as: Option<Name>,
}

struct Known {
    password: Secret,
    /// The last name that it was right for, which may be registered. `None` if it is certainly the server's password.
    name: Option<Name>,
    /// `None` if no server got it yet.
    given_to: Option<Recipient>,
}

impl Known {
    fn is_for(&self, name: &Name) -> bool {
        self.name.as_ref() == Some(name)
    }
}

impl Remembered {
    /// A password that was passed to the program, for this name.
    pub(crate) fn new(password: Option<Secret>, name: Name) -> Self {
        let general = password.map(|password| Known { password, name: Some(name), given_to: None });
        Self { general, own: None, refusal: None, joined_as: None }
    }

    /// Whether there is a password for this name.
    pub(crate) fn has_one_for(&self, name: &Name) -> bool {
        self.general.is_some() || self.own.as_ref().is_some_and(|own| own.is_for(name))
    }

    fn for_name(&mut self, name: &Name) -> Option<&mut Known> {
        self.own.as_mut().filter(|own| own.is_for(name)).or(self.general.as_mut())
    }

    /// The remembered password was wrong for this name. If it was right for another name, it is that name's own.
    fn was_wrong(&mut self, name: &Name) {
        if self.own.take_if(|own| own.is_for(name)).is_some() {
            self.joined_as = None;
        } else if let Some(known) = self.general.take()
            && known.name.as_ref().is_some_and(|other| other != name)
        {
            self.own = Some(known);
        }
    }

    /// The server has accepted the name, so the password that was sent for it, if any, was right.
    fn joined(&mut self, name: &Name, tried: Option<Tried>) {
        self.refusal = None;
        self.joined_as = Some(name.clone());
        match tried {
            Some(Tried { typed: Some(password), recipient }) => {
                let known = Known { password, name: Some(name.clone()), given_to: recipient };
                let is_own = self.own.as_ref().is_some_and(|own| own.is_for(name));
                *(if is_own { &mut self.own } else { &mut self.general }) = Some(known);
            }
            Some(Tried { typed: None, recipient }) => {
                if let Some(known) = self.for_name(name) {
                    known.given_to = recipient;
                    known.name = known.name.take().map(|_| name.clone());
                }
            }
            None => {}
        }
    }

    /// The name was registered. It was not before, so the password of the login was the server's.
    pub(crate) fn registered(&mut self, name: Name, password: Secret, given_to: Option<Recipient>) {
        self.general.iter_mut().for_each(|general| general.name = None);
        self.own = Some(Known { password, name: Some(name), given_to });
    }

    pub(crate) fn password_changed(&mut self, name: Name, password: Secret, given_to: Option<Recipient>) {
        self.unregistered(&name);
        self.own = Some(Known { password, name: Some(name), given_to });
    }

    /// The name has no password any more.
    pub(crate) fn unregistered(&mut self, name: &Name) {
        self.own.take_if(|own| own.is_for(name));
        self.general.take_if(|general| general.is_for(name));
    }

    /// Whose password the server asks for, as far as that is known.
    pub(crate) fn whose(&self, name: &Name) -> String {
        if self.own.as_ref().is_some_and(|own| own.is_for(name)) {
            name.to_string()
        } else if self.joined_as.as_ref().is_some_and(|joined_as| joined_as != name) {
            "the server".to_owned()
        } else {
            format!("{name} or the server")
        }
    }
}

/// A connection until the server accepts the name.
pub(crate) struct Login {
    pub(crate) connection: Connection,
    name: Name,
    /// When to give up waiting for the welcome.
    pub(crate) welcome_by: Instant,
    /// The server is waiting for the person to type a password.
    pub(crate) is_asked: bool,
    /// The last password that was sent.
    tried: Option<Tried>,
}

struct Tried {
    /// `None` if it was the remembered one.
    typed: Option<Secret>,
    recipient: Option<Recipient>,
}

impl Login {
    pub(crate) fn new(connection: Connection, name: Name) -> Self {
        Self { connection, name, welcome_by: Instant::now() + WELCOME_LIMIT, is_asked: false, tried: None }
    }

    /// Handles lines of the server. Sends the remembered password if the server asks for it. Returns a warning to show
    /// before the person is asked.
    pub(crate) fn hear(&mut self, lines: &[u8], remembered: &mut Remembered, allow_plain: bool) -> Option<String> {
        self.connection.hear(lines);
        let session = &mut self.connection.session_state;
        let (wrong, is_asked) = (session.wrong_password.take(), std::mem::take(&mut session.wants_password));
        if wrong.is_some() && self.tried.as_ref().is_some_and(|tried| tried.typed.is_none()) {
            remembered.was_wrong(&self.name);
            // The person is asked for another password, but may be away.
            remembered.refusal = wrong;
        }
        if !is_asked || session.joined {
            return None;
        }
        if !self.connection.is_private() && !allow_plain {
            self.connection.session_state.is_unprotected = true;
            return None;
        }
        let mut warning = None;
        if self.tried.is_none()
            && let Some(known) = remembered.for_name(&self.name)
        {
            let recipient = self.connection.recipient();
            let first = known.given_to.or(recipient);
            if recipient.zip(first).is_some_and(|(recipient, first)| recipient.may_have(first)) {
                known.given_to = first;
                let password = known.password.clone();
                self.give(&password, None);
                return None;
            }
            let now = recipient.map(|recipient| format!(" ({recipient})")).unwrap_or_default();
            warning = Some(format!("{ANOTHER_SERVER}{now}."));
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
            self.give(&password.clone(), Some(password));
        }
        is_asked
    }

    fn give(&mut self, password: &Secret, typed: Option<Secret>) {
        self.welcome_by = Instant::now() + WELCOME_LIMIT;
        self.connection.send(password.expose());
        self.tried = Some(Tried { typed, recipient: self.connection.recipient() });
    }

    /// The server has accepted the name.
    pub(crate) fn into_joined(self, remembered: &mut Remembered) -> Connection {
        remembered.joined(&self.name, self.tried);
        self.connection
    }

    /// The refusal of the remembered password, if the person typed no other on this connection. Trying again would be
    /// useless, and the server counts the attempts of an address.
    pub(crate) fn hopeless_refusal(&self, remembered: &Remembered) -> Option<SafeText> {
        let has_typed = self.tried.as_ref().is_some_and(|tried| tried.typed.is_some());
        remembered.refusal.clone().filter(|_| self.was_asked() && !has_typed)
    }
}
