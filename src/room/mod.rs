//! The room: who is here, and who hears what, in one order for all.
//!
//! Sessions send [`Event`]s; the [`Broker`] alone owns the peers and turns events into [`Batch`]es; the [`Feed`]
//! keeps the batches until every peer's [`Reader`] has taken them. Nothing here knows a socket. [`Broker::handle`] and
//! [`Broker::tick`] know no clock either: only [`Broker::run`] and [`Pulse`] do.

pub mod event;

pub mod broker;

pub mod batch;

pub mod feed;
mod ignores;
pub mod order;
mod patience;

pub mod peer_set;
mod roster;
mod traffic;
mod unannounced;

pub use batch::{Audience, Batch, BatchBuilder};
pub use broker::Broker;
pub(crate) use broker::{banned, suspended, until};
pub use event::{Answer, Event, PeerId};
pub use feed::{Feed, Laggards, Portion, Pulse, Reader};
pub use order::{Mute, Order, Person};
pub use peer_set::PeerSet;
