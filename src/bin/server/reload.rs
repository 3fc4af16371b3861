//! Rereads the settings and the files that they name at SIGHUP.

use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, Mutex, PoisonError};

use blocking::unblock;
use linechat::cli::manual::Parsed;
use linechat::log::{Log, Record};
use linechat::server::access::auth::RoomPassword;
use linechat::server::listen::Tls;

use crate::options::Options;

/// What can be reread.
#[derive(Debug)]
pub struct Reload {
    has_file: bool,
    tls: Option<Arc<Tls>>,
    password: Option<Arc<RoomPassword>>,
    /// The settings that the server uses, as text.
    used: Mutex<BTreeMap<String, Option<String>>>,
}

impl Reload {
    pub fn new(parsed: &Parsed<Options>, tls: Option<Arc<Tls>>, password: Option<Arc<RoomPassword>>) -> Self {
        let has_file = parsed.options.config.is_some();
        let tls = tls.filter(|_| parsed.options.tls_files().is_some());
        Self { has_file, tls, password, used: Mutex::new(parsed.values()) }
    }

    pub fn is_any(&self) -> bool {
        self.has_file || self.tls.is_some() || self.password.is_some()
    }

    /// Rereads everything and logs the results. What cannot be used changes nothing.
    pub async fn run(self: Arc<Self>, log: Log) {
        unblock(move || {
            let given: Vec<_> = env::args_os().collect();
            match Options::parse(&given) {
                Ok(parsed) => self.apply(&parsed, &log),
                Err(error) => {
                    let text = error.to_string();
                    let why = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
                    log.note(Record::NotReloaded { what: "settings", why });
                }
            }
        })
        .await;
    }

    fn apply(&self, parsed: &Parsed<Options>, log: &Log) {
        let options = &parsed.options;
        Log::set_level(options.log_level);
        // Whether the server uses them now.
        let mut applied = BTreeMap::from([("log-level", true)]);
        if let (Some(tls), Some((certificate, key))) = (&self.tls, options.tls_files()) {
            let is_read = note(log, "certificate", tls.reload(certificate, key));
            applied.extend([("tls-cert", is_read), ("tls-key", is_read)]);
            note_untimely(log, tls);
        }
        if let (Some(password), Some(file)) = (&self.password, &options.password_file) {
            applied.insert("password-file", note(log, "password", password.reload(file)));
        }
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, value) in parsed.values() {
            if used.get(&name) == Some(&value) {
                continue;
            }
            let text = value.clone().unwrap_or_else(|| "not set".to_owned());
            match applied.get(name.as_str()) {
                Some(true) => {
                    log.note(Record::SettingChanged { setting: name.clone(), value: text });
                    used.insert(name, value);
                }
                // That was noted.
                Some(false) => {}
                None => log.note(Record::RestartNeeded { setting: name, value: text }),
            }
        }
    }
}

/// Logs if the certificate has expired or is not valid yet. It is used anyway: clients may trust its fingerprint.
pub fn note_untimely(log: &Log, tls: &Tls) {
    if let Some(why) = tls.untimely() {
        log.note(Record::CertificateInvalid { why });
    }
}

/// Logs whether something was reloaded, and returns that.
fn note(log: &Log, what: &'static str, reloaded: Result<(), impl ToString>) -> bool {
    let is_reloaded = reloaded.is_ok();
    log.note(match reloaded {
        Ok(()) => Record::Reloaded { what },
        Err(why) => Record::NotReloaded { what, why: why.to_string() },
    });
    is_reloaded
}
