//! Error numbers of the system.

use std::io::{self, ErrorKind};

/// Errors of accept when there are no handles (WSAEMFILE), or there is no memory (WSAENOBUFS).
pub(crate) const EXHAUSTED: &[i32] = &[10024, 10055];

/// Errors of accept that concern only the new connection: WSAEINTR, WSAECONNABORTED, WSAECONNRESET, WSAENETDOWN,
/// WSAEHOSTUNREACH and WSAETIMEDOUT.
pub(crate) const CONNECTION_FAILED: &[i32] = &[10004, 10053, 10054, 10050, 10065, 10060];

/// Short words for the usual errors. The system's own are whole sentences, in the language of the system.
pub(crate) fn describe(error: &io::Error) -> Option<&'static str> {
    error.raw_os_error()?;
    Some(match error.kind() {
        ErrorKind::AddrInUse => "Address already in use",
        ErrorKind::AddrNotAvailable => "Cannot assign requested address",
        ErrorKind::AlreadyExists => "File exists",
        ErrorKind::BrokenPipe => "Broken pipe",
        ErrorKind::ConnectionAborted => "Connection aborted",
        ErrorKind::ConnectionRefused => "Connection refused",
        ErrorKind::ConnectionReset => "Connection reset by peer",
        ErrorKind::HostUnreachable => "No route to host",
        ErrorKind::IsADirectory => "Is a directory",
        ErrorKind::NetworkDown => "Network is down",
        ErrorKind::NetworkUnreachable => "Network is unreachable",
        ErrorKind::NotADirectory => "Not a directory",
        ErrorKind::NotConnected => "Not connected",
        ErrorKind::NotFound => "No such file or directory",
        ErrorKind::PermissionDenied => "Permission denied",
        ErrorKind::StorageFull => "No space left on device",
        ErrorKind::TimedOut => "Connection timed out",
        _ => return None,
    })
}
