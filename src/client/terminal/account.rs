//! `/register`, `/password` and `/unregister`. The passwords are typed before the command is sent, and sent when the
//! server asks for them.
//!
//! While such a request is open, the server takes any line for a password. So nothing else may be sent.

use crate::model::Secret;
use crate::protocol::words::find_slash;
use crate::protocol::{AccountCommand, Command, Line, ServerLine};

pub(crate) const PRESENT: &str = "Current password? What you type is not shown; Ctrl-C cancels.";
pub(crate) const NEW: &str = "New password? What you type is not shown; Ctrl-C cancels.";
pub(crate) const AGAIN: &str = "Repeat the new password.";
pub(crate) const DIFFER: &str = "The passwords did not match. New password?";

/// A command, and the passwords for it.
#[derive(Debug, Clone)]
pub(crate) struct AccountRequest {
    pub(crate) command: AccountCommand,
    /// The current password of the name.
    pub(crate) present: Option<Secret>,
    /// The new password.
    pub(crate) new: Option<Secret>,
    /// The password that the server has asked for, until it is sent.
    pub(crate) answer: Option<Secret>,
}

/// The effect of a server line on an open request.
#[derive(Debug)]
pub(crate) enum Step {
    /// The server asks for a password that the command does not need.
    Unasked,
    /// The request has ended. Holds the new password, if it was set.
    Done(Option<Secret>),
}

impl AccountRequest {
    pub(crate) fn new(command: AccountCommand) -> Self {
        Self { command, present: None, new: None, answer: None }
    }

    /// The first question to the person.
    pub(crate) fn question(&self) -> &'static str {
        if matches!(self.command, AccountCommand::Register) { NEW } else { PRESENT }
    }

    /// Adds a typed password. Returns the next question, or `None` when no password is missing.
    pub(crate) fn fill(&mut self, secret: Secret) -> Option<&'static str> {
        if !matches!(self.command, AccountCommand::Register) && self.present.is_none() {
            self.present = Some(secret);
            return (!matches!(self.command, AccountCommand::Unregister)).then_some(NEW);
        }
        match self.new.take() {
            None => {
                self.new = Some(secret);
                Some(AGAIN)
            }
            Some(new) if new.is(&secret) => {
                self.new = Some(new);
                None
            }
            Some(_) => Some(DIFFER),
        }
    }

    /// The command that starts the request.
    pub(crate) fn line(&self) -> &'static str {
        match self.command {
            AccountCommand::Register => "/register",
            AccountCommand::ChangePassword => "/password",
            AccountCommand::Unregister => "/unregister",
        }
    }

    /// Handles a line of the server. Everything sent before the command has been answered, so a refusal belongs to the
    /// command.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>) -> Option<Step> {
        match line {
            ServerLine::SendPassword => self.answer.clone_from(&self.present),
            ServerLine::SendNewPassword | ServerLine::SendItAgain => self.answer.clone_from(&self.new),
            ServerLine::Registered(_) | ServerLine::PasswordChanged(_) => return Some(Step::Done(self.new.clone())),
            ServerLine::Unregistered(_) | ServerLine::Refused { .. } => return Some(Step::Done(None)),
            _ => return None,
        }
        self.answer.is_none().then_some(Step::Unasked)
    }
}

/// The account command in a line, if the server would answer it by asking for a password.
pub(crate) fn account_command(line: &str) -> Option<AccountCommand> {
    // This check is cheap, and nearly always enough.
    find_slash(line)?;
    match Command::parse(Line::Text(line.to_owned())) {
        Ok(Command::Account(command)) => Some(command),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(command: AccountCommand, present: Option<&str>, new: Option<&str>) -> AccountRequest {
        let secret = |text: &str| Secret::parse(text).unwrap();
        AccountRequest { command, present: present.map(secret), new: new.map(secret), answer: None }
    }

    fn answer(request: &AccountRequest, question: &str) -> Option<String> {
        let mut request = request.clone();
        let step = request.hear(ServerLine::parse(question));
        assert_eq!(matches!(step, Some(Step::Unasked)), request.answer.is_none(), "{step:?}");
        request.answer.map(|secret| secret.expose().to_owned())
    }

    const PRESENT: &str = "* Send the password of your name as the next line.";
    const NEW: &str = "* Send the new password as the next line.";
    const AGAIN: &str = "* Send the new password again.";

    #[test]
    fn each_question_gets_only_the_password_that_it_asks_for() {
        let change = request(AccountCommand::ChangePassword, Some("old one"), Some("new one"));
        let all = [PRESENT, NEW, AGAIN].map(|question| answer(&change, question));
        assert_eq!(all, [Some("old one".to_owned()), Some("new one".to_owned()), Some("new one".to_owned())]);
        let register = request(AccountCommand::Register, None, Some("new one"));
        assert_eq!(answer(&register, PRESENT), None);
        let unregister = request(AccountCommand::Unregister, Some("old one"), None);
        assert_eq!([NEW, AGAIN].map(|question| answer(&unregister, question)), [None, None]);
    }

    #[test]
    fn only_the_server_can_end_a_request() {
        let mut change = request(AccountCommand::ChangePassword, Some("old one"), Some("new one"));
        for (line, has_new) in [
            ("* Registered: Bob", true),
            ("* Password changed: Bob", true),
            ("* Unregistered: Bob", false),
            ("! busy: try again", false),
        ] {
            let Some(Step::Done(new)) = change.hear(ServerLine::parse(line)) else { panic!("{line}") };
            assert_eq!(new.is_some(), has_new, "{line}");
        }
        for line in ["Alice: * Password changed: no", "* Alice has left (\"Registered: \")", "* You missed 3 lines."] {
            assert!(change.hear(ServerLine::parse(line)).is_none(), "{line}");
        }
    }

    #[test]
    fn account_commands_are_recognized_as_the_server_does() {
        for line in ["/register", "/PASSWORD", "/Unregister now", "/register\n", " /register", "\u{feff}/password"] {
            assert!(account_command(line).is_some(), "{line:?}");
        }
        for line in ["/registered", "//register", " //register", "x /register", "register", "/who", ""] {
            assert!(account_command(line).is_none(), "{line:?}");
        }
    }
}
