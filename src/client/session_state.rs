//! What the server's lines say about a session.

use crate::client::{ClientError, Outcome};
use crate::model::SafeText;
use crate::protocol::ServerLine;

/// How a session goes, as far as the server has said.
#[derive(Debug, Default)]
pub(crate) struct SessionState {
    /// The server has taken the name.
    pub(crate) joined: bool,
    /// The server waits for a password.
    pub(crate) wants_password: bool,
    /// What the server has said of a wrong password.
    pub(crate) wrong_password: Option<SafeText>,
    /// A wrong password is no end, for there is somebody who can try another.
    waits_for_readers: bool,
    /// Others could have read the password, so it was not sent.
    pub(crate) is_unprotected: bool,
    refused: u64,
    pub(crate) last_refusal: ServerRefusal,
    /// The server shuts down.
    pub(crate) stopping: bool,
    /// The server has said goodbye.
    pub(crate) bye: bool,
}

/// A refusal, as the server has said it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ServerRefusal {
    pub(crate) code: String,
    pub(crate) text: String,
}

impl ServerRefusal {
    /// All of it.
    pub(crate) fn shown(&self) -> SafeText {
        SafeText::new(format!("{}: {}", self.code, self.text))
    }
}

impl SessionState {
    /// The state of a session where a person can try another password.
    pub(crate) fn patient() -> Self {
        Self { waits_for_readers: true, ..Self::default() }
    }

    /// The name was refused, or the password was or will not be given.
    pub(crate) fn is_turned_away(&self) -> bool {
        !self.joined && (self.refused > 0 || self.is_unprotected)
    }

    /// What the server said if it refused the name, and may take another one.
    pub(crate) fn refused_name(&self) -> Option<&ServerRefusal> {
        let is_about_name = matches!(&*self.last_refusal.code, "bad-name" | "name-taken" | "name-registered");
        (self.is_turned_away() && is_about_name).then_some(&self.last_refusal)
    }

    /// The name was refused because somebody else in the room has it.
    pub(crate) fn is_name_taken(&self) -> bool {
        !self.joined && self.last_refusal.code == "name-taken"
    }

    /// There is no password to send. What the server asked for is the refusal that counts, with what to do about it.
    pub(crate) fn lack_password(&mut self, advice: &str) {
        self.refused += 1;
        self.last_refusal.text += advice;
    }

    /// The server has said goodbye, and not because it stops.
    pub(crate) fn was_dismissed(&self) -> bool {
        self.bye && !self.stopping
    }

    /// Takes in a line.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>) {
        match line {
            ServerLine::Welcome { .. } => self.joined = true,
            ServerLine::ShuttingDown => self.stopping = true,
            ServerLine::Bye { .. } => self.bye = true,
            ServerLine::Refused { code, text } => {
                self.last_refusal = ServerRefusal { code: code.to_owned(), text: text.to_owned() };
                match code {
                    "password-required" if !self.joined => self.wants_password = true,
                    "wrong-password" if !self.joined && self.waits_for_readers => {
                        self.wrong_password = Some(self.last_refusal.shown());
                    }
                    _ => self.refused += 1,
                }
            }
            _ => {}
        }
    }

    /// How it all went, when the server has closed the connection.
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
