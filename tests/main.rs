//! All integration tests in one program. It is built once, the long waits of some tests overlap with the work of
//! others, and a failing test does not prevent others from running.
//!
//! What is only for Unix has its reason in .ci/windows-skipped.

#![cfg_attr(
    windows,
    allow(dead_code, unused_imports, reason = "some of them are only for tests that are only for Unix")
)]

mod client;
#[cfg(unix)]
mod compat;
#[cfg(unix)]
mod faults;
mod programs;
mod server;
mod support;
#[cfg(unix)]
mod terminal;
