//! Who may read and change files: owners and modes.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::{Uid, User};
use rustix::fs::{Access, OFlags};
use rustix::io::Errno;
use rustix::process::geteuid;

use crate::os::safe_file::{Links, Sticky};

/// Makes the opening of a FIFO or device return at once, so that its kind can be checked.
pub(crate) fn never_wait(options: &mut OpenOptions, links: Links) -> &mut OpenOptions {
    let flags = OFlags::NONBLOCK | if links == Links::Refused { OFlags::NOFOLLOW } else { OFlags::empty() };
    options.custom_flags(flags.bits().cast_signed())
}

/// Makes a file that is created unreadable for other users.
pub(crate) fn create_private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.create(true).mode(0o600)
}

/// Creates a folder that other users cannot enter.
///
/// # Errors
/// The error of the system.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)
}

/// Checks that this user can create files in a folder. It changes nothing.
///
/// # Errors
/// The error of the system, as for creating one.
pub(crate) fn check_writable(folder: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(folder, Access::WRITE_OK | Access::EXEC_OK)?)
}

/// Writes a folder to the disk, so that a new file in it survives a crash.
///
/// # Errors
/// The error of the system.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
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
    let advice = if own.is_root() { run_as(owner) } else { format!(" or user {}", own.as_raw()) };
    Err(io::Error::other(format!("it belongs to user {owner}, and must belong to root{advice}")))
}

/// What root can do in place of taking a file from a service.
fn run_as(user: u32) -> String {
    // If the list of users cannot be read, the number must do.
    let command = match User::from_uid(Uid::from_raw(user)) {
        Ok(Some(user)) => format!(": runuser -u {} -- COMMAND", user.name),
        _ => String::new(),
    };
    format!("; or run this as that user{command}")
}

/// Whether other users can read or change a file. The group counts as other users.
pub(crate) fn is_exposed(metadata: &Metadata) -> bool {
    metadata.mode() & 0o077 != 0
}

/// Whether other users can change a file.
pub(crate) fn is_writable(metadata: &Metadata) -> bool {
    metadata.mode() & 0o022 != 0
}

/// If other users can read or change a file with a password, the command that prevents it. If root is the owner, a group
/// may read it: systemd passes secrets to services that way (systemd.exec(5), LoadCredential=).
pub(crate) fn password_protection(path: &Path, file: &File, metadata: &Metadata) -> Option<String> {
    match metadata.uid() {
        0 => key_protection(path, file, metadata),
        _ => is_exposed(metadata).then(|| format!("chmod go= {}", path.display())),
    }
}

/// The same for a private key. The group may read it, for services that do not run as root, so the command leaves that as
/// it is.
pub(crate) fn key_protection(path: &Path, _: &File, metadata: &Metadata) -> Option<String> {
    (metadata.mode() & 0o027 != 0).then(|| format!("chmod g-w,o= {}", path.display()))
}

/// Whether the path still leads to this file.
pub(crate) fn is_at(path: &Path, metadata: &Metadata) -> bool {
    path.symlink_metadata().is_ok_and(|found| (found.dev(), found.ino()) == (metadata.dev(), metadata.ino()))
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
