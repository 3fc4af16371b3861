//! The login line: a name, and what the peer wants besides.
//!
//! Options follow the name, since a name holds no blanks.

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
mod tests {
    use super::*;
    use crate::model::BadName;

    #[test]
    fn options_follow_the_name_in_any_order_and_case() {
        for (text, auth) in [
            ("Bob", false),
            (" Bob\t", false),
            ("\u{feff} Bob auth", true),
            ("Bob \t AUTH  ", true),
            ("Bob auth auth", true),
            ("Bob\u{a0}", false),
        ] {
            let name = Name::parse("Bob").map_err(Refusal::from);
            assert_eq!(LoginLine::parse(text), LoginLine { name, auth }, "{text:?}");
        }
        // Nobody is called after an option by mistake, but somebody may be called like one.
        assert_eq!(LoginLine::parse("auth"), LoginLine { name: Ok(Name::parse("auth").unwrap()), auth: false });
    }

    #[test]
    fn a_refused_name_does_not_hide_that_a_password_follows() {
        for (text, refusal, auth) in [
            ("Bob Smith", "a name holds no blanks, and \"Smith\" is not an option; the only option is auth", false),
            ("Bob \x1b auth", "a name holds no blanks, and \"^[\" is not an option; the only option is auth", true),
            ("B:b auth", "a name cannot hold ':'", true),
            ("B:b Smith", "a name cannot hold ':'", false),
            ("Bob\u{a0}auth", "a name holds no blanks", false),
            (" ", "a name has at least one character", false),
        ] {
            let line = LoginLine::parse(text);
            let refused = line.name.unwrap_err();
            assert_eq!(
                (refused.to_string().as_str(), refused.code(), line.auth),
                (refusal, "bad-name", auth),
                "{text:?}"
            );
        }
        assert_eq!(LoginLine::parse("").name, Err(Refusal::BadName(BadName::Empty)));
    }
}
