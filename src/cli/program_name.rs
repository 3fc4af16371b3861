//! The name of this program.

use std::env;
use std::env::consts::EXE_SUFFIX;
use std::ffi::OsStr;
use std::path::Path;

/// The file name under which this process was started if it is a plain word, otherwise `default`.
pub fn program_name(default: &str) -> String {
    let path = env::args_os().next().unwrap_or_default();
    let name = Path::new(&path).file_name().and_then(OsStr::to_str).filter(|name| is_plain(name)).unwrap_or(default);
    // As people type it on Windows.
    name.strip_suffix(EXE_SUFFIX).unwrap_or(name).to_owned()
}

/// Whether it can be used in a shell script and a man page without quoting.
fn is_plain(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_shell_would_not_take_as_it_is_is_not_used() {
        for name in ["client", "linechat-server", "linechat_2.0", "7"] {
            assert!(is_plain(name), "{name}");
        }
        for name in ["", "-bash", ".hidden", "my client", "a;b", "a$b", "clïent", "a\nb"] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
