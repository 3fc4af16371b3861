//! Files and folders that only root and this user can change.

use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use crate::limits::LOCK_TRIES;
use crate::os::system::{files, user};

pub(crate) use files::{check_owner, safe_folder};

/// Does work as the owner of a folder, if this process runs as root. So root leaves no file there that the owner cannot
/// use, and the owner cannot lead root to other files. Not for a process with tasks.
///
/// # Errors
/// If root may not do that, as in some containers.
pub fn as_owner<T>(folder: &Path, work: impl FnOnce() -> T) -> io::Result<T> {
    user::as_owner(folder, work)
}

/// Whether a symbolic link to the file is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Links {
    Followed,
    Refused,
}

/// Opens a regular file. Opening a FIFO could block forever, and opening a device can have side effects.
pub(crate) fn open_regular(path: &Path, options: &mut OpenOptions, links: Links) -> io::Result<(File, Metadata)> {
    let check = |metadata: &Metadata| {
        if metadata.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
    };
    match path.metadata() {
        // It may be about to be created.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        metadata => check(&metadata?)?,
    }
    let file = files::never_wait(options, links).open(path)?;
    // The path may have been replaced since the first check.
    let metadata = file.metadata()?;
    check(&metadata)?;
    Ok((file, metadata))
}

/// Creates a file that other users cannot read. Fails if there is one already.
///
/// # Errors
/// The error of the system.
pub fn create_new_private(path: &Path) -> io::Result<File> {
    files::create_private(OpenOptions::new().write(true)).create_new(true).open(path)
}

/// Removes a file, if there is one.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whether a folder may be sticky and writable by others, like /tmp. The folders above it always may: in such a folder,
/// nobody can replace files of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sticky {
    Allowed,
    Refused,
}

/// Locks a file while the result lives. Returns `None` if another process has locked it. The file is created if it is
/// missing. No other user can open it, so no other user can block this.
///
/// The holder may remove the file before the lock ends.
pub(crate) fn lock(path: &Path) -> io::Result<Option<Lock>> {
    for _ in 0..LOCK_TRIES {
        let mut options = OpenOptions::new();
        files::create_private(options.read(true).write(true).truncate(false));
        let (file, metadata) = open_regular(path, &mut options, Links::Refused)?;
        check_owner(&metadata)?;
        if files::is_exposed(&metadata) {
            return Err(io::Error::other(format!("others can lock {}; run chmod 600 {0}", path.display())));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The previous holder may have removed the file after it was opened here. Then another process can lock a new
        // one.
        if files::is_at(path, &metadata) {
            return Ok(Some(Lock(file)));
        }
    }
    Ok(None)
}

/// A lock held by this process.
#[derive(Debug)]
pub(crate) struct Lock(File);

/// Closing the file is not enough: a forked child that has not called exec yet has the file open too, and would keep
/// the lock.
impl Drop for Lock {
    fn drop(&mut self) {
        // If this fails, nothing can be done. The lock ends with the process.
        let _ = self.0.unlock();
    }
}

#[cfg(all(test, unix))]
mod tests;
