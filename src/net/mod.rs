//! Socket code that the server and the client share.

pub mod control;
pub mod resolve;
pub(crate) mod tcp;
pub(crate) mod tcp_info;
pub mod tls;
pub(crate) mod transport;
