//! The texts about bans and mutes.

use std::time::SystemTime;

use crate::accounts::Sanction;
use crate::model::SafeText;
use crate::protocol::Refusal;
use crate::protocol::server_line::fixed::{KEEP_NAME, NO_NEW_ROOM};
use crate::room::Mute;

pub(crate) fn banned(ban: &Sanction) -> Refusal {
    let reason = ban.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    Refusal::Banned(SafeText::new(format!("you are banned{}{reason}", until(ban.until()))))
}

pub(crate) fn silenced(mute: Mute) -> Refusal {
    Refusal::Muted(SafeText::new(format!("you are muted{}; you can read but not send messages", until(mute.until))))
}

pub(crate) fn suspended(mute: Mute) -> Refusal {
    let end = until(mute.until);
    Refusal::Suspended(SafeText::new(format!(
        "you are muted{end}, so you cannot moderate; another operator can unmute you"
    )))
}

/// For a muted peer that wants another name. Clients can tell by the text which of the two was refused.
pub(crate) fn pinned(mute: Mute) -> Refusal {
    Refusal::Muted(SafeText::new(format!("{KEEP_NAME}, because you are muted{}", until(mute.until))))
}

/// For a muted peer that would open a room, whose name others would read. Clients can tell it from a refused message.
pub(crate) fn shut_out(mute: Mute) -> Refusal {
    let end = until(mute.until);
    Refusal::Muted(SafeText::new(format!(
        "{NO_NEW_ROOM}, because you are muted{end}; you can go to rooms that exist, and hear them"
    )))
}

/// The end of a sanction in UTC, with a leading space.
pub(crate) fn until(end: Option<SystemTime>) -> String {
    end.map_or_else(|| " forever".to_owned(), |end| format!(" until {}", humantime::format_rfc3339_seconds(end)))
}
