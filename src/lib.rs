//! linechat: the chat that any line-oriented client can join.
//!
//! One server and one client speak a plain-text line protocol over TCP; `nc`, `telnet` or a shell script speak
//! it as well. The way of a line through the house, and of the reader through this crate:
//!
//! ```text
//! socket -> line -> command -> event -> broker -> batch -> feed -> writer -> socket
//!           `------ protocol ------'   `------- room -------'
//! bytes      text   what is meant      who is here, in what order    each peer reads on from its own place
//! ```
//!
//! * [`protocol`] makes lines of bytes, commands of lines, and lines of replies. It knows no socket and no task.
//! * [`limits`] names every bound in one place.

pub mod limits;
pub mod protocol;
