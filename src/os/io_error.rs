//! Describes I/O errors without the system's error numbers.

use std::io;
use std::path::Path;

use crate::os::path::parent;
use crate::os::system::errors;

/// What went wrong, such as "connection refused". The caller adds where, and what to do about it.
pub fn describe(error: &io::Error) -> String {
    if let Some(text) = errors::describe(error) {
        return text.to_owned();
    }
    let text = error.to_string();
    // The standard library appends the number of a system error: "Address in use (os error 98)".
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

/// What an error of `accept` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AcceptFailure {
    /// Only this connection has failed.
    Connection,
    /// There are no descriptors, or there is no memory. The next connection keeps waiting.
    Exhausted,
    Other,
}

impl AcceptFailure {
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(code) if errors::EXHAUSTED.contains(&code) => Self::Exhausted,
            Some(code) if errors::CONNECTION_FAILED.contains(&code) => Self::Connection,
            _ => Self::Other,
        }
    }
}

/// Whether a write failed because there is no reader.
pub(crate) fn is_unread(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset)
}

/// Describes an error at a path, and says so if the folder of the path does not exist.
pub fn describe_at(path: &Path, error: &io::Error) -> String {
    let folder = parent(path);
    if error.kind() == io::ErrorKind::NotFound && !folder.exists() {
        format!("the folder {} does not exist", folder.display())
    } else {
        describe(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_told() {
        let described = |path: &str| describe_at(Path::new(path), &io::ErrorKind::NotFound.into());
        assert_eq!(described("/no/such/thing"), "the folder /no/such does not exist");
        assert_eq!(described("thing"), "entity not found");
        assert_eq!(described("/thing"), "entity not found");
        assert_eq!(describe_at(Path::new("/no/such"), &io::Error::other("out of luck")), "out of luck");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_number_of_a_system_error_is_left_out() {
        assert_eq!(describe(&io::Error::from_raw_os_error(98)), "Address already in use");
        assert_eq!(describe(&io::Error::other("out of luck")), "out of luck");
    }
}
