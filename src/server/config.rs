//! What can be set about a server, beside where it listens.

use std::time::Duration;

use super::pace::Profile;

/// The settings of a server.
#[derive(Debug, Clone, Default)]
pub struct Config {
    /// Take an unfinished line as complete after so much silence, for clients that send no line ends. `None`: never.
    ///
    /// The price: somebody who types in character mode and pauses for that long sends half a line.
    pub idle_line: Option<Duration>,

    /// How fast each peer may talk.
    pub pace: Profile,
}
