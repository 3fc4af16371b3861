//! The client in pipes and at a pseudo-terminal, one file per topic.

mod bot;
mod editor;
mod input_bytes;
mod keyboard;
mod password;
mod pipes;
pub mod plain;
mod process_1;
mod resources;
mod resume;
mod stdout;
mod taken_name;
mod tls;
mod typed_password;
