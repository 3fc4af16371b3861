//! What sessions tell the broker.

use std::fmt;

use futures::channel::oneshot;

use super::Reader;
use crate::origin::Origin;
use crate::protocol::{Command, Name, Refusal, SafeText};

/// Who a connection is, for as long as it lasts. Never given twice, so a late event cannot hit a newcomer of the
/// same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub u64);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

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
        from: Origin,
        /// The name it wants.
        name: Name,
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
    },
    /// A peer talks faster than it may, and is read more slowly from now on.
    Slowed {
        /// Who.
        peer: PeerId,
    },
    /// A peer has left. Sent exactly once by each session that joined.
    Leave {
        /// Who.
        peer: PeerId,
        /// Why, for the others to read.
        reason: Option<SafeText>,
    },
    /// The server stops: nobody comes in any more, and all sessions are about to leave.
    Shutdown,
}
