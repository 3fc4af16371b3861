//! The login line: a name and options.
//!
//! Options follow the name, since names cannot contain spaces.

use crate::limits::QUOTED_CHARS;
use crate::model::{Name, SafeText};
use crate::protocol::Refusal;

/// The content of the first line. If its name is refused, another login line follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginLine {
    /// The name, or what is wrong with it or with an option.
    pub name: Result<Name, Refusal>,
    /// The next line is a password, even if the name needs none or is refused.
    pub auth: bool,
}

impl LoginLine {
    /// Parses a name and its options, separated by spaces or tabs. Options ignore case.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
        let name = Name::parse(words.next().unwrap_or_default());
        let (known, unknown): (Vec<_>, Vec<_>) = words.partition(|word| word.eq_ignore_ascii_case("auth"));
        let name = match (name, unknown.first()) {
            (Ok(_), Some(option)) => Err(Refusal::UnknownOption(SafeText::excerpt(option, QUOTED_CHARS))),
            (name, _) => name.map_err(Refusal::from),
        };
        Self { name, auth: !known.is_empty() }
    }
}

#[cfg(test)]
mod tests;
