//! Who is here, as far as the server's lines tell: for completion.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by the talk, which learns names, and the editor, which completes them.
#[derive(Debug, Clone, Default)]
pub(super) struct People(Arc<Mutex<BTreeSet<String>>>);

impl People {
    /// Nobody is here any more: the connection is new.
    pub(super) fn clear(&self) {
        self.lock().clear();
    }

    /// Learns from a line of the server.
    pub(super) fn hear(&self, line: &str) {
        let mut names = self.lock();
        let Some(notice) = line.strip_prefix("* ") else {
            names.extend(super::look::sender(line).map(str::to_owned));
            return;
        };
        // A name holds no blank, so nobody's words can stand where it ends.
        let Some((first, rest)) = notice.split_once(' ') else { return };
        if rest == "has joined" {
            names.insert(first.to_owned());
        } else if rest == "has left" || rest.starts_with("has left: ") {
            names.remove(first);
        } else if let Some(new) = rest.strip_prefix("is now ") {
            names.remove(first);
            names.insert(new.to_owned());
        } else if let Some(left) = rest.strip_prefix("have left: ") {
            for name in listed(left) {
                names.remove(name);
            }
        } else if let Some(here) = list_of_names(first, rest) {
            names.extend(listed(here).map(str::to_owned));
        }
    }

    /// The names that begin so, without regard to case.
    pub(super) fn that_begin_with(&self, start: &str) -> Vec<String> {
        let start = start.to_lowercase();
        self.lock().iter().filter(|name| name.to_lowercase().starts_with(&start)).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
fn listed(list: &str) -> impl Iterator<Item = &str> {
    let list = list.split_once(". /help").map_or(list, |(list, _)| list);
    let list = list.rsplit_once(" and ").filter(|(_, more)| more.ends_with(" more")).map_or(list, |(list, _)| list);
    list.split(", ").filter(|name| !name.is_empty() && !name.contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_learnt_from_what_the_server_says() {
        let people = People::default();
        for line in [
            "* Welcome, Bob. 12 others here: Zoë, anne-marie and 10 more. /help lists the commands.",
            "* Carol has joined",
            "* 30 have joined: a1, a2, a3 and 27 more",
            "Dora: hello",
            "Emil (privately): psst",
            "* 2 here: x1, x2",
            "* and: x3, x4",
            "* Carol is now Carola",
            "* Zoë has left: bye, a9 has joined",
            "* 2 have left: a1, a2",
            "! bad-name: * Mallory has joined",
        ] {
            people.hear(line);
        }
        assert_eq!(people.that_begin_with(""), ["Carola", "Dora", "Emil", "a3", "anne-marie", "x1", "x2", "x3", "x4"]);
        assert_eq!(people.that_begin_with("A"), ["a3", "anne-marie"]);
        people.clear();
        assert!(people.that_begin_with("").is_empty());
    }
}
