//! The room: who is here, and who hears what, in one order for all.
//!
//! Sessions send [`Event`]s. Only the [`Broker`] owns the peers; it turns events into [`Batch`]es. The [`Feed`] keeps
//! the batches until every peer's [`Reader`] has taken them. Nothing here knows a socket. [`Broker::handle`] and
//! [`Broker::tick`] know no clock either; only [`Broker::run`] and [`Progress`] do.

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
pub(crate) mod sanctions;
mod unannounced;

pub use admin_request::{AdminRequest, Mute, Person};
pub use batch::{Audience, Batch, BatchBuilder};
pub use broker::Broker;
pub use event::{Answer, Event};
pub use feed::{Feed, Portion, Progress, Reader, SlowReaders};
pub use peer_set::PeerSet;
pub use policy::Policy;
