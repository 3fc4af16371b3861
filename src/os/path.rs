//! Parent folders of paths.

use std::path::Path;

/// The folder that a path is in. For a bare name, it is the current one.
pub(crate) fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
