//! The protocols of systemd.

use std::time::Duration;
use std::{env, io};

use sd_notify::NotifyState;

use crate::os::systemd::Notice;

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
