//! Files and folders that only root and this user can change.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::limits::LOCK_TRIES;

/// Opens a regular file. Opening a FIFO could block forever, and opening a device can have side effects.
pub(crate) fn open_regular(path: &Path, options: &mut OpenOptions, flags: OFlags) -> io::Result<(File, Metadata)> {
    let check = |metadata: &Metadata| {
        if metadata.is_file() { Ok(()) } else { Err(io::Error::other("it is not a regular file")) }
    };
    match path.metadata() {
        // It may be about to be created.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        metadata => check(&metadata?)?,
    }
    let file = options.custom_flags((flags | OFlags::NONBLOCK).bits().cast_signed()).open(path)?;
    // The path may have been replaced since the first check.
    let metadata = file.metadata()?;
    check(&metadata)?;
    Ok((file, metadata))
}

/// Refuses a file of another user, who could change it at any time.
///
/// # Errors
/// The error says whose file it is, and whose it must be.
pub(crate) fn check_owner(metadata: &Metadata) -> io::Result<()> {
    let (owner, own) = (metadata.uid(), geteuid());
    if owner == 0 || owner == own.as_raw() {
        return Ok(());
    }
    let expected = if own.is_root() { "root".to_owned() } else { format!("root or user {}", own.as_raw()) };
    Err(io::Error::other(format!("it belongs to user {owner}, and must belong to {expected}")))
}

/// Whether a folder may be sticky and writable by others, like /tmp. The folders above it always may: in such a folder,
/// nobody can replace files of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sticky {
    Allowed,
    Refused,
}

/// The real path of a folder in which no other user can replace this user's files, and which no other user can replace.
/// This holds as long as the folders keep their modes.
///
/// # Errors
/// The error of the system, or which folder is unsafe and what to do about it. An access control list that lets others
/// write shows up in the group mode (acl(5)), so it is refused too.
pub(crate) fn safe_folder(path: &Path, sticky: Sticky) -> io::Result<PathBuf> {
    let real = path.canonicalize()?;
    let folders: Vec<_> = real.ancestors().collect();
    // From the root down: once a folder is known to be safe, nobody else can replace the next one.
    for folder in folders.into_iter().rev() {
        let metadata = folder.symlink_metadata()?;
        if !metadata.is_dir() {
            return Err(Errno::NOTDIR.into());
        }
        let refused = |why: String| io::Error::other(format!("the folder {} is not safe: {why}", folder.display()));
        check_owner(&metadata).map_err(|error| refused(error.to_string()))?;
        let may_be_sticky = folder != real || sticky == Sticky::Allowed;
        let is_sticky = metadata.mode() & 0o1000 != 0;
        if metadata.mode() & 0o022 != 0 && !(is_sticky && may_be_sticky) {
            return Err(refused("others can write to it; choose another folder or run chmod go-w".to_owned()));
        }
    }
    Ok(real)
}

/// Locks a file while the result lives. Returns `None` if another process has locked it. The file is created if it is
/// missing. No other user can open it, so no other user can block this.
///
/// The holder may remove the file before the lock ends.
pub(crate) fn lock(path: &Path) -> io::Result<Option<Lock>> {
    for _ in 0..LOCK_TRIES {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(0o600);
        let (file, metadata) = open_regular(path, &mut options, OFlags::NOFOLLOW)?;
        check_owner(&metadata)?;
        if metadata.mode() & 0o077 != 0 {
            return Err(io::Error::other(format!("others can lock {}; run chmod 600 {0}", path.display())));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The previous holder may have removed the file after it was opened here. Then another process can lock a new
        // one.
        if path.symlink_metadata().is_ok_and(|found| (found.dev(), found.ino()) == (metadata.dev(), metadata.ino())) {
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

#[cfg(test)]
mod tests;
