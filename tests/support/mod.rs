//! What the tests share: a server in this process, the real programs, and what the system says about them.

pub mod harness;
pub mod lines;
pub mod process_stats;
pub mod program;
pub mod properties;
pub mod tls_peer;
