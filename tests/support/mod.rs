//! Shared by the tests: a server in this process, the real programs, and process statistics.

pub mod folder;
pub mod harness;
pub mod lines;
#[cfg(unix)]
pub mod process_stats;
pub mod program;
pub mod properties;
pub mod relay;
pub mod tls_peer;
