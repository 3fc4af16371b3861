//! What the client says about itself, on standard error.

use std::io::{self, Write};

use crate::manual::program_name;

/// Says a line. Whoever started us may have closed our standard error, or stopped reading it: then nobody is told, and
/// everything else goes on. (`eprintln!` would panic.)
pub fn say(text: &str) {
    // One write, so that the line stays whole among those of other programs.
    let _ = io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Reports a problem, after the name of this program.
pub fn complain(problem: &str) {
    say(&format!("{}: {problem}", program_name("client")));
}
