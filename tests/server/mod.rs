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
#[cfg(unix)]
mod other_users;
mod pace;
pub mod password;
mod program;
mod properties;
#[cfg(unix)]
mod resources;
mod rooms;
mod scalars;
mod shutdown;
#[cfg(unix)]
mod signals;
mod stall;
mod strangers;
#[cfg(target_os = "linux")]
mod systemd;
mod talk;
#[cfg(unix)]
mod tls;
#[cfg(unix)]
mod unix_socket;
