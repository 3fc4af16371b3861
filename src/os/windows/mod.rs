//! Windows. Each module has the same functions as the one for Unix, or says what is missing.

pub(crate) mod api;
pub(crate) mod descriptors;
pub(crate) mod errors;
pub(crate) mod files;
pub(crate) mod local_socket;
pub mod paths;
pub(crate) mod process_1;
pub mod signals;
pub(crate) mod socket_file;
pub(crate) mod stdio;
pub(crate) mod systemd;
pub(crate) mod terminal;
pub(crate) mod user;
