//! What the two programs share on the command line: standard streams, status lines, man pages and completions.

pub mod manual;
pub mod program_name;
pub mod settings;
pub mod status;
