use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use super::*;

/// A folder of this test's own. It is gone with this.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("linechat-safe-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn subfolder(&self, name: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn only_a_regular_file_is_opened() {
    let folder = Folder::new("regular");
    let open = |path: &Path| open_regular(path, OpenOptions::new().read(true), Links::Followed);
    let fifo = folder.0.join("fifo");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    for path in [&fifo, Path::new("/dev/null"), &folder.0] {
        assert_eq!(open(path).unwrap_err().to_string(), "it is not a regular file");
    }
    let file = folder.0.join("file");
    assert_eq!(open(&file).unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::write(&file, "").unwrap();
    open(&file).unwrap();
}

#[test]
fn a_folder_that_others_can_write_to_is_refused_wherever_it_is_on_the_path() {
    let folder = Folder::new("writable");
    for mode in [0o720, 0o702, 0o777] {
        let open = folder.subfolder(&format!("{mode:o}"), mode);
        let below = open.join("below");
        fs::create_dir(&below).unwrap();
        for path in [&open, &below] {
            let error = safe_folder(path, Sticky::Allowed).unwrap_err().to_string();
            let why = "others can write to it; choose another folder or run chmod go-w";
            assert_eq!(error, format!("the folder {} is not safe: {why}", open.display()));
        }
    }
    let private = folder.subfolder("private", 0o755);
    assert_eq!(safe_folder(&private, Sticky::Refused).unwrap(), private);
}

#[test]
fn a_sticky_folder_is_safe_above_and_where_it_is_allowed() {
    let folder = Folder::new("sticky");
    let sticky = folder.subfolder("sticky", 0o1777);
    let below = sticky.join("below");
    fs::create_dir(&below).unwrap();
    safe_folder(&sticky, Sticky::Allowed).unwrap();
    safe_folder(&below, Sticky::Refused).unwrap();
    let error = safe_folder(&sticky, Sticky::Refused).unwrap_err().to_string();
    assert!(error.contains("others can write to it"), "{error}");
}

#[test]
fn a_symlink_leads_to_the_folder_that_is_checked() {
    let folder = Folder::new("link");
    let (open, private) = (folder.subfolder("open", 0o777), folder.subfolder("private", 0o700));
    let link = folder.0.join("link");
    symlink(&open, &link).unwrap();
    safe_folder(&link, Sticky::Allowed).unwrap_err();
    fs::remove_file(&link).unwrap();
    symlink(&private, &link).unwrap();
    assert_eq!(safe_folder(&link, Sticky::Allowed).unwrap(), private);
}

#[test]
fn a_lock_is_held_by_one_and_free_again_when_its_file_is_removed() {
    let folder = Folder::new("lock");
    let path = folder.0.join("lock");
    let held = lock(&path).unwrap().unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o600);
    assert!(lock(&path).unwrap().is_none());
    fs::remove_file(&path).unwrap();
    let next = lock(&path).unwrap().expect("the removed file is not this one");
    drop(held);
    assert!(lock(&path).unwrap().is_none(), "the next one still holds it");
    drop(next);
    assert!(lock(&path).unwrap().is_some());
}

/// Between fork and exec, a child process has the same open file.
#[test]
fn a_lock_ends_although_another_process_has_its_file_open() {
    let folder = Folder::new("lock-fork");
    let path = folder.0.join("lock");
    let held = lock(&path).unwrap().unwrap();
    let in_child = held.0.try_clone().unwrap();
    drop(held);
    assert!(lock(&path).unwrap().is_some());
    drop(in_child);
}

#[test]
fn a_lock_that_others_can_open_is_refused() {
    let folder = Folder::new("open-lock");
    let path = folder.0.join("lock");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let error = lock(&path).unwrap_err().to_string();
    assert_eq!(error, format!("others can lock {0}; run chmod 600 {0}", path.display()));
}

#[test]
fn a_lock_is_not_created_through_a_symlink() {
    let folder = Folder::new("lock-link");
    let (path, elsewhere) = (folder.0.join("lock"), folder.0.join("elsewhere"));
    symlink(&elsewhere, &path).unwrap();
    lock(&path).unwrap_err();
    assert!(!elsewhere.exists());
}
