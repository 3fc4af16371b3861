//! Tells systemd how this server is: ready, reloading or stopping, how many people there are, and that the broker works.
//!
//! Nothing here runs if systemd does not listen.

use std::convert::Infallible;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_std::task;
use blocking::unblock;

use crate::limits::{STATUS_PAUSE, WATCHDOG_PAUSE_LEAST};
use crate::log::{Log, Record};
use crate::os::io_error;
use crate::os::systemd;
use crate::os::systemd::Notice;
use crate::room::Counts;
use crate::server::shared::Shared;

/// Says that the server is ready when the broker has answered a ping, and after each further one that the server works.
/// If the broker hangs, nothing more is said, and systemd ends the server.
///
/// There are two pings in the time that systemd waits. So an answer may take half of that.
pub(crate) async fn report(shared: Arc<Shared>) -> Infallible {
    let pause = systemd::watchdog().map_or(STATUS_PAUSE, |limit| (limit / 2).max(WATCHDOG_PAUSE_LEAST));
    let (mut event, mut reported) = (Notice::Ready, None);
    loop {
        let Some(counts) = shared.ping().await else { return pending().await };
        let mut notices = vec![std::mem::replace(&mut event, Notice::Works)];
        if reported.replace(counts) != Some(counts) {
            notices.push(Notice::Status(status(counts)));
        }
        tell(&shared.log, notices).await;
        task::sleep(pause).await;
    }
}

/// Tells systemd, if it listens. That it cannot be told is logged once, until it was told again.
pub async fn tell(log: &Log, notices: Vec<Notice>) {
    if !systemd::is_listening() {
        return;
    }
    static IS_FAILING: AtomicBool = AtomicBool::new(false);
    // On a thread of the pool, because systemd may be busy.
    let told = unblock(move || systemd::notify(&notices)).await;
    let was_failing = IS_FAILING.swap(told.is_err(), Ordering::Relaxed);
    if let Err(error) = told
        && !was_failing
    {
        log.note(Record::SystemdNotTold { error: io_error::describe(&error) });
    }
}

/// Runs `reload`, and tells systemd before and after it.
pub async fn tell_around(log: &Log, reload: impl Future<Output = ()>) {
    tell(log, vec![Notice::Reloading]).await;
    reload.await;
    tell(log, vec![Notice::Ready]).await;
}

/// What `systemctl status` shows.
fn status(Counts { people, rooms }: Counts) -> String {
    let people = if people == 1 { "1 person".to_owned() } else { format!("{people} people") };
    let rooms = if rooms == 1 { "1 room".to_owned() } else { format!("{rooms} rooms") };
    format!("{people}, {rooms}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_counts_people_and_rooms() {
        assert_eq!(status(Counts { people: 0, rooms: 1 }), "0 people, 1 room");
        assert_eq!(status(Counts { people: 1, rooms: 2 }), "1 person, 2 rooms");
    }
}
