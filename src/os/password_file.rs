//! Files that hold a password, for both ends of a connection.

use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::limits::LINE_BYTES;
use crate::model::{BadSecret, Secret};
use crate::os::io_error;
use crate::os::safe_file::{check_owner, open_regular};
use crate::os::text_file::{Utf16, without_mark};

/// Why there is no password to be had from a file, and what to do about it.
#[derive(Debug, Error)]
pub enum PasswordFileError {
    /// It cannot be read.
    #[error("cannot read the password in {}: {}", .path.display(), io_error::describe(.source))]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Whoever can read it knows the password.
    #[error("others can read the password in {}; run chmod 600 {}", .0.display(), .0.display())]
    Exposed(PathBuf),
    /// Its encoding is another one.
    #[error("cannot read the password in {}: {Utf16}", .0.display())]
    Utf16(PathBuf),
    /// It does not begin with a password.
    #[error("the first line of {} is not a valid password: {why}", .path.display())]
    NoPassword {
        /// Which file.
        path: PathBuf,
        /// Why not.
        why: BadSecret,
    },
}

/// Reads the password that is the first line of a file, without its end. It blocks.
///
/// It must be a regular file of root or of our own user, and nobody but its owner may be able to read or write it. When root is the
/// owner, a group may read it, or a service could not have its password from systemd (systemd.exec(5), LoadCredential=).
///
/// # Errors
/// [`PasswordFileError`], worded for the person who wrote the file.
pub fn read(path: &Path) -> Result<Secret, PasswordFileError> {
    let unreadable = |source| PasswordFileError::Unreadable { path: path.to_owned(), source };
    // What is looked at is what is read, even if the path is given to another file meanwhile.
    let (mut file, metadata) =
        open_regular(path, OpenOptions::new().read(true), OFlags::empty()).map_err(unreadable)?;
    check_owner(&metadata).map_err(unreadable)?;
    let others = if metadata.uid() == 0 { 0o027 } else { 0o077 };
    if metadata.mode() & others != 0 {
        return Err(PasswordFileError::Exposed(path.to_owned()));
    }
    // With room for all of it from the start, no copy is left behind by a buffer that grew.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LINE_BYTES + 1));
    file.by_ref().take(LINE_BYTES as u64).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = without_mark(&bytes).map_err(|Utf16| PasswordFileError::Utf16(path.to_owned()))?;
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    str::from_utf8(line)
        .map_err(|_| BadSecret::NotText)
        .and_then(Secret::parse)
        .map_err(|why| PasswordFileError::NoPassword { path: path.to_owned(), why })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn file(test: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = std::env::temp_dir().join(format!("linechat-{test}-{}", std::process::id()));
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_first_line_is_the_password() {
        for content in ["tell nobody", "tell nobody\n", "tell nobody\r\nand nothing of this", "\u{feff}tell nobody\n"] {
            let path = file("first-line", content.as_bytes(), 0o600);
            assert!(read(&path).unwrap().is(&Secret::parse("tell nobody").unwrap()), "{content:?}");
        }
    }

    #[test]
    fn a_file_that_others_can_read_or_write_is_refused() {
        for mode in [0o604, 0o602, 0o620] {
            let path = file("exposed", b"tell nobody\n", mode);
            let error = read(&path).unwrap_err().to_string();
            assert_eq!(error, format!("others can read the password in {0}; run chmod 600 {0}", path.display()));
        }
    }

    #[test]
    fn what_holds_no_password_is_named() {
        for (content, why) in [(&b"\nsecret"[..], "at least 8"), (b"", "at least 8"), (b"\xff\n", "letters, digits")] {
            let error = read(&file("no-password", content, 0o600)).unwrap_err().to_string();
            assert!(error.contains("is not a valid password") && error.contains(why), "{error}");
        }
        let path = file("utf-16", b"\xff\xfet\0e\0l\0l\0 \0n\0o\0b\0o\0d\0y\0", 0o600);
        let why = "it is UTF-16; convert it to UTF-8: iconv -f UTF-16 -t UTF-8";
        assert_eq!(
            read(&path).unwrap_err().to_string(),
            format!("cannot read the password in {}: {why}", path.display())
        );
        let error = read(Path::new("/no/such/file")).unwrap_err().to_string();
        assert_eq!(error, "cannot read the password in /no/such/file: No such file or directory");
    }
}
