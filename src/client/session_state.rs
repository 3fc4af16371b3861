//! The state of a session, as the server's lines tell it.

use crate::client::{ClientError, Outcome};
use crate::model::{Name, RoomName, SafeText};
use crate::protocol::ServerLine;

#[derive(Debug, Default)]
pub(crate) struct SessionState {
    /// The server has accepted the name.
    pub(crate) joined: bool,
    /// The server waits for a password.
    pub(crate) wants_password: bool,
    /// The server's refusal of a wrong password.
    pub(crate) wrong_password: Option<SafeText>,
    /// A wrong password does not end the session, because a person can type another.
    may_retype: bool,
    /// The password was not sent, because others could have read it.
    pub(crate) is_unprotected: bool,
    /// The name of the client, once the server has accepted it.
    pub(crate) name: Option<Name>,
    /// The room where the client is.
    pub(crate) room: RoomName,
    refused: u64,
    pub(crate) last_refusal: ServerRefusal,
    /// The server is shutting down.
    pub(crate) stopping: bool,
    /// The server has said goodbye.
    pub(crate) bye: bool,
}

/// A refusal from the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerRefusal {
    pub(crate) code: String,
    pub(crate) text: String,
}

impl ServerRefusal {
    /// The code and the text.
    pub(crate) fn shown(&self) -> SafeText {
        SafeText::new(format!("{}: {}", self.code, self.text))
    }
}

impl SessionState {
    /// The state of a session where a person can try another password.
    pub(crate) fn of_a_person() -> Self {
        Self { may_retype: true, ..Self::default() }
    }

    /// The login failed: the name or the password was refused, or the password was not sent.
    pub(crate) fn is_turned_away(&self) -> bool {
        !self.joined && (self.refused > 0 || self.is_unprotected)
    }

    /// The refusal, if the server refused the name and another name may help.
    pub(crate) fn refused_name(&self) -> Option<&ServerRefusal> {
        let is_about_name = matches!(&*self.last_refusal.code, "bad-name" | "name-taken" | "name-registered");
        (self.is_turned_away() && is_about_name).then_some(&self.last_refusal)
    }

    /// The name was refused because somebody in the room has it.
    pub(crate) fn is_name_taken(&self) -> bool {
        !self.joined && self.last_refusal.code == "name-taken"
    }

    /// There is no password to send. Counts the server's question as the refusal, and adds advice to it.
    pub(crate) fn lack_password(&mut self, advice: &str) {
        self.refused += 1;
        self.last_refusal.text += advice;
    }

    /// The server has said goodbye, but not because it is shutting down.
    pub(crate) fn was_dismissed(&self) -> bool {
        self.bye && !self.stopping
    }

    /// Updates the state from a line of the server.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>) {
        if let Some(room) = line.moves_from(&self.room) {
            self.room = room;
        }
        match line {
            ServerLine::Welcome { name, .. } => {
                self.joined = true;
                self.name = Name::parse(name).ok();
            }
            ServerLine::ShuttingDown => self.stopping = true,
            ServerLine::Bye { .. } => self.bye = true,
            ServerLine::Refused { code, text } => {
                self.last_refusal = ServerRefusal { code: code.to_owned(), text: text.to_owned() };
                match code {
                    "password-required" if !self.joined => self.wants_password = true,
                    "wrong-password" if !self.joined && self.may_retype => {
                        self.wrong_password = Some(self.last_refusal.shown());
                    }
                    _ => self.refused += 1,
                }
            }
            _ => {}
        }
    }

    /// The result, once the server has closed the connection.
    pub(crate) fn outcome(self) -> Result<Outcome, ClientError> {
        let turned_away = self.is_turned_away();
        let last_refusal = self.last_refusal.shown();
        if self.is_unprotected {
            Ok(Outcome::PasswordKept)
        } else if turned_away {
            Ok(Outcome::NameRefused(last_refusal))
        } else if self.stopping {
            Err(ClientError::ShutDown)
        } else if !self.bye {
            Err(ClientError::Cut)
        } else if self.refused > 0 {
            Ok(Outcome::LinesRefused(self.refused, last_refusal))
        } else {
            Ok(Outcome::Left)
        }
    }
}
