//! Describes I/O errors without the system's error numbers.

use std::io;
use std::path::Path;

use crate::os::path::parent;

/// What went wrong, such as "connection refused". The caller adds where, and what to do about it.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library appends the number of a system error: "Address in use (os error 98)".
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
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

    #[test]
    fn the_number_of_a_system_error_is_left_out() {
        assert_eq!(describe(&io::Error::from_raw_os_error(98)), "Address already in use");
        assert_eq!(describe(&io::Error::other("out of luck")), "out of luck");
    }
}
