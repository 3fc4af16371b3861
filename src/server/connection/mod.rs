//! One connection, from the handshake to the close.

pub(crate) mod account_flow;
pub(crate) mod handshake;
pub(crate) mod liveness;
pub(crate) mod login;
pub(crate) mod pages;
pub(crate) mod reader;
mod replay;
pub(crate) mod session;
pub(crate) mod state;
pub(crate) mod turn_away;
pub(crate) mod writer;
