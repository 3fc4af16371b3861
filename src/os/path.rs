//! Folders of paths.

use std::path::Path;

/// The folder that a path is in: for a bare name, the one that this process works in.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
