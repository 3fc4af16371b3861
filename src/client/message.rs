//! A message, as parsed from a line of the server.

use jiff::Timestamp;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::model::{Name, RoomName};
use crate::protocol::ServerLine;

/// A public or private message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) from: Name,
    /// Safe for a terminal if the server works correctly. Invalid UTF-8 became U+FFFD.
    pub(crate) text: String,
    pub(crate) private: bool,
    /// Where it was said. For a private message, where the receiver is.
    pub(crate) room: RoomName,
    /// When it was said, if the server tells.
    pub(crate) at: Option<Timestamp>,
}

impl Message {
    /// Parses a complete line that came while the client was in the room `current`. `None` if it is not a message.
    pub(crate) fn of(line: ServerLine<'_>, current: &RoomName) -> Option<Self> {
        let (from, text, room) = match line {
            ServerLine::Said { from, text } | ServerLine::Told { from, text } => (from, text, current.clone()),
            ServerLine::Heard { room, from, text } => (from, text, RoomName::parse(room).ok()?),
            ServerLine::Numbered { room, from, text, .. } => (from, text, room_of(room)?),
            _ => return None,
        };
        let at = if let ServerLine::Numbered { at, .. } = line { at.parse().ok() } else { None };
        let private = matches!(line, ServerLine::Told { .. });
        Some(Self { from: Name::parse(from).ok()?, text: text.to_owned(), private, room, at })
    }

    /// Whether the text contains the name as a word, ignoring case, width and normal form (see [`folded`]).
    pub(crate) fn mentions(&self, name: &Name) -> bool {
        let (text, name) = (folded(&self.text), folded(name.as_str()));
        text.match_indices(&name).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + name.len()..].chars().next();
            !before.is_some_and(char::is_alphanumeric)
                && !after.is_some_and(|char| char.is_alphanumeric() || is_combining_mark(char))
        })
    }
}

/// The room of a numbered message.
pub(crate) fn room_of(room: Option<&str>) -> Option<RoomName> {
    room.map_or(Some(RoomName::lobby()), |room| RoomName::parse(room).ok())
}

/// Removes differences in case, width and normal form (NFC, NFD, NFKC or NFKD of UAX 15).
pub(crate) fn folded(text: &str) -> String {
    // Upper case first, so that both lower-case sigmas become the same.
    text.nfkc().flat_map(char::to_uppercase).flat_map(char::to_lowercase).nfkc().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(from: &str, text: &str, private: bool) -> Option<Message> {
        let (from, text, room) = (Name::parse(from).unwrap(), text.to_owned(), RoomName::lobby());
        Some(Message { from, text, private, room, at: None })
    }

    #[test]
    fn messages_are_parsed_and_notices_are_not() {
        let read = |line| Message::of(ServerLine::parse(line), &RoomName::lobby());
        assert_eq!(read("Alice: hi: there"), message("Alice", "hi: there", false));
        assert_eq!(read("Alice (privately):  hi"), message("Alice", " hi", true));
        assert_eq!(read("Alice: Bob (privately): hi"), message("Alice", "Bob (privately): hi", false));
        assert_eq!(read("Дмитрий: да"), message("Дмитрий", "да", false));
        let numbered = read("[7 2026-11-26T12:03:11Z] Alice: hi: there");
        let at = Some("2026-11-26T12:03:11Z".parse().unwrap());
        assert_eq!(numbered, Some(Message { at, ..message("Alice", "hi: there", false).unwrap() }));
    }

    #[test]
    fn a_message_has_the_room_where_it_was_said() {
        let dev = RoomName::parse("dev").unwrap();
        let room = |line| Message::of(ServerLine::parse(line), &dev).unwrap().room.to_string();
        assert_eq!(room("Alice: hi"), "dev");
        assert_eq!(room("Alice (privately): hi"), "dev");
        assert_eq!(room("#ops Alice: hi"), "ops");
        assert_eq!(room("[7 2026-11-26T12:03:11Z] Alice: hi"), "lobby");
        assert_eq!(room("[ops 7 2026-11-26T12:03:11Z] Alice: hi"), "ops");
    }

    #[test]
    fn nothing_else_is() {
        for line in ["* Alice has left: connection lost", "! bad-name: no", "* 2 here: Alice, Bob", "server: hi"] {
            assert_eq!(Message::of(ServerLine::parse(line), &RoomName::lobby()), None, "{line:?}");
        }
    }

    #[test]
    fn mentions_ignore_case_width_and_normal_form() {
        let name = |text: &str| Name::parse(text).unwrap();
        let mentions = |text: &str, who: &str| message("Alice", text, false).unwrap().mentions(&name(who));
        for text in ["hi Zoë", "ZOË!", "Zoe\u{308}, hi", "\u{ff3a}\u{ff4f}\u{eb}", "(ｚＯＥ\u{308})"] {
            assert!(mentions(text, "Zoë"), "{text:?}");
        }
        assert!(mentions("hi ｂｏｂ", "Bob") && mentions("ｱﾘｽ", "アリス") && mentions("ｶﾞ", "ガ"));
        assert!(mentions("ΟΔΥΣΣΕΥΣ", "Οδυσσεύς".replace('ύ', "υ").as_str()), "the last letter has two small forms");
        for (text, name) in [("Zoë", "Zoe"), ("Zoe\u{308}", "Zoe"), ("bob\u{30b}", "Bob"), ("Zoëlle", "Zoë")] {
            assert!(!mentions(text, name), "{text:?} and {name}");
        }
    }
}
