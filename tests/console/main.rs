//! The programs at a Windows console: its keys and its screen.
//!
//! These tests have a program of their own, because a process has only one console at a time.
#![cfg(windows)]
#![allow(dead_code, unused_imports, reason = "not every test program uses all that is shared by the tests")]

mod api;
mod client;
mod console;
#[path = "../support/mod.rs"]
mod support;
