//! What follows the name of a command.

use crate::model::Name;
use crate::protocol::Refusal;
use crate::protocol::words::split_word;

/// The arguments of one command, and the usage to refuse them with.
#[derive(Debug, Clone, Copy)]
pub struct Arguments<'a> {
    text: &'a str,
    usage: &'static str,
}

impl<'a> Arguments<'a> {
    /// `text` has no blanks at its ends.
    pub(super) fn new(text: &'a str, usage: &'static str) -> Self {
        Self { text, usage }
    }

    /// All of them as one text. `None`: there are none.
    pub(super) fn optional(self) -> Option<&'a str> {
        Some(self.text).filter(|text| !text.is_empty())
    }

    /// All of them as one text.
    pub(super) fn required(self) -> Result<&'a str, Refusal> {
        self.optional().ok_or(self.wrong())
    }

    /// A name, and nothing else.
    pub(super) fn name(self) -> Result<Name, Refusal> {
        Ok(Name::parse(self.required()?)?)
    }

    /// The first word, and the text after it, which may be empty.
    pub(super) fn split(self) -> Result<(&'a str, &'a str), Refusal> {
        self.required().map(split_word)
    }

    /// The only word.
    pub(super) fn one_word(self) -> Result<&'a str, Refusal> {
        match self.split()? {
            (word, "") => Ok(word),
            _ => Err(self.wrong()),
        }
    }

    /// The refusal of arguments that do not fit the usage.
    pub(super) fn wrong(self) -> Refusal {
        Refusal::BadArguments(self.usage)
    }
}
