//! Status lines of the client on standard error.

use crate::cli::program_name::program_name;
use crate::os::system::stdio;

/// How much the client reports. Errors are always reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Only errors.
    Quiet,
    /// A greeting at a terminal, and nothing in a pipe.
    Normal,
    /// Also, in a pipe and for a bot, that the connection is established.
    Verbose,
}

/// Prints a line. Standard error may be closed or unread; then the line is lost and the program continues. (`eprintln!`
/// would panic.)
pub fn say(text: &str) {
    // In one write, so that lines of other programs do not interrupt it.
    let _ = stdio::write_error(format!("{text}\n").as_bytes());
}

/// Prints an error after the name of this program.
pub fn complain(problem: &str) {
    say(&format!("{}: {problem}", program_name("client")));
}
