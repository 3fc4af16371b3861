//! What a line from a peer in the room means.
//!
//! A line whose first visible character is `/` is a command. It is never passed on, not even if it is unknown: it may
//! be a mistyped private message.

use crate::limits::{PING_TOKEN_CHARS, QUOTED_CHARS, REASON_CHARS};
use crate::model::{Name, SafeText};
use crate::protocol::words::{find_slash, split_word};
use crate::protocol::{Line, ModerationCommand, Refusal};

/// What a peer asks for. Names are boxed so that many waiting messages take little memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Send a message to everyone else. `/me TEXT` is sent as it is.
    Say(SafeText),
    /// `/msg NAME TEXT` (or `/w`, `/whisper`): send a private message.
    Tell {
        to: Box<Name>,
        text: SafeText,
    },
    /// `/nick NAME`: change the name.
    Rename(Box<Name>),
    /// `/ignore NAME`: hide what NAME says.
    Ignore(Box<Name>),
    /// `/unignore NAME`: show it again.
    Unignore(Box<Name>),
    /// `/ignore`: list the ignored names.
    Ignored,
    /// `/who` (or `/names`): list who is here.
    Who,
    Account(AccountCommand),
    Moderation(Box<ModerationCommand>),
    /// `/help` (or `/?`): list the commands.
    Help,
    /// `/ping [TOKEN]`: reply, so that the peer knows what has arrived.
    Ping(Option<SafeText>),
    /// `/quit [REASON]` (or `/exit`, `/bye`, `/q`): leave. The reason is cut to [`REASON_CHARS`] characters.
    Quit(Option<SafeText>),
}

/// A command about one's own account. Each secret follows on a line of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountCommand {
    /// `/register`: protect the name with a password.
    Register,
    /// `/password`: change the password.
    ChangePassword,
    /// `/unregister`: delete the account.
    Unregister,
}

impl Command {
    /// Parses a line. Commands ignore ASCII case.
    ///
    /// # Errors
    /// The [`Refusal`] to reply with.
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

    /// Whether the reply can be much longer than those to other commands.
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
            // This is an ordinary message. Clients may show it as an action, so they get it in one form.
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
        // Nobody here can have an invalid name.
        let to = Name::parse(to).map_err(|_| Refusal::NoSuchUser(SafeText::excerpt(to, QUOTED_CHARS)))?;
        Ok(Self::Tell { to: Box::new(to), text: SafeText::new(text.to_owned()) })
    }

    fn parse_unignore(name: &str) -> Result<Self, Refusal> {
        // Nobody can ignore an invalid name.
        let name = Name::parse(name).map_err(|_| Refusal::NotIgnored(SafeText::excerpt(name, QUOTED_CHARS)))?;
        Ok(Self::Unignore(Box::new(name)))
    }
}

#[cfg(test)]
mod tests;
