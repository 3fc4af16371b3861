//! What the docs say about the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// All files of a folder and of those in it, as paths from the root of the repository.
fn files(folder: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(Path::new(ROOT).join(folder)).unwrap() {
        let entry = entry.unwrap();
        let path = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path);
        }
    }
    found
}

#[test]
fn architecture_lists_every_source_file_once_and_says_what_it_is() {
    let page = fs::read_to_string(Path::new(ROOT).join("docs/architecture.md")).unwrap();
    let mut listed = BTreeSet::new();
    for line in page.lines().filter(|line| line.starts_with("src/")) {
        let (path, what) = line.split_once(' ').unwrap_or((line, ""));
        assert!(!what.trim().is_empty(), "{path}: what is it?");
        assert!(listed.insert(path.to_owned()), "{path} is listed twice");
    }
    // A `tests.rs` belongs to the file whose unit tests it holds.
    let described = files("src").into_iter().filter(|path| !path.ends_with("/tests.rs"));
    assert_eq!(listed, described.collect());
}
