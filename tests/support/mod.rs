//! What the tests share: a server in this process, the real programs, and what the system says about them.

pub mod harness;
pub mod program;
pub mod vitals;
