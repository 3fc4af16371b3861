//! Sockets of the file system: who may connect is a matter of the file's mode.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use async_io::Async;
use rustix::fs::{Mode, OFlags, chmod, fchmod, open};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::limits::LISTEN_BACKLOG;
use crate::os::path::parent;
use crate::os::safe_file::{Lock, Sticky, check_owner, lock, safe_folder};
use crate::server::listen::BindError;

/// A socket that listens at a path. The file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    pub(crate) socket: Async<UnixListener>,
    /// As it was given.
    path: PathBuf,
    place: Place,
    /// The file's number: somebody may have put another file at the path since.
    inode: u64,
    /// Held for as long as this lives, so that no other server takes its file for one that was left behind.
    _lock: Lock,
}

impl SocketFile {
    /// Listens at `path`. A file that a server left behind when it was killed is replaced; nothing else is.
    pub(crate) fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let failed = |source: io::Error| BindError::Path { path: path.to_owned(), source };
        // Clients have to be able to connect to it by this path.
        SockAddr::unix(path).map_err(failed)?;
        let name = path.file_name().ok_or_else(|| BindError::NoSocket(path.to_owned()))?;
        let folder = safe_folder(parent(path), Sticky::Allowed).map_err(failed)?;
        let place = Place { folder, name: name.to_owned() };
        let lock = lock(&place.lock()).map_err(failed)?.ok_or_else(|| BindError::PathInUse(path.to_owned()))?;
        place.remove_if_stale(path)?;
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        // Before it is bound: Linux gives the file the mode of its socket, so there is no moment with a wider one.
        fchmod(&socket, Mode::from_raw_mode(mode)).map_err(|error| failed(error.into()))?;
        let draft = Draft::bind(&socket, &place).map_err(failed)?;
        let inode = set_mode(&draft.0, mode).map_err(failed)?.ino();
        socket.listen(LISTEN_BACKLOG).map_err(failed)?;
        draft.publish(&place.file(), path)?;
        let socket = Async::new(UnixListener::from(socket)).map_err(failed)?;
        Ok(Self { socket, path: path.to_owned(), place, inode, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let file = self.place.file();
        // What cannot be removed stays, and the next server replaces it.
        if file.symlink_metadata().is_ok_and(|file| file.ino() == self.inode) {
            let _ = std::fs::remove_file(file);
        }
        let _ = std::fs::remove_file(self.place.lock());
    }
}

/// A path by its real folder, which no other user can change, and a name in it.
#[derive(Debug)]
struct Place {
    folder: PathBuf,
    name: OsString,
}

impl Place {
    fn file(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    fn lock(&self) -> PathBuf {
        self.folder.join(self.hidden("lock"))
    }

    /// The name of a file that belongs to this one.
    fn hidden(&self, extension: &str) -> OsString {
        [OsStr::new("."), &self.name, OsStr::new("."), OsStr::new(extension)].into_iter().collect()
    }

    /// Calls `act` with the address of a socket in this folder, which has a limit of some hundred bytes (unix(7)). A longer one is
    /// written in a shorter way.
    fn with_address<T>(&self, name: &OsStr, act: impl FnOnce(&SockAddr) -> io::Result<T>) -> io::Result<T> {
        if let Ok(address) = SockAddr::unix(self.folder.join(name)) {
            return act(&address);
        }
        let folder = open(&self.folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        act(&SockAddr::unix(proc_path(&folder).join(name))?)
    }

    /// Removes a socket at which nobody listens any more.
    fn remove_if_stale(&self, path: &Path) -> Result<(), BindError> {
        let failed = |source: io::Error| BindError::Path { path: path.to_owned(), source };
        match self.file().symlink_metadata() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(failed(error)),
            Ok(file) if !file.file_type().is_socket() => return Err(BindError::NoSocket(path.to_owned())),
            Ok(_) => {}
        }
        let client = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
        match self.with_address(&self.name, |address| client.connect(address)) {
            Ok(()) => Err(BindError::PathInUse(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(self.file()).map_err(failed)
            }
            Err(error) => Err(failed(error)),
        }
    }
}

/// The path of an open file or folder, whatever has become of the path by which it was opened (proc(5)).
fn proc_path(handle: &impl AsRawFd) -> PathBuf {
    format!("/proc/self/fd/{}", handle.as_raw_fd()).into()
}

/// The file of a socket that does not listen yet, beside its path. At its path, a client that finds it could not connect.
struct Draft(PathBuf);

impl Draft {
    fn bind(socket: &Socket, place: &Place) -> io::Result<Self> {
        let name = place.hidden("new");
        let path = place.folder.join(&name);
        // The lock is ours, so it was left behind.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        place.with_address(&name, |address| socket.bind(address))?;
        Ok(Self(path))
    }

    /// Puts it at its path, unless something is there by now.
    fn publish(self, file: &Path, path: &Path) -> Result<(), BindError> {
        std::fs::hard_link(&self.0, file).map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => BindError::PathInUse(path.to_owned()),
            _ => BindError::Path { path: path.to_owned(), source },
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // The next server removes what is left.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Gives the file of a socket the permissions that the umask has taken from it. A path can be made to lead to another file, and
/// chmod(2) follows it, so the file is opened first, and what was opened is what is changed.
fn set_mode(socket: &Path, mode: u32) -> io::Result<Metadata> {
    let handle = open(socket, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let handle = File::from(handle);
    let metadata = handle.metadata()?;
    check_owner(&metadata)?;
    if !metadata.file_type().is_socket() {
        return Err(io::Error::other("it was replaced by another file"));
    }
    if metadata.mode() & 0o777 != mode {
        chmod(proc_path(&handle), Mode::from_raw_mode(mode))?;
    }
    Ok(metadata)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::channel;
    use std::sync::{Arc, Barrier};
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
    fn a_file_that_appears_at_the_path_meanwhile_is_not_replaced_and_no_draft_stays() {
        let folder = Folder::new("meanwhile");
        let path = folder.0.join("socket");
        let place = Place { folder: folder.0.clone(), name: "socket".into() };
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        // A killed server left it.
        std::fs::write(folder.0.join(".socket.new"), "").unwrap();
        let draft = Draft::bind(&socket, &place).unwrap();
        std::fs::write(&path, "dear diary").unwrap();
        let error = draft.publish(&path, &path).unwrap_err().to_string();
        assert!(error.contains("is in use"), "{error}");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
    }

    #[test]
    fn of_many_servers_that_start_at_once_where_a_socket_was_left_behind_one_listens() {
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
                assert!(refusal.unwrap_err().to_string().contains("is in use"));
            }
            UnixStream::connect(&path).expect("one listens");
        }
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 0, "the last one has removed its files");
    }

    #[test]
    fn the_mode_of_a_file_behind_a_symlink_is_not_changed() {
        let folder = Folder::new("symlink");
        let (secret, link) = (folder.0.join("secret"), folder.0.join("socket"));
        std::fs::write(&secret, "dear diary").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        set_mode(&link, 0o666).unwrap_err();
        set_mode(&secret, 0o666).unwrap_err();
        assert_eq!(secret.metadata().unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn another_user_who_locks_the_folder_does_not_keep_a_server_from_listening() {
        let folder = Folder::new("locked");
        let held = File::open(&folder.0).unwrap();
        held.lock().unwrap();
        SocketFile::bind(&folder.0.join("socket"), 0o600).unwrap();
    }

    #[test]
    fn a_short_path_to_a_folder_with_a_long_one_will_do() {
        let folder = Folder::new("long");
        let (deep, short) = (folder.0.join("x".repeat(108)), folder.0.join("short"));
        std::fs::create_dir(&deep).unwrap();
        std::os::unix::fs::symlink(&deep, &short).unwrap();
        let path = short.join("socket");
        let listening = SocketFile::bind(&path, 0o660).unwrap();
        UnixStream::connect(&path).unwrap();
        assert!(SocketFile::bind(&path, 0o600).unwrap_err().to_string().contains("is in use"));
        drop(listening);
        assert_eq!(std::fs::read_dir(&deep).unwrap().count(), 0);
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
    fn a_file_that_somebody_else_has_put_at_the_path_stays() {
        let path = path("another");
        let listening = SocketFile::bind(&path, 0o600).unwrap();
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, "dear diary").unwrap();
        drop(listening);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "dear diary");
        std::fs::remove_file(&path).unwrap();
    }
}
