//! `/register`, `/password` and `/unregister`: the passwords are typed before the command is sent, and are sent when the
//! server asks for them.
//!
//! While such a request is open, whatever is sent is taken for a password, so nothing else may be.

use crate::model::Secret;
use crate::protocol::words::find_slash;
use crate::protocol::{AccountCommand, Command, Line, ServerLine};

pub(crate) const PRESENT: &str = "Current password? What you type is not shown; Ctrl-C cancels.";
pub(crate) const NEW: &str = "New password? What you type is not shown; Ctrl-C cancels.";
pub(crate) const AGAIN: &str = "The new password again?";
pub(crate) const DIFFER: &str = "The two were not the same. New password?";

/// A command, and the passwords for it.
#[derive(Debug, Clone)]
pub(crate) struct AccountRequest {
    pub(crate) command: AccountCommand,
    /// The password that the name has.
    pub(crate) present: Option<Secret>,
    /// The one that it is to have.
    pub(crate) new: Option<Secret>,
    /// What the server has asked for, and was not sent yet.
    pub(crate) answer: Option<Secret>,
}

/// What a line of the server means for an open request.
#[derive(Debug)]
pub(crate) enum Step {
    /// It asks for a password that the command does not need.
    Unasked,
    /// It is over. The password that the name has from now on, if there is another one.
    Done(Option<Secret>),
}

impl AccountRequest {
    pub(crate) fn new(command: AccountCommand) -> Self {
        Self { command, present: None, new: None, answer: None }
    }

    /// What the person is asked first.
    pub(crate) fn question(&self) -> &'static str {
        if matches!(self.command, AccountCommand::Register) { NEW } else { PRESENT }
    }

    /// Takes the next password that was typed. What the person is asked next, unless that is all.
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

    /// What is sent first.
    pub(crate) fn line(&self) -> &'static str {
        match self.command {
            AccountCommand::Register => "/register",
            AccountCommand::ChangePassword => "/password",
            AccountCommand::Unregister => "/unregister",
        }
    }

    /// Takes in a line of the server. All that was sent before the command has its answer, so a refusal is its own.
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

/// The command that a line is, if the server answers it with the question for a password.
pub(crate) fn account_command(line: &str) -> Option<AccountCommand> {
    // The first test is cheap, and nearly always enough.
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
    fn each_question_gets_the_password_that_it_asks_for_and_no_other() {
        let change = request(AccountCommand::ChangePassword, Some("old one"), Some("new one"));
        let all = [PRESENT, NEW, AGAIN].map(|question| answer(&change, question));
        assert_eq!(all, [Some("old one".to_owned()), Some("new one".to_owned()), Some("new one".to_owned())]);
        let register = request(AccountCommand::Register, None, Some("new one"));
        assert_eq!(answer(&register, PRESENT), None);
        let unregister = request(AccountCommand::Unregister, Some("old one"), None);
        assert_eq!([NEW, AGAIN].map(|question| answer(&unregister, question)), [None, None]);
    }

    #[test]
    fn it_is_over_when_the_server_says_so_and_nobody_else_can() {
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
    fn commands_are_known_as_the_server_knows_them() {
        for line in ["/register", "/PASSWORD", "/Unregister now", "/register\n", " /register", "\u{feff}/password"] {
            assert!(account_command(line).is_some(), "{line:?}");
        }
        for line in ["/registered", "//register", " //register", "x /register", "register", "/who", ""] {
            assert!(account_command(line).is_none(), "{line:?}");
        }
    }
}
