//! Names: what a peer may be called, and when two names are the same.
//!
//! A name stands before a `:` or a blank in every line that the server sends, so it can hold neither, and it cannot
//! begin like a notice or a refusal. That, and nothing else, is why a line cannot be forged.

use std::fmt;

use thiserror::Error;

use super::text::is_unsafe;
use crate::limits::NAME_CHARS;

/// A checked name: 1 to [`NAME_CHARS`] characters, the first a letter or a digit, shown as it was given.
///
/// Two names are the same when their [`key`](Name::key)s are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    shown: String,
    key: String,
}

/// Why a name was refused, worded for the person who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum BadName {
    /// Nothing is left without the blanks around it.
    #[error("a name has at least one character")]
    Empty,
    /// More than [`NAME_CHARS`] characters.
    #[error("a name has at most {NAME_CHARS} characters")]
    TooLong,
    /// The first character is neither a letter nor a digit.
    #[error("a name begins with a letter or a digit")]
    Start,
    /// A blank inside.
    #[error("a name holds no blanks")]
    Blank,
    /// A character that the lines of the protocol need for themselves.
    #[error("a name cannot hold {0:?}")]
    Reserved(char),
    /// A control character or an invisible one.
    #[error("a name cannot hold the character U+{:04X}", u32::from(*.0))]
    Invisible(char),
}

impl Name {
    /// Checks a name. Blanks around it, and a byte order mark before it, are not part of it.
    ///
    /// # Errors
    /// [`BadName`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, BadName> {
        let shown = text.strip_prefix('\u{feff}').unwrap_or(text).trim();
        let first = shown.chars().next().ok_or(BadName::Empty)?;
        if shown.chars().count() > NAME_CHARS {
            return Err(BadName::TooLong);
        }
        if let Some(fault) = shown.chars().find_map(fault) {
            return Err(fault);
        }
        if !first.is_alphanumeric() {
            return Err(BadName::Start);
        }
        Ok(Self { shown: shown.to_owned(), key: shown.to_lowercase() })
    }

    /// The name as its holder wrote it.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// What the name is known by: without regard to case.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// The rule that a character breaks wherever it stands in a name.
fn fault(char: char) -> Option<BadName> {
    match char {
        _ if char.is_whitespace() => Some(BadName::Blank),
        ':' | '*' | '!' | '<' | '>' | '(' | ')' | '/' | ',' => Some(BadName::Reserved(char)),
        // Joiners and variation selectors are allowed in text; in a name they only make two look like one.
        '\u{200c}' | '\u{200d}' | '\u{34f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}' => {
            Some(BadName::Invisible(char))
        }
        _ if is_unsafe(char) => Some(BadName::Invisible(char)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn honest_names_of_the_world_pass() {
        for name in ["Bob", "Zoë", "Дмитрий", "山田", "مريم", "राम", "O'Neil", "anne-marie", "7of9", "R2_D2", "x"]
        {
            assert_eq!(Name::parse(name).unwrap().as_str(), name);
        }
        assert!(Name::parse(&"ä".repeat(NAME_CHARS)).is_ok());
    }

    #[test]
    fn what_is_around_a_name_is_no_part_of_it() {
        assert_eq!(Name::parse("\u{feff} Bob\t").unwrap().as_str(), "Bob");
    }

    #[test]
    fn names_are_the_same_without_regard_to_case() {
        let key = |name| Name::parse(name).unwrap().key().to_owned();
        assert_eq!(key("BOB"), key("bob"));
        assert_eq!(key("ДМИТРИЙ"), key("дмитрий"));
        assert_ne!(key("bob"), key("rob"));
    }

    #[test]
    fn a_name_that_could_forge_a_line_is_refused() {
        use BadName::*;
        for (name, fault) in [
            ("", Empty),
            (" \t", Empty),
            ("*", Reserved('*')),
            ("! full:", Reserved('!')),
            ("Bob:", Reserved(':')),
            ("Bob (privately)", Blank),
            ("Bob(privately)", Reserved('(')),
            ("a\u{a0}b", Blank),
            ("/quit", Reserved('/')),
            ("_bob", Start),
            ("\u{301}bob", Start),
            ("bob\x1b[1m", Invisible('\x1b')),
            ("bob\u{202e}", Invisible('\u{202e}')),
            ("bob\u{200d}", Invisible('\u{200d}')),
        ] {
            assert_eq!(Name::parse(name), Err(fault), "{name:?}");
        }
        assert_eq!(Name::parse(&"x".repeat(NAME_CHARS + 1)), Err(TooLong));
    }

    #[test]
    fn a_refusal_never_repeats_a_dangerous_character() {
        assert_eq!(BadName::Invisible('\x1b').to_string(), "a name cannot hold the character U+001B");
    }
}
