//! The client's settings in a file: for all servers, and for servers with names.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Command;
use linechat::cli::settings;
use linechat::cli::settings::{Arguments, CONFIG, FromFile, Setting, Settings, Source};
use linechat::client::PASSWORD_VARIABLE;
use linechat::os::paths;

use crate::{HOST_VARIABLE, NAME_VARIABLE, PORT_VARIABLE, words};

/// The key of the tables of servers.
const SERVERS: &str = "servers";

/// Settings that say where a server is, or what it may learn. For another server, none of them applies.
const OF_A_SERVER: [&str; 8] =
    ["allow-plain-password", "host", "password-file", "port", "tls", "tls-ca", "tls-fingerprint", "unix"];

/// Variables of the environment that override settings for all servers.
const VARIABLES: [(&str, &str); 4] =
    [(NAME_VARIABLE, "name"), (HOST_VARIABLE, "host"), (PORT_VARIABLE, "port"), (PASSWORD_VARIABLE, "password-file")];

/// Adds the settings in the file to the arguments: those of the server that is named, and those for all servers.
///
/// # Errors
/// Which of them cannot be used.
pub fn gather(command: &Command, given: &[OsString]) -> Result<Arguments, String> {
    let Some(typed) = settings::typed(command, given) else { return Ok(Arguments::only(given.to_vec())) };
    let path = settings::typed_value(&typed, CONFIG).map(PathBuf::from).or_else(existing_file);
    let mut file = match &path {
        Some(path) => settings::from_file(command, path, Some(SERVERS))?,
        None => FromFile::default(),
    };
    let has_address = typed.contains_id("host") || typed.contains_id("unix");
    let word = words(&typed).0.into_iter().next();
    let server = word.clone().or_else(|| variable(HOST_VARIABLE).filter(|_| !has_address));
    let server = server.as_deref().and_then(OsStr::to_str);
    let named = server.and_then(|server| file.named.remove(server));
    if let (Some(named), Some(server), Some(path)) = (&named, server, &path)
        && !named.contains_key("host")
        && !named.contains_key("unix")
    {
        return Err(format!("{}: [{SERVERS}.{server}] needs host or unix", path.display()));
    }
    if has_address || server.is_some() {
        file.settings.retain(|setting, _| !OF_A_SERVER.contains(&setting.as_str()));
    }
    let mut others = Settings::new();
    for (name, setting) in VARIABLES {
        let Some(value) = variable(name) else { continue };
        file.settings.remove(setting);
        if name != PASSWORD_VARIABLE {
            let source = Source::Environment(name.to_owned());
            others.insert(setting.to_owned(), Setting { values: vec![value.to_string_lossy().into_owned()], source });
        }
    }
    if let Some(word) = word {
        let values = vec![word.to_string_lossy().into_owned()];
        others.insert("host".to_owned(), Setting { values, source: Source::CommandLine });
    }
    let is_named = named.is_some();
    let arguments = Arguments::with(command, given, &typed, [named.unwrap_or_default(), file.settings]);
    Ok(Arguments { is_named, others, ..arguments })
}

/// The file that is read without `--config`, if there is one.
fn existing_file() -> Option<PathBuf> {
    let file = paths::config_folder()?.join("linechat").join("config.toml");
    // If it cannot be read, that is reported later.
    file.exists().then_some(file)
}

/// An environment variable that is set and not empty.
fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
