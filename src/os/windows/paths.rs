//! Paths and variables that systems name differently.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

/// The variable with the name of the user.
pub const USER_VARIABLE: &str = "USERNAME";

/// Where programs keep what belongs to a user on this machine.
pub fn state_folder() -> Option<PathBuf> {
    std::env::var_os("LOCALAPPDATA").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Where programs look for what the user has set.
pub fn config_folder() -> Option<PathBuf> {
    std::env::var_os("APPDATA").map(PathBuf::from).filter(|path| path.is_absolute())
}

/// The rest of a text that starts with `prefix`.
pub(crate) fn without_prefix(text: &OsStr, prefix: &str) -> Option<OsString> {
    text.to_str()?.strip_prefix(prefix).map(OsString::from)
}

/// Checks that there is such a program. Like the system, it looks for `CMD.exe` if `CMD` has no extension.
///
/// # Errors
/// Why it cannot be run, as far as that is known without running it.
pub(crate) fn check_program(path: &OsStr) -> io::Result<()> {
    let name = Path::new(path);
    let with_extension = if name.extension().is_some() { name.to_owned() } else { name.with_extension("exe") };
    if name.components().count() > 1 {
        return if with_extension.metadata()?.is_file() { Ok(()) } else { Err(io::ErrorKind::PermissionDenied.into()) };
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    if path.is_empty() || !std::env::split_paths(&folders).any(|folder| folder.join(&with_extension).is_file()) {
        return Err(io::Error::other("there is no such program in PATH"));
    }
    Ok(())
}
