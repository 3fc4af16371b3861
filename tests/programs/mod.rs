//! What holds for both programs, and for the documentation.

mod command_line;
mod docs;
mod errors;
mod manual;
mod nonblocking;
