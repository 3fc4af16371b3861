//! The rooms: who is in which, and who hears what, in one order for each room.
//!
//! Sessions send [`Event`]s. Only the [`Broker`] owns the peers and the rooms; it turns events into [`Batch`]es. The
//! [`Feed`] of a room keeps its batches until every peer's [`Reader`] has taken them. Nothing here knows a socket.
//! [`Broker::handle`] and [`Broker::tick`] know no clock either; only [`Broker::run`] and [`Progress`] do.

pub mod event;

pub mod broker;

pub mod batch;

pub mod admin_request;
mod backpressure;
pub mod feed;
mod ignores;

mod names;
pub mod peer_set;
pub mod policy;
mod presence;
mod recent;
pub mod replay;
pub(crate) mod sanctions;
pub mod subscription;
pub mod throttle;
mod unannounced;

pub use admin_request::{AdminRequest, Counts, Mute, Person, Ping};
pub use batch::{Audience, Batch, BatchBuilder, Turn, Uses};
pub use broker::Broker;
pub use event::{Answer, Event, Join};
pub use feed::{Feed, Lost, Portion, Position, Progress, Reader, SlowReaders, Then};
pub use peer_set::PeerSet;
pub use policy::{OpenRooms, Policy};
pub use replay::Replay;
pub(crate) use subscription::Counted;
pub use subscription::{Joined, Move, Moves, Source, Subscription};
pub use throttle::Throttle;
