//! The line protocol: bytes to lines to commands, and replies to lines.
//!
//! Nothing here knows a socket, a task or a clock. `docs/protocol.md` states all rules.

pub mod arguments;
pub mod command;
mod duration;
pub mod line;
pub mod login_line;
pub mod moderation;
pub mod refusal;
pub mod reply;
pub(crate) mod secret_line;
pub mod server_line;
pub mod since;
pub mod sniff;
pub mod telnet;
pub(crate) mod words;

pub use command::{AccountCommand, AdminCommand, Command, Grep, Listing, TopicChange};
pub use line::{Line, LineDecoder};
pub use login_line::{JoinOptions, LoginLine};
pub use moderation::{Banned, ModerationCommand};
pub use refusal::Refusal;
pub use reply::{Dialect, LeaveReason, Notice, Reply};
pub use server_line::ServerLine;
pub use since::Since;
pub use sniff::{OtherProtocol, Sniffer};
pub use telnet::{IAC, Piece, Telnet};
