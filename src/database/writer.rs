//! The thread that writes to the database, and the one that syncs it.
//!
//! Everything that waits is written in one transaction. So the more there is to write, the less it costs.

use std::fs::OpenOptions;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::database::{DatabaseError, Problems};
use crate::limits::{DATABASE_BUSY, WAL_BYTES, WAL_CHECK, WAL_PAUSE_BYTES};

/// When what was written must be on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before it counts as written.
    Always,
    /// A sync begins at most this much later, or when the sync before has ended. A power cut loses what was written since
    /// the last successful sync began; a crash of the process loses nothing.
    Within(Duration),
}

/// Writes within a transaction.
pub(super) type Work = Box<dyn FnOnce(&Connection) -> rusqlite::Result<()> + Send>;
/// Called after the transaction.
pub(super) type Done = Box<dyn FnOnce(&Result<(), DatabaseError>) + Send>;
/// Called from time to time, outside of a transaction. Returns when it wants to be called again.
pub(super) type Maintenance = Box<dyn FnMut(&Connection) -> rusqlite::Result<Duration> + Send>;

pub(super) struct Job {
    pub(super) sync: Sync,
    pub(super) work: Work,
    pub(super) done: Done,
}

/// What the thread is to do.
pub(super) enum Task {
    Write(Job),
    /// From now on, in place of what was maintained before.
    Maintain(Maintenance),
}

/// Starts the thread. It ends when the sender is dropped and everything is done. It takes the lock for writing to pause
/// all readers.
pub(super) fn start(
    connection: Connection,
    path: &Path,
    problems: Arc<Problems>,
    pause: Arc<RwLock<()>>,
) -> std::io::Result<(Sender<Task>, JoinHandle<()>)> {
    let wal = wal(path);
    let syncer = Syncer::start(wal.clone(), Arc::clone(&problems))?;
    let writer = Writer { connection, wal, syncer, problems, pause, wal_kept: None };
    let (sender, tasks) = channel();
    // If the thread panics, the tasks are dropped with the receiver, so nobody waits for them in vain.
    let thread = thread::Builder::new().name("database".to_owned()).spawn(move || writer.run(&tasks))?;
    Ok((sender, thread))
}

/// The path of the write-ahead log.
fn wal(path: &Path) -> PathBuf {
    let mut wal = path.as_os_str().to_owned();
    wal.push("-wal");
    wal.into()
}

struct Writer {
    connection: Connection,
    wal: PathBuf,
    syncer: Syncer,
    problems: Arc<Problems>,
    pause: Arc<RwLock<()>>,
    /// When the write-ahead log could not be emptied.
    wal_kept: Option<Instant>,
}

impl Writer {
    fn run(mut self, tasks: &Receiver<Task>) {
        let mut maintenance: Option<(Instant, Maintenance)> = None;
        loop {
            if let Some((due, work)) = &mut maintenance
                && *due <= Instant::now()
            {
                *due = Instant::now() + self.maintain(work);
            }
            let first = match &maintenance {
                Some((due, _)) => tasks.recv_timeout(due.saturating_duration_since(Instant::now())),
                None => tasks.recv().map_err(RecvTimeoutError::from),
            };
            let first = match first {
                Ok(first) => first,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let mut jobs = Vec::new();
            for task in iter::once(first).chain(tasks.try_iter()) {
                match task {
                    Task::Write(job) => jobs.push(job),
                    Task::Maintain(work) => maintenance = Some((Instant::now(), work)),
                }
            }
            self.write(jobs);
        }
        self.syncer.stop();
        // Syncs everything. If it fails, the next start reads the write-ahead log.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            self.problems.report(&DatabaseError::from(&error));
        }
    }

    fn write(&mut self, jobs: Vec<Job>) {
        if jobs.is_empty() {
            return;
        }
        let is_durable = jobs.iter().any(|job| job.sync == Sync::Always);
        let within = jobs.iter().filter_map(|job| match job.sync {
            Sync::Always => None,
            Sync::Within(time) => Some(time),
        });
        let within = within.min().filter(|_| !is_durable);
        let (work, done): (Vec<_>, Vec<_>) = jobs.into_iter().map(|job| (job.work, job.done)).unzip();
        let result = if self.has_room() { self.transact(work, is_durable) } else { Err(DatabaseError::wal_full()) };
        if let (Ok(()), Some(within)) = (&result, within) {
            self.syncer.sync_within(within);
        }
        done.into_iter().for_each(|done| done(&result));
    }

    fn transact(&self, work: Vec<Work>, is_durable: bool) -> Result<(), DatabaseError> {
        // With FULL, a commit syncs the write-ahead log.
        let set_full = |level| self.connection.pragma_update(None, "synchronous", level);
        if is_durable {
            set_full("FULL")?;
        }
        let result = transact(&self.connection, work);
        if is_durable {
            set_full("NORMAL")?;
        }
        Ok(result?)
    }

    /// Returns after which pause there is more to maintain.
    fn maintain(&mut self, work: &mut Maintenance) -> Duration {
        /// The pause after an error.
        const RETRY: Duration = Duration::from_secs(10);
        let pause = work(&self.connection).unwrap_or_else(|error| {
            self.problems.report(&DatabaseError::from(&error));
            RETRY
        });
        if self.syncer.take_failure() {
            // The system may have dropped what it could not write. What it still has is written to another place.
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
        }
        pause
    }

    /// Whether the write-ahead log may grow.
    ///
    /// SQLite begins it anew only when nobody reads from it at that moment. Many readers, each of which is quick, can
    /// prevent that for ever. So when it is large, readers are paused until it is empty. If it still grows, another
    /// program keeps a transaction open.
    fn has_room(&mut self) -> bool {
        let size = || self.wal.metadata().map_or(0, |wal| wal.len());
        if size() <= WAL_PAUSE_BYTES {
            return true;
        }
        if self.wal_kept.is_none_or(|since| since.elapsed() >= WAL_CHECK) {
            let _paused = self.pause.write().unwrap_or_else(PoisonError::into_inner);
            // It does not wait for other programs. If one is in the way, the size tells.
            let _ = self.connection.busy_timeout(Duration::ZERO);
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            let _ = self.connection.busy_timeout(DATABASE_BUSY);
            self.wal_kept = (size() > WAL_PAUSE_BYTES).then(Instant::now);
        }
        size() <= WAL_BYTES
    }
}

fn transact(connection: &Connection, work: Vec<Work>) -> rusqlite::Result<()> {
    let run = |sql| connection.prepare_cached(sql)?.execute([]).map(drop);
    run("BEGIN IMMEDIATE")?;
    let result = work.into_iter().try_for_each(|work| work(connection)).and_then(|()| run("COMMIT"));
    if result.is_err() && !connection.is_autocommit() {
        // If this fails too, the next transaction does.
        let _ = run("ROLLBACK");
    }
    result
}

/// A thread that syncs the write-ahead log, so that the writer need not wait for the disk.
struct Syncer {
    /// When the next sync is due. `None` when the thread is to end.
    dues: Option<Sender<Instant>>,
    state: Arc<SyncState>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct SyncState {
    is_due: AtomicBool,
    has_failed: AtomicBool,
}

impl Syncer {
    fn start(wal: PathBuf, problems: Arc<Problems>) -> std::io::Result<Self> {
        let state = Arc::<SyncState>::default();
        let of_thread = Arc::clone(&state);
        let (sender, dues) = channel::<Instant>();
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(move || {
            while let Ok(due) = dues.recv() {
                // Nothing comes until then, except the end.
                let waited = dues.recv_timeout(due.saturating_duration_since(Instant::now()));
                if waited == Err(RecvTimeoutError::Disconnected) {
                    break;
                }
                // What is written from now on may need another sync.
                of_thread.is_due.store(false, Ordering::SeqCst);
                // Windows syncs only a file that may be written.
                let opened = OpenOptions::new().write(true).open(&wal);
                if let Err(error) = opened.and_then(|wal| wal.sync_data()) {
                    problems.report(&DatabaseError::from(&error));
                    of_thread.has_failed.store(true, Ordering::SeqCst);
                }
            }
        })?;
        Ok(Self { dues: Some(sender), state, thread: Some(thread) })
    }

    /// Syncs after this time, unless a sync is due anyway: the time is always the same.
    fn sync_within(&self, time: Duration) {
        if !self.state.is_due.swap(true, Ordering::SeqCst)
            && let Some(dues) = &self.dues
        {
            // The thread ends only after this.
            let _ = dues.send(Instant::now() + time);
        }
    }

    /// Whether a sync has failed since this was last asked.
    fn take_failure(&self) -> bool {
        self.state.has_failed.swap(false, Ordering::SeqCst)
    }

    fn stop(&mut self) {
        self.dues = None;
        // A panic of it was reported by itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
