//! Operating system helpers: files, paths, descriptors, I/O errors in words, and yielding to other tasks.
//!
//! What differs between systems is in `unix` and `windows`, which have the same modules. `system` is one of them.

pub mod descriptors;
pub mod io_error;
pub(crate) mod local_socket;
pub mod password_file;
pub(crate) mod path;
pub mod safe_file;
pub mod systemd;
pub(crate) mod text_file;
#[cfg(unix)]
pub(crate) mod unix;
#[cfg(windows)]
pub(crate) mod windows;
pub(crate) mod yielding;

#[cfg(unix)]
pub(crate) use unix as system;
#[cfg(windows)]
pub(crate) use windows as system;

pub use system::{paths, signals};
