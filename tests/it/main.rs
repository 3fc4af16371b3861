//! The real server over real sockets, and the real programs, a file a topic.

mod harness;
mod pace;
mod program;

mod client;
mod commands;
mod errors;
mod framing;
mod half_close;
mod idle_line;
mod leave;
mod login;
mod names;
mod promises;
mod scalars;
mod server_program;
mod shutdown;
mod stall;
mod strangers;
mod talk;
mod terminal;
