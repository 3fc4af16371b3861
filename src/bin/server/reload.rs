//! Files that are read again at SIGHUP.

use std::sync::Arc;

use blocking::unblock;
use linechat::journal::{Journal, Record};
use linechat::server::Tls;
use linechat::server::admission::RoomPassword;

/// What there is to read again.
#[derive(Debug, Clone, Default)]
pub struct Reload {
    pub tls: Option<Arc<Tls>>,
    pub password: Option<Arc<RoomPassword>>,
}

impl Reload {
    /// Whether there is anything.
    pub fn is_any(&self) -> bool {
        self.tls.is_some() || self.password.is_some()
    }

    /// Reads all of it, and notes what came of each. A file that cannot be used changes nothing.
    pub async fn run(self, journal: Journal) {
        unblock(move || {
            if let Some(tls) = self.tls {
                note(&journal, "certificate", tls.reload());
                note_untimely(&journal, &tls);
            }
            if let Some(password) = self.password {
                note(&journal, "password", password.reload());
            }
        })
        .await;
    }
}

/// Notes when it is not the time of the certificate. It is used all the same: who knows its fingerprint may trust it.
pub fn note_untimely(journal: &Journal, tls: &Tls) {
    if let Some(untimely) = tls.untimely() {
        journal.note(Record::Unfit { why: untimely.to_string() });
    }
}

fn note(journal: &Journal, what: &'static str, reloaded: Result<(), impl ToString>) {
    journal.note(match reloaded {
        Ok(()) => Record::Reloaded { what },
        Err(why) => Record::NotReloaded { what, why: why.to_string() },
    });
}
