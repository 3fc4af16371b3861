//! What the server's lines say about a session. No user can forge the beginnings of lines that it relies on.

use crate::client::{ClientError, Outcome};
use crate::model::SafeText;

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
    is_patient: bool,
    /// Others could have read the password, so it was not sent.
    pub(crate) is_unprotected: bool,
    refused: u64,
    last_refusal: String,
    stopping: bool,
    bye: bool,
}

impl SessionState {
    /// The state of a session where a person can try another password.
    pub(crate) fn patient() -> Self {
        Self { is_patient: true, ..Self::default() }
    }

    /// The name was refused, or the password was or will not be given.
    pub(crate) fn is_turned_away(&self) -> bool {
        !self.joined && (self.refused > 0 || self.is_unprotected)
    }

    /// What the server said if it refused the name, and may take another one.
    pub(crate) fn refused_name(&self) -> Option<SafeText> {
        let code = self.last_refusal.split(": ").next().unwrap_or_default();
        let is_about_name = matches!(code, "bad-name" | "name-taken" | "name-registered");
        (self.is_turned_away() && is_about_name).then(|| SafeText::new(self.last_refusal.clone()))
    }

    /// The name was refused because somebody else in the room has it.
    pub(crate) fn is_name_taken(&self) -> bool {
        !self.joined && self.last_refusal.starts_with("name-taken: ")
    }

    /// The password that the server waits for is not sent, since others could read it.
    pub(crate) fn keep_password(&mut self) {
        self.is_unprotected = true;
    }

    /// There is no password to send. What the server asked for is the refusal that counts, with what to do about it.
    pub(crate) fn lack_password(&mut self, advice: &str) {
        self.refused += 1;
        self.last_refusal += advice;
    }

    /// The server has said goodbye, and not because it stops.
    pub(crate) fn was_dismissed(&self) -> bool {
        self.bye && !self.stopping
    }

    /// The server has said goodbye.
    pub(crate) fn is_over(&self) -> bool {
        self.bye
    }

    /// Takes in a line, with or without its end.
    pub(crate) fn hear(&mut self, line: &[u8]) {
        if let Some(refusal) = line.strip_prefix(b"! ") {
            self.last_refusal = String::from_utf8_lossy(refusal).trim_end().to_owned();
            let is_question = !self.joined && refusal.starts_with(b"password-required: ");
            let may_try_again = !self.joined && self.is_patient && refusal.starts_with(b"wrong-password: ");
            if may_try_again {
                self.wrong_password = Some(SafeText::new(self.last_refusal.clone()));
            }
            self.wants_password |= is_question;
            self.refused += u64::from(!is_question && !may_try_again);
        }
        self.joined |= line.starts_with(b"* Welcome, ");
        self.stopping |= line.starts_with(b"* The server is shutting down");
        self.bye |= line.starts_with(b"* Bye, ");
    }

    /// How it all went, when the server has closed the connection.
    pub(crate) fn outcome(self) -> Result<Outcome, ClientError> {
        let turned_away = self.is_turned_away();
        let last_refusal = SafeText::new(self.last_refusal);
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
