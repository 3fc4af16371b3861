//! The arguments of a command.

use crate::model::{Name, RoomName};
use crate::protocol::Refusal;
use crate::protocol::words::split_word;

/// The arguments of one command, and the usage to refuse them with.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    text: &'a str,
    usage: &'static str,
}

impl<'a> Arguments<'a> {
    /// `text` must not start or end with blanks.
    pub(super) fn new(text: &'a str, usage: &'static str) -> Self {
        Self { text, usage }
    }

    /// All arguments as one text, if there are any.
    pub(super) fn optional(self) -> Option<&'a str> {
        Some(self.text).filter(|text| !text.is_empty())
    }

    /// All arguments as one text.
    pub(super) fn required(self) -> Result<&'a str, Refusal> {
        self.optional().ok_or(self.wrong())
    }

    /// A name as the only argument.
    pub(super) fn name(self) -> Result<Name, Refusal> {
        Ok(Name::parse(self.required()?)?)
    }

    /// A room as the only argument.
    pub(super) fn room(self) -> Result<RoomName, Refusal> {
        Ok(RoomName::parse(self.one_word()?)?)
    }

    /// The first word, and the text after it, which may be empty.
    pub(super) fn split(self) -> Result<(&'a str, &'a str), Refusal> {
        self.required().map(split_word)
    }

    /// A single word.
    pub(super) fn one_word(self) -> Result<&'a str, Refusal> {
        match self.split()? {
            (word, "") => Ok(word),
            _ => Err(self.wrong()),
        }
    }

    /// The refusal for arguments that do not match the usage.
    pub(super) fn wrong(self) -> Refusal {
        Refusal::BadArguments(self.usage)
    }
}
