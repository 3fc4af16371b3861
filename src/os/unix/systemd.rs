//! The protocols of systemd.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;
use std::{env, io, process};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use socket2::{Domain, SockAddr, Socket, Type};

use crate::os::systemd::{BadSocket, Notice, PassedSocket};

/// The most sockets that are taken.
const MOST: u32 = 64;

pub(crate) fn is_listening() -> bool {
    path().is_some()
}

fn path() -> Option<OsString> {
    env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty())
}

pub(crate) fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

pub(crate) fn notify(notices: &[Notice]) -> io::Result<()> {
    let mut states = Vec::new();
    for notice in notices {
        match notice {
            Notice::Ready => states.push(NotifyState::Ready),
            // With Type=notify-reload, systemd needs the time too.
            Notice::Reloading => states.extend([NotifyState::Reloading, NotifyState::monotonic_usec_now()?]),
            Notice::Stopping => states.push(NotifyState::Stopping),
            Notice::Works => states.push(NotifyState::Watchdog),
            Notice::Status(text) => states.push(NotifyState::Status(text)),
        }
    }
    send(&states.iter().map(|state| format!("{state}\n")).collect::<String>())
}

/// `sd_notify::notify` does not know abstract sockets, whose path begins with an @ in place of a zero (unix(7)).
fn send(message: &str) -> io::Result<()> {
    let Some(mut path) = path().map(OsString::into_vec) else { return Ok(()) };
    if let [first @ b'@', ..] = &mut path[..] {
        *first = 0;
    }
    let address = SockAddr::unix(OsString::from_vec(path))?;
    Socket::new(Domain::UNIX, Type::DGRAM, None)?.send_to(message.as_bytes(), &address).map(drop)
}

pub(crate) fn take_sockets() -> Result<Vec<PassedSocket>, BadSocket> {
    // The sockets are for this process only if both say so. `ListenFd` also takes them if one is missing.
    let number = |name| env::var(name).ok().and_then(|value| value.parse::<u32>().ok());
    let is_ours =
        number("LISTEN_PID") == Some(process::id()) && number("LISTEN_FDS").is_some_and(|count| count <= MOST);
    if !is_ours {
        return Ok(Vec::new());
    }
    let names = env::var_os("LISTEN_FDNAMES").unwrap_or_default().to_string_lossy().into_owned();
    let mut names = names.split(':').map(str::to_owned);
    let mut sockets = ListenFd::from_env();
    let count = sockets.len();
    let take = |at| {
        let name = names.next().unwrap_or_default();
        match take_socket(&mut sockets, at) {
            Some(socket) => Ok(PassedSocket { name, socket }),
            None => Err(BadSocket { name }),
        }
    };
    (0..count).map(take).collect()
}

/// Takes a socket of one of the two kinds that can be used.
fn take_socket(sockets: &mut ListenFd, at: usize) -> Option<Socket> {
    if let Ok(socket) = sockets.take_tcp_listener(at) {
        return socket.map(Socket::from).filter(is_listening_socket);
    }
    sockets.take_unix_listener(at).ok().flatten().map(Socket::from).filter(is_listening_socket)
}

/// Otherwise it is a connection, or has no address yet.
#[cfg(not(target_vendor = "apple"))]
fn is_listening_socket(socket: &Socket) -> bool {
    rustix::net::sockopt::socket_acceptconn(socket).unwrap_or(false)
}

/// macOS cannot tell, and has no systemd.
#[cfg(target_vendor = "apple")]
fn is_listening_socket(_: &Socket) -> bool {
    true
}
