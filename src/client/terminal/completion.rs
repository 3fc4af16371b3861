//! Tab completion of commands, and of names and rooms that the server's lines mention.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::message::folded;
use crate::limits::{CLIENT_NAMES, CLIENT_ROOMS, CLIENT_SPEAKERS};
use crate::model::{Name, RoomName};
use crate::protocol::ServerLine;
use crate::protocol::command::{Access, COMMANDS};
use crate::protocol::server_line::Names as List;

/// Shared by the app, which adds names, and the editor, which completes them. Invalid names are ignored, whatever the
/// server says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Completion(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    /// The names that the server announced, up to a limit.
    here: BTreeSet<Name>,
    /// Other names that spoke, the latest last. The server does not announce when they leave.
    speakers: VecDeque<Name>,
    /// The rooms that the server mentioned, up to a limit.
    rooms: BTreeSet<RoomName>,
    /// The list of people that may continue is one of another room.
    is_elsewhere: bool,
}

impl Completion {
    /// Forgets all people, for a new connection or another room.
    pub(crate) fn clear(&self) {
        let names = &mut *self.lock();
        *names = Names { rooms: std::mem::take(&mut names.rooms), ..Names::default() };
    }

    /// Updates the names from a line of the server.
    pub(crate) fn hear(&self, line: ServerLine<'_>) {
        let Names { here, speakers, rooms, is_elsewhere } = &mut *self.lock();
        hear_of_rooms(rooms, line);
        let mut leave = |name: &Name| {
            here.remove(name);
            speakers.retain(|speaker| speaker != name);
        };
        let checked = |names: List<'_>| names.iter().filter_map(|name| Name::parse(name).ok()).collect::<Vec<_>>();
        match line {
            // This may come before the server announces them.
            ServerLine::Said { from, .. } | ServerLine::Told { from, .. } => {
                let Some(name) = Name::parse(from).ok().filter(|name| !here.contains(name)) else { return };
                speakers.retain(|speaker| *speaker != name);
                if speakers.len() == CLIENT_SPEAKERS {
                    speakers.pop_front();
                }
                speakers.push_back(name);
            }
            ServerLine::Joined(name) => learn(here, Name::parse(name)),
            ServerLine::Left { name, .. } | ServerLine::Gone { name, .. } => Name::parse(name).iter().for_each(leave),
            ServerLine::Renamed { .. } => {
                if let Some((old, new)) = renaming(line) {
                    leave(&old);
                    learn(here, [new]);
                }
            }
            ServerLine::ManyLeft { names, .. } => checked(names).iter().for_each(leave),
            ServerLine::InRoom { .. } => *is_elsewhere = true,
            ServerLine::HereToo(_) if *is_elsewhere => {}
            ServerLine::Here { names, .. } => {
                *is_elsewhere = false;
                learn(here, checked(names));
            }
            ServerLine::Welcome { others: names, .. }
            | ServerLine::Entered { others: names, .. }
            | ServerLine::HereToo(names)
            | ServerLine::ManyJoined { names, .. } => learn(here, checked(names)),
            _ => {}
        }
    }

    /// The names with this prefix, ignoring case, width and normal form.
    pub(crate) fn that_begin_with(&self, start: &str) -> Vec<String> {
        let start = folded(start);
        let Names { here, speakers, .. } = &*self.lock();
        let names: BTreeSet<_> = here.iter().chain(speakers).map(Name::as_str).collect();
        names.into_iter().filter(|name| folded(name).starts_with(&start)).map(str::to_owned).collect()
    }

    /// The rooms with this prefix, which may begin with `#`. Then they do, too.
    pub(crate) fn rooms_that_begin_with(&self, start: &str) -> Vec<String> {
        let (hash, start) = start.strip_prefix('#').map_or(("", start), |start| ("#", start));
        let rooms = &self.lock().rooms;
        let lobby = RoomName::lobby();
        let known: BTreeSet<_> = rooms.iter().chain([&lobby]).map(RoomName::as_str).collect();
        known.into_iter().filter(|room| room.starts_with(start)).map(|room| format!("{hash}{room}")).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Updates the rooms from a line of the server.
fn hear_of_rooms(rooms: &mut BTreeSet<RoomName>, line: ServerLine<'_>) {
    let mut learn = |room: &str| {
        if let Ok(room) = RoomName::parse(room)
            && rooms.len() < CLIENT_ROOMS
        {
            rooms.insert(room);
        }
    };
    match line {
        ServerLine::Rooms { rooms, .. } | ServerLine::RoomsToo(rooms) => rooms.iter().for_each(|(room, _)| learn(room)),
        ServerLine::Welcome { room: Some(room), .. }
        | ServerLine::Numbered { room: Some(room), .. }
        | ServerLine::Heard { room, .. }
        | ServerLine::Entered { room, .. }
        | ServerLine::Gone { room, .. }
        | ServerLine::InRoom { room, .. }
        | ServerLine::Hearing(room) => learn(room),
        ServerLine::RoomClosed { room, .. } => rooms.retain(|known| known.as_str() != room),
        _ => {}
    }
}

/// Whether the first argument of this command, given without its slash, is a room.
pub(crate) fn takes_room(command: &str) -> bool {
    let begins_with_room = |arguments: &str| arguments.trim_start_matches('[').starts_with("ROOM");
    let is_of_room = |access| !matches!(access, Access::Administrator(_));
    COMMANDS.iter().any(|it| it.is_called(command) && is_of_room(it.access) && begins_with_room(it.arguments()))
}

/// The commands with this prefix, in alphabetical order. Each ends with a space if it takes arguments.
///
/// Commands for operators are left out, because most people are not operators. `/w` is left out, because it is short
/// enough.
pub(crate) fn commands_that_begin_with(start: &str) -> Vec<String> {
    let mut commands = Vec::new();
    for command in COMMANDS.iter().filter(|command| matches!(command.access, Access::Everyone(_))) {
        let blank = if command.arguments().is_empty() { "" } else { " " };
        let names = [command.name()].into_iter().chain(command.aliases.iter().copied());
        commands.extend(names.filter(|name| name.len() > 1).map(|name| format!("/{name}{blank}")));
    }
    commands.retain(|command| command.starts_with(start));
    commands.sort_unstable();
    commands
}

/// Adds names until there are [`CLIENT_NAMES`].
fn learn(here: &mut BTreeSet<Name>, names: impl IntoIterator<Item = Name>) {
    let room = CLIENT_NAMES.saturating_sub(here.len());
    here.extend(names.into_iter().take(room));
}

/// The old and the new name, if the line announces a rename.
pub(crate) fn renaming(line: ServerLine<'_>) -> Option<(Name, Name)> {
    let ServerLine::Renamed { old, new } = line else { return None };
    Some((Name::parse(old).ok()?, Name::parse(new).ok()?))
}

#[cfg(test)]
mod tests;
