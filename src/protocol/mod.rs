//! The line protocol: bytes to lines to commands, and replies to lines.
//!
//! Pure: nothing here knows a socket, a task or a clock. `docs/protocol.md` states the rules in full.

pub mod stranger;
pub mod telnet;

pub mod line;

pub mod text;

pub mod name;

pub mod secret;

pub mod login_line;

pub mod act;

mod duration;

pub mod command;

pub mod reply;

pub use act::{Act, Banned};
pub use command::{Command, Errand};
pub use line::{Line, LineDecoder};
pub use login_line::LoginLine;
pub use name::{BadName, Name};
pub use reply::{LeaveReason, Notice, Refusal, Reply};
pub use secret::{BadSecret, Secret};
pub use stranger::{Opening, Stranger};
pub use telnet::{IAC, Piece, Telnet};
pub use text::SafeText;
