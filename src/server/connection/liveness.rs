//! The watch over a connection: whether the peer still takes what was sent, when nobody sends it more.
//!
//! Linux ends a connection whose window stays closed for as long as TCP_USER_TIMEOUT says, as if the peer were dead. A
//! peer that only rests, for it has stopped reading, is to have as long as the stall limit.

use std::time::{Duration, Instant};

use async_std::task;
use socket2::SockRef;

use crate::limits::{LINK_LOOK, UNACKNOWLEDGED};
use crate::net::tcp_info::{Health, diagnose};
use crate::net::transport::Transport;
use crate::server::connection::state::ConnectionState;

/// Ends when the peer is lost, or has taken nothing for the stall limit although something waits for it. It costs
/// nothing as long as nothing is sent.
pub(crate) async fn watch(transport: &Transport, state: &ConnectionState, stall_limit: Duration) {
    let mut rest = None;
    loop {
        state.sent().await;
        task::sleep(LINK_LOOK.min(stall_limit)).await;
        // When the kernel does not tell, its own limit is all that there is.
        let Ok(health) = diagnose(transport) else { continue };
        if health.unacknowledged >= UNACKNOWLEDGED {
            return;
        }
        rest = rest_since(rest, health, Instant::now());
        if rest.is_some_and(|(_, since)| since.elapsed() >= stall_limit) {
            state.note_stalled();
            return;
        }
        let is_resting = rest.is_some();
        allow_unacknowledged(transport, if is_resting { stall_limit + 2 * UNACKNOWLEDGED } else { UNACKNOWLEDGED });
        if is_resting || health.unacknowledged > Duration::ZERO {
            state.note_sent(); // It is looked at again.
        }
    }
}

/// Since when the peer has rested, and what it had acknowledged then.
fn rest_since(before: Option<(u64, Instant)>, health: Health, now: Instant) -> Option<(u64, Instant)> {
    let same = before.filter(|(acknowledged, _)| *acknowledged == health.acknowledged);
    health.is_resting.then(|| same.unwrap_or((health.acknowledged, now)))
}

/// Sets how long what was sent may go unacknowledged.
pub(crate) fn allow_unacknowledged(transport: &Transport, time: Duration) {
    // It fails when the connection is gone, which the next write finds out.
    let _ = SockRef::from(transport).set_tcp_user_timeout(Some(time));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_begins_anew_when_something_is_taken() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let health = |is_resting, acknowledged| Health { unacknowledged: Duration::ZERO, is_resting, acknowledged };
        let rest = rest_since(None, health(true, 5), start);
        assert_eq!(rest, Some((5, start)));
        assert_eq!(rest_since(rest, health(true, 5), start + second), Some((5, start)));
        assert_eq!(rest_since(rest, health(true, 6), start + second), Some((6, start + second)));
        assert_eq!(rest_since(rest, health(false, 5), start + second), None);
    }
}
