//! Sockets of the file system: who may connect is a matter of the file's mode.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;

use async_io::Async;
use rustix::fs::{FlockOperation, Mode, OFlags, chmod, fchmod, flock, open};
use rustix::io::Errno;
use socket2::{Domain, SockAddr, Socket, Type};

use super::listener::BindError;
use crate::folder::folder_of;
use crate::limits::{LISTEN_BACKLOG, SOCKET_DRAFTS, SOCKET_TURN, SOCKET_TURNS};

/// A socket that listens at a path. The file is removed when it is dropped.
#[derive(Debug)]
pub(super) struct SocketFile {
    pub(super) socket: Async<UnixListener>,
    path: PathBuf,
    /// The file's number: another server may have taken the path since.
    inode: u64,
}

impl SocketFile {
    /// Listens at `path`. A file that a server left behind when it was killed is replaced; nothing else is.
    pub(super) fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let failed = |source: io::Error| BindError::Path { path: path.to_owned(), source };
        SockAddr::unix(path).map_err(failed)?;
        let _turn = take_turn(path);
        remove_if_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        // Before it is bound: Linux gives the file the mode of its socket, so there is no moment with a wider one.
        fchmod(&socket, Mode::from_raw_mode(mode)).map_err(|error| failed(error.into()))?;
        let draft = Draft::bind(&socket, path).map_err(failed)?;
        // The umask may have taken from it.
        chmod(&draft.0, Mode::from_raw_mode(mode)).map_err(|error| failed(error.into()))?;
        socket.listen(LISTEN_BACKLOG).map_err(failed)?;
        let inode = draft.0.symlink_metadata().map_err(failed)?.ino();
        draft.publish(path)?;
        let socket = Async::new(UnixListener::from(socket)).map_err(failed)?;
        Ok(Self { socket, path: path.to_owned(), inode })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if self.path.symlink_metadata().is_ok_and(|file| file.ino() == self.inode) {
            // Then it stays, and the next server replaces it.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// The file of a socket that does not listen yet, beside its path. At its path it would look like one that was left behind,
/// and another server would remove it.
struct Draft(PathBuf);

impl Draft {
    /// Its name is as short as can be, since that of a socket has a limit of some hundred bytes (unix(7)).
    fn bind(socket: &Socket, path: &Path) -> io::Result<Self> {
        let mut bound = Err(io::ErrorKind::AddrInUse.into());
        for number in 0..SOCKET_DRAFTS {
            let draft = path.with_file_name(format!(".{:x}.{number}", std::process::id()));
            bound = socket.bind(&SockAddr::unix(&draft)?).map(|()| Self(draft));
            // A server that was killed, or one in another container, may have left one of that name.
            if !bound.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AddrInUse) {
                break;
            }
        }
        bound
    }

    /// Puts it at its path, unless something is there by now.
    fn publish(self, path: &Path) -> Result<(), BindError> {
        std::fs::hard_link(&self.0, path).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => BindError::PathInUse(path.to_owned()),
            _ => BindError::Path { path: path.to_owned(), source },
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // What is left is in nobody's way.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Waits while another server looks whether something was left behind in this folder, and removes it: both could find the
/// same, and the second one would remove what the first one has put there. Their turns are short, and taken with a lock on
/// the folder. Where that cannot be had, they go on without.
fn take_turn(path: &Path) -> Option<OwnedFd> {
    // What is no folder could keep us waiting until somebody else opens it.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = open(folder_of(path), flags, Mode::empty()).ok()?;
    for _ in 0..SOCKET_TURNS {
        match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::WOULDBLOCK) => sleep(SOCKET_TURN),
            locked => return locked.ok().map(|()| folder),
        }
    }
    None
}

/// Removes a socket at which nobody listens any more.
fn remove_if_stale(path: &Path) -> Result<(), BindError> {
    let failed = |source: io::Error| BindError::Path { path: path.to_owned(), source };
    match path.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(BindError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    match UnixStream::connect(path) {
        Ok(_) => Err(BindError::PathInUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(path).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// A path of this test's own.
    fn path(test: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("linechat-{test}-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        path
    }

    /// A folder of this test's own. It is gone with this.
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
    fn the_file_is_there_for_as_long_as_somebody_listens_and_has_the_mode_asked_for() {
        let path = path("mode");
        let listening = SocketFile::bind(&path, 0o600).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        drop(listening);
        assert!(!path.exists());
    }

    #[test]
    fn whoever_finds_the_file_can_connect() {
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
    fn what_comes_to_the_path_meanwhile_is_not_replaced_and_no_draft_stays() {
        let folder = Folder::new("meanwhile");
        let path = folder.0.join("socket");
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        // What a killed server left is in the way of the first name.
        std::fs::write(folder.0.join(format!(".{:x}.0", std::process::id())), "").unwrap();
        let draft = Draft::bind(&socket, &path).unwrap();
        std::fs::write(&path, "dear diary").unwrap();
        let error = draft.publish(&path).unwrap_err().to_string();
        assert!(error.contains("is in use"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 2);
    }

    #[test]
    fn of_two_servers_that_find_what_was_left_behind_the_second_one_waits_for_the_first() {
        let folder = Folder::new("turns");
        let path = folder.0.join("socket");
        drop(UnixListener::bind(&path).unwrap());
        let turn = take_turn(&path).unwrap();
        let (done, second_is_done) = channel();
        let second = path.clone();
        std::thread::spawn(move || done.send(SocketFile::bind(&second, 0o600)));
        assert!(second_is_done.recv_timeout(Duration::from_millis(50)).is_err(), "it has not waited");
        std::fs::remove_file(&path).unwrap();
        let first = UnixListener::bind(&path).unwrap();
        drop(turn);
        let error = second_is_done.recv().unwrap().unwrap_err().to_string();
        assert!(error.contains("is in use"), "{error}");
        UnixStream::connect(&path).expect("the first one listens");
        drop(first);
    }

    #[test]
    fn who_keeps_the_folder_locked_keeps_no_server_from_listening() {
        let folder = Folder::new("locked");
        let path = folder.0.join("socket");
        let _turn = take_turn(&path).unwrap();
        assert!(take_turn(&path).is_none());
        SocketFile::bind(&path, 0o600).unwrap();
    }

    #[test]
    fn below_what_is_no_folder_it_does_not_wait_for_anybody() {
        let folder = Folder::new("no-folder");
        let pipe = folder.0.join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let (done, is_done) = channel();
        std::thread::spawn(move || done.send(SocketFile::bind(&pipe.join("socket"), 0o600)));
        let bound = is_done.recv_timeout(Duration::from_secs(20)).expect("it does not wait");
        let error = bound.unwrap_err().to_string();
        assert!(error.ends_with("Not a directory"), "{error}");
    }

    #[test]
    fn a_path_that_is_too_long_is_told() {
        let path = path("long").join("x".repeat(108));
        let error = SocketFile::bind(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains(path.to_str().unwrap()) && error.contains("SUN_LEN"), "{error}");
    }

    #[test]
    fn a_file_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let path = path("stale");
        // Dropping a listener of the standard library leaves its file behind.
        drop(UnixListener::bind(&path).unwrap());
        let listening = SocketFile::bind(&path, 0o600).unwrap();
        let error = SocketFile::bind(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("is in use"), "{error}");
        UnixStream::connect(&path).expect("the first one still listens");
        drop(listening);
    }

    #[test]
    fn what_is_no_socket_is_not_touched() {
        let path = path("file");
        std::fs::write(&path, "dear diary").unwrap();
        let error = SocketFile::bind(&path, 0o600).unwrap_err().to_string();
        assert!(error.contains("is no socket"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn the_file_of_another_server_stays() {
        let path = path("another");
        let first = SocketFile::bind(&path, 0o600).unwrap();
        std::fs::remove_file(&path).unwrap();
        let second = SocketFile::bind(&path, 0o600).unwrap();
        drop(first);
        assert!(path.exists());
        drop(second);
        assert!(!path.exists());
    }
}
