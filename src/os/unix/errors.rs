//! Error numbers of the system.

use std::io;

use rustix::io::Errno;

/// Errors of accept(2) when there are no descriptors, or there is no memory.
pub(crate) const EXHAUSTED: &[i32] = &codes([Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM]);

/// Errors of accept(2) that concern only the new connection, also network errors that Linux passes on from it. EPERM is
/// not among them: a security module may forbid every accept, and retrying at once would then use all CPU time.
pub(crate) const CONNECTION_FAILED: &[i32] = &codes([
    Errno::CONNABORTED,
    Errno::NETDOWN,
    Errno::PROTO,
    Errno::NOPROTOOPT,
    Errno::HOSTDOWN,
    #[cfg(target_os = "linux")]
    Errno::NONET,
    Errno::HOSTUNREACH,
    Errno::OPNOTSUPP,
    Errno::NETUNREACH,
    Errno::TIMEDOUT,
    Errno::INTR,
]);

const fn codes<const N: usize>(errors: [Errno; N]) -> [i32; N] {
    let mut codes = [0; N];
    let mut at = 0;
    while at < N {
        codes[at] = errors[at].raw_os_error();
        at += 1;
    }
    codes
}

/// The system's own words are good.
pub(crate) fn describe(_: &io::Error) -> Option<&'static str> {
    None
}
