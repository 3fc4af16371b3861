//! The log: a table of what is recorded, and a thread that writes it through femme.
//!
//! femme writes to standard output and panics when that fails; a reader that stalls blocks it. So the room and the
//! server only put records into a bounded queue, which never makes them wait, and one thread of its own does the
//! writing. When nobody reads the log, or its reader is gone, records are dropped, and counted when writing goes
//! on.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Instant, SystemTime};
use std::{io, thread};

use kv_log_macro::{debug, error, info, warn};
pub use log::LevelFilter;

use crate::limits::{JOURNAL_FLUSH, JOURNAL_RECORDS, REFUSALS_LOGGED};
use crate::origin::Origin;
use crate::protocol::{Name, SafeText};
use crate::room::PeerId;

/// Something that the operator may want to know. Messages are never recorded.
#[derive(Debug)]
pub enum Record {
    /// The server listens.
    Started {
        /// Where.
        place: String,
    },
    /// A connection was accepted.
    Connected {
        /// The number it is known by in all other records.
        peer: PeerId,
        /// Where it comes from.
        from: Origin,
    },
    /// A connection did not become private.
    HandshakeFailed {
        /// Whose.
        peer: PeerId,
        /// Where it comes from.
        from: Origin,
        /// Why not.
        why: SafeText,
    },
    /// A connection could not be accepted. One a second is written.
    AcceptFailed {
        /// Why.
        error: String,
    },
    /// Signals could not be waited for. That is tried again. One a second is written.
    SignalsFailed {
        /// Why.
        error: String,
    },
    /// Others can reach the room, and nobody needs a password.
    Open {
        /// Where.
        places: String,
    },
    /// A peer came into the room.
    Joined {
        /// Who.
        peer: PeerId,
        /// Its name.
        name: Name,
        /// Where it comes from.
        from: Origin,
    },
    /// A peer changed its name.
    Renamed {
        /// Who.
        peer: PeerId,
        /// Its former name.
        old: Name,
        /// Its new one.
        new: Name,
    },
    /// A name or a line was refused. Of each code one a second is written, and of failed handshakes.
    Refused {
        /// Whose.
        peer: PeerId,
        /// See [`Refusal::code`](crate::protocol::Refusal::code).
        code: &'static str,
    },
    /// A password was wrong. Each is written: there cannot be more of them than can be checked.
    WrongPassword {
        /// Whose.
        peer: PeerId,
        /// Where it comes from.
        from: Origin,
        /// The name that it was for.
        name: Name,
    },
    /// A peer talks faster than it may.
    Slowed {
        /// Who.
        peer: PeerId,
    },
    /// A peer fell behind so far that lines meant for it were lost.
    Missed {
        /// Who.
        peer: PeerId,
        /// How many lines.
        lines: u64,
    },
    /// A peer left the room.
    Left {
        /// Who.
        peer: PeerId,
        /// Its name.
        name: Name,
        /// Where it came from.
        from: Origin,
        /// Why, as the others were told.
        reason: Option<SafeText>,
        /// How many of its messages were accepted.
        accepted: u64,
        /// How many of its lines were refused.
        refused: u64,
    },
    /// A session panicked: a defect of ours. Its peer is disconnected, the others go on.
    SessionDied {
        /// Whose.
        peer: PeerId,
    },
    /// Somebody did something about an account, or to somebody else.
    Acted(Act),
    /// The registry could not be written.
    NotKept {
        /// Why not.
        why: String,
    },
    /// Two accounts have the same name, which a former version took for two names. The older account keeps it.
    AccountSetAside {
        /// The name of the account that nobody can use.
        name: Name,
        /// The name of the older account.
        older: Name,
    },
    /// Nobody has logged in with an account for so long that it was removed.
    AccountExpired {
        /// Its name.
        name: Name,
        /// When somebody last did.
        used: SystemTime,
    },
    /// A file was read again.
    Reloaded {
        /// What is in it.
        what: &'static str,
    },
    /// A file was to be read again, and cannot be used: what was read before is still in force.
    NotReloaded {
        /// What should be in it.
        what: &'static str,
        /// Why not.
        why: String,
    },
    /// What is in a file can be used, but will not do.
    Unfit {
        /// Why not.
        why: String,
    },
    /// The server begins to stop.
    Stopping,
    /// The server has stopped.
    Stopped {
        /// How many connections had to be cut because they did not end in time.
        cut: usize,
    },
}

/// Something that was done about an account, or to somebody.
#[derive(Debug)]
pub struct Act {
    /// What, in the word of its command.
    pub act: &'static str,
    /// Who did it: a name, or that of the user at the control socket.
    pub by: SafeText,
    /// To whom: a name or an address.
    pub whom: SafeText,
    /// Why.
    pub why: Option<SafeText>,
    /// Until when, if it ends by itself.
    pub until: Option<SystemTime>,
}

/// Where records are put. Clones write to the same log.
#[derive(Debug, Clone)]
pub struct Journal {
    queue: Option<SyncSender<Record>>,
    dropped: Arc<AtomicU64>,
}

/// The thread that writes. Keep it, and [`flush`](Scribe::flush) it at the end of the program.
#[derive(Debug)]
pub struct Scribe {
    ended: Receiver<()>,
}

impl Journal {
    /// Starts the log of this process at `level`, on standard output.
    ///
    /// # Errors
    /// When no thread can be started.
    ///
    /// # Panics
    /// When the process has a log already.
    pub fn start(level: LevelFilter) -> io::Result<(Self, Scribe)> {
        femme::with_level(level);
        let (queue, records) = sync_channel(JOURNAL_RECORDS);
        let (end, ended) = sync_channel(1);
        let dropped = Arc::new(AtomicU64::new(0));
        let journal = Self { queue: Some(queue), dropped: Arc::clone(&dropped) };
        thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            write_all(&records, &dropped);
            // Nobody may wait for the end; then there is nobody to tell.
            let _ = end.send(());
        })?;
        Ok((journal, Scribe { ended }))
    }

    /// A log that keeps nothing.
    pub fn off() -> Self {
        Self { queue: None, dropped: Arc::default() }
    }

    /// Puts a record into the log, or counts it as dropped. Never waits.
    pub fn note(&self, record: Record) {
        if let Some(queue) = &self.queue
            && queue.try_send(record).is_err()
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Scribe {
    /// Waits until all is written, once every [`Journal`] is dropped, but no longer than [`JOURNAL_FLUSH`].
    pub fn flush(self) {
        // Timed out, or the thread is gone: the log has no reader, and the program ends all the same.
        let _: Result<(), RecvTimeoutError> = self.ended.recv_timeout(JOURNAL_FLUSH);
    }
}

const THREAD: &str = "journal";

fn write_all(records: &Receiver<Record>, dropped: &AtomicU64) {
    hush_panics_of_this_thread();
    let mut quiet = Quiet::default();
    for record in records {
        let flood = match &record {
            Record::Refused { code, .. } => Some(*code),
            Record::HandshakeFailed { .. } => Some("handshake failed"),
            Record::AcceptFailed { .. } => Some("accept failed"),
            Record::SignalsFailed { .. } => Some("waiting for signals failed"),
            _ => None,
        };
        if flood.is_some_and(|kind| !quiet.lets_pass(kind, Instant::now())) {
            continue;
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        // femme panics when standard output is closed. The chat goes on, without a log.
        let _ = catch_unwind(AssertUnwindSafe(|| {
            if lost > 0 {
                warn!("log records dropped", { count: lost });
            }
            write(record);
        }));
    }
}

/// Keeps a flood of refusals and failures out of the log: one a second for each kind.
#[derive(Debug, Default)]
struct Quiet {
    latest: HashMap<&'static str, Instant>,
}

impl Quiet {
    fn lets_pass(&mut self, kind: &'static str, now: Instant) -> bool {
        let passes = self.latest.get(kind).is_none_or(|&then| now.duration_since(then) >= REFUSALS_LOGGED);
        if passes {
            self.latest.insert(kind, now);
        }
        passes
    }
}

/// A closed standard output is no defect that needs a backtrace for each record.
fn hush_panics_of_this_thread() {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if thread::current().name() != Some(THREAD) {
            hook(panic);
        }
    }));
}

fn write(record: Record) {
    match record {
        Record::Started { place } => info!("started", { address: place }),
        Record::Connected { peer, from } => debug!("connected", { peer: peer.0, from: from.to_string() }),
        Record::HandshakeFailed { peer, from, why } => {
            info!("handshake failed", { peer: peer.0, from: from.to_string(), why: why.as_str() })
        }
        Record::AcceptFailed { error } => error!("accept failed", { error: error }),
        Record::SignalsFailed { error } => error!("waiting for signals failed", { error: error }),
        Record::Open { places } => warn!("no password needed", {
            addresses: places,
            hint: "anyone who can reach this address can join; see --password-file, --registered-only and --host",
        }),
        Record::Joined { peer, name, from } => {
            info!("joined", { peer: peer.0, name: name.as_str(), from: from.to_string() })
        }
        Record::Renamed { peer, old, new } => info!("renamed", { peer: peer.0, old: old.as_str(), new: new.as_str() }),
        Record::Refused { peer, code } => info!("refused", { peer: peer.0, code: code }),
        Record::WrongPassword { peer, from, name } => {
            warn!("wrong password", { peer: peer.0, name: name.as_str(), from: from.to_string() })
        }
        Record::Slowed { peer } => warn!("slowed", { peer: peer.0 }),
        Record::Missed { peer, lines } => warn!("missed", { peer: peer.0, lines: lines }),
        Record::Left { peer, name, from, reason, accepted, refused } => info!("left", {
            peer: peer.0,
            name: name.as_str(),
            from: from.to_string(),
            reason: reason.as_ref().map_or("", SafeText::as_str),
            accepted: accepted,
            refused: refused,
        }),
        Record::SessionDied { peer } => error!("session died", { peer: peer.0 }),
        Record::Acted(Act { act, by, whom, why, until }) => info!("acted", {
            act: act,
            by: by.as_str(),
            whom: whom.as_str(),
            why: why.as_ref().map_or("", SafeText::as_str),
            until: until.map_or_else(String::new, |until| humantime::format_rfc3339_seconds(until).to_string()),
        }),
        Record::NotKept { why } => error!("not kept", { why: why }),
        Record::Reloaded { what } => info!("reloaded", { what: what }),
        Record::AccountSetAside { name, older } => {
            warn!("account set aside", { name: name.as_str(), same_as: older.as_str() });
        }
        Record::AccountExpired { name, used } => {
            let used = humantime::format_rfc3339_seconds(used).to_string();
            info!("account expired", { name: name.as_str(), used: used });
        }
        Record::NotReloaded { what, why } => error!("not reloaded", { what: what, why: why }),
        Record::Unfit { why } => warn!("unfit", { why: why }),
        Record::Stopping => info!("stopping"),
        Record::Stopped { cut } => info!("stopped", { cut: cut as u64 }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_flood_of_refusals_is_logged_once_a_second_for_each_code() {
        let (mut quiet, start) = (Quiet::default(), Instant::now());
        assert!(quiet.lets_pass("not-utf8", start));
        assert!(!quiet.lets_pass("not-utf8", start + Duration::from_millis(999)));
        assert!(quiet.lets_pass("bad-name", start));
        assert!(quiet.lets_pass("not-utf8", start + REFUSALS_LOGGED));
    }

    #[test]
    fn a_full_log_drops_records_and_counts_them() {
        let (queue, _records) = sync_channel(1);
        let journal = Journal { queue: Some(queue), dropped: Arc::default() };
        (0..3).for_each(|_| journal.note(Record::Stopping));
        assert_eq!(journal.dropped.load(Ordering::Relaxed), 2);
    }
}
