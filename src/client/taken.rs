//! What the client does when somebody else in the room has its name.

use std::time::Instant;

use async_std::task::sleep;
use clap::ValueEnum;

use crate::limits::{TAKEN_LIMIT, TAKEN_PAUSE};
use crate::model::Name;

/// What to do when the name is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum IfTaken {
    /// Try again for 10 s
    Wait,
    /// Add a number to the name: NAME-2, NAME-3, ...
    Number,
    /// Leave with exit code 1
    Fail,
}

/// The names to try, one after another.
#[derive(Debug)]
pub(crate) struct Tries {
    if_taken: IfTaken,
    wanted: Name,
    /// How many names have been tried.
    count: u32,
    /// When to give up. The first refusal sets it.
    until: Option<Instant>,
}

impl Tries {
    pub(crate) fn new(wanted: Name, if_taken: IfTaken) -> Self {
        Self { if_taken, wanted, count: 1, until: None }
    }

    /// Whether to try again after a refusal.
    pub(crate) fn goes_on(&self) -> bool {
        self.if_taken != IfTaken::Fail
    }

    /// Waits, and returns the next name to try after a refusal. `None` to give up.
    pub(crate) async fn next(&mut self) -> Option<Name> {
        let now = Instant::now();
        let until = *self.until.get_or_insert(now + TAKEN_LIMIT);
        if now >= until {
            return None;
        }
        self.count += 1;
        match self.if_taken {
            IfTaken::Fail => None,
            IfTaken::Number => numbered(&self.wanted, self.count),
            IfTaken::Wait => {
                // The random part lets several waiting clients take turns.
                let pause = TAKEN_PAUSE.0 + (TAKEN_PAUSE.1 - TAKEN_PAUSE.0).mul_f64(fastrand::f64());
                sleep(pause.min(until - now)).await;
                Some(self.wanted.clone())
            }
        }
    }
}

/// Appends a number to the name, and shortens the name if the result would be too long.
fn numbered(name: &Name, number: u32) -> Option<Name> {
    let mut start = name.as_str();
    while !start.is_empty() {
        if let Ok(name) = Name::parse(&format!("{start}-{number}")) {
            return Some(name);
        }
        start = &start[..start.char_indices().next_back()?.0];
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use async_std::task::block_on;

    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn a_numbered_name_is_never_too_long() {
        for (wanted, number, expected) in [
            ("cron", 2, "cron-2"),
            ("cron", 10, "cron-10"),
            (&"a".repeat(32), 2, &format!("{}-2", "a".repeat(30))),
            (&"a".repeat(31), 100, &format!("{}-100", "a".repeat(28))),
            // 32 columns.
            (&"漢".repeat(16), 2, &format!("{}-2", "漢".repeat(15))),
        ] {
            assert_eq!(numbered(&name(wanted), number), Some(name(expected)));
        }
    }

    #[test]
    fn numbers_count_up() {
        let mut tries = Tries::new(name("cron"), IfTaken::Number);
        for expected in ["cron-2", "cron-3", "cron-4"] {
            assert_eq!(block_on(tries.next()), Some(name(expected)));
        }
    }

    #[test]
    fn it_gives_up_after_the_time_limit() {
        for if_taken in [IfTaken::Wait, IfTaken::Number] {
            let mut tries = Tries::new(name("cron"), if_taken);
            assert!(block_on(tries.next()).is_some());
            let left = tries.until.unwrap().duration_since(Instant::now());
            assert!(left <= TAKEN_LIMIT && left > TAKEN_LIMIT - Duration::from_secs(5), "{left:?}");
            tries.until = Some(Instant::now());
            assert_eq!(block_on(tries.next()), None);
        }
    }

    #[test]
    fn fail_does_not_try_again() {
        assert_eq!(block_on(Tries::new(name("cron"), IfTaken::Fail).next()), None);
    }
}
