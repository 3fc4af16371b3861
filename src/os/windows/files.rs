//! Who may read and change files. Windows keeps that in access control lists, which a file inherits from its folder. In
//! the user's own profile, nobody else may read it. docs/systems.md says what is checked.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use crate::os::safe_file::{Links, Sticky};
use crate::os::windows::api;

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

/// Nothing: only creating a file shows whether the access control list of the folder allows it.
pub(crate) fn check_writable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Nothing: a folder cannot be opened to sync it. NTFS keeps a log of such changes.
pub(crate) fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

pub(crate) fn check_owner(_: &Metadata) -> io::Result<()> {
    Ok(())
}

/// Whether the lock or the accounts are exposed. That is not checked: a folder outside a profile may let everybody read
/// what is created in it.
pub(crate) fn is_exposed(_: &Metadata) -> bool {
    false
}

/// Modes do not exist here.
pub(crate) fn is_writable(_: &Metadata) -> bool {
    false
}

/// If everybody on this machine may read or change a file with a password, the command that prevents it. A file whose
/// list cannot be read counts as exposed.
pub(crate) fn password_protection(path: &Path, file: &File, _: &Metadata) -> Option<String> {
    let is_exposed = api::is_open_to_everybody(file).unwrap_or(true);
    is_exposed.then(|| format!("icacls \"{}\" /inheritance:r /grant:r \"%USERNAME%:F\"", path.display()))
}

/// The same for a private key.
pub(crate) fn key_protection(path: &Path, file: &File, metadata: &Metadata) -> Option<String> {
    password_protection(path, file, metadata)
}

/// An open file cannot be replaced.
pub(crate) fn is_at(_: &Path, _: &Metadata) -> bool {
    true
}

/// The real path of a folder.
pub(crate) fn safe_folder(path: &Path, _: Sticky) -> io::Result<PathBuf> {
    if !path.metadata()?.is_dir() {
        const ERROR_DIRECTORY: i32 = 267;
        return Err(io::Error::from_raw_os_error(ERROR_DIRECTORY));
    }
    std::path::absolute(path)
}
