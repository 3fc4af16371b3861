//! The client's settings in a file: for all servers, and for servers with names.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use clap::Command;
use linechat::cli::settings;
use linechat::cli::settings::{CONFIG, CommandLine, File, FromFile, Setting, Settings, Source};
use linechat::client::PASSWORD_VARIABLE;
use linechat::os::paths;

use crate::{HOST_VARIABLE, NAME_VARIABLE, PORT_VARIABLE, words};

/// The key of the tables of servers.
const SERVERS: &str = "servers";

/// Settings that say where a server is, or what it may learn. For another server, none of them applies.
const OF_A_SERVER: [&str; 8] =
    ["allow-plain-password", "host", "password-file", "port", "tls", "tls-ca", "tls-fingerprint", "unix"];

/// How similar a name must be to be suggested, from 0 to 1.
const SIMILAR: f64 = 0.8;

/// Variables of the environment that override settings for all servers.
const VARIABLES: [(&str, &str); 3] =
    [(NAME_VARIABLE, "name"), (PORT_VARIABLE, "port"), (PASSWORD_VARIABLE, "password-file")];

/// Adds the settings in the file to the arguments: those of the server that is named, and those for all servers.
///
/// # Errors
/// Which of them cannot be used.
pub fn gather(command: &Command, given: &[OsString]) -> Result<CommandLine, String> {
    let Some(typed) = settings::typed(command, given) else { return Ok(CommandLine::only(given)) };
    let path = settings::typed_value(&typed, CONFIG).map(PathBuf::from).or_else(existing_file);
    let FromFile { mut settings, named: mut tables } = match &path {
        Some(path) => File::read(path)?.settings(command, Some(SERVERS))?,
        None => FromFile::default(),
    };
    let words = words(&typed).0;
    let option = ["host", "unix"].into_iter().find(|option| typed.contains_id(option));
    let is_typed = !words.is_empty() || option.is_some();
    let variable = variable(HOST_VARIABLE).filter(|_| !is_typed);
    let by_default =
        settings.get("host").and_then(|host| host.values.first()).filter(|_| !is_typed).map(OsString::from);
    let server = words.first().or(variable.as_ref()).or(by_default.as_ref());
    let named =
        server.and_then(|server| server.to_str()).filter(|server| tables.contains_key(*server)).map(str::to_owned);
    let table = named.as_ref().and_then(|named| tables.remove(named)).unwrap_or_default();
    if let (Some(named), Some(path)) = (&named, &path) {
        let another = words.get(1).map(|word| format!("{word:?}")).or(option.map(|option| format!("--{option}")));
        if let Some(another) = another {
            return Err(format!("{named:?} and {another} each name a server; use only one"));
        }
        if !table.contains_key("host") && !table.contains_key("unix") {
            return Err(format!("{}: [{SERVERS}.{named}] needs host or unix", path.display()));
        }
    }
    if is_typed || variable.is_some() || named.is_some() {
        settings.retain(|setting, _| !OF_A_SERVER.contains(&setting.as_str()));
    }
    let mut others = Settings::new();
    for (name, setting) in VARIABLES.into_iter().filter(|(name, _)| is_used(name, named.is_some())) {
        let Some(value) = self::variable(name) else { continue };
        settings.remove(setting);
        if name != PASSWORD_VARIABLE {
            others.insert(setting.to_owned(), shown(&value, Source::Environment(name.to_owned())));
        }
    }
    if named.is_none() {
        let host = words.first().map(|word| shown(word, Source::CommandLine));
        let host = host.or(variable.map(|host| shown(&host, Source::Environment(HOST_VARIABLE.to_owned()))));
        others.extend(host.map(|host| ("host".to_owned(), host)));
    }
    Ok(CommandLine::with(command, given, &typed, [table, settings]).named(named, others))
}

/// Whether a variable of the environment counts. Of a server in the file, everything but the name is there.
pub fn is_used(variable: &str, is_named: bool) -> bool {
    !is_named || variable == NAME_VARIABLE
}

fn shown(value: &OsStr, source: Source) -> Setting {
    Setting { values: vec![value.to_string_lossy().into_owned()], source }
}

/// A hint for somebody who misspelled the name of a server in the file. `None` if there is
/// nothing to suggest.
pub fn advice(command: &Command, config: Option<PathBuf>, host: &str) -> Option<String> {
    let path = config.or_else(existing_file)?;
    let tables = File::read(&path).ok()?.settings(command, Some(SERVERS)).ok()?.named;
    let similarity = |name: &str| strsim::jaro(name, host);
    let closest = tables.keys().max_by(|one, other| similarity(one).total_cmp(&similarity(other)))?;
    let hint = if similarity(closest) >= SIMILAR {
        format!("did you mean {closest:?}?")
    } else if host.contains('.') {
        return None; // It was meant as a host.
    } else {
        let names: Vec<_> = tables.keys().map(|name| format!("{name:?}")).collect();
        format!("its servers are {}", names.join(", "))
    };
    let name = if host.contains('.') { format!("{host:?}") } else { host.to_owned() };
    Some(format!("; {} has no [{SERVERS}.{name}]; {hint}", path.display()))
}

/// The file that is read without `--config`, if there is one.
fn existing_file() -> Option<PathBuf> {
    let file = paths::config_folder()?.join("linechat").join("config.toml");
    // A home that this user cannot enter has no settings for them.
    file.exists().then_some(file)
}

/// An environment variable that is set and not empty.
pub fn variable(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::{Arguments, OVER_TLS, PASSWORDS};

    #[test]
    fn every_option_about_tls_or_passwords_belongs_to_a_server() {
        let command = Arguments::command();
        let names: Vec<_> = settings::options(&command).filter_map(|option| option.get_long()).collect();
        assert!(OF_A_SERVER.iter().all(|name| names.contains(name)), "{names:?}");
        for option in settings::options(&command) {
            let is_about_a_server = [Some(OVER_TLS), Some(PASSWORDS)].contains(&option.get_help_heading());
            let name = option.get_long().unwrap();
            assert!(!is_about_a_server || OF_A_SERVER.contains(&name), "{name}");
        }
    }
}
