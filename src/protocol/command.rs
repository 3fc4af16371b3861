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
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Command, Refusal> {
        Command::parse(Line::Text(line.to_owned()))
    }

    fn safe(text: &str) -> SafeText {
        SafeText::new(text.to_owned())
    }

    #[test]
    fn a_line_is_a_message_as_it_stands() {
        for line in [" hi  there ", "a /who", "\u{301}/who", "。/who", "／who", " ", ""] {
            assert_eq!(parse(line), Ok(Command::Say(safe(line))), "{line:?}");
        }
    }

    #[test]
    fn a_command_after_characters_that_cannot_be_seen_is_a_command() {
        let bob = Box::new(Name::parse("Bob").unwrap());
        for blanks in [
            " ",
            "\t  ",
            "\u{a0}",
            "\u{3000}",
            "\u{feff}",
            "\u{200b}",
            "\u{200d}",
            "\u{2060} \u{ad}",
            "\u{3164}",
            "\u{fe0f}",
            "\u{2800}",
            "\u{2028}",
            "\u{202e}",
            "\x1b",
            "\0",
            "\u{85}",
        ] {
            let line = format!("{blanks}/msg Bob my secret");
            assert_eq!(parse(&line), Ok(Command::Tell { to: bob.clone(), text: safe("my secret") }), "{blanks:?}");
            assert_eq!(parse(&format!("{blanks}/mgs")), Err(Refusal::UnknownCommand(safe("/mgs"))), "{blanks:?}");
            assert_eq!(parse(&format!("{blanks}//x")), Ok(Command::Say(safe(&format!("{blanks}/x")))), "{blanks:?}");
        }
    }

    #[test]
    fn two_slashes_say_one() {
        assert_eq!(parse("//quit"), Ok(Command::Say(safe("/quit"))));
        assert_eq!(parse("///"), Ok(Command::Say(safe("//"))));
        assert_eq!(parse("/ /x"), Err(Refusal::UnknownCommand(safe("/"))));
    }

    #[test]
    fn commands_are_read_with_their_arguments() {
        let bob = Box::new(Name::parse("Bob").unwrap());
        assert_eq!(parse("/quit"), Ok(Command::Quit(None)));
        assert_eq!(parse("/QUIT  gone fishing "), Ok(Command::Quit(Some(safe("gone fishing")))));
        let cut = format!("{}…", "é".repeat(REASON_CHARS));
        assert_eq!(parse(&format!("/quit {}", "é".repeat(REASON_CHARS + 1))), Ok(Command::Quit(Some(safe(&cut)))));
        assert_eq!(parse("/who"), Ok(Command::Who));
        assert_eq!(parse("/help"), Ok(Command::Help));
        assert_eq!(parse("/nick Bob"), Ok(Command::Rename(bob.clone())));
        assert_eq!(parse("/ignore  Bob "), Ok(Command::Ignore(bob.clone())));
        assert_eq!(parse("/unignore Bob"), Ok(Command::Unignore(bob.clone())));
        assert_eq!(parse("/ignore "), Ok(Command::Ignored));
        assert_eq!(parse("/msg Bob  how are  you"), Ok(Command::Tell { to: bob, text: safe("how are  you") }));
    }

    #[test]
    fn a_ping_is_never_refused_and_its_token_is_safe_and_short() {
        assert_eq!(parse("/ping"), Ok(Command::Ping(None)));
        assert_eq!(parse("/Ping  "), Ok(Command::Ping(None)));
        assert_eq!(parse("/ping  4 2 "), Ok(Command::Ping(Some(safe("4 2")))));
        assert_eq!(parse("/ping \x1b[2J"), Ok(Command::Ping(Some(safe("^[[2J")))));
        let longest = "é".repeat(PING_TOKEN_CHARS);
        assert_eq!(parse(&format!("/ping {longest}")), Ok(Command::Ping(Some(safe(&longest)))));
        assert_eq!(parse(&format!("/ping {longest}x")), Ok(Command::Ping(Some(safe(&format!("{longest}…"))))));
    }

    #[test]
    fn aliases_are_the_commands_that_they_stand_for() {
        for (alias, command) in [
            ("/names", "/who"),
            ("/w Bob hi", "/msg Bob hi"),
            ("/Whisper Bob hi", "/msg Bob hi"),
            ("/exit", "/quit"),
            ("/bye for now", "/quit for now"),
            ("/Q", "/quit"),
            ("/?", "/help"),
            ("/w Bob", "/msg Bob"),
        ] {
            assert_eq!(parse(alias), parse(command), "{alias:?}");
            assert!(!matches!(parse(alias), Err(Refusal::UnknownCommand(_))), "{alias:?}");
        }
    }

    #[test]
    fn an_action_is_said_in_one_form_and_not_without_text() {
        for line in ["/me waves  twice", "/ME  waves  twice ", " \u{200b}/me\twaves  twice", "//me waves  twice"] {
            assert_eq!(parse(line), Ok(Command::Say(safe("/me waves  twice"))), "{line:?}");
        }
        for line in ["/me", "/me ", " /ME  "] {
            assert_eq!(parse(line), Err(Refusal::BadArguments("/me TEXT")), "{line:?}");
        }
        assert_eq!(parse("/mewaves"), Err(Refusal::UnknownCommand(safe("/mewaves"))));
    }

    #[test]
    fn a_command_that_lacks_something_is_refused_with_its_form() {
        assert_eq!(parse("/msg Bob "), Err(Refusal::BadArguments("/msg NAME TEXT")));
        assert_eq!(parse("/msg"), Err(Refusal::BadArguments("/msg NAME TEXT")));
        assert_eq!(parse("/nick"), Err(Refusal::BadArguments("/nick NEWNAME")));
        assert_eq!(parse("/nick a b"), Err(Refusal::BadName(crate::model::BadName::Blank)));
        assert_eq!(parse("/ignore a b"), Err(Refusal::BadName(crate::model::BadName::Blank)));
        assert_eq!(parse("/unignore "), Err(Refusal::BadArguments("/unignore NAME")));
    }

    #[test]
    fn an_unknown_command_is_refused_and_never_said() {
        assert_eq!(parse("/mgs Bob secret"), Err(Refusal::UnknownCommand(safe("/mgs"))));
        assert_eq!(parse("/"), Err(Refusal::UnknownCommand(safe("/"))));
        assert_eq!(parse("/ msg Bob x"), Err(Refusal::UnknownCommand(safe("/"))));
        assert_eq!(parse("/\x1b[2J"), Err(Refusal::UnknownCommand(safe("/^[[2J"))));
    }

    #[test]
    fn a_private_message_to_an_impossible_name_finds_nobody() {
        assert_eq!(parse("/msg *** hi"), Err(Refusal::NoSuchUser(safe("***"))));
    }

    #[test]
    fn an_impossible_name_is_never_ignored() {
        assert_eq!(parse("/ignore ***"), Err(Refusal::BadName(crate::model::BadName::Reserved('*'))));
        assert_eq!(parse("/unignore ***"), Err(Refusal::NotIgnored(safe("***"))));
    }

    #[test]
    fn lines_that_are_no_text_are_refused() {
        assert_eq!(Command::parse(Line::NotUtf8), Err(Refusal::NotUtf8));
        assert_eq!(Command::parse(Line::TooLong), Err(Refusal::LineTooLong));
        assert_eq!(Command::parse(Line::Endless), Err(Refusal::Endless));
    }
}
