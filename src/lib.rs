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
//! * [`room`] knows who is here and who hears what, in one order for all. Its broker is the only owner of the peers.
//! * [`server`] is the sockets and tasks around the two: listener, session, writer.
//! * [`registry`] keeps accounts, bans and mutes in a file, and hashes passwords.
//! * [`client`] is the program for people and scripts.
//! * [`journal`] takes the log records of the room and the server, and never makes either of them wait.
//! * [`limits`] names every bound in one place, [`address`] reads what a person calls a host, [`origin`] says where a
//!   connection comes from, and [`fault`] words an I/O error for a person.
//! * [`manual`] makes the man pages and shell completions of the two programs.
//!
//! A server within another program, or a test:
//!
//! ```
//! use linechat::journal::Journal;
//! use linechat::server::{self, Config, Listener};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind("127.0.0.1", 0)?;
//! println!("Server listening on {listener}");
//! let shutdown = async {}; // It would be ready when the server is to stop; this one is at once.
//! async_std::task::block_on(server::run(vec![listener], None, Config::default(), Journal::off(), shutdown))?;
//! # Ok(())
//! # }
//! ```

pub mod address;
pub mod client;
mod diagnosis;
pub mod fault;
mod folder;
pub mod journal;
pub mod limits;
pub mod manual;
pub mod network;
pub mod origin;
pub mod protocol;
pub mod registry;
pub mod room;
mod safe_file;
pub mod secret_file;
pub mod server;
mod tcp;
mod text_file;
pub mod tls;
mod transport;
mod turns;
