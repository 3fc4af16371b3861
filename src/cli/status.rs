//! What the client says about itself, on standard error.

use std::io;

use crate::cli::program_name::program_name;
use crate::cli::stdio;

/// How much the client says about itself. Errors are always told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Nothing else.
    Quiet,
    /// A greeting at a terminal, and nothing in a pipe.
    Normal,
    /// Also in a pipe, and for a bot, that the connection stands.
    Verbose,
}

/// Says a line. Whoever started us may have closed our standard error, or stopped reading it: then nobody is told, and
/// everything else goes on. (`eprintln!` would panic.)
pub fn say(text: &str) {
    // One write, so that the line stays whole among those of other programs.
    let _ = stdio::write_all(io::stderr(), format!("{text}\n").as_bytes());
}

/// Reports a problem, after the name of this program.
pub fn complain(problem: &str) {
    say(&format!("{}: {problem}", program_name("client")));
}
