//! I/O errors in words for a person, without the system's numbers.

use std::io;

/// What went wrong, as in "connection refused". The caller says where, and what to do about it.
pub fn describe(error: &io::Error) -> String {
    let text = error.to_string();
    // The standard library ends an error of the system with its number: "Address in use (os error 98)".
    match text.split_once(" (os error ") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_system_error_is_left_out() {
        assert_eq!(describe(&io::Error::from_raw_os_error(98)), "Address already in use");
        assert_eq!(describe(&io::Error::other("out of luck")), "out of luck");
    }
}
