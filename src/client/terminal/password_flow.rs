//! The dialogue about a password: what the server asks for, and what the person has typed for it.
//!
//! While one is open, whatever is sent is taken for a password: nothing else may be. In the room only a command of the
//! person's own opens one, and never a server that would like to have a password.

use std::collections::VecDeque;

use crate::limits::CLIENT_SECRETS;
use crate::model::Secret;
use crate::protocol::ServerLine;

/// The dialogue on the connection, or none.
#[derive(Debug, Default)]
pub(crate) struct PasswordFlow {
    is_open: bool,
    /// The server waits for a password.
    is_asked: bool,
    /// What was typed ahead.
    secrets: VecDeque<Secret>,
    /// What was sent last.
    sent: Option<Secret>,
}

impl PasswordFlow {
    /// The command that leads to it is sent. All that was sent before has its answer, so the next refusal is its own.
    pub(crate) fn begin(&mut self) {
        (self.is_open, self.is_asked) = (true, false);
    }

    /// The server asks for a password.
    pub(crate) fn ask(&mut self) {
        (self.is_open, self.is_asked) = (true, true);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.is_open
    }

    /// Whether it is the person who is waited for.
    pub(crate) fn waits(&self) -> bool {
        self.is_asked && self.secrets.is_empty()
    }

    /// Takes in a password for the next question. False when too many wait.
    pub(crate) fn add(&mut self, secret: Secret) -> bool {
        let has_room = self.secrets.len() < CLIENT_SECRETS;
        if has_room {
            self.secrets.push_back(secret);
        }
        has_room
    }

    /// What is to be sent now, if anything.
    pub(crate) fn answer(&mut self) -> Option<Secret> {
        let secret = if self.is_asked { self.secrets.pop_front()? } else { return None };
        self.is_asked = false;
        self.sent = Some(secret.clone());
        Some(secret)
    }

    /// Takes in a line of the server in the room. The password that the name has from now on, if it says so.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>) -> Option<Secret> {
        if !self.is_open {
            return None;
        }
        match line {
            _ if line.is_password_question() => self.ask(),
            ServerLine::Registered(_) | ServerLine::PasswordChanged(_) => return self.end(),
            ServerLine::Unregistered(_) | ServerLine::Refused { .. } => drop(self.end()),
            _ => {}
        }
        None
    }

    /// It is over. What was sent last.
    pub(crate) fn end(&mut self) -> Option<Secret> {
        std::mem::take(self).sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::parse(text).unwrap()
    }

    fn answer(password_flow: &mut PasswordFlow) -> Option<String> {
        password_flow.answer().map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn each_question_gets_one_answer_and_the_last_one_is_the_new_password() {
        let mut password_flow = PasswordFlow::default();
        password_flow.begin();
        assert!(password_flow.add(secret("old one")) && password_flow.add(secret("new one")));
        assert_eq!(answer(&mut password_flow), None, "it was not asked for");
        password_flow.hear(ServerLine::parse("* Send the password of Bob as the next line."));
        assert!(!password_flow.waits());
        assert_eq!((answer(&mut password_flow).as_deref(), answer(&mut password_flow)), (Some("old one"), None));
        password_flow.hear(ServerLine::parse("* Send the new password as the next line."));
        assert_eq!(answer(&mut password_flow).as_deref(), Some("new one"));
        assert!(
            password_flow.is_open() && password_flow.hear(ServerLine::parse("Alice: * Password changed: no")).is_none()
        );
        let changed = password_flow.hear(ServerLine::parse("* Password changed: Bob has another one."));
        assert!(changed.unwrap().is(&secret("new one")) && !password_flow.is_open());
    }

    #[test]
    fn a_refusal_ends_it_and_what_was_typed_ahead_is_not_sent() {
        let mut password_flow = PasswordFlow::default();
        password_flow.begin();
        password_flow.add(secret("too early"));
        assert!(
            password_flow.hear(ServerLine::parse("! unprotected: others could read it")).is_none()
                && !password_flow.is_open()
        );
        password_flow.hear(ServerLine::parse("* 2 lines that were sent behind it were thrown away."));
        password_flow.begin();
        password_flow.hear(ServerLine::parse("* Send the password as the next line."));
        assert_eq!(answer(&mut password_flow), None);
        assert!(password_flow.waits());
    }

    #[test]
    fn a_question_that_no_command_has_led_to_opens_none() {
        let mut password_flow = PasswordFlow::default();
        let is_opened = |password_flow: &mut PasswordFlow| {
            password_flow.hear(ServerLine::parse("* Send the password as the next line."));
            password_flow.hear(ServerLine::parse("* Send the new password as the next line."));
            password_flow.is_open()
        };
        assert!(!is_opened(&mut password_flow));
        for end in ["! busy: try again", "* Unregistered: Bob", "* Registered: Bob", "* Password changed: Bob"] {
            password_flow.begin();
            assert!(is_opened(&mut password_flow));
            password_flow.hear(ServerLine::parse(end));
            assert!(!is_opened(&mut password_flow), "{end}");
        }
    }

    #[test]
    fn nobody_can_type_ahead_without_end() {
        let mut password_flow = PasswordFlow::default();
        (0..CLIENT_SECRETS).for_each(|_| assert!(password_flow.add(secret("again"))));
        assert!(!password_flow.add(secret("again")));
    }
}
