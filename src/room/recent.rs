//! The newest messages, which newcomers are shown. They are rendered once for all who join before the next message.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::Arc;

use crate::limits::RECENT_BYTES;
use crate::model::{Message, RoomName, Timestamp};
use crate::protocol::{Dialect, Reply};

/// The newest `limit` messages, or fewer if these are long.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    limit: usize,
    /// The first number of the room.
    first_of_room: u64,
    /// Every message from this one on is here.
    first: u64,
    messages: VecDeque<Message>,
    bytes: usize,
    /// The text in each dialect, for messages up to this number and for the same day.
    rendered: [Option<(u64, Timestamp, Arc<str>)>; Dialect::COUNT],
}

impl Recent {
    /// For messages with this number or higher ones.
    pub(crate) fn new(limit: usize, first: u64, first_of_room: u64) -> Self {
        Self { limit, first_of_room, first, ..Self::default() }
    }

    /// Whether all that a newcomer is shown is here, if messages from number `oldest` on are stored. What was said in an
    /// earlier run of the server is not here, and what was removed from the history must not be shown.
    pub(crate) fn is_complete(&self, turn: &[Message], oldest: Option<u64>) -> bool {
        let has_all = self.first == self.first_of_room || self.messages.len() + turn.len() >= self.limit;
        has_all && self.messages.front().is_none_or(|first| oldest.is_some_and(|oldest| oldest <= first.number))
    }

    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    pub(crate) fn push(&mut self, messages: &[Message]) {
        for message in &messages[messages.len().saturating_sub(self.limit)..] {
            self.bytes += message.text.as_str().len();
            self.messages.push_back(message.clone());
        }
        while (self.messages.len() > self.limit || self.bytes > RECENT_BYTES)
            && let Some(message) = self.messages.pop_front()
        {
            self.bytes -= message.text.as_str().len();
        }
        if let Some(last) = messages.last() {
            self.first = self.messages.front().map_or(last.number + 1, |first| first.number);
            self.rendered = Default::default();
        }
    }

    /// The lines for a newcomer: the newest messages, of which these, from this turn, are the last. `None` if there are
    /// none.
    pub(crate) fn render(
        &mut self,
        turn: &[Message],
        dialect: Dialect,
        room: &RoomName,
        now: Timestamp,
    ) -> Option<Arc<str>> {
        let newest = turn.last().or(self.messages.back())?.number;
        let day = Timestamp::from_millis(now.as_millis() - now.as_millis() % (24 * 60 * 60 * 1000));
        if let Some((number, rendered_on, text)) = &self.rendered[dialect as usize]
            && (*number, *rendered_on) == (newest, day)
        {
            return Some(Arc::clone(text));
        }
        let mut messages: Vec<_> = turn.iter().rev().chain(self.messages.iter().rev()).take(self.limit).collect();
        messages.reverse();
        let (first, last) = (messages.first()?.number, messages.last()?.number);
        let mut text = String::new();
        let mut write = |reply: Reply<'_>| writeln!(text, "{reply}").expect("a String takes all that is written to it");
        write(Reply::Earlier);
        messages.iter().for_each(|message| write(dialect.replayed(room, message, now)));
        write(Reply::ThatWas { first, last, lines: messages.len() as u64, room: None });
        let text: Arc<str> = text.into();
        self.rendered[dialect as usize] = Some((newest, day, Arc::clone(&text)));
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, SafeText};

    fn messages(numbers: std::ops::Range<u64>) -> Arc<[Message]> {
        let (from, text) = (Name::parse("Al").unwrap(), SafeText::new("hi".to_owned()));
        let message =
            |number| Message { number, at: Timestamp::from_millis(0), from: from.clone(), text: text.clone() };
        numbers.map(message).collect()
    }

    #[test]
    fn the_newest_are_shown_and_rendered_once() {
        let now = Timestamp::from_millis(1000);
        let mut recent = Recent::new(3, 1, 1);
        assert_eq!(recent.render(&[], Dialect::Plain, &RoomName::lobby(), now), None);
        recent.push(&messages(1..3));
        recent.push(&messages(3..5));
        assert_eq!((recent.messages.len(), recent.first), (3, 2));
        let text = recent.render(&[], Dialect::Ids, &RoomName::lobby(), now).unwrap();
        let line = |number| format!("[{number} 1970-01-01T00:00:00Z] Al: hi");
        assert_eq!(
            text.lines().collect::<Vec<_>>(),
            ["* Earlier messages:", &line(2), &line(3), &line(4), "* That was 2 to 4, 3 lines."]
        );
        assert!(Arc::ptr_eq(&text, &recent.render(&[], Dialect::Ids, &RoomName::lobby(), now).unwrap()));
        let text = recent.render(&messages(5..6), Dialect::Plain, &RoomName::lobby(), now).unwrap();
        assert_eq!(text.lines().nth(3), Some("* 00:00 Al: hi"));
        assert!(text.ends_with("* That was 3 to 5, 3 lines.\n"));
        let tomorrow = Timestamp::from_millis(24 * 60 * 60 * 1000);
        assert!(
            recent
                .render(&messages(5..6), Dialect::Plain, &RoomName::lobby(), tomorrow)
                .unwrap()
                .contains("* 1970-01-01 00:00 Al: hi")
        );
        recent.push(&messages(5..10));
        assert_eq!((recent.messages.len(), recent.first), (3, 7));
    }

    #[test]
    fn long_messages_are_left_to_the_history() {
        let mut recent = Recent::new(3, 1, 1);
        let mut long = messages(1..2)[0].clone();
        long.text = SafeText::new("x".repeat(RECENT_BYTES));
        recent.push(&[long.clone()]);
        assert!(recent.is_complete(&[], Some(1)));
        long.number = 2;
        recent.push(&[long]);
        assert!(!recent.is_complete(&[], Some(1)));
        assert_eq!(recent.messages.len(), 1);
    }

    #[test]
    fn what_was_removed_from_the_history_is_not_shown() {
        let mut recent = Recent::new(3, 1, 1);
        assert!(recent.is_complete(&[], None), "nothing was said");
        recent.push(&messages(1..3));
        assert!(recent.is_complete(&[], Some(1)));
        assert!(!recent.is_complete(&[], Some(2)));
        assert!(!recent.is_complete(&[], None));
    }

    #[test]
    fn a_room_need_not_begin_at_1() {
        let mut recent = Recent::new(3, 9, 9);
        assert!(recent.is_complete(&[], None));
        recent.push(&messages(9..10));
        assert!(recent.is_complete(&[], Some(9)));
        assert!(!Recent::new(3, 9, 1).is_complete(&[], Some(1)), "it has older ones");
    }

    #[test]
    fn nothing_is_kept_for_a_limit_of_zero() {
        let mut recent = Recent::new(0, 1, 1);
        recent.push(&messages(1..3));
        assert!(recent.messages.is_empty());
    }
}
