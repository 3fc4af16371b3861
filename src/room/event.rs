//! What sessions tell the broker.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use futures::channel::oneshot;

use crate::model::address::PeerAddr;
use crate::model::{AccountId, Name, PeerId};
use crate::protocol::{Command, LeaveReason, Notice, Refusal};
use crate::room::{AdminRequest, Person, Reader};

/// What a join is answered with: a place at the feed, or why not.
pub type Answer = Result<Reader, Refusal>;

/// One thing that happened at a connection.
#[derive(Debug)]
pub enum Event {
    /// A connection gave a name that follows the rules.
    Join {
        /// Which connection.
        peer: PeerId,
        /// Where it comes from.
        from: PeerAddr,
        /// The name it wants.
        name: Name,
        /// The account whose password it has given.
        account_id: Option<AccountId>,
        /// Where the broker counts the bytes that the peer has to pay for beside those that it sent.
        owed: Arc<AtomicU64>,
        /// Where the broker puts its answer. Every join is answered.
        answer: oneshot::Sender<Answer>,
    },
    /// A peer sent lines: what one read held, in order. Refused lines are among them, so that they are answered in
    /// order.
    Lines {
        /// Who.
        peer: PeerId,
        /// What each line means.
        lines: Vec<Result<Command, Refusal>>,
        /// How many bytes they had.
        bytes: usize,
    },
    /// A peer talks faster than it may, and is read more slowly from now on.
    Slowed {
        /// Who.
        peer: PeerId,
    },
    /// A session wants to know who its peer is.
    Ask {
        /// Which peer.
        peer: PeerId,
        /// Where the answer goes: nowhere, if the peer is not in the room any more.
        answer: oneshot::Sender<Person>,
    },
    /// A session has something to tell its peer, behind what was said before.
    Tell {
        /// Whom.
        peer: PeerId,
        /// What.
        told: Result<Notice, Refusal>,
    },
    /// A peer has an account from now on, or has none any more.
    SetAccount {
        /// Who.
        peer: PeerId,
        /// Which.
        account_id: Option<AccountId>,
    },
    /// Those who keep order want something done.
    AdminRequest(Box<AdminRequest>),
    /// A peer has left. Sent exactly once by each session that joined.
    Leave {
        /// Who.
        peer: PeerId,
        /// Why, for the others to read.
        reason: Option<LeaveReason>,
    },
    /// The server stops: nobody comes in any more, and all sessions are about to leave.
    Shutdown,
}
