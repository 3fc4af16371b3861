//! Access control: passwords, connection limits, rate limits and penalties.

pub mod auth;
pub mod connection_limits;
pub(crate) mod penalties;
pub mod rate_limit;
pub(crate) mod unnamed;
