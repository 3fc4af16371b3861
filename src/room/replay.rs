//! Messages from the history that one peer is sent.
//!
//! The broker notes what is wanted, and up to which message: the peer hears later ones anyway, so none is missing and
//! none comes twice. The peer's writer reads and sends them in pages, at the speed of its peer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::history::Retention;
use crate::limits::{MEMORY_HISTORY_MESSAGES, REPLAYS_WAITING};
use crate::model::{Name, Timestamp};
use crate::room::Throttle;

/// What a peer has asked for.
#[derive(Debug)]
pub struct Replay {
    /// The number or the time after which messages are wanted. `None`: only the newest ones are.
    pub after: Option<Result<u64, Timestamp>>,
    /// At most this many, the newest ones.
    pub newest: Option<usize>,
    /// The number of the last message.
    pub up_to: u64,
    /// Whose messages are left out.
    pub ignored: Vec<Name>,
    /// Nobody has asked for it: it is announced, and left out if there is nothing to show.
    pub is_unasked: bool,
    /// When it was asked for.
    pub now: Timestamp,
    /// Where the peer is charged for what it is sent. `None` if that is free.
    pub payer: Option<Arc<Throttle>>,
    /// The number of replays that the peer waits for.
    pub waiting: Waiting,
}

/// Counts the replays that a peer waits for.
#[derive(Debug, Clone, Default)]
pub struct Waiting(Arc<AtomicUsize>);

impl Waiting {
    /// Adds one, unless there are too many.
    pub(crate) fn add(&self) -> bool {
        let has_room = self.0.load(Ordering::Relaxed) < REPLAYS_WAITING;
        self.0.fetch_add(usize::from(has_room), Ordering::Relaxed);
        has_room
    }

    /// Records that one was sent.
    pub fn remove(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Replay {
    /// The approximate memory that it holds, in bytes.
    pub(crate) fn cost(&self) -> usize {
        size_of::<Self>() + self.ignored.capacity() * size_of::<Name>()
    }

    /// Charges the peer for bytes that it is sent.
    pub fn charge(&self, bytes: usize) {
        if let Some(payer) = &self.payer {
            payer.charge(bytes);
        }
    }
}

/// Tells newcomers which messages are recorded. `None` if none is.
pub(crate) fn recorded(retention: Retention) -> Option<String> {
    match retention {
        Retention::Nothing => None,
        Retention::InMemory => Some(format!("The newest {MEMORY_HISTORY_MESSAGES} messages are recorded.")),
        Retention::OnDisk(None) => Some("Messages are recorded.".to_owned()),
        Retention::OnDisk(Some(time)) => Some(format!("Messages are recorded for {}.", in_words(time))),
    }
}

/// A duration in its largest unit that fits.
fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    for (unit, name) in [(24 * 60 * 60, "day"), (60 * 60, "hour"), (60, "minute")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            let count = seconds / unit;
            return if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") };
        }
    }
    humantime::format_duration(Duration::from_secs(seconds)).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newcomer_is_told_for_how_long_messages_are_recorded() {
        let day = Duration::from_secs(24 * 60 * 60);
        for (retention, text) in [
            (Retention::Nothing, None),
            (Retention::InMemory, Some("The newest 10000 messages are recorded.")),
            (Retention::OnDisk(None), Some("Messages are recorded.")),
            (Retention::OnDisk(Some(30 * day)), Some("Messages are recorded for 30 days.")),
            (Retention::OnDisk(Some(day / 24)), Some("Messages are recorded for 1 hour.")),
            (Retention::OnDisk(Some(day + day / 24)), Some("Messages are recorded for 25 hours.")),
            (Retention::OnDisk(Some(Duration::from_secs(61))), Some("Messages are recorded for 1m 1s.")),
        ] {
            assert_eq!(recorded(retention).as_deref(), text);
        }
    }
}
