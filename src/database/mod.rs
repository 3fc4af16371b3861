//! The file `linechat.db`: an SQLite database with the messages, accounts, bans and mutes.
//!
//! One thread writes, one transaction for everything that waits. Readers have connections of their own, which never
//! wait for the writer. Nothing here knows what the tables mean, except for their definition.

mod open;
mod writer;

use std::io;
use std::path::Path;
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use blocking::unblock;
use futures::channel::oneshot;
use rusqlite::{Connection, ErrorCode};
use thiserror::Error;

use crate::database::open::{LockedFile, reader};
use crate::database::writer::{Job, Task};
use crate::limits::{DATABASE_READERS, PROBLEM_PERIOD};
use crate::os::io_error;

pub use open::OpenError;
pub(crate) use open::{FILE, check_folder, look_into, open_private, refine};
pub use writer::Sync;

/// A handle to the file. Clones share it. When the last one is dropped, what waits is written and the file is closed.
#[derive(Debug, Clone)]
pub struct Database(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// What the thread that writes is to do. `None` when it is to end.
    tasks: Option<Sender<Task>>,
    writer: Option<JoinHandle<()>>,
    /// Held for reading while something is read, and by the thread that writes to pause all readers. A waiting writer comes
    /// before further readers.
    pause: Arc<RwLock<()>>,
    /// Connections that are not in use.
    readers: Mutex<Vec<Connection>>,
    problems: Arc<Problems>,
    /// Locked until the file is closed.
    file: LockedFile,
}

/// Something could not be written or read. Worded to follow a colon.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct DatabaseError(String);

impl Database {
    /// Opens the file in a folder. If the folder is missing it is created, with mode 0700, and in it the file with mode
    /// 0600. Blocks for a moment.
    ///
    /// # Errors
    /// [`OpenError`], such as when another server has it open, or others can read it.
    pub fn open(folder: &Path) -> Result<Self, OpenError> {
        let file = LockedFile::open(folder)?;
        let connection = open::writer(&file.path)?;
        let (problems, pause) = (Arc::<Problems>::default(), Arc::default());
        let (tasks, writer) = writer::start(connection, &file.path, Arc::clone(&problems), Arc::clone(&pause))
            .map_err(|error| OpenError::Io { path: file.path.clone(), error })?;
        let (tasks, writer) = (Some(tasks), Some(writer));
        Ok(Self(Arc::new(Shared { tasks, writer, pause, readers: Mutex::default(), problems, file })))
    }

    /// Hands a task to the thread that writes. If that has panicked, the task is dropped.
    fn hand(&self, task: Task) {
        let _ = self.0.tasks.as_ref().map(|tasks| tasks.send(task));
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0.file.path
    }

    /// Who is told about problems that nobody else learns about, or that are not stored: at most once a
    /// [period](PROBLEM_PERIOD). Only the first call counts.
    pub fn on_problem(&self, report: impl Fn(Problem) + Send + std::marker::Sync + 'static) {
        // A second one has nothing to add.
        let _ = self.0.problems.report.set(Box::new(report));
    }

    pub(crate) fn problems(&self) -> Arc<Problems> {
        Arc::clone(&self.0.problems)
    }

    /// Queues work to be done in a transaction, and returns at once. `done` is called after it by the thread that
    /// writes, and must not wait. Other work is done in the same transaction, so it fails if that fails.
    pub(crate) fn submit(
        &self,
        sync: Sync,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
        done: impl FnOnce(&Result<(), DatabaseError>) + Send + 'static,
    ) {
        self.hand(Task::Write(Job { sync, work: Box::new(work), done: Box::new(done) }));
    }

    /// Does work in a transaction, and returns when it is on the disk. It is done even if the future is dropped.
    pub(crate) fn write<W>(&self, work: W) -> impl Future<Output = Result<(), DatabaseError>> + Send + use<W>
    where
        W: FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        self.submit(Sync::Always, work, |result| {
            // Nobody may be waiting.
            let _ = answer.send(result.clone());
        });
        async { answered.await.unwrap_or_else(|_| Err(DatabaseError::closed())) }
    }

    /// Reads on a thread that may wait for the disk. No transaction may stay open for long, because the write-ahead log
    /// grows meanwhile.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        let this = self.clone();
        unblock(move || this.read_blocking(work)).await
    }

    /// [`read`](Self::read) on this thread.
    pub(crate) fn read_blocking<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        let free = || self.0.readers.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = free().pop();
        let connection = match taken {
            Some(connection) => connection,
            None => reader(self.path())?,
        };
        let result = {
            let _reading = self.0.pause.read().unwrap_or_else(PoisonError::into_inner);
            work(&connection)
        };
        let mut free = free();
        // After an error, a new connection is the better start.
        if result.is_ok() && free.len() < DATABASE_READERS {
            free.push(connection);
        }
        Ok(result?)
    }

    /// Sets what is done from time to time, by the thread that writes. It returns when it is to be called again.
    pub(crate) fn maintain(&self, work: impl FnMut(&Connection) -> rusqlite::Result<Duration> + Send + 'static) {
        self.hand(Task::Maintain(Box::new(work)));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.readers.get_mut().unwrap_or_else(PoisonError::into_inner).clear();
        self.tasks = None;
        // A panic of it was reported by itself.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

/// Something is wrong with the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub file: &'static str,
    pub why: String,
    pub effect: Effect,
}

/// What a problem means for the messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Something could not be written. This many messages were not stored since the last report.
    NotStored(u64),
    /// Somebody has asked for messages that could not be read.
    NotRead,
}

/// Reports problems, but not each of them.
#[derive(Default)]
pub(crate) struct Problems {
    report: OnceLock<Box<dyn Fn(Problem) + Send + std::marker::Sync>>,
    state: Mutex<Reported>,
}

#[derive(Debug, Default)]
struct Reported {
    last: Option<Instant>,
    lost: u64,
    /// The last problem of a reader. It has a limit of its own, because readers choose what they ask for.
    last_read: Option<Instant>,
}

impl std::fmt::Debug for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Problems").field(&self.state).finish()
    }
}

impl Problems {
    pub(crate) fn report(&self, error: &DatabaseError) {
        self.report_lost(&error.0, 0);
    }

    /// Reports that messages could not be stored.
    pub(crate) fn report_lost(&self, why: &str, messages: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.lost += messages;
        if let Some(report) = self.report.get()
            && is_due(state.last)
        {
            state.last = Some(Instant::now());
            let effect = Effect::NotStored(std::mem::take(&mut state.lost));
            report(Problem { file: FILE, why: why.to_owned(), effect });
        }
    }

    /// Reports that messages could not be read.
    pub(crate) fn report_unread(&self, error: &DatabaseError) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(report) = self.report.get()
            && is_due(state.last_read)
        {
            state.last_read = Some(Instant::now());
            report(Problem { file: FILE, why: error.0.clone(), effect: Effect::NotRead });
        }
    }
}

/// Whether a problem is reported, after the last one that was.
fn is_due(last: Option<Instant>) -> bool {
    last.is_none_or(|last| last.elapsed() >= PROBLEM_PERIOD)
}

impl DatabaseError {
    fn closed() -> Self {
        Self("the database is closed".to_owned())
    }

    pub(crate) fn damaged(messages: u64) -> Self {
        Self(format!("it is damaged, and messages cannot be read: {messages}"))
    }

    fn wal_full() -> Self {
        Self("its write-ahead log is too large, because another program keeps a transaction open".to_owned())
    }
}

impl From<rusqlite::Error> for DatabaseError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&rusqlite::Error> for DatabaseError {
    fn from(error: &rusqlite::Error) -> Self {
        Self(describe(error))
    }
}

impl From<&io::Error> for DatabaseError {
    fn from(error: &io::Error) -> Self {
        Self(io_error::describe(error))
    }
}

/// What went wrong, in words for the operator.
pub(crate) fn describe(error: &rusqlite::Error) -> String {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => "the disk is full".to_owned(),
        Some(ErrorCode::ReadOnly) => "it is read-only".to_owned(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => "another program is writing to it".to_owned(),
        Some(ErrorCode::CannotOpen) => "it cannot be opened".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests;
