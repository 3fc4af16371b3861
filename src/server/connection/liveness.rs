//! How long a peer is waited for that takes nothing of what is sent to it. All of that is decided here.
//!
//! A peer that is lost acknowledges nothing, and the kernel ends its connection (TCP_USER_TIMEOUT, and keepalive when nothing is
//! on its way). A peer that only rests has stopped reading, acknowledges what it gets, and is to have as long as the stall limit.
//! But Linux takes it for lost, too, when its window stays closed. So the kernel is asked which of the two it is, and then given
//! the time that the peer is to have. Where the kernel does not tell, as without sock_diag(7), both have the stall limit.

use std::time::{Duration, Instant};

use async_std::task;
use socket2::SockRef;

use crate::limits::{FAREWELL_LIMIT, LINK_LOOK, UNACKNOWLEDGED};
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
        let Ok(health) = diagnose(transport) else {
            allow_unacknowledged(transport, stall_limit.max(UNACKNOWLEDGED));
            continue;
        };
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

/// Ends when a write has waited for the peer for long enough: for the stall limit, or, once it is leaving, for about as long as
/// there is for a farewell.
pub(crate) async fn stall_deadline(stall_limit: Duration, is_leaving: impl Fn() -> bool) {
    let deadline = Instant::now() + stall_limit;
    let mut was_leaving = false;
    while !(was_leaving && is_leaving()) {
        was_leaving = is_leaving();
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        task::sleep(left.min(FAREWELL_LIMIT)).await;
    }
}

/// Sets how long what was sent may go unacknowledged.
fn allow_unacknowledged(transport: &Transport, time: Duration) {
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
