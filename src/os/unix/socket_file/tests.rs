use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use super::*;

/// A path for this test.
fn path(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("linechat-{test}-{}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    path
}

/// A folder for this test, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let folder = path(test);
        std::fs::create_dir(&folder).unwrap();
        Self(folder)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_file_has_the_given_mode_and_is_removed_on_drop() {
    let path = path("mode");
    let listening = SocketFile::bind(&path, 0o600).unwrap();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    drop(listening);
    assert!(!path.exists());
}

#[test]
fn a_client_that_finds_the_file_can_connect() {
    for number in 0..1000 {
        let path = path(&format!("ready-{number}"));
        let (tried, has_tried) = channel();
        let client = std::thread::spawn({
            let path = path.clone();
            move || {
                loop {
                    match UnixStream::connect(&path) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound => drop(tried.send(())),
                        connected => return connected.map(drop),
                    }
                }
            }
        });
        has_tried.recv().unwrap();
        let _listening = SocketFile::bind(&path, 0o600).unwrap();
        client.join().unwrap().unwrap();
    }
}

#[test]
fn a_file_that_appears_meanwhile_is_not_replaced() {
    let folder = Folder::new("meanwhile");
    let path = folder.0.join("socket");
    std::fs::write(&path, "dear diary").unwrap();
    let error = listen(&folder.0, OsStr::new("socket"), 0o600).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn of_many_servers_that_replace_a_stale_socket_one_listens() {
    let folder = Folder::new("at-once");
    let path = folder.0.join("socket");
    for _ in 0..20 {
        drop(UnixListener::bind(&path).unwrap());
        let start = Arc::new(Barrier::new(8));
        let servers: Vec<_> = std::iter::repeat_with(|| {
            let (path, start) = (path.clone(), Arc::clone(&start));
            std::thread::spawn(move || {
                start.wait();
                SocketFile::bind(&path, 0o600)
            })
        })
        .take(8)
        .collect();
        let bound = servers.into_iter().map(|server| server.join().unwrap());
        let (listening, refused): (Vec<_>, Vec<_>) = bound.partition(Result::is_ok);
        assert_eq!((listening.len(), refused.len()), (1, 7));
        for refusal in refused {
            assert!(matches!(refusal.unwrap_err(), ListenError::InUse));
        }
        UnixStream::connect(&path).expect("one listens");
    }
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0, "the last one has removed its files");
}

#[test]
fn files_of_a_killed_server_are_replaced_without_following_symlinks() {
    let folder = Folder::new("symlink");
    let (secret, left, path) = (folder.0.join("secret"), folder.0.join(".socket.new"), folder.0.join("socket"));
    std::fs::write(&secret, "dear diary").unwrap();
    std::fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&secret, &left).unwrap();
    std::fs::write(folder.0.join(".socket.lock"), "").unwrap();
    std::fs::set_permissions(folder.0.join(".socket.lock"), Permissions::from_mode(0o600)).unwrap();
    drop(UnixListener::bind(&path).unwrap());
    let listening = SocketFile::bind(&path, 0o666).unwrap();
    assert_eq!(path.metadata().unwrap().mode() & 0o777, 0o666);
    drop(listening);
    assert_eq!(secret.metadata().unwrap().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn a_lock_on_the_folder_does_not_prevent_listening() {
    let folder = Folder::new("locked");
    let held = File::open(&folder.0).unwrap();
    held.lock().unwrap();
    SocketFile::bind(&folder.0.join("socket"), 0o600).unwrap();
}

#[test]
fn a_symlink_makes_a_long_path_usable() {
    let folder = Folder::new("long");
    let (deep, short) = (folder.0.join("x".repeat(108)), folder.0.join("short"));
    std::fs::create_dir(&deep).unwrap();
    std::os::unix::fs::symlink(&deep, &short).unwrap();
    let path = short.join("socket");
    let listening = SocketFile::bind(&path, 0o660).unwrap();
    UnixStream::connect(&path).unwrap();
    assert!(matches!(SocketFile::bind(&path, 0o600), Err(ListenError::InUse)));
    drop(listening);
    assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 0);
}

#[test]
fn a_path_below_a_fifo_fails_at_once() {
    let folder = Folder::new("no-folder");
    let pipe = folder.0.join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
    assert!(made.success());
    let (done, is_done) = channel();
    std::thread::spawn(move || done.send(SocketFile::bind(&pipe.join("socket"), 0o600)));
    let bound = is_done.recv_timeout(Duration::from_secs(20)).expect("it does not wait");
    let error = bound.unwrap_err();
    assert!(matches!(&error, ListenError::Io(why) if why.kind() == io::ErrorKind::NotADirectory), "{error:?}");
}

#[test]
fn a_path_that_is_too_long_is_reported() {
    let path = path("long").join("x".repeat(108));
    let error = SocketFile::bind(&path, 0o600).unwrap_err();
    assert!(matches!(&error, ListenError::Io(why) if why.to_string().contains("SUN_LEN")), "{error:?}");
}

#[test]
fn a_stale_file_is_replaced_and_one_in_use_is_not() {
    let path = path("stale");
    // Dropping a listener of the standard library leaves its file behind.
    drop(UnixListener::bind(&path).unwrap());
    let listening = SocketFile::bind(&path, 0o600).unwrap();
    assert!(matches!(SocketFile::bind(&path, 0o600), Err(ListenError::InUse)));
    UnixStream::connect(&path).expect("the first one still listens");
    drop(listening);
}

#[test]
fn a_file_that_is_not_a_socket_is_kept() {
    let path = path("file");
    std::fs::write(&path, "dear diary").unwrap();
    assert!(matches!(SocketFile::bind(&path, 0o600), Err(ListenError::NoSocket)));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn a_file_that_replaced_the_socket_is_kept() {
    let path = path("another");
    let listening = SocketFile::bind(&path, 0o600).unwrap();
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, "dear diary").unwrap();
    drop(listening);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
    std::fs::remove_file(&path).unwrap();
}
