//! Who may come in, and how much each may do: passwords, limits and penalties.

pub mod auth;
pub mod connection_limits;
pub(crate) mod penalties;
pub mod rate_limit;
pub(crate) mod unnamed;
