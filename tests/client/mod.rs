//! The client in pipes and at a pseudo-terminal, one file per topic.

#[cfg(unix)]
mod bot;
#[cfg(unix)]
mod editor;
mod input_bytes;
#[cfg(unix)]
mod keyboard;
#[cfg(unix)]
mod password;
mod pipes;
#[cfg(unix)]
pub mod plain;
#[cfg(unix)]
mod process_1;
#[cfg(unix)]
mod resources;
#[cfg(unix)]
mod resume;
mod rooms;
mod stdout;
mod taken_name;
#[cfg(unix)]
mod tls;
#[cfg(unix)]
mod typed_password;
