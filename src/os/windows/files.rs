//! Who may read and change files. Windows keeps that in access control lists, which are not checked here: a file in the
//! user's own profile is private unless somebody has changed its list. docs/security.md says so.

use std::fs::{DirBuilder, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::os::safe_file::{Links, Sticky};

/// Nothing: opening a file never waits.
pub(crate) fn never_wait(options: &mut OpenOptions, _: Links) -> &mut OpenOptions {
    options
}

/// A file that is created inherits the access control list of its folder.
pub(crate) fn create_private(options: &mut OpenOptions) -> &mut OpenOptions {
    options.create(true)
}

/// Creates a folder, which inherits the access control list of the folder that it is in.
///
/// # Errors
/// The error of the system.
pub(crate) fn create_private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().create(path)
}

/// Nothing: a folder cannot be opened to sync it. NTFS keeps a log of such changes.
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn check_owner(_: &Metadata) -> io::Result<()> {
    Ok(())
}

pub(crate) fn is_exposed(_: &Metadata) -> bool {
    false
}

pub(crate) fn is_exposed_beyond_group(_: &Metadata) -> bool {
    false
}

pub(crate) fn is_of_root(_: &Metadata) -> bool {
    false
}

/// An open file cannot be replaced.
pub(crate) fn is_at(_: &Path, _: &Metadata) -> bool {
    true
}

/// The real path of a folder.
pub(crate) fn safe_folder(path: &Path, _: Sticky) -> io::Result<PathBuf> {
    if !path.metadata()?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    std::path::absolute(path)
}
