//! The real server over real sockets, and the real programs, a file a topic.

mod harness;
mod pace;
mod program;
mod tls_peer;
#[allow(dead_code, reason = "tests/faults uses the rest of it")]
#[path = "../faults/vitals.rs"]
mod vitals;

mod accounts;
mod admin;
mod announcements;
mod bot;
mod client;
mod client_password;
mod client_resources;
mod client_tls;
mod command_line;
mod commands;
mod editor;
mod errors;
mod framing;
mod half_close;
mod idle_line;
mod ignore;
mod input_bytes;
mod keyboard;
mod leave;
mod login;
mod manual;
mod names;
mod nonblocking;
mod operators;
mod password;
mod pipes;
mod plain;
mod process_1;
mod promises;
mod scalars;
mod server_program;
mod server_resources;
mod shutdown;
mod signals;
mod stall;
mod strangers;
mod taken_name;
mod talk;
mod tls;
mod typed_password;
mod unix_socket;
