//! Faults and hostile input against the real server program, a file a kind of trouble.
//!
//! Each test sets a [`scene`]: a server with witnesses in its room, who talk to each other throughout. Whatever the
//! trouble is, no line of theirs may be lost or late in its order, and afterwards the server is as it was before.

mod scene;
mod witnesses;

mod bytes;
mod crowds;
mod links;
mod log;
mod memory;
mod resources;
mod stalls;
mod stop;
