//! Everything that is tested from outside, in one program: it is built once, the long waits of some tests overlap with
//! the work of others, and a test that fails keeps no other from running.

mod client;
mod compat;
mod faults;
mod programs;
mod server;
mod support;
mod terminal;
