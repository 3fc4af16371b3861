//! The login line: a name, and what the peer wants besides.
//!
//! Options follow the name, since names cannot contain spaces.

use crate::limits::QUOTED_CHARS;
use crate::model::{Name, SafeText};
use crate::protocol::Refusal;

/// What the first line says. Another one follows when its name is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginLine {
    /// The name, or what is wrong with it or with an option.
    pub name: Result<Name, Refusal>,
    /// The next line is a password, also when the name needs none, or is refused.
    pub auth: bool,
}

impl LoginLine {
    /// Reads a name and the options after it, all of them separated by blanks. Options are known without regard to case.
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
