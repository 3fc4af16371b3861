//! What somebody said, as a line of the server tells it.

use crate::model::{Name, SafeText};

/// A message to the room, or to us alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) from: Name,
    /// Safe for a terminal and valid UTF-8 if the server keeps its promises, and any bytes otherwise.
    pub(crate) text: Vec<u8>,
    pub(crate) private: bool,
}

impl Message {
    /// Reads a whole line without its end; `None` when it is no message. No user can forge the first colon, or the mark
    /// of privacy, since names hold neither colons nor blanks.
    pub(crate) fn parse(line: &[u8]) -> Option<Self> {
        let colon = memchr::memmem::find(line, b": ")?;
        let from = std::str::from_utf8(&line[..colon]).ok()?;
        let (from, private) = match from.strip_suffix(" (privately)") {
            Some(from) => (from, true),
            None => (from, false),
        };
        // A notice or refusal with a colon in it begins with what no name holds.
        let from = Name::parse(from).ok()?;
        Some(Self { from, text: line[colon + 2..].to_vec(), private })
    }

    /// What it says, for a terminal. Bytes that are not UTF-8 become U+FFFD.
    pub(crate) fn safe_text(&self) -> SafeText {
        SafeText::new(String::from_utf8_lossy(&self.text).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str, text: &[u8], private: bool) -> Option<Message> {
        Some(Message { from: Name::parse(from).unwrap(), text: text.to_vec(), private })
    }

    #[test]
    fn what_is_said_is_a_message() {
        assert_eq!(Message::parse(b"Alice: hi: there"), message("Alice", b"hi: there", false));
        assert_eq!(Message::parse(b"Alice (privately):  hi"), message("Alice", b" hi", true));
        assert_eq!(Message::parse(b"Alice: Bob (privately): \xff"), message("Alice", b"Bob (privately): \xff", false));
        assert_eq!(Message::parse("Дмитрий: да".as_bytes()), message("Дмитрий", "да".as_bytes(), false));
    }

    #[test]
    fn nothing_else_is() {
        for line in [
            "* Alice has left: connection lost",
            "* Alice has left (\"Bob: hi\")",
            "! bad-name: no",
            "* 2 here: Alice, Bob",
            "[yes]",
            "",
            ": hi",
            "a b: hi",
        ] {
            assert_eq!(Message::parse(line.as_bytes()), None, "{line:?}");
        }
    }
}
