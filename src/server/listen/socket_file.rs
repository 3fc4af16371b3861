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
mod tests;
