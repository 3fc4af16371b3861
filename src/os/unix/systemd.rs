//! The protocols of systemd.

use std::time::Duration;
use std::{env, io};

use listenfd::ListenFd;
use sd_notify::NotifyState;
use socket2::Socket;

use crate::os::systemd::{BadSocket, Notice, PassedSocket};

pub(crate) fn is_listening() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some()
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
    sd_notify::notify(&states)
}

pub(crate) fn take_sockets() -> Result<Vec<PassedSocket>, BadSocket> {
    let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
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
        return socket.map(Socket::from);
    }
    sockets.take_unix_listener(at).ok().flatten().map(Socket::from)
}
