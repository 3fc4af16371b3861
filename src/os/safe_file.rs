//! Files and folders that no user but root and our own can change. This knows nothing of what is in them.

use std::fs::{File, Metadata, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::limits::LOCK_TRIES;

/// Opens a regular file. A FIFO could block for ever, and opening a device can have side effects.
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

/// Refuses what belongs to another user, who could change it at any time.
///
/// # Errors
/// With words for the person who named the file: whose it is, and whose it must be.
pub(crate) fn check_owner(metadata: &Metadata) -> io::Result<()> {
    let (owner, own) = (metadata.uid(), geteuid());
    if owner == 0 || owner == own.as_raw() {
        return Ok(());
    }
    let expected = if own.is_root() { "root".to_owned() } else { format!("root or user {}", own.as_raw()) };
    Err(io::Error::other(format!("it belongs to user {owner}, and must belong to {expected}")))
}

/// Whether a folder itself may be sticky and open to others, as /tmp is. The folders above it always may: nobody can replace
/// what is not theirs in such a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sticky {
    Allowed,
    Refused,
}

/// The real path of a folder in which no other user can replace our files, and for which no other user can put another folder
/// in its place. It stays so for as long as the folders keep their modes.
///
/// # Errors
/// What the system says, or which folder is the trouble and what to do about it. An access control list that lets others write
/// shows in the mode of the group (acl(5)), and is refused as well.
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

/// Locks a file of its own for as long as the result lives, or says that another process has it locked (`None`). The file is
/// created if it is missing. No other user can open it, so no other user can keep us waiting.
///
/// Its holder may remove the file before the lock ends.
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
        // Its former holder may have removed it after it was opened here. Then another process can lock a new one.
        if path.symlink_metadata().is_ok_and(|found| (found.dev(), found.ino()) == (metadata.dev(), metadata.ino())) {
            return Ok(Some(Lock(file)));
        }
    }
    Ok(None)
}

/// A lock that this process holds.
#[derive(Debug)]
pub(crate) struct Lock(File);

/// Closing the file is not enough: a child process that was forked and has not called exec yet also has the file open, and
/// so keeps the lock.
impl Drop for Lock {
    fn drop(&mut self) {
        // Nothing can be done if it fails. The lock ends with the process.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests;
