//! Tests of the server over real sockets, with one file per topic.

mod accounts;
mod admin;
mod announcements;
mod commands;
mod framing;
mod half_close;
mod history;
mod idle_line;
mod ignore;
mod leave;
mod login;
mod names;
mod operators;
mod other_users;
mod pace;
pub mod password;
mod program;
mod properties;
mod resources;
mod scalars;
mod shutdown;
mod signals;
mod stall;
mod strangers;
mod talk;
mod tls;
mod unix_socket;
