//! The programs at a Windows console: its keys, its screen and its events.
//!
//! These tests have a program of their own, because a process has only one console at a time.
#![cfg(windows)]
#![allow(dead_code, unused_imports, reason = "not every test program uses all that is shared by the tests")]

mod api;
mod client;
mod console;
mod server;
#[path = "../support/mod.rs"]
mod support;
