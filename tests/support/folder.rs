//! Folders for tests.

use std::fs;
use std::ops::Deref;
use std::path::{Path, PathBuf};

/// The path of a folder for one test. Whatever is there is removed, both now and when this is dropped.
pub struct Folder(PathBuf);

impl Folder {
    /// Nothing is there yet.
    pub fn absent(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("linechat-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    /// It is there, and empty.
    pub fn empty(name: &str) -> Self {
        let folder = Self::absent(name);
        fs::create_dir(&*folder).unwrap();
        folder
    }
}

impl Deref for Folder {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
