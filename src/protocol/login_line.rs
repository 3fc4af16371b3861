//! The login line: a name and options.
//!
//! Options follow the name, since names cannot contain spaces.

use crate::limits::{LAST_MOST, QUOTED_CHARS};
use crate::model::{Name, RoomName, SafeText};
use crate::protocol::{Refusal, Since};

/// The content of the first line. If its name is refused, another login line follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginLine {
    /// The name, or what is wrong with it or with an option.
    pub name: Result<Name, Refusal>,
    /// The next line is a password, even if the name needs none or is refused.
    pub auth: bool,
    pub options: JoinOptions,
}

/// How a peer wants to join. `None` stands for an option that was not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JoinOptions {
    /// `#ROOM`: the room to enter in place of the lobby.
    pub room: Option<RoomName>,
    /// `ids=on`: messages have numbers.
    pub ids: Option<bool>,
    /// `since=WHEN`: everything that was said after that.
    pub since: Option<Since>,
    /// `last=N`: the newest messages. With `since`, at most so many of those.
    pub last: Option<usize>,
    /// `replay=N`: so many messages in place of the server's usual number.
    pub replay: Option<usize>,
}

impl LoginLine {
    /// Parses a name and its options, separated by spaces or tabs. Options ignore case. Of several with the same name,
    /// the last one counts.
    pub fn parse(text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
        let mut line = Self {
            name: Name::parse(words.next().unwrap_or_default()).map_err(Refusal::from),
            auth: false,
            options: JoinOptions::default(),
        };
        let mut refused = None;
        for word in words {
            if word.eq_ignore_ascii_case("auth") {
                line.auth = true;
            } else if let Err(refusal) = line.options.read(word) {
                refused.get_or_insert(refusal);
            }
        }
        line.name = line.name.and_then(|name| refused.map_or(Ok(name), Err));
        line
    }
}

impl JoinOptions {
    /// The options of this line, and of the `earlier` ones those that it does not repeat.
    #[must_use]
    pub fn or(self, earlier: Self) -> Self {
        Self {
            room: self.room.or(earlier.room),
            ids: self.ids.or(earlier.ids),
            since: self.since.or(earlier.since),
            last: self.last.or(earlier.last),
            replay: self.replay.or(earlier.replay),
        }
    }

    fn read(&mut self, word: &str) -> Result<(), Refusal> {
        if word.starts_with('#') {
            self.room = Some(RoomName::parse(word)?);
            return Ok(());
        }
        let excerpt = || SafeText::excerpt(word, QUOTED_CHARS);
        let Some((option, value)) = word.split_once('=') else { return Err(Refusal::UnknownOption(excerpt())) };
        match option.to_ascii_lowercase().as_str() {
            "ids" => self.ids = Some(parse_switch(value).ok_or_else(|| Refusal::BadOption(excerpt()))?),
            "since" => self.since = Some(value.parse()?),
            "last" => self.last = Some(parse_count(value).ok_or_else(|| Refusal::BadOption(excerpt()))?),
            "replay" => self.replay = Some(parse_count(value).ok_or_else(|| Refusal::BadOption(excerpt()))?),
            _ => return Err(Refusal::BadOption(excerpt())),
        }
        Ok(())
    }
}

pub(super) fn parse_switch(text: &str) -> Option<bool> {
    ["off", "on"].iter().position(|word| text.eq_ignore_ascii_case(word)).map(|at| at == 1)
}

/// A number of messages.
pub(super) fn parse_count(text: &str) -> Option<usize> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&count: &usize| is_number && count <= LAST_MOST)
}

#[cfg(test)]
mod tests;
