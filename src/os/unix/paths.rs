//! Paths and variables that systems name differently.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

/// The variable with the name of the user.
pub const USER_VARIABLE: &str = "USER";

/// Where programs keep what a user would not miss much (XDG Base Directory Specification 0.8). The same on macOS, where
/// command-line programs do so too.
pub fn state_folder() -> Option<PathBuf> {
    xdg_folder("XDG_STATE_HOME", ".local/state")
}

/// Where programs look for what the user has set (XDG Base Directory Specification 0.8).
pub fn config_folder() -> Option<PathBuf> {
    xdg_folder("XDG_CONFIG_HOME", ".config")
}

/// A folder of the XDG Base Directory Specification: of a variable, or in the home folder.
fn xdg_folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute(variable).or_else(|| absolute("HOME").map(|home| home.join(in_home)))
}

/// The rest of a text that starts with `prefix`. It need not be UTF-8.
pub(crate) fn without_prefix(text: &OsStr, prefix: &str) -> Option<OsString> {
    text.as_bytes().strip_prefix(prefix.as_bytes()).map(|rest| OsString::from_vec(rest.to_owned()))
}

/// Checks that there is such a program.
///
/// # Errors
/// Why it cannot be run, as far as that is known without running it.
pub(crate) fn check_program(path: &OsStr) -> io::Result<()> {
    if path.as_bytes().contains(&b'/') {
        return is_executable(Path::new(path));
    }
    // Like execvp(3), which searches only `PATH` for a name without a slash.
    let folders = std::env::var_os("PATH").unwrap_or_else(|| "/bin:/usr/bin".into());
    let mut places = std::env::split_paths(&folders).map(|folder| folder.join(path));
    if path.is_empty() || !places.any(|place| is_executable(&place).is_ok()) {
        return Err(io::Error::other("there is no such program in PATH"));
    }
    Ok(())
}

fn is_executable(path: &Path) -> io::Result<()> {
    let file = path.metadata()?;
    if !file.is_file() || file.permissions().mode() & 0o111 == 0 {
        return Err(Errno::ACCESS.into());
    }
    Ok(())
}
