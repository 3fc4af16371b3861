//! Reloads files at SIGHUP.

use std::sync::Arc;

use blocking::unblock;
use linechat::log::{Log, Record};
use linechat::server::access::auth::RoomPassword;
use linechat::server::listen::Tls;

/// The files to reload.
#[derive(Debug, Clone, Default)]
pub struct Reload {
    pub tls: Option<Arc<Tls>>,
    pub password: Option<Arc<RoomPassword>>,
}

impl Reload {
    pub fn is_any(&self) -> bool {
        self.tls.is_some() || self.password.is_some()
    }

    /// Reloads everything and logs the results. An unusable file changes nothing.
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

/// Logs if the certificate has expired or is not valid yet. It is used anyway: clients may trust its fingerprint.
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
