//! Events from the sessions to the broker.

use std::sync::Arc;

use futures::channel::oneshot;

use crate::history::History;
use crate::model::address::PeerAddr;
use crate::model::{AccountId, Message, Name, PeerId, RoomName};
use crate::protocol::{Command, JoinOptions, LeaveReason, Notice, Refusal};
use crate::room::{AdminRequest, Joined, Person, Throttle};

/// The answer to a join.
pub type Answer = Result<Joined, Refusal>;

/// Receives the history of a room, its name, and whose messages the asking peer does not want.
pub type HistoryAnswer = oneshot::Sender<(History, RoomName, Vec<Name>)>;

#[derive(Debug)]
pub enum Event {
    /// A connection wants to join with a valid name.
    Join {
        join: Box<Join>,
        /// Receives the answer. Every join is answered.
        answer: oneshot::Sender<Answer>,
    },
    /// The lines of one read, in order. Refusals are among them so that they are answered in order.
    Lines {
        peer: PeerId,
        lines: Vec<Result<Command, Refusal>>,
        /// The size of the lines.
        bytes: usize,
    },
    /// A peer exceeded its rate limit, and is read more slowly from now on.
    Slowed {
        peer: PeerId,
    },
    /// A session asks who its peer is.
    Ask {
        peer: PeerId,
        /// Receives nothing if the peer is not in the room any more.
        answer: oneshot::Sender<Person>,
    },
    /// A session asks for the history of the room that its peer is in. It gets it when everything that was said before is
    /// in it.
    AskHistory {
        peer: PeerId,
        answer: HistoryAnswer,
    },
    /// A session sends its peer what a search has found.
    Found {
        peer: PeerId,
        room: RoomName,
        messages: Vec<Message>,
        /// Older messages may match too.
        has_more: bool,
    },
    /// A session sends its peer a notice or refusal, in order with the other lines.
    Tell {
        peer: PeerId,
        told: Result<Notice, Refusal>,
    },
    /// A peer has registered or unregistered.
    SetAccount {
        peer: PeerId,
        account_id: Option<AccountId>,
    },
    AdminRequest(Box<AdminRequest>),
    /// A peer has left. Each session that joined sends this exactly once.
    Leave {
        peer: PeerId,
        /// The reason that others read.
        reason: Option<LeaveReason>,
    },
    /// The server is stopping: nobody can join any more, and all sessions are about to leave.
    Shutdown,
}

impl Event {
    /// The rooms that lines name in order to say something there.
    pub(crate) fn rooms_named(&self) -> impl Iterator<Item = &RoomName> {
        let lines = match self {
            Self::Lines { lines, .. } => &lines[..],
            _ => &[],
        };
        lines.iter().filter_map(|line| match line {
            Ok(Command::SayIn(room, _)) => Some(room),
            _ => None,
        })
    }

    /// The peer in the room whose session has sent it.
    pub(crate) fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Lines { peer, .. }
            | Self::Slowed { peer }
            | Self::Ask { peer, .. }
            | Self::AskHistory { peer, .. }
            | Self::Found { peer, .. }
            | Self::Tell { peer, .. }
            | Self::SetAccount { peer, .. }
            | Self::Leave { peer, .. } => Some(*peer),
            Self::Join { .. } | Self::AdminRequest(_) | Self::Shutdown => None,
        }
    }
}

/// How somebody joins.
#[derive(Debug)]
pub struct Join {
    pub peer: PeerId,
    pub from: PeerAddr,
    pub name: Name,
    /// The account whose password it has given.
    pub account_id: Option<AccountId>,
    pub options: JoinOptions,
    /// It has sent nothing after its name yet, so it may be shown what was said before.
    pub is_waiting: bool,
    /// What the session is told about the pace of its peer.
    pub throttle: Arc<Throttle>,
}
