//! Tab completion of commands, and of names that the server's lines mention.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::message::folded;
use crate::limits::{CLIENT_NAMES, CLIENT_SPEAKERS};
use crate::model::Name;
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
}

impl Completion {
    /// Forgets all names, for a new connection.
    pub(crate) fn clear(&self) {
        *self.lock() = Names::default();
    }

    /// Updates the names from a line of the server.
    pub(crate) fn hear(&self, line: ServerLine<'_>) {
        let Names { here, speakers } = &mut *self.lock();
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
            ServerLine::Left { name, .. } => Name::parse(name).iter().for_each(leave),
            ServerLine::Renamed { .. } => {
                if let Some((old, new)) = renaming(line) {
                    leave(&old);
                    learn(here, [new]);
                }
            }
            ServerLine::ManyLeft { names, .. } => checked(names).iter().for_each(leave),
            ServerLine::Welcome { others: names, .. }
            | ServerLine::Here { names, .. }
            | ServerLine::HereToo(names)
            | ServerLine::ManyJoined { names, .. } => learn(here, checked(names)),
            _ => {}
        }
    }

    /// The names with this prefix, ignoring case, width and normal form.
    pub(crate) fn that_begin_with(&self, start: &str) -> Vec<String> {
        let start = folded(start);
        let Names { here, speakers } = &*self.lock();
        let names: BTreeSet<_> = here.iter().chain(speakers).map(Name::as_str).collect();
        names.into_iter().filter(|name| folded(name).starts_with(&start)).map(str::to_owned).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Names> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
