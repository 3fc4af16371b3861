//! What people are told about bans and mutes.

use std::time::SystemTime;

use crate::accounts::Sanction;
use crate::model::SafeText;
use crate::protocol::Refusal;
use crate::protocol::server_line::fixed::KEEP_NAME;
use crate::room::Mute;

/// What somebody is told who is not let in.
pub(crate) fn banned(ban: &Sanction) -> Refusal {
    let reason = ban.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
    Refusal::Banned(SafeText::new(format!("you are banned{}{reason}", until(ban.until()))))
}

/// What somebody is told who may say nothing.
pub(crate) fn silenced(mute: Mute) -> Refusal {
    Refusal::Muted(SafeText::new(format!("you are muted{}; you can read, but not write", until(mute.until))))
}

/// What a muted operator is told.
pub(crate) fn suspended(mute: Mute) -> Refusal {
    let end = until(mute.until);
    Refusal::Suspended(SafeText::new(format!(
        "you are muted{end}, so you cannot moderate; another operator can unmute you"
    )))
}

/// What they are told who would like another name. A client can tell which of the two was refused.
pub(crate) fn pinned(mute: Mute) -> Refusal {
    Refusal::Muted(SafeText::new(format!("{KEEP_NAME}, because you are muted{}", until(mute.until))))
}

/// The end of a sanction, in UTC, with a blank before it.
pub(crate) fn until(end: Option<SystemTime>) -> String {
    end.map_or_else(|| " forever".to_owned(), |end| format!(" until {}", humantime::format_rfc3339_seconds(end)))
}
