//! Files that are read again at SIGHUP.

use std::sync::Arc;

use blocking::unblock;
use linechat::log::{Log, Record};
use linechat::server::access::auth::RoomPassword;
use linechat::server::listen::Tls;

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
    pub async fn run(self, log: Log) {
        unblock(move || {
            if let Some(tls) = self.tls {
                note(&log, "certificate", tls.reload());
                note_untimely(&log, &tls);
            }
            if let Some(password) = self.password {
                note(&log, "password", password.reload());
            }
        })
        .await;
    }
}

/// Notes when it is not the time of the certificate. It is used all the same: who knows its fingerprint may trust it.
pub fn note_untimely(log: &Log, tls: &Tls) {
    if let Some(untimely) = tls.untimely() {
        log.note(Record::CertificateInvalid { why: untimely.to_string() });
    }
}

fn note(log: &Log, what: &'static str, reloaded: Result<(), impl ToString>) {
    log.note(match reloaded {
        Ok(()) => Record::Reloaded { what },
        Err(why) => Record::NotReloaded { what, why: why.to_string() },
    });
}
