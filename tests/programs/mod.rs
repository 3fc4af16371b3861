//! Tests of both programs and of the documentation.

mod command_line;
#[cfg(unix)]
mod docs;
mod errors;
#[cfg(unix)]
mod manual;
#[cfg(unix)]
mod nonblocking;
mod settings;
#[cfg(target_os = "linux")]
mod units;
