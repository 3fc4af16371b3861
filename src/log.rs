//! The log: a table of what is recorded, and a thread that writes it through femme.
//!
//! femme writes to standard output: it panics when that fails, and blocks when the reader stalls. So the room and the
//! server put records into a bounded queue without waiting, and a separate thread writes them. When nobody reads the
//! log, records are dropped and counted.
//!
//! Records that others can cause are rate-limited before they enter the queue (`limiter`). A part of the queue is
//! reserved for vital records, so nobody can hide a wrong password or a moderation act behind a flood of joins.

mod limiter;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};
use std::{io, thread};

use kv_log_macro::{debug, error, info, warn};
pub use log::LevelFilter;

use crate::database::{Effect, Problem};
use crate::limits::{LOG_FLUSH, LOG_PERIOD, LOG_RECORDS, LOG_VITAL_RECORDS, REASON_CHARS};
use crate::log::limiter::{Limiter, Subject, Suppressed};
use crate::model::address::PeerAddr;
use crate::model::{Name, PeerId, SafeText};
use crate::protocol::LeaveReason;

/// Something that the operator may want to know. Messages are never logged.
#[derive(Debug)]
pub enum Record {
    Started {
        place: String,
    },
    Connected {
        /// The number that identifies this connection in all other records.
        peer: PeerId,
        from: PeerAddr,
    },
    /// The TLS handshake failed.
    HandshakeFailed {
        peer: PeerId,
        from: PeerAddr,
        why: SafeText,
    },
    AcceptFailed {
        error: String,
    },
    /// Waiting for signals failed. The server will try again.
    SignalsFailed {
        error: String,
    },
    /// systemd could not be told how the server is.
    SystemdNotTold {
        error: String,
    },
    /// Others can reach the room without a password.
    Open {
        places: String,
    },
    Joined {
        peer: PeerId,
        name: Name,
        from: PeerAddr,
    },
    Renamed {
        peer: PeerId,
        from: PeerAddr,
        old: Name,
        new: Name,
    },
    /// A name or a line was refused.
    Refused {
        peer: PeerId,
        from: PeerAddr,
        /// See [`Refusal::code`](crate::protocol::Refusal::code).
        code: &'static str,
    },
    /// A password was wrong.
    WrongPassword {
        peer: PeerId,
        from: PeerAddr,
        /// The name that the password was for.
        name: Name,
    },
    /// A peer exceeded its rate limit.
    Slowed {
        peer: PeerId,
        from: PeerAddr,
    },
    /// A peer read so slowly that lines meant for it were lost.
    Missed {
        peer: PeerId,
        from: PeerAddr,
        lines: u64,
    },
    Left {
        peer: PeerId,
        name: Name,
        from: PeerAddr,
        /// The reason that the others were given.
        reason: Option<LeaveReason>,
        accepted: u64,
        refused: u64,
    },
    /// A session panicked, which is a bug. Its peer is disconnected; the others are not affected.
    SessionDied {
        peer: PeerId,
        from: PeerAddr,
    },
    /// Someone changed an account or acted against a peer.
    Moderation(Moderation),
    /// The accounts could not be written.
    NotKept {
        why: String,
    },
    /// The database could not be written or read, or messages were not stored.
    Database(Problem),
    /// Two accounts have the same name, which an older version treated as two names. The older account keeps it.
    AccountSetAside {
        /// The name of the account that nobody can use any more.
        name: Name,
        older: Name,
    },
    /// An account was removed because nobody had used it for too long.
    AccountExpired {
        name: Name,
        /// The last login.
        used: SystemTime,
    },
    /// A file was reloaded.
    Reloaded {
        what: &'static str,
    },
    /// A file could not be reloaded. Its previous content stays in use.
    NotReloaded {
        what: &'static str,
        why: String,
    },
    /// The server uses another value of a setting now.
    SettingChanged {
        setting: String,
        value: Option<String>,
    },
    /// A setting was changed, but takes effect only after a restart.
    RestartNeeded {
        setting: String,
        value: Option<String>,
    },
    /// Write the records after this one at this level. It is not written itself.
    Level(LevelFilter),
    /// The certificate has expired or is not valid yet.
    CertificateInvalid {
        why: &'static str,
    },
    Stopping,
    Stopped {
        /// How many connections had to be cut because they did not end in time.
        cut: usize,
    },
}

/// A change of an account, or an act against a peer.
#[derive(Debug)]
pub struct Moderation {
    /// The name of the command.
    pub act: &'static str,
    /// A name, or the user at the control socket.
    pub by: SafeText,
    /// The account of `by`.
    pub account: Option<Name>,
    /// A name or an address.
    pub whom: SafeText,
    pub why: Option<SafeText>,
    /// `None` if it does not end by itself.
    pub until: Option<SystemTime>,
}

/// A handle to the log. Clones write to the same log.
#[derive(Debug, Clone)]
pub struct Log {
    queue: Option<SyncSender<Record>>,
    shared: Arc<State>,
}

/// State shared by the log's handles and its thread.
#[derive(Debug)]
struct State {
    /// Records in the queue.
    waiting: AtomicUsize,
    /// Records that did not fit into the queue.
    dropped: AtomicU64,
    limiter: Mutex<Limiter>,
}

/// The thread that writes the log. Keep it, and [`flush`](LogWriter::flush) it when the program ends.
#[derive(Debug)]
pub struct LogWriter {
    ended: Receiver<()>,
}

impl Log {
    /// Starts the log of this process at `level`, on standard output.
    ///
    /// # Errors
    /// If no thread can be started.
    ///
    /// # Panics
    /// If the process already has a log.
    pub fn start(level: LevelFilter) -> io::Result<(Self, LogWriter)> {
        femme::with_level(level);
        let (queue, records) = sync_channel(LOG_RECORDS);
        let (end, ended) = sync_channel(1);
        let log = Self { queue: Some(queue), shared: Arc::default() };
        let shared = Arc::clone(&log.shared);
        thread::Builder::new().name(THREAD.to_owned()).spawn(move || {
            write_all(&records, &shared);
            // Nobody may be waiting for the end.
            let _ = end.send(());
        })?;
        Ok((log, LogWriter { ended }))
    }

    /// The level at which the log of this process is written.
    pub fn level() -> LevelFilter {
        log::max_level()
    }

    /// A log that discards everything.
    pub fn off() -> Self {
        Self { queue: None, shared: Arc::default() }
    }

    /// Adds a record to the log, or counts it as suppressed or dropped. Never waits.
    pub fn note(&self, record: Record) {
        let Some(queue) = &self.queue else { return };
        // It would not be written, so it must not count towards a limit.
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
    /// The kind and network that this record is limited by. `None` if others cannot cause many of them, or only
    /// together with a disk failure or an operator.
    fn subject(&self) -> Option<Subject> {
        let (kind, from) = match self {
            Self::Connected { from, .. } => ("connected", Some(from)),
            Self::HandshakeFailed { from, .. } => ("handshake failed", Some(from)),
            Self::AcceptFailed { .. } => ("accept failed", None),
            Self::SignalsFailed { .. } => ("signal handling failed", None),
            Self::SystemdNotTold { .. } => ("systemd not told", None),
            Self::Joined { from, .. } => ("joined", Some(from)),
            Self::Renamed { from, .. } => ("renamed", Some(from)),
            Self::Refused { from, .. } => ("refused", Some(from)),
            Self::WrongPassword { from, .. } => ("wrong password", Some(from)),
            Self::Slowed { from, .. } => ("slowed", Some(from)),
            Self::Missed { from, .. } => ("missed", Some(from)),
            Self::Left { from, .. } => ("left", Some(from)),
            Self::SessionDied { from, .. } => ("session died", Some(from)),
            Self::NotKept { .. } => ("not kept", None),
            // It is reported once a minute at most.
            Self::Database(_) => return None,
            Self::Started { .. }
            | Self::Open { .. }
            | Self::Moderation(_)
            | Self::AccountSetAside { .. }
            | Self::AccountExpired { .. }
            | Self::Reloaded { .. }
            | Self::NotReloaded { .. }
            | Self::SettingChanged { .. }
            | Self::RestartNeeded { .. }
            | Self::Level(_)
            | Self::CertificateInvalid { .. }
            | Self::Stopping
            | Self::Stopped { .. } => return None,
        };
        Some(Subject { kind, network: from.map(|&from| from.into()) })
    }

    /// Whether this record must not get lost in a flood of others.
    fn is_vital(&self) -> bool {
        self.subject().is_none_or(|subject| matches!(subject.kind, "wrong password" | "session died" | "not kept"))
    }
}

impl LogWriter {
    /// Waits until everything is written, once every [`Log`] is dropped, but at most [`LOG_FLUSH`].
    pub fn flush(self) {
        // If this times out or the thread is gone, nobody reads the log. The program ends anyway.
        let _: Result<(), RecvTimeoutError> = self.ended.recv_timeout(LOG_FLUSH);
    }
}

const THREAD: &str = "log";

fn write_all(records: &Receiver<Record>, shared: &State) {
    hush_panics_of_this_thread();
    // When to report suppressed records. `None` while there can be none, so that this thread sleeps while nothing happens.
    let mut report: Option<Instant> = None;
    loop {
        let received = match report {
            Some(at) => records.recv_timeout(at.saturating_duration_since(Instant::now())),
            None => records.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let is_over = matches!(received, Err(RecvTimeoutError::Disconnected));
        if let Ok(record) = received {
            shared.waiting.fetch_sub(1, Ordering::Relaxed);
            try_to_write(|| write(record));
            report.get_or_insert_with(|| Instant::now() + LOG_PERIOD);
        }
        let lost = shared.dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            try_to_write(|| warn!("log records dropped", { count: lost }));
        }
        if is_over || report.is_some_and(|at| at <= Instant::now()) {
            let mut limiter = shared.limiter();
            let (suppressed, now) = (limiter.take_suppressed(), Instant::now());
            report = limiter.may_suppress(now).then(|| now + LOG_PERIOD);
            drop(limiter);
            suppressed.into_iter().for_each(|suppressed| try_to_write(|| write_suppressed(suppressed)));
        }
        if is_over {
            return;
        }
    }
}

/// femme panics when standard output is closed. The chat continues without a log.
fn try_to_write(write: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(write));
}

fn write_suppressed(Suppressed { subject, count }: Suppressed) {
    let network = subject.network.map_or_else(String::new, |network| network.to_string());
    warn!("log records suppressed", { kind: subject.kind, network: network, count: count });
}

/// A closed standard output is not a bug, so it needs no backtrace for each record.
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
        Record::SystemdNotTold { error } => error!("systemd not told", { error: error }),
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
                None | Some(LeaveReason::Gone(_)) => (None, None),
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
        Record::Database(Problem { file, why, effect }) => match effect {
            Effect::NotStored(lost) => warn!("not stored", { file: file, why: why, messages: lost }),
            Effect::NotRead => warn!("not read", { file: file, why: why }),
        },
        Record::Reloaded { what } => info!("reloaded", { what: what }),
        Record::AccountSetAside { name, older } => {
            warn!("account set aside", { name: name.as_str(), same_as: older.as_str() });
        }
        Record::AccountExpired { name, used } => {
            let used = humantime::format_rfc3339_seconds(used).to_string();
            info!("account expired", { name: name.as_str(), used: used });
        }
        Record::SettingChanged { setting, value } => {
            info!("setting changed", { setting: setting, value: value.unwrap_or_default() });
        }
        Record::RestartNeeded { setting, value } => {
            warn!("setting changed, restart needed", { setting: setting, value: value.unwrap_or_default() });
        }
        Record::Level(level) => log::set_max_level(level),
        Record::NotReloaded { what, why } => error!("not reloaded", { what: what, why: why }),
        Record::CertificateInvalid { why } => warn!("certificate invalid", { why: why }),
        Record::Stopping => info!("stopping"),
        Record::Stopped { cut } => info!("stopped", { cut: cut as u64 }),
    }
}

/// As much of a text as the log shows.
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
