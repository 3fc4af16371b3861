//! Operating system helpers: files, paths, descriptors, I/O errors in words, and yielding to other tasks.

pub mod descriptors;
pub mod io_error;
pub mod password_file;
pub(crate) mod path;
pub(crate) mod safe_file;
pub(crate) mod text_file;
pub(crate) mod yielding;
