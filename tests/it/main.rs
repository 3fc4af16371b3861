//! The real server over real sockets, a file a topic.

mod harness;
mod login;
