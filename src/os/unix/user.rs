//! The user who runs this process.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, getegid, setegid, seteuid};
use rustix::process::geteuid;

use crate::os::io_error;

/// The number of the user. `None` on systems without such numbers.
pub(crate) fn id() -> Option<u32> {
    Some(geteuid().as_raw())
}

/// Does work as the owner of a folder, if this process runs as root. Not for a process with tasks: the whole process acts
/// as that user.
///
/// # Errors
/// If root may not do that, as in some containers.
pub(crate) fn as_owner<T>(folder: &Path, work: impl FnOnce() -> T) -> io::Result<T> {
    let owner = match folder.metadata() {
        Ok(metadata) if geteuid().is_root() && metadata.uid() != 0 => metadata,
        // The work reports that there is no folder.
        _ => return Ok(work()),
    };
    let (user, group, own_group) = (Uid::from_raw(owner.uid()), Gid::from_raw(owner.gid()), getegid());
    let become_owner = || {
        // nix does not have it for macOS, where the groups of root stay.
        #[cfg(not(target_vendor = "apple"))]
        nix::unistd::setgroups(&[group])?;
        setegid(group)?;
        seteuid(user)
    };
    become_owner().map_err(|error| {
        let why = io_error::describe(&error.into());
        io::Error::other(format!("cannot act as its owner: {why}; run this as user {user}"))
    })?;
    let done = work();
    seteuid(Uid::from_raw(0))?;
    setegid(own_group)?;
    Ok(done)
}
