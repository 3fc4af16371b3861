//! Faults and hostile input against the real server program, with one file per kind of fault.
//!
//! Each test sets a [`scene`]: a server with witnesses in its room, who talk to each other all the time. Whatever
//! happens, no line of theirs may be lost or out of order, and afterwards the server must be as it was before.

mod scene;
mod witnesses;

mod bytes;
mod crowds;
mod links;
mod log;
mod memory;
mod resources;
mod rooms;
mod stalls;
mod stop;
mod storage;
