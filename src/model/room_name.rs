//! Names of rooms.
//!
//! They are lower-case ASCII, so that there are no look-alikes of other alphabets, and so that they fit into IRC channels,
//! URL paths and keys.

use std::fmt;
use std::sync::{Arc, LazyLock};

use thiserror::Error;

use crate::limits::NAME_CHARS;

/// The name of the room where everyone starts.
const LOBBY: &str = "lobby";

static LOBBY_NAME: LazyLock<RoomName> = LazyLock::new(|| RoomName(LOBBY.into()));

/// The name of a room, without the `#` that may be written before it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoomName(Arc<str>);

/// The text is not the name of a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("room names have 1 to {NAME_CHARS} characters: a-z, 0-9 and -, first a letter or digit")]
pub struct BadRoomName;

impl RoomName {
    /// Checks a name, and takes off the `#` that may be before it. Case is not folded, because then two spellings of a
    /// name would look like two rooms.
    ///
    /// # Errors
    /// [`BadRoomName`] if it breaks the rule.
    pub fn parse(text: &str) -> Result<Self, BadRoomName> {
        let name = text.strip_prefix('#').unwrap_or(text);
        if is_room_name(name) { Ok(Self(name.into())) } else { Err(BadRoomName) }
    }

    pub fn lobby() -> Self {
        LOBBY_NAME.clone()
    }

    pub fn is_lobby(&self) -> bool {
        &*self.0 == LOBBY
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Everyone starts in the lobby.
impl Default for RoomName {
    fn default() -> Self {
        Self::lobby()
    }
}

impl fmt::Display for RoomName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether this is the name of a room, without a `#`.
pub(crate) fn is_room_name(text: &str) -> bool {
    let is_letter_or_digit = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9');
    text.len() <= NAME_CHARS
        && text.as_bytes().first().is_some_and(is_letter_or_digit)
        && text.bytes().all(|byte| is_letter_or_digit(&byte) || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_name_is_short_lower_case_ascii() {
        let longest = "x".repeat(32);
        for text in ["dev", "d", "7", "2-3", "a-", "ops-2026", "lobby", &longest] {
            assert_eq!(RoomName::parse(text).unwrap().as_str(), text);
            assert_eq!(RoomName::parse(&format!("#{text}")), RoomName::parse(text));
        }
        let too_long = "x".repeat(33);
        for text in [
            "", "#", "-dev", "Dev", "DEV", "dév", "d v", " dev", "dev ", "##dev", "d_v", "d.v", "dev\n", "ｄ",
            &too_long,
        ] {
            assert_eq!(RoomName::parse(text), Err(BadRoomName), "{text:?}");
        }
    }

    #[test]
    fn the_lobby_is_a_room_like_any_other() {
        assert_eq!(RoomName::parse("lobby"), Ok(RoomName::lobby()));
        assert!(RoomName::lobby().is_lobby());
        assert!(!RoomName::parse("lobby-2").unwrap().is_lobby());
        assert_eq!(RoomName::lobby().to_string(), "lobby");
    }
}
