//! The thread that writes to the database, and the one that syncs it.
//!
//! Everything that waits is written in one transaction. So the more there is to write, the less it costs.

use std::collections::VecDeque;
use std::fmt;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
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

/// What waits to be written.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    maintenance: Option<(Instant, Maintenance)>,
    /// No further job is taken.
    is_closed: bool,
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queue").field("jobs", &self.lock().jobs.len()).finish_non_exhaustive()
    }
}

enum Next {
    Jobs(VecDeque<Job>),
    Maintenance(Maintenance),
    Close,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job. After the end, it is dropped.
    pub(super) fn push(&self, job: Job) {
        let mut state = self.lock();
        if !state.is_closed {
            state.jobs.push_back(job);
            self.changed.notify_one();
        }
    }

    pub(super) fn maintain(&self, maintenance: Maintenance) {
        self.lock().maintenance = Some((Instant::now(), maintenance));
        self.changed.notify_one();
    }

    /// Takes no further job. Those that wait are still done.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_one();
    }

    /// Waits for the next thing to do.
    fn next(&self) -> Next {
        let mut state = self.lock();
        loop {
            if !state.jobs.is_empty() {
                return Next::Jobs(std::mem::take(&mut state.jobs));
            }
            if state.is_closed {
                return Next::Close;
            }
            let now = Instant::now();
            state = match state.maintenance.take() {
                Some((due, maintenance)) if due <= now => return Next::Maintenance(maintenance),
                Some((due, maintenance)) => {
                    state.maintenance = Some((due, maintenance));
                    self.changed.wait_timeout(state, due - now).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// Closes the queue when the thread ends, also if it panics: then nobody waits for it in vain.
struct EndsWithThread(Arc<Queue>);

impl Drop for EndsWithThread {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        state.maintenance = None;
        drop(state);
        drop(jobs);
    }
}

/// Starts the thread. It ends when the queue is closed and empty. It takes the lock for writing to pause all readers.
pub(super) fn start(
    connection: Connection,
    path: &Path,
    queue: Arc<Queue>,
    problems: Arc<Problems>,
    pause: Arc<RwLock<()>>,
) -> std::io::Result<JoinHandle<()>> {
    let wal = wal(path);
    let syncer = Syncer::start(wal.clone(), Arc::clone(&problems))?;
    let writer = Writer { connection, wal, syncer, problems, pause, wal_kept: None };
    thread::Builder::new().name("database".to_owned()).spawn(move || writer.run(&queue))
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
    fn run(mut self, queue: &Arc<Queue>) {
        let _end = EndsWithThread(Arc::clone(queue));
        loop {
            match queue.next() {
                Next::Jobs(jobs) => self.write(jobs),
                Next::Maintenance(maintenance) => self.maintain(queue, maintenance),
                Next::Close => break,
            }
        }
        self.syncer.stop();
        // Syncs everything. If it fails, the next start reads the write-ahead log.
        if let Err(error) = self.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)") {
            self.problems.report(&DatabaseError::from(&error));
        }
    }

    fn write(&mut self, jobs: VecDeque<Job>) {
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

    fn maintain(&mut self, queue: &Queue, mut maintenance: Maintenance) {
        /// The pause after an error.
        const RETRY: Duration = Duration::from_secs(10);
        let pause = maintenance(&self.connection).unwrap_or_else(|error| {
            self.problems.report(&DatabaseError::from(&error));
            RETRY
        });
        let mut state = queue.lock();
        if !state.is_closed {
            state.maintenance = Some((Instant::now() + pause, maintenance));
        }
        drop(state);
        if self.syncer.take_failure() {
            // The system may have dropped what it could not write. What it still has is written to another place.
            let _ = self.connection.execute_batch("PRAGMA wal_checkpoint(PASSIVE)");
        }
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
    shared: Arc<(Mutex<Due>, Condvar)>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Due {
    at: Option<Instant>,
    has_failed: bool,
    is_stopped: bool,
}

impl Syncer {
    fn start(wal: PathBuf, problems: Arc<Problems>) -> std::io::Result<Self> {
        let shared = Arc::new((Mutex::new(Due::default()), Condvar::new()));
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("sync".to_owned()).spawn(move || {
            while wait_until_due(&of_thread) {
                // Windows syncs only a file that may be written.
                let opened = OpenOptions::new().write(true).open(&wal);
                if let Err(error) = opened.and_then(|wal| wal.sync_data()) {
                    problems.report(&DatabaseError::from(&error));
                    lock(&of_thread.0).has_failed = true;
                }
            }
        })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    fn sync_within(&self, time: Duration) {
        let due = Instant::now() + time;
        let mut state = lock(&self.shared.0);
        if state.at.is_none_or(|at| due < at) {
            state.at = Some(due);
            self.shared.1.notify_one();
        }
    }

    /// Whether a sync has failed since this was last asked.
    fn take_failure(&self) -> bool {
        std::mem::take(&mut lock(&self.shared.0).has_failed)
    }

    fn stop(&mut self) {
        lock(&self.shared.0).is_stopped = true;
        self.shared.1.notify_one();
        // A panic of it was reported by itself.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// Returns false when the thread is to end.
fn wait_until_due((due, changed): &(Mutex<Due>, Condvar)) -> bool {
    let mut state = lock(due);
    loop {
        if state.is_stopped {
            return false;
        }
        let now = Instant::now();
        state = match state.at {
            Some(at) if at <= now => {
                state.at = None;
                return true;
            }
            Some(at) => changed.wait_timeout(state, at - now).unwrap_or_else(PoisonError::into_inner).0,
            None => changed.wait(state).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
