//! Who is here, as far as the server's lines tell: for completion.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::message::Message;
use crate::client::terminal::folded::folded;
use crate::limits::{CLIENT_NAMES, CLIENT_SPEAKERS};
use crate::model::Name;

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
mod tests {
    use super::*;

    #[test]
    fn names_are_learnt_from_what_the_server_says() {
        let completion = Completion::default();
        for line in [
            "* Welcome, Bob. 12 others here: Zoë, anne-marie and 10 more. /help lists the commands.",
            "* Carol has joined",
            "* 30 have joined: a1, a2, a3 and 27 more",
            "* 2 here: x1, x2",
            "* and: x3, x4",
            "* Carol is now Carola",
            "* Zoë has left (\"bye, a9 has joined\")",
            "* 2 have left: a1, a2",
            "! bad-name: * Mallory has joined",
        ] {
            completion.hear(line);
        }
        for line in ["Dora: hello", "Emil (privately): psst"] {
            completion.hear_message(&Message::parse(line.as_bytes()).unwrap());
        }
        assert_eq!(
            completion.that_begin_with(""),
            ["Carola", "Dora", "Emil", "a3", "anne-marie", "x1", "x2", "x3", "x4"]
        );
        assert_eq!(completion.that_begin_with("A"), ["a3", "anne-marie"]);
        completion.clear();
        assert!(completion.that_begin_with("").is_empty());
    }

    #[test]
    fn the_reason_of_a_leave_teaches_no_names() {
        for reason in ["bye", "x\") has joined", " is now Mallory", ": Mallory has joined", "have joined: Mallory"] {
            let completion = Completion::default();
            completion.hear("* Carol has joined");
            completion.hear("* Dora has joined");
            completion.hear(&format!("* Carol has left (\"{reason}\")"));
            completion.hear(&format!("* Dora has left: kicked by Olga: {reason}"));
            assert!(completion.that_begin_with("").is_empty(), "{reason:?}");
        }
    }

    #[test]
    fn those_who_spoke_and_were_not_announced_are_remembered_up_to_a_limit() {
        let completion = Completion::default();
        let say = |name: &str| completion.hear_message(&Message::parse(format!("{name}: hi").as_bytes()).unwrap());
        say("Alice");
        say("cron");
        completion.hear("* Alice has joined");
        for number in 0..CLIENT_SPEAKERS {
            say(&format!("job{number}"));
            say("job0");
        }
        assert_eq!(completion.that_begin_with("a"), ["Alice"]);
        assert_eq!(completion.that_begin_with("c"), [""; 0]);
        assert_eq!(completion.that_begin_with("job").len(), CLIENT_SPEAKERS);
        completion.hear("* Alice has left");
        completion.hear("* job0 has left");
        assert_eq!(completion.that_begin_with("a"), [""; 0]);
        assert_eq!(completion.that_begin_with("job").len(), CLIENT_SPEAKERS - 1);
    }

    #[test]
    fn a_server_that_announces_names_without_end_costs_no_memory() {
        let completion = Completion::default();
        let count = || completion.that_begin_with("").len();
        for number in 0..CLIENT_NAMES + 100 {
            completion.hear(&format!("* user{number} has joined"));
        }
        assert_eq!(count(), CLIENT_NAMES);
        completion.hear("* 3 here: x1, x2, x3");
        completion.hear("* 2 have joined: x4, x5");
        completion.hear("* Welcome, Bob. 2 others here: x6, x7. /help lists the commands.");
        completion.hear("* user1000000 is now x8");
        assert_eq!((count(), completion.that_begin_with("x").len()), (CLIENT_NAMES, 0));
        completion.hear("* user0 is now x9");
        completion.hear("* user1 has left");
        completion.hear("* Alice has joined");
        assert_eq!((count(), completion.that_begin_with("x"), completion.that_begin_with("a")), {
            (CLIENT_NAMES, vec!["x9".to_owned()], vec!["Alice".to_owned()])
        });
    }

    #[test]
    fn a_name_is_completed_in_any_case_width_and_normal_form() {
        let completion = Completion::default();
        completion.hear("* Zoë has joined");
        for start in ["zo", "ZOË", "Zoe\u{308}", "ｚｏ"] {
            assert_eq!(completion.that_begin_with(start), ["Zoë"], "{start:?}");
        }
        assert!(completion.that_begin_with("zoe").is_empty());
    }

    #[test]
    fn a_renaming_has_two_names() {
        let name = |name| Name::parse(name).unwrap();
        assert_eq!(renaming("* Bob is now Bobby"), Some((name("Bob"), name("Bobby"))));
        for line in ["* Bob is now \x1b[2J", "* Bob is now x\x1b[2J", "* Bob is now a b", "Bob is now Bobby"] {
            assert_eq!(renaming(line), None, "{line:?}");
        }
        assert_eq!(renaming("* Alice has left: Bob is now Bobby"), None);
    }

    #[test]
    fn what_cannot_be_a_name_is_not_learnt() {
        let completion = Completion::default();
        for line in [
            "* \x1b[2J has joined",
            "* Alice has joined",
            "* Alice is now \x1b[2J",
            "* Alice is now a b",
            "* Welcome, Bob. 2 others here: a:b, \x1b]0;owned\x07.",
            "* 1 here: \u{202e}x",
        ] {
            completion.hear(line);
        }
        assert_eq!(completion.that_begin_with(""), ["Alice"]);
    }
}
