//! linechat: the chat that any line-oriented client can join.
//!
//! One server and one client speak a plain-text line protocol over TCP; `nc`, `telnet` or a shell script speak
//! it as well. The path of a line, and of the reader through this crate:
//!
//! ```text
//! socket -> line -> command -> event -> broker -> batch -> feed -> writer -> socket
//!           `------ protocol ------'   `------- room -------'
//! bytes      text   what is meant      who is here, in what order    each peer reads on from its own place
//! ```
//!
//! * [`model`] has the values that every layer shares, such as names and safe text.
//! * [`protocol`] makes lines of bytes, commands of lines, and lines of replies. It knows no socket and no task.
//! * [`room`] knows who is here and who hears what, in one order for all. Its broker is the only owner of the peers.
//! * [`accounts`] keeps accounts, bans and mutes in a file, and hashes passwords.
//! * [`server`] is the sockets and tasks around these: listeners, sessions, writers.
//! * [`client`] is the program for people and scripts.
//! * [`cli`] is what both programs need on the command line: man pages, completions, standard streams.
//! * [`net`] and [`os`] are what both ends want of sockets and of the operating system.
//! * [`log`] takes the log records of the room and the server, and never makes either of them wait.
//! * [`limits`] names every bound in one place.
//!
//! A server within another program, or a test:
//!
//! ```
//! use linechat::log::Log;
//! use linechat::server::access::auth::Auth;
//! use linechat::server::{self, Config, Listener};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind("127.0.0.1", 0)?;
//! println!("Server listening on {listener}");
//! let log = Log::off();
//! let shutdown = async {}; // It would be ready when the server is to stop; this one is at once.
//! async_std::task::block_on(crate::server::run(vec![listener], None, Config::default(), Auth::default(), log, shutdown))?;
//! # Ok(())
//! # }
//! ```

pub mod accounts;
pub mod cli;
pub mod client;
pub mod limits;
pub mod log;
pub mod model;
pub mod net;
pub mod os;
pub mod protocol;
pub mod room;
pub mod server;
