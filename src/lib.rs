//! linechat: a chat that any line-oriented client can join.
//!
//! A server and a client that speak a plain-text line protocol over TCP. `nc`, `telnet` or a shell script can speak it,
//! too. `cargo install --locked linechat` installs both programs: `linechat-server` and `linechat`, the client. Each of
//! them explains itself with `--help`.
//!
//! This library is what both consist of. Its interface follows their needs, and may change in any version. A line takes
//! this path through it:
//!
//! ```text
//! socket -> line -> command -> event -> broker -> batch -> feed -> writer -> socket
//!           `------ protocol ------'   `------- room -------'
//! bytes      text   what is meant      who is here, in what order    each peer reads on from its own place
//! ```
//!
//! * [`model`]: values that all layers share, such as names and safe text.
//! * [`protocol`]: bytes to lines to commands, and replies to lines. It knows no sockets and no tasks.
//! * [`room`]: who is in which room and who hears what, in one order for each room. Only its broker owns the peers.
//! * [`history`]: keeps the messages of the rooms, in memory or in a file.
//! * [`accounts`]: stores accounts, bans and mutes in a file, and hashes passwords.
//! * [`server`]: the sockets and tasks: listeners, sessions, writers.
//! * [`client`]: the client for people and scripts.
//! * [`cli`]: command-line code of both programs: man pages, completions, standard streams.
//! * [`net`] and [`os`]: socket and operating-system code of both programs.
//! * [`log`]: writes log records without ever making the room or the server wait.
//! * [`limits`]: all limits.
//!
//! To run a server within another program or a test:
//!
//! ```
//! use linechat::history::History;
//! use linechat::log::Log;
//! use linechat::server::access::auth::Auth;
//! use linechat::server::{self, Config, Listener};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listener = Listener::bind("127.0.0.1", 0)?;
//! println!("Server listening on {listener}");
//! let log = Log::off();
//! let shutdown = async {}; // It would be ready when the server is to stop; this one is at once.
//! let auth = (Auth::default(), History::in_memory());
//! async_std::task::block_on(server::run(vec![listener], None, Config::default(), auth, log, shutdown))?;
//! # Ok(())
//! # }
//! ```

pub mod accounts;
pub mod cli;
pub mod client;
pub mod database;
pub mod history;
pub mod limits;
pub mod log;
pub mod model;
pub mod net;
pub mod os;
pub mod protocol;
pub mod room;
pub mod server;
