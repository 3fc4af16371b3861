//! All integration tests in one program. It is built once, the long waits of some tests overlap with the work of
//! others, and a failing test does not prevent others from running.

mod client;
mod compat;
mod faults;
mod programs;
mod server;
mod support;
mod terminal;
