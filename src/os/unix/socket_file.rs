//! Unix sockets in the file system. The mode of the file decides who may connect.
//!
//! A server holds a lock while it listens at a path. So a socket without a listener was left behind, and is replaced.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use async_io::Async;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::limits::LISTEN_BACKLOG;
use crate::os::local_socket::{ListenError, LocalStream, peer_user};
use crate::os::path::parent;
use crate::os::safe_file::{Lock, Sticky, lock, safe_folder};

/// A socket that listens at a path.
#[derive(Debug)]
pub(crate) struct SocketFile {
    socket: Async<UnixListener>,
    /// The path as given.
    path: PathBuf,
    /// `None` if another process has made the file, and will remove it.
    _own: Option<OwnFile>,
}

/// The file of a socket. It is removed on drop.
#[derive(Debug)]
struct OwnFile {
    file: PathBuf,
    /// The inode of the file. Another file may have been put at the path since.
    inode: u64,
    lock_file: PathBuf,
    _lock: Lock,
}

impl SocketFile {
    /// Listens at `path`. Replaces the socket of a server that was killed, but nothing else.
    pub(crate) fn bind(path: &Path, mode: u32) -> Result<Self, ListenError> {
        // Clients must be able to connect with this path.
        SockAddr::unix(path)?;
        let name = path.file_name().ok_or(ListenError::NoSocket)?;
        // In a safe folder, no other user can replace our files.
        let folder = safe_folder(parent(path), Sticky::Allowed)?;
        let (file, lock_file) = (folder.join(name), folder.join(hidden(name, ".lock")));
        let lock = lock(&lock_file)?.ok_or(ListenError::InUse)?;
        remove_stale(&folder, name)?;
        let (socket, inode) = listen(&folder, name, mode).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => ListenError::InUse,
            _ => error.into(),
        })?;
        let socket = Async::new(socket)?;
        let own = OwnFile { file, inode, lock_file, _lock: lock };
        Ok(Self { socket, path: path.to_owned(), _own: Some(own) })
    }

    /// Takes over a socket that another process has opened.
    pub(crate) fn adopt(socket: Socket) -> io::Result<Self> {
        let address = socket.local_addr()?;
        let path = match (address.as_pathname(), address.as_abstract_namespace()) {
            (Some(path), _) => path.to_owned(),
            (None, Some(name)) => PathBuf::from(format!("@{}", String::from_utf8_lossy(name))),
            (None, None) => PathBuf::from("an unnamed Unix socket"),
        };
        Ok(Self { socket: Async::new(socket.into())?, path, _own: None })
    }

    /// The next connection, and the user at its other end.
    pub(crate) async fn accept(&self) -> io::Result<(LocalStream, u32)> {
        let (stream, _) = self.socket.accept().await?;
        let user = peer_user(&stream)?;
        Ok((stream, user))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // If a file cannot be removed, the next server replaces it.
        if self.file.symlink_metadata().is_ok_and(|file| file.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.file);
        }
        let _ = std::fs::remove_file(&self.lock_file);
    }
}

/// Removes a socket that nobody listens on any more.
fn remove_stale(folder: &Path, name: &OsStr) -> Result<(), ListenError> {
    let file = folder.join(name);
    match file.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
        Ok(file) if !file.file_type().is_socket() => return Err(ListenError::NoSocket),
        Ok(_) => {}
    }
    // A program that takes no lock may be listening there.
    let client = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    match with_address(folder, name, |address| client.connect(address)) {
        Ok(()) => Err(ListenError::InUse),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(std::fs::remove_file(file)?),
        Err(error) => Err(error.into()),
    }
}

/// Listens at a path where nothing exists. Returns the inode of the file.
///
/// The file gets its name only after its mode is set and it listens, so anyone who finds it can connect.
fn listen(folder: &Path, name: &OsStr, mode: u32) -> io::Result<(UnixListener, u64)> {
    let new_name = hidden(name, ".new");
    let new = folder.join(&new_name);
    // We hold the lock, so a killed server left it behind.
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

/// Renames a file, unless the new name exists by now.
fn publish(new: &Path, file: &Path) -> io::Result<()> {
    rename_new(new, file).inspect_err(|_| {
        // The next server removes what is left.
        let _ = std::fs::remove_file(new);
    })
}

#[cfg(any(target_os = "linux", target_vendor = "apple"))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};

    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

/// FreeBSD cannot do it in one step. A socket that another program creates at this very moment is replaced.
#[cfg(not(any(target_os = "linux", target_vendor = "apple")))]
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    if to.symlink_metadata().is_ok() {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    std::fs::rename(from, to)
}

/// The name of a hidden file that belongs to the one with this name.
fn hidden(name: &OsStr, extension: &str) -> OsString {
    [OsStr::new("."), name, OsStr::new(extension)].into_iter().collect()
}

/// Calls `act` with the address of a socket in a folder. An address is limited to about a hundred bytes (unix(7)), so a
/// longer one is written as a path in /proc (proc(5)). Without /proc it is too long.
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
