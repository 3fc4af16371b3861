//! Rereads the settings and the files that they name at SIGHUP.

use std::collections::BTreeMap;
use std::env;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use blocking::unblock;
use linechat::accounts::Accounts;
use linechat::cli::manual::Parsed;
use linechat::log::{Log, Record};
use linechat::server::access::auth::RoomPassword;
use linechat::server::listen::{Certificate, Tls};

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

    fn used(&self) -> MutexGuard<'_, BTreeMap<String, Option<String>>> {
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses the new settings, or nothing of them if a file that they name cannot be read.
    fn apply(&self, parsed: &Parsed<Options>, log: &Log) {
        let options = &parsed.options;
        let tls = self.tls.as_ref().zip(options.tls_files());
        let certificate = tls.map(|(_, (certificate, key))| Certificate::read(certificate, key)).transpose();
        let password = self.password.as_ref().zip(options.password_file.as_ref());
        let secret = password.map(|(_, file)| RoomPassword::read(file)).transpose();
        let (certificate, secret) = match (certificate, secret) {
            (Ok(certificate), Ok(secret)) => (certificate, secret),
            (certificate, secret) => {
                let note = |what, why| log.note(Record::NotReloaded { what, why });
                certificate.err().into_iter().for_each(|why| note("certificate", why.to_string()));
                secret.err().into_iter().for_each(|why| note("password", why.to_string()));
                return;
            }
        };
        let is_new = |setting| self.used().get(setting) != parsed.values().get(setting);
        // It is used only after a restart, which would fail.
        if let Some(data) = &options.data
            && is_new("data")
            && let Err(why) = Accounts::check(data)
        {
            log.note(Record::NotReloaded { what: "data", why: why.to_string() });
            return;
        }
        let level = options.log_level;
        let is_quieter = level < Log::level();
        if !is_quieter {
            log.note(Record::Level(level));
        }
        let mut taken = vec!["log-level"];
        if let (Some(tls), Some(certificate)) = (&self.tls, certificate) {
            tls.replace(certificate);
            log.note(Record::Reloaded { what: "certificate" });
            note_untimely(log, tls);
            taken.extend(["tls-cert", "tls-key"]);
        }
        if let (Some(password), Some(secret)) = (&self.password, secret) {
            password.replace(secret);
            log.note(Record::Reloaded { what: "password" });
            taken.push("password-file");
        }
        let mut used = self.used();
        for (setting, value) in parsed.values() {
            if used.get(&setting) == Some(&value) {
                continue;
            }
            if taken.contains(&setting.as_str()) {
                used.insert(setting.clone(), value.clone());
                log.note(Record::SettingChanged { setting, value });
            } else {
                log.note(Record::RestartNeeded { setting, value });
            }
        }
        if is_quieter {
            log.note(Record::Level(level));
        }
    }
}

/// Logs if the certificate has expired or is not valid yet. It is used anyway: clients may trust its fingerprint.
pub fn note_untimely(log: &Log, tls: &Tls) {
    if let Some(why) = tls.untimely() {
        log.note(Record::CertificateInvalid { why });
    }
}
