//! Tests of both programs and of the documentation.

mod command_line;
mod docs;
mod errors;
mod manual;
mod nonblocking;
