//! Files that contain a password.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;
use zeroize::Zeroizing;

use crate::limits::LINE_BYTES;
use crate::model::{BadSecret, Secret};
use crate::os::io_error;
use crate::os::safe_file::{Links, check_owner, open_regular};
use crate::os::system::files;
use crate::os::text_file::to_utf8;

/// Why a file has no usable password, and what to do about it.
#[derive(Debug, Error)]
pub enum PasswordFileError {
    #[error("cannot read the password in {}: {}", .path.display(), io_error::describe(.source))]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("others can read the password in {}; run {remedy}", .path.display())]
    Exposed { path: PathBuf, remedy: String },
    #[error("the first line of {} is not a valid password: {why}", .path.display())]
    NoPassword { path: PathBuf, why: BadSecret },
}

/// Reads the password in the first line of a file, without the line ending. Blocks.
///
/// It must be a regular file that belongs to root or this user, and that others cannot read or write.
///
/// # Errors
/// [`PasswordFileError`], worded for the person who wrote the file.
pub fn read(path: &Path) -> Result<Secret, PasswordFileError> {
    let unreadable = |source| PasswordFileError::Unreadable { path: path.to_owned(), source };
    // Checks the opened file, because the path could be given to another file meanwhile.
    let (mut file, metadata) =
        open_regular(path, OpenOptions::new().read(true), Links::Followed).map_err(unreadable)?;
    check_owner(&metadata).map_err(unreadable)?;
    if let Some(remedy) = files::password_protection(path, &file, &metadata) {
        return Err(PasswordFileError::Exposed { path: path.to_owned(), remedy });
    }
    // The capacity is large enough from the start. A buffer that grew would leave copies in memory.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES + 1));
    file.by_ref().take(LINE_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = to_utf8(&bytes);
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    str::from_utf8(line)
        .map_err(|_| BadSecret::NotText)
        .and_then(Secret::parse)
        .map_err(|why| PasswordFileError::NoPassword { path: path.to_owned(), why })
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::process::Command;

    use super::*;

    fn file(test: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("linechat-{test}-{}", std::process::id()));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_first_line_is_the_password() {
        let texts = ["tell nobody", "tell nobody\n", "tell nobody\r\nand nothing of this", "\u{feff}tell nobody\n"];
        let utf16: Vec<u8> = "\u{feff}tell nobody\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for content in texts.map(str::as_bytes).into_iter().chain([&utf16[..]]) {
            let path = file("first-line", content, 0o600);
            assert!(read(&path).unwrap().is(&Secret::parse("tell nobody").unwrap()), "{}", content.escape_ascii());
        }
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused() {
        for mode in [0o604, 0o602, 0o620] {
            let path = file("exposed", b"tell nobody\n", mode);
            // A group may read a file of root.
            let change = if path.metadata().unwrap().uid() == 0 { "g-w,o=" } else { "go=" };
            let error = read(&path).unwrap_err().to_string();
            assert_eq!(error, format!("others can read the password in {0}; run chmod {change} {0}", path.display()));
            assert!(Command::new("chmod").arg(change).arg(&path).status().unwrap().success());
            assert!(read(&path).is_ok());
        }
    }

    #[test]
    fn what_holds_no_password_is_named() {
        for (content, why) in [(&b"\nsecret"[..], "at least 8"), (b"", "at least 8"), (b"\xff\n", "letters, digits")] {
            let error = read(&file("no-password", content, 0o600)).unwrap_err().to_string();
            assert!(error.contains("is not a valid password") && error.contains(why), "{error}");
        }
        let error = read(Path::new("/no/such/file")).unwrap_err().to_string();
        assert_eq!(error, "cannot read the password in /no/such/file: No such file or directory");
    }
}
