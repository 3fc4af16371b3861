//! Sockets of the file system: who may connect is a matter of the file's mode.
//!
//! A server holds a lock for as long as it listens at a path. So a socket at that path that nobody listens at was left behind,
//! and is replaced.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use async_io::Async;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::limits::LISTEN_BACKLOG;
use crate::os::path::parent;
use crate::os::safe_file::{Lock, Sticky, lock, safe_folder};
use crate::server::listen::BindError;

/// A socket that listens at a path. The file is removed when it is dropped.
#[derive(Debug)]
pub(crate) struct SocketFile {
    pub(crate) socket: Async<UnixListener>,
    /// As it was given.
    path: PathBuf,
    file: PathBuf,
    /// The file's number: somebody may have put another file at the path since.
    inode: u64,
    lock_file: PathBuf,
    _lock: Lock,
}

impl SocketFile {
    /// Listens at `path`. A file that a server left behind when it was killed is replaced; nothing else is.
    pub(crate) fn bind(path: &Path, mode: u32) -> Result<Self, BindError> {
        let failed = |source: io::Error| BindError::Path { path: path.to_owned(), source };
        let in_use = || BindError::PathInUse(path.to_owned());
        // Clients have to be able to connect to it by this path.
        SockAddr::unix(path).map_err(failed)?;
        let name = path.file_name().ok_or_else(|| BindError::NoSocket(path.to_owned()))?;
        // No other user can replace a file of ours there.
        let folder = safe_folder(parent(path), Sticky::Allowed).map_err(failed)?;
        let (file, lock_file) = (folder.join(name), folder.join(hidden(name, ".lock")));
        let lock = lock(&lock_file).map_err(failed)?.ok_or_else(in_use)?;
        remove_stale(&folder, name, path)?;
        let (socket, inode) = listen(&folder, name, mode).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => in_use(),
            _ => failed(error),
        })?;
        let socket = Async::new(socket).map_err(failed)?;
        Ok(Self { socket, path: path.to_owned(), file, inode, lock_file, _lock: lock })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // What cannot be removed stays, and the next server replaces it.
        if self.file.symlink_metadata().is_ok_and(|file| file.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.file);
        }
        let _ = std::fs::remove_file(&self.lock_file);
    }
}

/// Removes a socket at which nobody listens any more.
fn remove_stale(folder: &Path, name: &OsStr, path: &Path) -> Result<(), BindError> {
    let failed = |source: io::Error| BindError::Path { path: path.to_owned(), source };
    let file = folder.join(name);
    match file.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) if !file.file_type().is_socket() => return Err(BindError::NoSocket(path.to_owned())),
        Ok(_) => {}
    }
    // A program that takes no lock may listen there.
    let client = Socket::new(Domain::UNIX, Type::STREAM, None).map_err(failed)?;
    match with_address(folder, name, |address| client.connect(address)) {
        Ok(()) => Err(BindError::PathInUse(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => std::fs::remove_file(file).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// Listens at a path where nothing is, and gives the number of the file.
///
/// The file gets its name only when its mode is set and it listens: who finds it can connect.
fn listen(folder: &Path, name: &OsStr, mode: u32) -> io::Result<(UnixListener, u64)> {
    let new_name = hidden(name, ".new");
    let new = folder.join(&new_name);
    // The lock is ours, so it was left behind.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    with_address(folder, &new_name, |address| socket.bind(address))?;
    std::fs::set_permissions(&new, Permissions::from_mode(mode))?;
    socket.listen(LISTEN_BACKLOG)?;
    let inode = new.symlink_metadata()?.ino();
    publish(&new, &folder.join(name))?;
    Ok((socket.into(), inode))
}

/// Gives a file its name, unless there is something by now.
fn publish(new: &Path, file: &Path) -> io::Result<()> {
    renameat_with(CWD, new, CWD, file, RenameFlags::NOREPLACE).map_err(|error| {
        // The next server removes what is left.
        let _ = std::fs::remove_file(new);
        error.into()
    })
}

/// The name of a file that belongs to the one with this name.
fn hidden(name: &OsStr, extension: &str) -> OsString {
    [OsStr::new("."), name, OsStr::new(extension)].into_iter().collect()
}

/// Calls `act` with the address of a socket in a folder, which has a limit of some hundred bytes (unix(7)). A longer one is
/// written in a shorter way (proc(5)).
fn with_address<T>(folder: &Path, name: &OsStr, act: impl FnOnce(&SockAddr) -> io::Result<T>) -> io::Result<T> {
    if let Ok(address) = SockAddr::unix(folder.join(name)) {
        return act(&address);
    }
    let folder = File::open(folder)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    act(&SockAddr::unix(short.join(name))?)
}

#[cfg(test)]
mod tests;
