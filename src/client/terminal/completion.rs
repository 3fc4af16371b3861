//! What Tab completes: the commands, and who is here, as far as the server's lines tell.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::message::Message;
use crate::client::terminal::folded::folded;
use crate::limits::{CLIENT_NAMES, CLIENT_SPEAKERS};
use crate::model::Name;
use crate::protocol::command::{Access, COMMANDS};

/// Shared by the app, which learns names, and the editor, which completes them. What cannot be a name is none,
/// whatever the server says.
#[derive(Debug, Clone, Default)]
pub(crate) struct Completion(Arc<Mutex<Names>>);

#[derive(Debug, Default)]
struct Names {
    /// Those of whom the server said that they are here, as long as there are not too many.
    here: BTreeSet<Name>,
    /// Others who said something, in the order of their last messages. The server does not tell when they leave.
    speakers: VecDeque<Name>,
}

impl Completion {
    /// Nobody is here any more: the connection is new.
    pub(crate) fn clear(&self) {
        *self.lock() = Names::default();
    }

    /// Somebody has said something, perhaps before the server announced it.
    pub(crate) fn hear_message(&self, message: &Message) {
        let Names { here, speakers } = &mut *self.lock();
        if here.contains(&message.from) {
            return;
        }
        speakers.retain(|speaker| *speaker != message.from);
        if speakers.len() == CLIENT_SPEAKERS {
            speakers.pop_front();
        }
        speakers.push_back(message.from.clone());
    }

    /// Learns from a line of the server that is no message.
    pub(crate) fn hear(&self, line: &str) {
        let Some(notice) = line.strip_prefix("* ") else { return };
        let Names { here, speakers } = &mut *self.lock();
        let mut leave = |name: &Name| {
            here.remove(name);
            speakers.retain(|speaker| speaker != name);
        };
        // A name holds no blank, so nobody's words can stand where it ends.
        let Some((first, rest)) = notice.split_once(' ') else { return };
        if rest == "has joined" {
            learn(here, Name::parse(first));
        } else if rest == "has left" || rest.starts_with("has left: ") || rest.starts_with("has left (\"") {
            Name::parse(first).iter().for_each(leave);
        } else if let Some((old, new)) = renaming(line) {
            leave(&old);
            learn(here, [new]);
        } else if let Some(left) = rest.strip_prefix("have left: ") {
            listed(left).for_each(|name| leave(&name));
        } else if let Some(list) = list_of_names(first, rest) {
            learn(here, listed(list));
        }
    }

    /// The names that begin so, without regard to case, width and normal form.
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

/// The commands that begin so, in alphabetical order, each with a blank where arguments may follow.
///
/// Most people are not operators, so the commands of operators would only be in the way. Nor does `/w` need completion.
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

/// The old and the new name in a notice that somebody is called something else now.
pub(crate) fn renaming(line: &str) -> Option<(Name, Name)> {
    let (old, new) = line.strip_prefix("* ")?.split_once(" is now ")?;
    Some((Name::parse(old).ok()?, Name::parse(new).ok()?))
}

/// The names in the welcome, in the answer to `/who`, and of those who have joined together.
fn list_of_names<'a>(first: &str, rest: &'a str) -> Option<&'a str> {
    match first {
        "Welcome," => rest.split_once(" here: ").map(|(_, list)| list),
        "and:" => Some(rest),
        _ => rest.strip_prefix("here: ").or_else(|| rest.strip_prefix("have joined: ")),
    }
}

/// The names in `A, B, C and 134 more. /help ...`.
fn listed(list: &str) -> impl Iterator<Item = Name> {
    let list = list.split_once(". /help").map_or(list, |(list, _)| list);
    let list = list.rsplit_once(" and ").filter(|(_, more)| more.ends_with(" more")).map_or(list, |(list, _)| list);
    list.split(", ").filter_map(|name| Name::parse(name).ok())
}

#[cfg(test)]
mod tests;
