//! The log: a table of what is recorded, and a thread that writes it through femme.
//!
//! femme writes to standard output and panics when that fails; a reader that stalls blocks it. So the room and the
//! server only put records into a bounded queue, which never makes them wait, and one thread of its own does the
//! writing. When nobody reads the log, or its reader is gone, records are dropped, and counted when writing goes
//! on.
//!
//! What others can cause is limited before it gets into the queue (by `limiter`), and a part of the queue is kept for
//! vital records: nobody can hide a wrong password or an act of an operator behind a flood of joins.

mod limiter;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use std::{io, thread};

use kv_log_macro::{debug, error, info, warn};
pub use log::LevelFilter;

use crate::limits::{LOG_FLUSH, LOG_PERIOD, LOG_RECORDS, LOG_VITAL_RECORDS, REASON_CHARS};
use crate::log::limiter::{Limiter, Subject, Suppressed};
use crate::model::address::PeerAddr;
use crate::model::{Name, PeerId, SafeText};
use crate::protocol::LeaveReason;

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
        from: PeerAddr,
    },
    /// A connection did not become private.
    HandshakeFailed {
        /// Whose.
        peer: PeerId,
        /// Where it comes from.
        from: PeerAddr,
        /// Why not.
        why: SafeText,
    },
    /// A connection could not be accepted.
    AcceptFailed {
        /// Why.
        error: String,
    },
    /// Signals could not be waited for. That is tried again.
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
        from: PeerAddr,
    },
    /// A peer changed its name.
    Renamed {
        /// Who.
        peer: PeerId,
        /// Where it comes from.
        from: PeerAddr,
        /// Its former name.
        old: Name,
        /// Its new one.
        new: Name,
    },
    /// A name or a line was refused.
    Refused {
        /// Whose.
        peer: PeerId,
        /// Where it comes from.
        from: PeerAddr,
        /// See [`Refusal::code`](crate::protocol::Refusal::code).
        code: &'static str,
    },
    /// A password was wrong.
    WrongPassword {
        /// Whose.
        peer: PeerId,
        /// Where it comes from.
        from: PeerAddr,
        /// The name that it was for.
        name: Name,
    },
    /// A peer talks faster than it may.
    Slowed {
        /// Who.
        peer: PeerId,
        /// Where it comes from.
        from: PeerAddr,
    },
    /// A peer fell behind so far that lines meant for it were lost.
    Missed {
        /// Who.
        peer: PeerId,
        /// Where it comes from.
        from: PeerAddr,
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
        from: PeerAddr,
        /// Why, as the others were told.
        reason: Option<LeaveReason>,
        /// How many of its messages were accepted.
        accepted: u64,
        /// How many of its lines were refused.
        refused: u64,
    },
    /// A session panicked: a defect of ours. Its peer is disconnected, the others go on.
    SessionDied {
        /// Whose.
        peer: PeerId,
        /// Where it comes from.
        from: PeerAddr,
    },
    /// Somebody did something about an account, or to somebody else.
    Moderation(Moderation),
    /// The accounts could not be written.
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
    CertificateInvalid {
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
pub struct Moderation {
    /// What, in the word of its command.
    pub act: &'static str,
    /// Who did it: a name, or that of the user at the control socket.
    pub by: SafeText,
    /// The account of who did it.
    pub account: Option<Name>,
    /// To whom: a name or an address.
    pub whom: SafeText,
    /// Why.
    pub why: Option<SafeText>,
    /// Until when, if it ends by itself.
    pub until: Option<SystemTime>,
}

/// Where records are put. Clones write to the same log.
#[derive(Debug, Clone)]
pub struct Log {
    queue: Option<SyncSender<Record>>,
    shared: Arc<State>,
}

/// What those who put records into the log share with the thread that writes them.
#[derive(Debug)]
struct State {
    /// How many records are in the queue.
    waiting: AtomicUsize,
    /// How many found no room there.
    dropped: AtomicU64,
    limiter: Mutex<Limiter>,
}

/// The thread that writes. Keep it, and [`flush`](LogWriter::flush) it at the end of the program.
#[derive(Debug)]
pub struct LogWriter {
    ended: Receiver<()>,
}

impl Log {
    /// Starts the log of this process at `level`, on standard output.
    ///
    /// # Errors
    /// When no thread can be started.
    ///
    /// # Panics
    /// When the process has a log already.
    pub fn start(level: LevelFilter) -> io::Result<(Self, LogWriter)> {
        femme::with_level(level);
        let (queue, records) = sync_channel(LOG_RECORDS);
        let (end, ended) = sync_channel(1);
        let log = Self { queue: Some(queue), shared: Arc::default() };
        let shared = Arc::clone(&log.shared);
        thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            write_all(&records, &shared);
            // Nobody may wait for the end; then there is nobody to tell.
            let _ = end.send(());
        })?;
        Ok((log, LogWriter { ended }))
    }

    /// A log that keeps nothing.
    pub fn off() -> Self {
        Self { queue: None, shared: Arc::default() }
    }

    /// Puts a record into the log, or counts it as suppressed or dropped. Never waits for the log.
    pub fn note(&self, record: Record) {
        let Some(queue) = &self.queue else { return };
        // Nobody wants to read it, so it counts for nothing.
        if matches!(record, Record::Connected { .. }) && log::max_level() < LevelFilter::Debug {
            return;
        }
        let is_vital = record.is_vital();
        if let Some(subject) = record.subject()
            && !self.shared.limiter().lets_pass(subject, is_vital, Instant::now())
        {
            return;
        }
        let room = if is_vital { LOG_RECORDS } else { LOG_RECORDS - LOG_VITAL_RECORDS };
        if self.shared.waiting.fetch_add(1, Ordering::Relaxed) >= room || queue.try_send(record).is_err() {
            self.shared.waiting.fetch_sub(1, Ordering::Relaxed);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Default for State {
    fn default() -> Self {
        let limiter = Mutex::new(Limiter::new(Instant::now()));
        Self { waiting: AtomicUsize::new(0), dropped: AtomicU64::new(0), limiter }
    }
}

impl State {
    fn limiter(&self) -> std::sync::MutexGuard<'_, Limiter> {
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    /// What it is counted as. `None`: others cannot cause many of it, or only with the disk's or an operator's help.
    fn subject(&self) -> Option<Subject> {
        let (kind, from) = match self {
            Self::Connected { from, .. } => ("connected", Some(from)),
            Self::HandshakeFailed { from, .. } => ("handshake failed", Some(from)),
            Self::AcceptFailed { .. } => ("accept failed", None),
            Self::SignalsFailed { .. } => ("signal handling failed", None),
            Self::Joined { from, .. } => ("joined", Some(from)),
            Self::Renamed { from, .. } => ("renamed", Some(from)),
            Self::Refused { from, .. } => ("refused", Some(from)),
            Self::WrongPassword { from, .. } => ("wrong password", Some(from)),
            Self::Slowed { from, .. } => ("slowed", Some(from)),
            Self::Missed { from, .. } => ("missed", Some(from)),
            Self::Left { from, .. } => ("left", Some(from)),
            Self::SessionDied { from, .. } => ("session died", Some(from)),
            Self::NotKept { .. } => ("not kept", None),
            Self::Started { .. }
            | Self::Open { .. }
            | Self::Moderation(_)
            | Self::AccountSetAside { .. }
            | Self::AccountExpired { .. }
            | Self::Reloaded { .. }
            | Self::NotReloaded { .. }
            | Self::CertificateInvalid { .. }
            | Self::Stopping
            | Self::Stopped { .. } => return None,
        };
        Some(Subject { kind, network: from.map(|&from| from.into()) })
    }

    /// Whether it must not be lost in a flood of others.
    fn is_vital(&self) -> bool {
        self.subject().is_none_or(|subject| matches!(subject.kind, "wrong password" | "session died" | "not kept"))
    }
}

impl LogWriter {
    /// Waits until all is written, once every [`Log`] is dropped, but no longer than [`LOG_FLUSH`].
    pub fn flush(self) {
        // Timed out, or the thread is gone: the log has no reader, and the program ends all the same.
        let _: Result<(), RecvTimeoutError> = self.ended.recv_timeout(LOG_FLUSH);
    }
}

const THREAD: &str = "log";

fn write_all(records: &Receiver<Record>, shared: &State) {
    hush_panics_of_this_thread();
    let mut reported = Instant::now();
    loop {
        let received = records.recv_timeout((reported + LOG_PERIOD).saturating_duration_since(Instant::now()));
        let is_over = matches!(received, Err(RecvTimeoutError::Disconnected));
        if let Ok(record) = received {
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            try_to_write(|| write(record));
        }
        let lost = shared.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            try_to_write(|| warn!("log records dropped", { count: lost }));
        }
        if is_over || reported.elapsed() >= LOG_PERIOD {
            reported = Instant::now();
            let suppressed = shared.limiter().take_suppressed();
            suppressed.into_iter().for_each(|suppressed| try_to_write(|| write_suppressed(suppressed)));
        }
        if is_over {
            return;
        }
    }
}

/// femme panics when standard output is closed. The chat goes on, without a log.
fn try_to_write(write: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(write));
}

fn write_suppressed(Suppressed { subject, count }: Suppressed) {
    let network = subject.network.map_or_else(String::new, |network| network.to_string());
    warn!("log records suppressed", { kind: subject.kind, network: network, count: count });
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
            info!("handshake failed", { peer: peer.0, from: from.to_string(), why: brief(&why).as_str() })
        }
        Record::AcceptFailed { error } => error!("accept failed", { error: error }),
        Record::SignalsFailed { error } => error!("signal handling failed", { error: error }),
        Record::Open { places } => warn!("no password required", {
            addresses: places,
            hint: "anyone who can reach this address can join; see --password-file, --registered-only and --host",
        }),
        Record::Joined { peer, name, from } => {
            info!("joined", { peer: peer.0, name: name.as_str(), from: from.to_string() })
        }
        Record::Renamed { peer, from, old, new } => {
            info!("renamed", { peer: peer.0, from: from.to_string(), old: old.as_str(), new: new.as_str() })
        }
        Record::Refused { peer, from, code } => info!("refused", { peer: peer.0, from: from.to_string(), code: code }),
        Record::WrongPassword { peer, from, name } => {
            warn!("wrong password", { peer: peer.0, name: name.as_str(), from: from.to_string() })
        }
        Record::Slowed { peer, from } => warn!("slowed", { peer: peer.0, from: from.to_string() }),
        Record::Missed { peer, from, lines } => {
            warn!("missed", { peer: peer.0, from: from.to_string(), lines: lines })
        }
        Record::Left { peer, name, from, reason, accepted, refused } => {
            let (what, why) = match &reason {
                None => (None, None),
                Some(LeaveReason::Quit(words)) => (None, Some(words)),
                Some(LeaveReason::Server { what, why }) => (Some(what), why.as_ref()),
            };
            info!("left", {
                peer: peer.0,
                name: name.as_str(),
                from: from.to_string(),
                reason: what.map(brief).as_ref().map_or("", SafeText::as_str),
                user_reason: why.map(brief).as_ref().map_or("", SafeText::as_str),
                accepted: accepted,
                refused: refused,
            });
        }
        Record::SessionDied { peer, from } => error!("session died", { peer: peer.0, from: from.to_string() }),
        Record::Moderation(Moderation { act, by, account, whom, why, until }) => info!("moderation", {
            act: act,
            by: brief(&by).as_str(),
            account: account.as_ref().map_or("", Name::as_str),
            whom: brief(&whom).as_str(),
            why: why.as_ref().map(brief).as_ref().map_or("", SafeText::as_str),
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
        Record::CertificateInvalid { why } => warn!("certificate invalid", { why: why }),
        Record::Stopping => info!("stopping"),
        Record::Stopped { cut } => info!("stopped", { cut: cut as u64 }),
    }
}

/// As much of a text as the log holds, whoever wrote it.
fn brief(text: &SafeText) -> SafeText {
    SafeText::excerpt(text.as_str(), REASON_CHARS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (Log, Receiver<Record>) {
        let (queue, records) = sync_channel(LOG_RECORDS);
        (Log { queue: Some(queue), shared: Arc::default() }, records)
    }

    #[test]
    fn a_full_log_drops_records_and_counts_them_but_has_room_for_vital_ones() {
        let (log, records) = log();
        let address = |number: u32| std::net::Ipv4Addr::from_bits(0x0a00_0000 + number);
        let refused = |number| Record::Refused {
            peer: PeerId(1),
            from: PeerAddr::Net((address(number / 10), 7).into()),
            code: "not-utf8",
        };
        (0..LOG_RECORDS as u32).for_each(|number| log.note(refused(number)));
        let dropped = || log.shared.dropped.load(Ordering::Relaxed);
        assert_eq!(dropped(), LOG_VITAL_RECORDS as u64);
        for _ in 0..LOG_VITAL_RECORDS {
            log.note(Record::Stopping);
        }
        assert_eq!(dropped(), LOG_VITAL_RECORDS as u64);
        log.note(Record::Stopping);
        assert_eq!(dropped(), LOG_VITAL_RECORDS as u64 + 1);
        assert_eq!(records.try_iter().count(), LOG_RECORDS);
    }

    #[test]
    fn a_text_in_the_log_is_no_longer_than_a_reason() {
        let text = brief(&SafeText::new("x".repeat(4096)));
        assert_eq!(text.as_str(), format!("{}…", "x".repeat(REASON_CHARS)));
    }
}
