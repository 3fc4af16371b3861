//! Settings from a file and from the environment.
//!
//! They are the long options of a program, under the same names, so that each is defined once: `--log-level info` is
//! `log-level = "info"` in the file and `PREFIX_LOG_LEVEL=info` in the environment. What is set there becomes arguments
//! before those that were typed, so clap checks all of them in the same way.

use std::collections::BTreeMap;
use std::env::home_dir;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::path::Path;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::de::{DeTable, DeValue};
use toml_writer::{ToTomlValue, TomlStringBuilder};

use crate::limits::SETTINGS_BYTES;
use crate::os::io_error;
use crate::os::safe_file::{Links, check_owner, open_regular};
use crate::os::system::files;
use crate::os::text_file::to_utf8;

/// The option that names the file.
pub const CONFIG: &str = "config";

/// The option that prints a man page and others.
pub const GENERATE: &str = "generate";

/// Options that are not settings: they say what the program does this time.
const NOT_SETTINGS: [&str; 11] =
    [CONFIG, GENERATE, "check", "exec", "help", "lines-only", "print-config", "reply", "since", "version", "wait"];

/// How similar a name must be to be suggested, from 0 to 1.
const SIMILAR: f64 = 0.8;

/// The longest line of the example, in characters.
const COLUMNS: usize = 100;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File { path: String, line: usize },
    Environment(String),
    CommandLine,
}

/// What a file or the environment sets, by the names of the options.
pub type Settings = BTreeMap<String, Setting>;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// More than one if the option can be repeated. None turns off an option that takes no value.
    pub values: Vec<String>,
    pub source: Source,
}

/// A file of settings.
#[derive(Debug)]
pub struct File {
    path: String,
    text: String,
}

/// What a file sets.
#[derive(Debug, Default)]
pub struct FromFile {
    pub settings: Settings,
    /// Tables of settings that apply only when they are named, such as `[servers.home]`.
    pub named: BTreeMap<String, Settings>,
}

/// The arguments of a program, with those that other places add, and where each of these comes from.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    pub arguments: Vec<OsString>,
    /// The name of the table of [`FromFile::named`] that is used.
    pub named: Option<String>,
    /// Settings that the program takes from elsewhere by itself.
    others: Settings,
    /// By the name of the option.
    sources: BTreeMap<String, Source>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::File { path, line } => write!(f, "{path}, line {line}"),
            Self::Environment(name) => write!(f, "{name} in the environment"),
            Self::CommandLine => write!(f, "command line"),
        }
    }
}

impl CommandLine {
    /// The arguments of a program without settings from elsewhere.
    pub fn only(given: &[OsString]) -> Self {
        Self { arguments: given.to_vec(), ..Self::default() }
    }

    /// Adds settings to the arguments in `given`, of which the first is the program. `typed` are their matches. A place
    /// overrides those after it, and the arguments override all. So does an option that conflicts with another.
    pub fn with(
        command: &Command,
        given: &[OsString],
        typed: &ArgMatches,
        places: impl IntoIterator<Item = Settings>,
    ) -> Self {
        let is_typed = |option: &&Arg| typed.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine);
        // The options that are set so far, and whether others must make way for them.
        let mut set: Vec<(&Arg, bool)> =
            command.get_arguments().filter(is_typed).map(|option| (option, true)).collect();
        let (program, given) = given.split_at(given.len().min(1));
        let mut line = Self::only(program);
        for settings in places {
            let higher = set.len();
            for (name, Setting { values, source }) in settings {
                let Some(option) = option(command, &name) else { continue };
                let excludes = |(higher, is_on): &(&Arg, bool)| {
                    higher.get_id() == option.get_id() || *is_on && conflict(command, higher, option)
                };
                if set[..higher].iter().any(excludes) {
                    continue;
                }
                set.push((option, !values.is_empty()));
                for value in values {
                    let argument = if takes_value(option) { format!("--{name}={value}") } else { format!("--{name}") };
                    line.arguments.push(argument.into());
                }
                line.sources.insert(name, source);
            }
        }
        line.arguments.extend_from_slice(given);
        line
    }

    /// The same with the table that is used, and with settings that the program takes from elsewhere by itself. They are only
    /// shown.
    pub fn named(self, named: Option<String>, others: Settings) -> Self {
        Self { named, others, ..self }
    }

    /// Where an option was set, if not on the command line.
    pub fn source(&self, option: &str) -> Option<&Source> {
        self.sources.get(option)
    }

    /// An error about these arguments, with the place of the value that it is about, unless it was typed.
    pub fn explain(&self, command: &Command, error: &clap::Error) -> Option<String> {
        let text = error.to_string();
        if text.starts_with("error: the subcommand") {
            return None;
        }
        let source = match error.kind() {
            // It names only what is missing.
            ErrorKind::MissingRequiredArgument => {
                let missing = options_in(error);
                let misses = |name: &&String| self.misses_alone(command, name, &missing);
                self.sources.keys().find(misses).and_then(|name| self.sources.get(name))
            }
            _ => options_in(error).iter().find_map(|name| self.sources.get(name)),
        };
        let is_reason = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more");
        let lines = text.lines().map(|line| line.trim().trim_start_matches("error: ")).take_while(is_reason);
        let why: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        source.map(|source| format!("{source}: {}", why.join(" ")))
    }

    /// Whether an option that is set elsewhere needs one of these.
    fn misses_alone(&self, command: &Command, name: &str, missing: &[String]) -> bool {
        let (option, with_value) = (format!("--{name}"), format!("--{name}="));
        let is_it = |argument: &&OsString| {
            argument.to_str().is_some_and(|argument| argument == option || argument.starts_with(&with_value))
        };
        let alone = self.arguments.iter().take(1).chain(self.arguments.iter().find(is_it));
        let error = command.clone().mut_args(as_text).try_get_matches_from(alone).err();
        let error = error.filter(|error| error.kind() == ErrorKind::MissingRequiredArgument);
        error.is_some_and(|error| options_in(&error).iter().any(|name| missing.contains(name)))
    }

    /// The value of an option in TOML, and where it comes from.
    fn effective(&self, option: &Arg, matches: &ArgMatches) -> Option<(String, Source)> {
        let name = name_of(option);
        let source = match (self.sources.get(name), matches.value_source(option.get_id().as_str())) {
            (Some(source), _) => source.clone(),
            (None, Some(ValueSource::CommandLine)) => Source::CommandLine,
            (None, _) => Source::Default,
        };
        let other = || self.others.get(name).map(|other| (in_toml(&other.values.concat()), other.source.clone()));
        value_of(option, matches).map(|value| (value, source)).or_else(other)
    }

    /// All settings with their values, as a file, and where each comes from. Defaults are comments.
    pub fn show(&self, command: &Command, matches: &ArgMatches) -> String {
        let mut text = String::new();
        for option in options(command) {
            let name = name_of(option);
            // Writing to a String cannot fail.
            let _ = match self.effective(option, matches) {
                Some((value, Source::Default)) => writeln!(text, "{:40} # default", format!("# {name} = {value}")),
                Some((value, source)) => writeln!(text, "{:40} # {source}", format!("{name} = {value}")),
                None => writeln!(text, "# {name} is not set"),
            };
        }
        text
    }
}

/// The names of the options that an error is about.
fn options_in(error: &clap::Error) -> Vec<String> {
    let of = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.as_str()],
        Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let texts = [of(ContextKind::InvalidArg), of(ContextKind::PriorArg)].concat();
    // What can be used in place of each other looks like <--tls-cert <FILE>|--tls-self-signed>.
    let words = texts.iter().flat_map(|text| text.split([' ', '=', '<', '>', '|', '[', ']']));
    words.filter_map(|word| word.strip_prefix("--")).map(str::to_owned).collect()
}

/// The arguments as far as they can be understood, without looking at values. `None` if settings do not matter: if they
/// ask for help, or for something to be generated, or belong to a command of the program.
pub fn typed(command: &Command, given: &[OsString]) -> Option<ArgMatches> {
    let command = command.clone().mut_args(as_text).ignore_errors(true);
    let typed = command.try_get_matches_from(given).ok()?;
    let needs_none = typed.subcommand().is_some() || typed.try_contains_id(GENERATE).is_ok_and(|is_given| is_given);
    (!needs_none).then_some(typed)
}

/// The option without a check of its value. Some values are files that can be read only once.
fn as_text(option: Arg) -> Arg {
    if takes_value(&option) { option.value_parser(OsStringValueParser::new()) } else { option }
}

/// The value that was typed last.
pub fn typed_value(typed: &ArgMatches, option: &str) -> Option<OsString> {
    typed.get_raw(option).and_then(|mut values| values.next_back()).map(OsString::from)
}

/// The values of all settings, by name. `None` if it is not set.
pub fn values(command: &Command, matches: &ArgMatches) -> BTreeMap<String, Option<String>> {
    let text = |option: &Arg| {
        let values: Vec<_> = matches.get_raw(option.get_id().as_str())?.map(|value| value.to_string_lossy()).collect();
        Some(values.join(", "))
    };
    options(command).map(|option| (name_of(option).to_owned(), text(option))).collect()
}

/// A file with all settings, commented out, with their help and their defaults.
pub fn example(command: &Command) -> String {
    let mut text = String::from("# All settings, with their defaults or an example. The manual explains them.\n");
    for option in options(command) {
        text.push('\n');
        let help = option.get_help().map(ToString::to_string).unwrap_or_default();
        let mut line = String::from("#");
        for word in help.split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > COLUMNS {
                text.push_str(&line);
                line = String::from("\n#");
            }
            line.push(' ');
            line.push_str(word);
        }
        text.push_str(&line);
        let value = match option.get_default_values() {
            [value, ..] if takes_value(option) => in_toml(&value.to_string_lossy()),
            _ if takes_value(option) => {
                let names = option.get_value_names().unwrap_or_default();
                in_toml(&names.first().map(ToString::to_string).unwrap_or_default())
            }
            _ => "false".to_owned(),
        };
        let value = if is_repeated(option) { format!("[{value}]") } else { value };
        let _ = writeln!(text, "\n#{} = {value}", name_of(option));
    }
    text
}

/// The options that are settings.
pub fn options(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|option| option.get_long().is_some_and(|name| !NOT_SETTINGS.contains(&name)))
}

fn option<'a>(command: &'a Command, name: &str) -> Option<&'a Arg> {
    options(command).find(|option| name_of(option) == name)
}

fn name_of(option: &Arg) -> &str {
    option.get_long().unwrap_or_default()
}

fn takes_value(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Set | ArgAction::Append)
}

fn is_repeated(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Append)
}

/// Whether two options cannot be used together.
fn conflict(command: &Command, one: &Arg, other: &Arg) -> bool {
    let conflicts =
        |one, other: &Arg| command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id());
    conflicts(one, other) || conflicts(other, one)
}

/// The value of an option in TOML.
fn value_of(option: &Arg, matches: &ArgMatches) -> Option<String> {
    let values = matches.get_raw(option.get_id().as_str())?;
    let mut values: Vec<_> = values.map(|value| in_toml(&value.to_string_lossy())).collect();
    if is_repeated(option) { Some(format!("[{}]", values.join(", "))) } else { values.pop() }
}

/// A value in TOML.
fn in_toml(value: &str) -> String {
    let is_bare = value.parse::<i64>().is_ok_and(|number| number.to_string() == value) || value.parse::<bool>().is_ok();
    if is_bare { value.to_owned() } else { TomlStringBuilder::new(value).as_default().to_toml_value() }
}

impl File {
    /// Reads a file. It is refused if other users can change it.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn read_protected(path: &Path) -> Result<Self, String> {
        Self::read_if(path, |metadata| {
            check_owner(metadata)?;
            match files::is_writable(metadata) {
                true => Err(io::Error::other(format!("others can change it; run chmod go-w {}", path.display()))),
                false => Ok(()),
            }
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn read(path: &Path) -> Result<Self, String> {
        Self::read_if(path, |_| Ok(()))
    }

    fn read_if(path: &Path, check: impl FnOnce(&std::fs::Metadata) -> io::Result<()>) -> Result<Self, String> {
        let read = || {
            let (file, metadata) = open_regular(path, OpenOptions::new().read(true), Links::Followed)?;
            check(&metadata)?;
            let mut bytes = Vec::new();
            file.take(SETTINGS_BYTES as u64 + 1).read_to_end(&mut bytes)?;
            if bytes.len() > SETTINGS_BYTES {
                return Err(io::Error::other(format!("it is larger than {SETTINGS_BYTES} bytes")));
            }
            Ok(bytes)
        };
        let bytes =
            read().map_err(|error| format!("cannot read {}: {}", path.display(), io_error::describe(&error)))?;
        let (path, bytes) = (path.display().to_string(), to_utf8(&bytes));
        let file = Self { path, text: String::from_utf8_lossy(&bytes).into_owned() };
        match str::from_utf8(&bytes) {
            Ok(_) => Ok(file),
            Err(error) => Err(format!("{}: it is not valid UTF-8", file.source(error.valid_up_to()))),
        }
    }

    /// What it sets. `group` is the key of its named tables, if it may have some.
    ///
    /// # Errors
    /// Says which line cannot be used, and why.
    pub fn settings(&self, command: &Command, group: Option<&str>) -> Result<FromFile, String> {
        let mut table = DeTable::parse(&self.text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let advice = self.unquoted(command, at).map(|line| format!("; put the value in quotes: {line}"));
            let (source, why) = (self.source(at), error.message().replace('\n', " "));
            format!("{source}: {why}{}", advice.unwrap_or_default())
        })?;
        let mut named = BTreeMap::new();
        if let Some((key, tables)) = group.and_then(|group| table.get_mut().remove_entry(group)) {
            let (group, source) = (key.get_ref(), self.source(key.span().start));
            let DeValue::Table(tables) = tables.into_inner() else {
                return Err(format!("{source}: {group} must be tables, such as [{group}.home]"));
            };
            for (name, table) in tables {
                let DeValue::Table(table) = table.get_ref() else {
                    let (source, name) = (self.source(name.span().start), name.get_ref());
                    return Err(format!("{source}: [{group}.{name}] must be a table"));
                };
                named.insert(name.get_ref().to_string(), self.table(command, table, group)?);
            }
        }
        Ok(FromFile { settings: self.table(command, table.get_ref(), group.unwrap_or_default())?, named })
    }

    /// The settings in a table.
    fn table(&self, command: &Command, table: &DeTable<'_>, group: &str) -> Result<Settings, String> {
        let mut settings = Settings::new();
        for (key, value) in table {
            let (name, source) = (key.get_ref().as_ref(), self.source(key.span().start));
            if let DeValue::Table(_) = value.get_ref() {
                return Err(format!("{source}: {name} is a table{}", table_hint(group, name)));
            }
            let option = option(command, name).ok_or_else(|| unknown(command, name, &source))?;
            let values = texts(option, value.get_ref()).map_err(|why| format!("{source}: {name} must be {why}"))?;
            settings.insert(name.to_owned(), setting(option, values, source)?);
        }
        Ok(settings)
    }

    /// The line at this byte with quotes, if its value is a text that needs some.
    fn unquoted(&self, command: &Command, at: usize) -> Option<String> {
        let start = self.text.get(..at)?.rfind('\n').map_or(0, |end| end + 1);
        let (name, value) = self.text[start..].lines().next()?.split_once('=')?;
        let (name, value) = (name.trim(), value.split(" #").next()?.trim());
        let is_text = !value.is_empty() && !value.contains(['"', '\'', '[', '{']);
        // Something else may be wrong with the line.
        let is_wrong = DeTable::parse(&format!("x = {value}")).is_err();
        let takes_text = option(command, name).is_some_and(takes_value);
        let quoted = || format!("{name} = {}", TomlStringBuilder::new(value).as_default().to_toml_value());
        (is_text && is_wrong && takes_text).then(quoted)
    }

    fn source(&self, at: usize) -> Source {
        let line = self.text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Source::File { path: self.path.clone(), line }
    }
}

/// How to write a table, if there can be some.
fn table_hint(group: &str, name: &str) -> String {
    match group {
        "" => ", but there are no tables here".to_owned(),
        group => {
            format!("; tables are called [{group}.NAME], and a NAME with dots is in quotes: [{group}.\"a.{name}\"]")
        }
    }
}

/// The values of an option, or what they must be.
fn texts(option: &Arg, value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    match value {
        DeValue::Array(values) if is_repeated(option) => {
            let values = values.iter().map(|value| text(value.get_ref()).ok_or("a list of texts"));
            values.collect()
        }
        DeValue::Integer(number) if number.radix() != 10 => Err("a decimal number, or a text in quotes"),
        value => text(value).map(|value| vec![value]).ok_or("a text, a number, true or false"),
    }
}

fn text(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(value) => Some(value.to_string()),
        DeValue::Integer(value) => Some(value.to_string()),
        DeValue::Float(value) => Some(value.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        DeValue::Datetime(value) => Some(value.to_string()),
        DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Reads the settings in the environment: the variables that start with `prefix` and are not empty. `--config` may be
/// one of them.
///
/// # Errors
/// Says which variable cannot be used, and why.
pub fn from_environment(
    command: &Command,
    prefix: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Settings, String> {
    let mut settings = Settings::new();
    for (variable, value) in environment.filter(|(_, value)| !value.is_empty()) {
        let Some(rest) = variable.to_str().and_then(|variable| variable.strip_prefix(prefix)) else { continue };
        let source = Source::Environment(format!("{prefix}{rest}"));
        let is_name = rest.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        let name = if is_name { rest.to_ascii_lowercase().replace('_', "-") } else { rest.to_owned() };
        let value = value.into_string().map_err(|_| format!("{source}: it is not valid UTF-8"))?;
        let setting = match option(command, &name) {
            Some(option) if is_name => setting(option, vec![value], source)?,
            None if name == CONFIG => Setting { values: vec![value], source },
            _ => return Err(unknown(command, &name, &source)),
        };
        settings.insert(name, setting);
    }
    Ok(settings)
}

fn setting(option: &Arg, values: Vec<String>, source: Source) -> Result<Setting, String> {
    let values = match values.as_slice() {
        _ if takes_value(option) => values.iter().map(|value| from_home(value)).collect(),
        [value] if value == "true" => values,
        [value] if value == "false" => Vec::new(),
        _ => return Err(format!("{source}: {} must be true or false", name_of(option))),
    };
    Ok(Setting { values, source })
}

/// A path that starts with `~/`, from the home folder. Typed paths are expanded by the shell.
fn from_home(value: &str) -> String {
    let home = value.strip_prefix("~/").and_then(|rest| Some(home_dir()?.join(rest).to_str()?.to_owned()));
    home.unwrap_or_else(|| value.to_owned())
}

/// An error about a name that is no setting, with the closest name of one.
fn unknown(command: &Command, name: &str, source: &Source) -> String {
    if NOT_SETTINGS.contains(&name) && command.get_arguments().any(|option| option.get_long() == Some(name)) {
        return format!("{source}: {name:?} can be given only on the command line");
    }
    let written = name.to_ascii_lowercase().replace('_', "-");
    let similarity = |option: &&str| strsim::jaro(option, &written);
    let closest = options(command).map(name_of).max_by(|one, other| similarity(one).total_cmp(&similarity(other)));
    let closest = closest.filter(|closest| similarity(closest) >= SIMILAR);
    let hint = closest.map(|closest| format!("; did you mean {closest:?}?")).unwrap_or_default();
    format!("{source}: there is no setting {name:?}{hint}")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use clap::value_parser;

    use super::*;

    fn command() -> Command {
        let port = Arg::new("port").long("port").value_parser(value_parser!(u16)).default_value("5000").help("A port");
        let data = Arg::new("data").long("data").value_name("DIR").help("A folder");
        let strict = Arg::new("strict").long("strict").action(ArgAction::SetTrue).requires("data").help("Be strict");
        let lax = Arg::new("lax").long("lax").action(ArgAction::SetTrue).conflicts_with("strict").help("Be lax");
        let hear = Arg::new("hear").long("hear").value_name("ROOM").action(ArgAction::Append).help("A room");
        let loud = Arg::new("loud").long("loud").action(ArgAction::SetTrue).help("Be loud");
        let check = Arg::new("check").long("check").action(ArgAction::SetTrue).conflicts_with("loud");
        let config = Arg::new(CONFIG).long(CONFIG);
        Command::new("server")
            .args([port, data, strict, lax, hear, loud, check, config])
            .subcommand(Command::new("admin"))
    }

    fn read(file: impl AsRef<[u8]>) -> Result<FromFile, String> {
        let path = std::env::temp_dir().join(format!("linechat-settings-{}-{}", std::process::id(), fastrand::u64(..)));
        fs::write(&path, file).unwrap();
        let read = File::read(&path).and_then(|file| file.settings(&command(), Some("servers")));
        fs::remove_file(&path).unwrap();
        read.map_err(|why| why.replace(path.to_str().unwrap(), "FILE"))
    }

    /// The arguments with what a file and the environment set, or what is wrong.
    fn gather(file: &str, environment: &[(&str, &str)], given: &[&str]) -> Result<CommandLine, String> {
        let given: Vec<_> = ["server"].iter().chain(given).map(OsString::from).collect();
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let environment = from_environment(&command(), "SERVER_", environment)?;
        let typed = typed(&command(), &given).unwrap();
        Ok(CommandLine::with(&command(), &given, &typed, [environment, read(file)?.settings]))
    }

    fn matches(arguments: &CommandLine) -> ArgMatches {
        command().try_get_matches_from(&arguments.arguments).unwrap()
    }

    /// The value of an option in TOML, and its source.
    fn effective(file: &str, environment: &[(&str, &str)], given: &[&str], name: &str) -> (String, String) {
        let arguments = gather(file, environment, given).unwrap();
        let (command, matches) = (command(), matches(&arguments));
        let (value, source) = arguments.effective(option(&command, name).unwrap(), &matches).unwrap();
        match source {
            Source::File { line, .. } => (value, format!("line {line}")),
            source => (value, source.to_string()),
        }
    }

    #[test]
    fn the_command_line_overrides_the_environment_and_that_the_file() {
        let port = |environment: &[(&str, &str)], given: &[&str]| {
            let (value, source) = effective("# a comment\nport = 7\n", environment, given, "port");
            format!("{value} {source}")
        };
        let environment = [("SERVER_PORT", "8"), ("OTHER", "x")];
        assert_eq!(port(&[], &[]), "7 line 2");
        assert_eq!(port(&environment, &[]), "8 SERVER_PORT in the environment");
        assert_eq!(port(&environment, &["--port", "9"]), "9 command line");
        assert_eq!(effective("", &[], &[], "port"), ("5000".to_owned(), "default".to_owned()));
    }

    #[test]
    fn an_option_without_a_value_is_true_or_false() {
        let is_strict = |file: &str, environment: &[(&str, &str)], given: &[&str]| {
            matches(&gather(file, environment, given).unwrap()).get_flag("strict")
        };
        assert!(is_strict("strict = true\ndata = \"x\"", &[], &[]));
        assert!(!is_strict("strict = false", &[], &[]));
        assert!(!is_strict("strict = true", &[("SERVER_STRICT", "false")], &[]));
    }

    #[test]
    fn an_option_replaces_those_that_conflict_with_it() {
        let (strict, lax) = ("strict = true\ndata = \"x\"", "lax = true");
        assert!(!matches(&gather(strict, &[], &["--lax"]).unwrap()).get_flag("strict"));
        assert!(!matches(&gather(lax, &[], &["--strict", "--data=x"]).unwrap()).get_flag("lax"));
        assert!(!matches(&gather(strict, &[("SERVER_LAX", "true")], &[]).unwrap()).get_flag("strict"));
        // In one place, they are an error.
        let both = gather(&format!("{strict}\n{lax}"), &[], &[]).unwrap();
        let error = command().try_get_matches_from(&both.arguments).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
        assert!(both.explain(&command(), &error).unwrap().contains(", line "), "{error}");
    }

    #[test]
    fn what_is_turned_off_makes_no_other_option_give_way() {
        let file = "strict = true\ndata = \"x\"";
        assert!(matches(&gather(file, &[("SERVER_LAX", "false")], &[]).unwrap()).get_flag("strict"));
    }

    #[test]
    fn an_option_that_is_no_setting_overrides_those_that_conflict_with_it() {
        assert!(!matches(&gather("loud = true", &[], &["--check"]).unwrap()).get_flag("loud"));
    }

    #[test]
    fn a_file_may_have_any_encoding_with_a_mark_and_line_endings_of_windows() {
        let utf16: Vec<u8> = "\u{feff}port = 7\r\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        for text in ["port = 7\r\n".as_bytes(), "\u{feff}port = 7".as_bytes(), &utf16] {
            assert_eq!(read(text).unwrap().settings["port"].values, ["7"]);
        }
        assert!(read("").unwrap().settings.is_empty());
        assert_eq!(read(b"\n\nx = \"\xff\"").unwrap_err(), "FILE, line 3: it is not valid UTF-8");
        let large = "#".repeat(SETTINGS_BYTES + 1);
        assert_eq!(read(large).unwrap_err(), "cannot read FILE: it is larger than 1048576 bytes");
        let folder = std::env::temp_dir();
        let why = File::read(&folder).unwrap_err();
        assert!(why.ends_with("it is not a regular file"), "{why}");
    }

    #[test]
    fn a_text_without_quotes_is_shown_with_quotes() {
        for (line, quoted) in [
            ("data = 127.0.0.1", Some("data = \"127.0.0.1\"")),
            ("data=7days # a week", Some("data = \"7days\"")),
            ("data = ::", Some("data = \"::\"")),
            ("data = C:\\x\r", Some("data = 'C:\\x'")),
            ("hear = dev", Some("hear = \"dev\"")),
            // Quotes would not help.
            ("port = 1\nport = 2", None),
            ("data = \"x", None),
            ("data =", None),
            ("hear = [dev]", None),
            ("strict = True", None),
            ("unknown = x", None),
            ("data", None),
        ] {
            let why = read(format!("# comment\n\n{line}\n")).unwrap_err();
            let advice = why.split_once("; put the value in quotes: ").map(|(_, advice)| advice);
            assert_eq!(advice, quoted, "{why}");
        }
    }

    #[test]
    fn a_variable_that_is_empty_is_not_set_and_others_are_written_in_capitals() {
        assert_eq!(effective("", &[("SERVER_PORT", "")], &[], "port").1, "default");
        for variable in ["SERVER_port", "SERVER_HEAR-"] {
            let wrong = gather("", &[(variable, "7")], &[]).unwrap_err();
            assert!(wrong.starts_with(&format!("{variable} in the environment: there is no setting")), "{wrong}");
        }
    }

    #[test]
    fn a_path_may_start_in_the_home_folder() {
        let home = home_dir().unwrap().join("x").to_str().unwrap().to_owned();
        for (file, environment) in [("data = \"~/x\"", &[][..]), ("", &[("SERVER_DATA", "~/x")])] {
            let arguments = gather(file, environment, &[]).unwrap();
            assert_eq!(matches(&arguments).get_raw("data").unwrap().next().unwrap().to_str(), Some(&*home));
        }
    }

    #[test]
    fn an_option_that_can_be_repeated_is_a_list() {
        assert_eq!(effective("hear = [\"a\", \"b\"]", &[], &[], "hear").0, "[\"a\", \"b\"]");
        assert_eq!(effective("hear = \"a\"", &[], &["--hear=c"], "hear").0, "[\"c\"]");
    }

    #[test]
    fn what_is_wrong_is_reported_with_its_place() {
        let wrong = |file: &str| gather(file, &[], &[]).unwrap_err();
        assert_eq!(wrong("\nprot = 1"), "FILE, line 2: there is no setting \"prot\"; did you mean \"port\"?");
        assert_eq!(wrong("zebra = 1"), "FILE, line 1: there is no setting \"zebra\"");
        assert_eq!(wrong("config = \"x\""), "FILE, line 1: \"config\" can be given only on the command line");
        assert_eq!(wrong("PORT_ = 1"), "FILE, line 1: there is no setting \"PORT_\"; did you mean \"port\"?");
        assert_eq!(wrong("port = 0x10"), "FILE, line 1: port must be a decimal number, or a text in quotes");
        assert_eq!(wrong("hear = [[\"a\"]]"), "FILE, line 1: hear must be a list of texts");
        let hint = "tables are called [servers.NAME], and a NAME with dots is in quotes: [servers.\"a.b\"]";
        assert_eq!(wrong("[servers.a.b]\nport = 1"), format!("FILE, line 1: b is a table; {hint}"));
        let hint = hint.replace("a.b", "a.server");
        assert_eq!(wrong("[server.a]\nport = 1"), format!("FILE, line 1: server is a table; {hint}"));
        assert_eq!(wrong("data = \"x\"\nport = [1]"), "FILE, line 2: port must be a text, a number, true or false");
        assert_eq!(wrong("strict = 1"), "FILE, line 1: strict must be true or false");
        assert_eq!(wrong("servers = 1"), "FILE, line 1: servers must be tables, such as [servers.home]");
        assert_eq!(wrong("[servers]\nhome = 1"), "FILE, line 2: [servers.home] must be a table");
        assert_eq!(
            wrong("[servers.home]\nprt = 1"),
            "FILE, line 2: there is no setting \"prt\"; did you mean \"port\"?"
        );
        assert!(wrong("port = 1\nport = 2").starts_with("FILE, line 2: "), "{}", wrong("port = 1\nport = 2"));
        assert!(wrong("port").starts_with("FILE, line 1: "), "{}", wrong("port"));
        let wrong = gather("", &[("SERVER_PROT", "1")], &[]).unwrap_err();
        assert_eq!(wrong, "SERVER_PROT in the environment: there is no setting \"prot\"; did you mean \"port\"?");
        let wrong = File::read(Path::new("/no/such")).unwrap_err();
        assert!(wrong.starts_with("cannot read /no/such: "), "{wrong}");
    }

    #[test]
    fn a_bad_value_is_reported_with_its_place_unless_it_was_typed() {
        let explained = |environment: &[(&str, &str)], given: &[&str]| {
            let arguments = gather("", environment, given).unwrap();
            arguments.explain(&command(), &command().try_get_matches_from(&arguments.arguments).unwrap_err())
        };
        let why =
            "SERVER_PORT in the environment: invalid value '70000' for '--port <port>': 70000 is not in 0..=65535";
        assert_eq!(explained(&[("SERVER_PORT", "70000")], &[]).as_deref(), Some(why));
        assert_eq!(explained(&[], &["--port=70000"]), None);
    }

    #[test]
    fn a_setting_that_needs_another_one_is_reported_with_its_place() {
        let arguments = gather("port = 1\nstrict = true", &[], &[]).unwrap();
        let error = command().try_get_matches_from(&arguments.arguments).unwrap_err();
        let why = arguments.explain(&command(), &error).unwrap();
        assert!(why.ends_with(", line 2: the following required arguments were not provided: --data <DIR>"), "{why}");
    }

    #[test]
    fn what_a_command_of_the_program_or_the_help_needs_is_no_setting() {
        for given in [["server", "admin"], ["server", "--help"]] {
            assert!(typed(&command(), &given.map(OsString::from)).is_none(), "{given:?}");
        }
    }

    #[test]
    fn tables_with_names_are_kept_apart() {
        let file = read("port = 1\n[servers.home]\nport = 2\n").unwrap();
        assert_eq!(file.settings["port"].values, ["1"]);
        assert_eq!(file.named["home"]["port"].values, ["2"]);
        assert!(matches!(file.named["home"]["port"].source, Source::File { line: 3, .. }));
    }

    #[test]
    fn the_settings_are_shown_with_their_sources_and_can_be_read_again() {
        let arguments = gather("hear = \"a\"", &[("SERVER_DATA", "a \"b\"")], &["--strict"]).unwrap();
        let shown = arguments.show(&command(), &matches(&arguments));
        let shown: Vec<_> = shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(shown[0], "# port = 5000 # default");
        assert_eq!(shown[1], "data = 'a \"b\"' # SERVER_DATA in the environment");
        assert_eq!(shown[2..4], ["strict = true # command line", "# lax = false # default"]);
        assert!(shown[4].starts_with("hear = [\"a\"] # ") && shown[4].ends_with(", line 1"), "{shown:?}");
        assert_eq!(
            matches(&gather(&shown.join("\n"), &[], &[]).unwrap()).get_raw("data").unwrap().next().unwrap(),
            "a \"b\""
        );
    }

    #[test]
    fn every_line_of_the_example_can_be_used() {
        let example = example(&command());
        assert_eq!(example.matches("\n# A port\n#port = 5000\n").count(), 1, "{example}");
        assert_eq!(example.matches("\n# A folder\n#data = \"DIR\"\n").count(), 1, "{example}");
        assert_eq!(example.matches("\n#hear = [\"ROOM\"]\n").count(), 1, "{example}");
        for line in example.lines().filter_map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' '))) {
            gather(line, &[], &[]).unwrap();
        }
    }
}
