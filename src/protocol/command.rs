//! What a line of somebody in the room means.
//!
//! Stands between the line and the event. A line whose first visible character is `/` is a command and is never passed
//! on, known or not: an unknown one may be a mistyped private message.

use crate::limits::{PING_TOKEN_CHARS, QUOTED_CHARS, REASON_CHARS};
use crate::model::{Name, SafeText};
use crate::protocol::words::{find_slash, split_word};
use crate::protocol::{Line, ModerationCommand, Refusal};

/// What a peer asks for. Names are boxed, so that many waiting messages take little room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Say something to everyone else. `/me TEXT` is said as it stands.
    Say(SafeText),
    /// `/msg NAME TEXT` (or `/w`, `/whisper`): say something to one peer alone.
    Tell {
        /// Whom.
        to: Box<Name>,
        /// What.
        text: SafeText,
    },
    /// `/nick NAME`: be called something else.
    Rename(Box<Name>),
    /// `/ignore NAME`: hear nothing more of NAME.
    Ignore(Box<Name>),
    /// `/unignore NAME`: hear NAME again.
    Unignore(Box<Name>),
    /// `/ignore`: whom does the peer ignore?
    Ignored,
    /// `/who` (or `/names`): who is here?
    Who,
    /// Do something about one's account.
    Account(AccountCommand),
    /// Do something to somebody, as an operator.
    Moderation(Box<ModerationCommand>),
    /// `/help` (or `/?`): which commands are there?
    Help,
    /// `/ping [TOKEN]`: answer this, so that the peer knows what has arrived.
    Ping(Option<SafeText>),
    /// `/quit [REASON]` (or `/exit`, `/bye`, `/q`): leave. Of the reason, [`REASON_CHARS`] characters are kept.
    Quit(Option<SafeText>),
}

/// What a peer does about its own account, a secret line at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountCommand {
    /// `/register`: tie one's name to a password.
    Register,
    /// `/password`: give it another password.
    ChangePassword,
    /// `/unregister`: free the name.
    Unregister,
}

impl Command {
    /// Reads what a line means. Commands are known without regard to ASCII case.
    ///
    /// # Errors
    /// The [`Refusal`] to answer the line with.
    pub fn parse(line: Line) -> Result<Self, Refusal> {
        let mut text = match line {
            Line::Text(text) => text,
            Line::NotUtf8 => return Err(Refusal::NotUtf8),
            Line::TooLong => return Err(Refusal::LineTooLong),
            Line::Endless => return Err(Refusal::Endless),
        };
        if let Some(slash) = find_slash(&text) {
            let rest = &text[slash + 1..];
            if !rest.starts_with('/') {
                return Self::parse_slash(rest);
            }
            text.remove(slash);
        }
        Ok(Self::Say(SafeText::new(text)))
    }

    /// Whether the answer can be much longer than those to other commands.
    pub fn has_long_answer(&self) -> bool {
        matches!(self, Self::Who | Self::Ignored | Self::Help)
    }

    fn parse_slash(line: &str) -> Result<Self, Refusal> {
        let (word, rest) = split_word(line);
        match word.to_ascii_lowercase().as_str() {
            "quit" | "exit" | "bye" | "q" => {
                Ok(Self::Quit((!rest.is_empty()).then(|| SafeText::excerpt(rest, REASON_CHARS))))
            }
            "who" | "names" => Ok(Self::Who),
            "help" | "?" => Ok(Self::Help),
            "ping" => Ok(Self::Ping((!rest.is_empty()).then(|| SafeText::excerpt(rest, PING_TOKEN_CHARS)))),
            "nick" if !rest.is_empty() => Ok(Self::Rename(Box::new(Name::parse(rest)?))),
            "nick" => Err(Refusal::BadArguments("/nick NEWNAME")),
            "msg" | "w" | "whisper" => Self::parse_tell(rest),
            "me" if rest.is_empty() => Err(Refusal::BadArguments("/me TEXT")),
            // A message like any other. Clients may show it as an action, so they get it in one form.
            "me" => Ok(Self::Say(SafeText::new(format!("/me {rest}")))),
            "ignore" if rest.is_empty() => Ok(Self::Ignored),
            "ignore" => Ok(Self::Ignore(Box::new(Name::parse(rest)?))),
            "unignore" if rest.is_empty() => Err(Refusal::BadArguments("/unignore NAME")),
            "unignore" => Self::parse_unignore(rest),
            "register" => Ok(Self::Account(AccountCommand::Register)),
            "password" => Ok(Self::Account(AccountCommand::ChangePassword)),
            "unregister" => Ok(Self::Account(AccountCommand::Unregister)),
            word if let Some(act) = ModerationCommand::parse(word, rest) => Ok(Self::Moderation(Box::new(act?))),
            _ => Err(Refusal::UnknownCommand(SafeText::excerpt(&format!("/{word}"), QUOTED_CHARS))),
        }
    }

    fn parse_tell(rest: &str) -> Result<Self, Refusal> {
        let (to, text) = split_word(rest);
        if text.is_empty() {
            return Err(Refusal::BadArguments("/msg NAME TEXT"));
        }
        // What cannot be a name cannot be here either.
        let to = Name::parse(to).map_err(|_| Refusal::NoSuchUser(SafeText::excerpt(to, QUOTED_CHARS)))?;
        Ok(Self::Tell { to: Box::new(to), text: SafeText::new(text.to_owned()) })
    }

    fn parse_unignore(name: &str) -> Result<Self, Refusal> {
        // What cannot be a name cannot be ignored either.
        let name = Name::parse(name).map_err(|_| Refusal::NotIgnored(SafeText::excerpt(name, QUOTED_CHARS)))?;
        Ok(Self::Unignore(Box::new(name)))
    }
}

#[cfg(test)]
mod tests;
