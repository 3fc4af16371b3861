//! What somebody said, as a line of the server tells it.

use crate::model::Name;
use crate::protocol::ServerLine;

/// A message to the room, or to us alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) from: Name,
    /// Safe for a terminal if the server keeps its promises. Bytes that were not UTF-8 are U+FFFD.
    pub(crate) text: String,
    pub(crate) private: bool,
}

impl Message {
    /// The message that a whole line is, if it is one.
    pub(crate) fn of(line: ServerLine<'_>) -> Option<Self> {
        let (from, text, private) = match line {
            ServerLine::Said { from, text } => (from, text, false),
            ServerLine::Told { from, text } => (from, text, true),
            _ => return None,
        };
        Some(Self { from: Name::parse(from).ok()?, text: text.to_owned(), private })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str, text: &str, private: bool) -> Option<Message> {
        Some(Message { from: Name::parse(from).unwrap(), text: text.to_owned(), private })
    }

    #[test]
    fn what_is_said_is_a_message() {
        let read = |line| Message::of(ServerLine::parse(line));
        assert_eq!(read("Alice: hi: there"), message("Alice", "hi: there", false));
        assert_eq!(read("Alice (privately):  hi"), message("Alice", " hi", true));
        assert_eq!(read("Alice: Bob (privately): hi"), message("Alice", "Bob (privately): hi", false));
        assert_eq!(read("Дмитрий: да"), message("Дмитрий", "да", false));
    }

    #[test]
    fn nothing_else_is() {
        for line in ["* Alice has left: connection lost", "! bad-name: no", "* 2 here: Alice, Bob", "server: hi"] {
            assert_eq!(Message::of(ServerLine::parse(line)), None, "{line:?}");
        }
    }
}
