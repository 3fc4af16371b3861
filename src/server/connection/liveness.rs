//! How long the server waits for a peer that reads nothing. All of that is decided here.
//!
//! If the connection is lost, the peer acknowledges nothing, and the kernel ends the connection (TCP_USER_TIMEOUT, or
//! keepalive if nothing is in flight). A peer that has only stopped reading still acknowledges data, and gets the whole
//! stall limit. But Linux also treats it as lost if its receive window stays closed. So the server asks the kernel
//! which of the two it is, and sets the timeout accordingly. If the kernel does not tell, as without sock_diag(7), both
//! get the stall limit.

use std::time::{Duration, Instant};

use async_std::task;
use socket2::SockRef;

use crate::limits::{FAREWELL_LIMIT, LINK_LOOK, UNACKNOWLEDGED};
use crate::net::tcp;
use crate::net::tcp_info::{Health, diagnose};
use crate::net::transport::Transport;
use crate::server::connection::state::ConnectionState;

/// Returns when the peer is lost, or has read nothing for the stall limit although data is waiting for it. Costs
/// nothing while nothing is sent.
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
            state.note_sent(); // Check again.
        }
    }
}

/// Since when the peer has read nothing, and the number of bytes that it had acknowledged by then.
fn rest_since(before: Option<(u64, Instant)>, health: Health, now: Instant) -> Option<(u64, Instant)> {
    let same = before.filter(|(acknowledged, _)| *acknowledged == health.acknowledged);
    health.is_resting.then(|| same.unwrap_or((health.acknowledged, now)))
}

/// Returns when a write has waited too long: for the stall limit or, if the peer is leaving, for about the time limit
/// of a farewell.
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

/// Sets how long sent data may stay unacknowledged.
fn allow_unacknowledged(transport: &Transport, time: Duration) {
    // It fails if the connection is gone. The next write will notice.
    let _ = tcp::limit_unacknowledged(&SockRef::from(transport), time);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stall_limit_starts_again_when_the_peer_reads() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let health = |is_resting, acknowledged| Health { unacknowledged: Duration::ZERO, is_resting, acknowledged };
        let rest = rest_since(None, health(true, 5), start);
        assert_eq!(rest, Some((5, start)));
        assert_eq!(rest_since(rest, health(true, 5), start + second), Some((5, start)));
        assert_eq!(rest_since(rest, health(true, 6), start + second), Some((6, start + second)));
        assert_eq!(rest_since(rest, health(false, 5), start + second), None);
    }
}
