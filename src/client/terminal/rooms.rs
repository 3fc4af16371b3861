//! The room where the person is, the other rooms that they hear, and how far they have read in each. So nothing is
//! missed after a loss.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::client::message::room_of;
use crate::client::{Config, Wanted, room_option};
use crate::limits::ROOMS_HEARD;
use crate::model::RoomName;
use crate::protocol::ServerLine;

#[derive(Debug)]
pub(crate) struct Rooms {
    current: RoomName,
    position: Position,
    heard: BTreeMap<RoomName, Position>,
    /// The server could not continue from the position in the current room.
    is_void: bool,
}

/// How far the person has read in a room.
#[derive(Debug, Default)]
struct Position {
    /// The number of the last message.
    number: Option<u64>,
    /// When the person came, or began to hear the room. `None` before the first time.
    began: Option<Instant>,
}

impl Position {
    fn began(now: Instant) -> Self {
        Self { number: None, began: Some(now) }
    }

    /// The option that asks for all later messages.
    fn since(&self) -> String {
        match (self.number, self.began) {
            (Some(number), _) => format!(" since={number}"),
            // Nothing was said yet.
            (None, Some(began)) => format!(" since={}s", began.elapsed().as_secs() + 1),
            (None, None) => String::new(),
        }
    }
}

impl Rooms {
    /// The rooms that the person wants to begin with.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            current: config.room.clone().unwrap_or_default(),
            position: Position::default(),
            heard: config.hear.iter().map(|room| (room.clone(), Position::default())).collect(),
            is_void: false,
        }
    }

    /// The room where the person is.
    pub(crate) fn current(&self) -> &RoomName {
        &self.current
    }

    /// The other rooms that the person hears.
    pub(crate) fn heard(&self) -> impl Iterator<Item = &RoomName> {
        self.heard.keys()
    }

    /// The options of the next login.
    pub(crate) fn login(&self, first: &Wanted) -> String {
        let options = match self.position.began {
            None => Wanted { ids: true, ..first.clone() }.options(),
            Some(_) if self.is_void => " ids=on replay=0".to_owned(),
            Some(_) => format!(" ids=on{}", self.position.since()),
        };
        room_option(&self.current) + &options
    }

    /// The command that hears a room, from where the person has stopped reading.
    pub(crate) fn hear_command(&self, room: &RoomName) -> String {
        let since = self.heard.get(room).map(Position::since).unwrap_or_default();
        format!("/hear {room}{since}")
    }

    /// The server has accepted the name. Returns whether it continues from the position in the current room.
    pub(crate) fn joined(&mut self, now: Instant) -> bool {
        let is_again = self.position.began.replace(now).is_some();
        !std::mem::take(&mut self.is_void) && is_again
    }

    /// The server has another history by now, so it cannot tell what was missed.
    pub(crate) fn make_void(&mut self) {
        self.is_void = true;
        self.position.number = None;
        self.heard.values_mut().for_each(|position| *position = Position::default());
    }

    /// The server cannot tell what was missed in this room.
    pub(crate) fn forget_position(&mut self, room: &RoomName) {
        self.heard.entry(room.clone()).and_modify(|position| *position = Position::default());
    }

    /// The server has accepted that the person hears a room. (Its notice may come much later.)
    pub(crate) fn begin_to_hear(&mut self, room: RoomName, now: Instant) {
        if room != self.current && (self.heard.contains_key(&room) || self.heard.len() < ROOMS_HEARD) {
            self.heard.entry(room).or_default().began.get_or_insert(now);
        }
    }

    /// The person does not hear a room.
    pub(crate) fn give_up(&mut self, room: &RoomName) {
        self.heard.remove(room);
    }

    /// The person is in another room now.
    pub(crate) fn enter(&mut self, room: RoomName, now: Instant) {
        // All that was said there is known.
        self.position = self.heard.remove(&room).unwrap_or_else(|| Position::began(now));
        self.position.began.get_or_insert(now);
        self.current = room;
    }

    /// The position in a room of a line, if the person is in it or hears it.
    fn position_in(&mut self, room: Option<&str>) -> Option<&mut Position> {
        let room = room_of(room)?;
        if room == self.current { Some(&mut self.position) } else { self.heard.get_mut(&room) }
    }

    /// Updates the rooms from a line of the server. Returns whether the person is in another room now.
    pub(crate) fn hear(&mut self, line: ServerLine<'_>, now: Instant) -> bool {
        if let Some(room) = line.moves_from(&self.current) {
            let is_moved = room != self.current;
            if is_moved {
                self.enter(room, now);
            }
            return is_moved;
        }
        match line {
            ServerLine::Numbered { room, number, .. } => {
                // What a search shows came earlier.
                self.position_in(room)
                    .into_iter()
                    .for_each(|position| position.number = position.number.max(Some(number)));
            }
            // If numbers are missing, the last one may be that of no message.
            ServerLine::ThatWas { room, last, .. } => {
                let known = self.position_in(room).and_then(|position| position.number.as_mut());
                known.into_iter().for_each(|number| *number = last.max(*number));
            }
            ServerLine::NoLongerHearing(room) | ServerLine::RoomClosed { room, .. } => {
                self.heard.retain(|heard, _| heard.as_str() != room);
            }
            _ => {}
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const FIRST: Wanted = Wanted { ids: false, since: None, replay: Some(5) };

    fn room(name: &str) -> RoomName {
        RoomName::parse(name).unwrap()
    }

    fn rooms(current: Option<&str>, heard: &[&str]) -> Rooms {
        Rooms::new(&Config::example(current, heard, FIRST))
    }

    fn hear(rooms: &mut Rooms, lines: &str) -> bool {
        lines.lines().filter(|line| rooms.hear(ServerLine::parse(line), Instant::now())).count() > 0
    }

    #[test]
    fn a_login_continues_in_the_same_room_after_its_last_message() {
        let mut rooms = rooms(Some("dev"), &[]);
        assert_eq!(rooms.login(&FIRST), " #dev ids=on replay=5");
        assert!(!rooms.joined(Instant::now()), "nothing was missed");
        assert_eq!(rooms.login(&FIRST), " #dev ids=on since=1s", "nothing was said yet");
        hear(&mut rooms, "[dev 8 2026-11-26T12:03:11Z] Al: hi\n[dev 7 2026-11-26T12:03:11Z] Al: found by /grep");
        hear(&mut rooms, "[9 2026-11-26T12:03:11Z] Al: in the lobby\n[ops 9 2026-11-26T12:03:11Z] Al: in ops");
        assert_eq!(rooms.login(&FIRST), " #dev ids=on since=8");
        assert!(rooms.joined(Instant::now()));
        assert!(hear(&mut rooms, "* You are now in lobby. You are the first here."));
        assert_eq!(rooms.login(&FIRST), " ids=on since=1s", "an older server does not know #lobby");
        hear(&mut rooms, "[9 2026-11-26T12:03:11Z] Al: in the lobby");
        assert_eq!(rooms.login(&FIRST), " ids=on since=9");
    }

    #[test]
    fn each_room_that_is_heard_has_its_own_position() {
        let mut rooms = rooms(None, &["ops"]);
        rooms.joined(Instant::now());
        assert_eq!(rooms.hear_command(&room("ops")), "/hear ops");
        ["ops", "dev"].iter().for_each(|name| rooms.begin_to_hear(room(name), Instant::now()));
        assert_eq!(rooms.hear_command(&room("ops")), "/hear ops since=1s");
        hear(&mut rooms, "[ops 8 2026-11-26T12:03:11Z] Al: hi\n[dev 9 2026-11-26T12:03:11Z] Al: hi");
        assert_eq!(rooms.hear_command(&room("ops")), "/hear ops since=8");
        assert_eq!(rooms.heard().map(|room| rooms.hear_command(room)).collect::<Vec<_>>()[0], "/hear dev since=9");
        // After a crash some numbers are those of no message.
        hear(&mut rooms, "* That was 9 to 131072 in ops, 0 lines.");
        assert_eq!(rooms.hear_command(&room("ops")), "/hear ops since=131072");
        hear(&mut rooms, "* You no longer hear dev.");
        assert_eq!(rooms.heard().collect::<Vec<_>>(), [&room("ops")]);
    }

    #[test]
    fn a_room_that_was_heard_is_known_when_the_person_enters_it() {
        let mut rooms = rooms(None, &[]);
        rooms.joined(Instant::now());
        rooms.begin_to_hear(room("ops"), Instant::now());
        hear(&mut rooms, "[ops 8 2026-11-26T12:03:11Z] Al: hi");
        assert!(hear(&mut rooms, "* You are now in ops. 1 other here: Al."));
        assert_eq!((rooms.login(&FIRST).as_str(), rooms.heard().count()), (" #ops ids=on since=8", 0));
        assert!(!hear(&mut rooms, "* You are already in ops.\n* Al has gone to dev\n* dev was closed"));
        assert_eq!(rooms.login(&FIRST), " #ops ids=on since=8");
        assert!(hear(&mut rooms, "* ops was closed by Olga: done"));
        assert!(rooms.current().is_lobby());
        // What was said there after the person left is not known.
        assert!(hear(&mut rooms, "* You are now in ops. You are the first here."));
        assert_eq!(rooms.login(&FIRST), " #ops ids=on since=1s");
    }

    #[test]
    fn the_server_decides_where_the_person_is() {
        let mut rooms = rooms(Some("dev"), &[]);
        assert!(hear(&mut rooms, "* Welcome, Bob. You are the first here. /help lists the commands."));
        assert!(rooms.current().is_lobby());
        assert!(hear(&mut rooms, "* You are already in dev."), "the notice before was lost");
        assert_eq!(rooms.current(), &room("dev"));
    }

    #[test]
    fn another_history_makes_all_positions_void() {
        let mut rooms = rooms(Some("dev"), &["ops"]);
        rooms.joined(Instant::now().checked_sub(Duration::from_secs(9)).unwrap());
        rooms.begin_to_hear(room("ops"), Instant::now());
        hear(&mut rooms, "[dev 8 2026-11-26T12:03:11Z] Al: hi\n[ops 9 2026-11-26T12:03:11Z] Al: hi");
        rooms.make_void();
        assert_eq!(rooms.login(&FIRST), " #dev ids=on replay=0");
        assert_eq!(rooms.hear_command(&room("ops")), "/hear ops");
        assert!(!rooms.joined(Instant::now()));
        assert_eq!(rooms.login(&FIRST), " #dev ids=on since=1s");
        assert!(rooms.joined(Instant::now()));
    }

    #[test]
    fn the_person_hears_a_limited_number_of_other_rooms() {
        let mut rooms = rooms(Some("dev"), &[]);
        (0..20).for_each(|number| rooms.begin_to_hear(room(&format!("room{number}")), Instant::now()));
        assert_eq!(rooms.heard().count(), ROOMS_HEARD);
        rooms.give_up(&room("room0"));
        rooms.begin_to_hear(room("dev"), Instant::now());
        assert_eq!(rooms.heard().count(), ROOMS_HEARD - 1, "the person is there");
    }
}
