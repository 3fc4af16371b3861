//! Settings from a file and from the environment.
//!
//! They are the long options of a program, under the same names, so that each is defined once: `--log-level info` is
//! `log-level = "info"` in the file and `PREFIX_LOG_LEVEL=info` in the environment. What is set there becomes arguments
//! before those that were typed, so clap checks all of them in the same way.

use std::collections::BTreeMap;
use std::env::home_dir;
use std::ffi::OsString;
use std::fmt::{self, Write as _};
use std::fs;
use std::path::Path;

use clap::builder::OsStringValueParser;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use toml::de::{DeTable, DeValue};
use toml_writer::{ToTomlValue, TomlStringBuilder};

use crate::os::io_error;

/// The option that names the file.
pub const CONFIG: &str = "config";

/// The option that prints a man page and others.
pub const GENERATE: &str = "generate";

/// Options that are not settings: they say what the program does this time.
const NOT_SETTINGS: [&str; 8] = [CONFIG, "check", "exec", GENERATE, "help", "print-config", "reply", "version"];

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

/// What a file sets.
#[derive(Debug, Default)]
pub struct FromFile {
    pub settings: Settings,
    /// Tables of settings that apply only when they are named, such as `[servers.home]`.
    pub named: BTreeMap<String, Settings>,
}

/// The arguments of a program, with those that other places add, and where each of these comes from.
#[derive(Debug, Clone, Default)]
pub struct Arguments {
    pub all: Vec<OsString>,
    /// A table of [`FromFile::named`] is used.
    pub is_named: bool,
    /// Settings that the program takes from elsewhere by itself, to be shown.
    pub others: Settings,
    /// By the name of the option.
    pub sources: BTreeMap<String, Source>,
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

impl Arguments {
    /// The arguments of a program without settings from elsewhere.
    pub fn only(given: Vec<OsString>) -> Self {
        Self { all: given, ..Self::default() }
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
        let mut set: Vec<&Arg> = options(command).filter(is_typed).collect();
        let (program, given) = given.split_at(given.len().min(1));
        let mut arguments = Self::only(program.to_vec());
        for settings in places {
            let higher = set.len();
            for (name, Setting { values, source }) in settings {
                let Some(option) = option(command, &name) else { continue };
                if set[..higher].iter().any(|higher| excludes(command, higher, option)) {
                    continue;
                }
                set.push(option);
                for value in values {
                    let argument = if takes_value(option) { format!("--{name}={value}") } else { format!("--{name}") };
                    arguments.all.push(argument.into());
                }
                arguments.sources.insert(name, source);
            }
        }
        arguments.all.extend_from_slice(given);
        arguments
    }

    /// An error about these arguments, with the place of the value that it is about, unless it was typed.
    pub fn explain(&self, command: &Command, error: &clap::Error) -> Option<String> {
        let of = |kind| match error.get(kind) {
            Some(ContextValue::String(text)) => vec![text.as_str()],
            Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
            _ => Vec::new(),
        };
        let options = [of(ContextKind::InvalidArg), of(ContextKind::PriorArg)].concat();
        let mut names = options.iter().filter_map(|option| option.split([' ', '=']).next()?.strip_prefix("--"));
        let source = match error.kind() {
            // It names only what is missing.
            ErrorKind::MissingRequiredArgument => {
                self.sources.iter().find(|(name, _)| self.needs_more(command, name)).map(|(_, source)| source)
            }
            _ => names.find_map(|name| self.sources.get(name)),
        };
        let text = error.to_string();
        let is_reason = |line: &&str| !line.starts_with("Usage:") && !line.starts_with("For more");
        let lines = text.lines().map(|line| line.trim().trim_start_matches("error: ")).take_while(is_reason);
        let why: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
        source.map(|source| format!("{source}: {}", why.join(" ")))
    }

    /// Whether an option cannot be used without another one.
    fn needs_more(&self, command: &Command, name: &str) -> bool {
        let (option, with_value) = (format!("--{name}"), format!("--{name}="));
        let is_it = |argument: &&OsString| {
            argument.to_str().is_some_and(|argument| argument == option || argument.starts_with(&with_value))
        };
        let alone = self.all.iter().take(1).chain(self.all.iter().find(is_it));
        let error = command.clone().try_get_matches_from(alone).err();
        error.is_some_and(|error| error.kind() == ErrorKind::MissingRequiredArgument)
    }

    /// The value of an option in TOML, and where it comes from.
    fn effective(&self, option: &Arg, matches: &ArgMatches) -> Option<(String, Source)> {
        let name = name_of(option);
        let source = match (self.sources.get(name), matches.value_source(option.get_id().as_str())) {
            (Some(source), _) => source.clone(),
            (None, Some(ValueSource::CommandLine)) => Source::CommandLine,
            (None, _) => Source::Default,
        };
        let other = || self.others.get(name).map(|other| (toml(&other.values.concat()), other.source.clone()));
        value_of(option, matches).map(|value| (value, source)).or_else(other)
    }

    /// All settings with their values, as a file, and where each comes from.
    pub fn show(&self, command: &Command, matches: &ArgMatches) -> String {
        let mut text = String::new();
        for option in options(command) {
            let name = name_of(option);
            // Writing to a String cannot fail.
            let _ = match self.effective(option, matches) {
                Some((value, source)) => writeln!(text, "{:40} # {source}", format!("{name} = {value}")),
                None => writeln!(text, "# {name} is not set"),
            };
        }
        text
    }
}

/// The arguments as far as they can be understood, without looking at values. `None` if settings do not matter: if they
/// ask for help, or for something to be generated, or belong to a command of the program.
pub fn typed(command: &Command, given: &[OsString]) -> Option<ArgMatches> {
    // Some values are files that can be read only once.
    let as_text =
        |option: Arg| if takes_value(&option) { option.value_parser(OsStringValueParser::new()) } else { option };
    let command = command.clone().mut_args(as_text).ignore_errors(true);
    let typed = command.try_get_matches_from(given).ok()?;
    let needs_none = typed.subcommand().is_some() || typed.try_contains_id(GENERATE).is_ok_and(|is_given| is_given);
    (!needs_none).then_some(typed)
}

/// The value that was typed last.
pub fn typed_value(typed: &ArgMatches, option: &str) -> Option<OsString> {
    typed.get_raw(option).and_then(|mut values| values.next_back()).map(OsString::from)
}

/// The values of all settings in TOML, by name. `None` if it is not set.
pub fn values(command: &Command, matches: &ArgMatches) -> BTreeMap<String, Option<String>> {
    options(command).map(|option| (name_of(option).to_owned(), value_of(option, matches))).collect()
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
            [value, ..] if takes_value(option) => toml(&value.to_string_lossy()),
            _ if takes_value(option) => {
                let names = option.get_value_names().unwrap_or_default();
                toml(&names.first().map(ToString::to_string).unwrap_or_default())
            }
            _ => "false".to_owned(),
        };
        let value = if is_repeated(option) { format!("[{value}]") } else { value };
        let _ = writeln!(text, "\n#{} = {value}", name_of(option));
    }
    text
}

/// The options that are settings.
fn options(command: &Command) -> impl Iterator<Item = &Arg> {
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

/// Whether one option replaces the other.
fn excludes(command: &Command, one: &Arg, other: &Arg) -> bool {
    let conflicts =
        |one, other: &Arg| command.get_arg_conflicts_with(one).iter().any(|arg| arg.get_id() == other.get_id());
    one.get_id() == other.get_id() || conflicts(one, other) || conflicts(other, one)
}

/// The value of an option in TOML.
fn value_of(option: &Arg, matches: &ArgMatches) -> Option<String> {
    let values = matches.get_raw(option.get_id().as_str())?;
    let mut values: Vec<_> = values.map(|value| toml(&value.to_string_lossy())).collect();
    if is_repeated(option) { Some(format!("[{}]", values.join(", "))) } else { values.pop() }
}

/// A value in TOML.
fn toml(value: &str) -> String {
    let is_bare = value.parse::<i64>().is_ok_and(|number| number.to_string() == value) || value.parse::<bool>().is_ok();
    if is_bare { value.to_owned() } else { TomlStringBuilder::new(value).as_default().to_toml_value() }
}

/// Reads the settings in a file. `group` is the key of its named tables, if it may have some.
///
/// # Errors
/// Says which file and line cannot be used, and why.
pub fn from_file(command: &Command, path: &Path, group: Option<&str>) -> Result<FromFile, String> {
    let text = fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {}", path.display(), io_error::describe(&error)))?;
    let path = path.display().to_string();
    let source = |at: usize| {
        let line = text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count() + 1;
        Source::File { path: path.clone(), line }
    };
    let table = DeTable::parse(&text).map_err(|error| {
        let source = source(error.span().map_or(0, |span| span.start));
        format!("{source}: {}", error.message().replace('\n', " "))
    })?;
    let mut file = FromFile::default();
    for (key, value) in table.get_ref() {
        let name = key.get_ref().as_ref();
        if group != Some(name) {
            file.settings
                .insert(name.to_owned(), setting_in_file(command, name, value.get_ref(), source(key.span().start))?);
            continue;
        }
        let DeValue::Table(tables) = value.get_ref() else {
            return Err(format!("{}: {name} must be tables, such as [{name}.home]", source(key.span().start)));
        };
        for (key, value) in tables {
            let DeValue::Table(table) = value.get_ref() else {
                return Err(format!("{}: [{name}.{}] must be a table", source(key.span().start), key.get_ref()));
            };
            let setting = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
                let name = key.get_ref().as_ref();
                Ok((name.to_owned(), setting_in_file(command, name, value.get_ref(), source(key.span().start))?))
            };
            let settings = table.iter().map(setting).collect::<Result<_, String>>()?;
            file.named.insert(key.get_ref().to_string(), settings);
        }
    }
    Ok(file)
}

fn setting_in_file(command: &Command, name: &str, value: &DeValue<'_>, source: Source) -> Result<Setting, String> {
    let option = option(command, name).ok_or_else(|| unknown(command, name, &source))?;
    let text = |value: &DeValue<'_>| match value {
        DeValue::String(value) => Some(from_home(value)),
        DeValue::Integer(value) => Some(value.to_string()),
        DeValue::Float(value) => Some(value.to_string()),
        DeValue::Boolean(value) => Some(value.to_string()),
        _ => None,
    };
    let values = match value {
        DeValue::Array(values) if is_repeated(option) => values.iter().map(|value| text(value.get_ref())).collect(),
        value => text(value).map(|value| vec![value]),
    };
    let values = values.ok_or_else(|| format!("{source}: {name} must be a text, a number, true or false"))?;
    setting(option, values, source)
}

/// Reads the settings in the environment: the variables that start with `prefix`. `--config` may be one of them.
///
/// # Errors
/// Says which variable cannot be used, and why.
pub fn from_environment(
    command: &Command,
    prefix: &str,
    environment: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Settings, String> {
    let mut settings = Settings::new();
    for (variable, value) in environment {
        let Some(rest) = variable.to_str().and_then(|variable| variable.strip_prefix(prefix)) else { continue };
        let (name, source) =
            (rest.to_ascii_lowercase().replace('_', "-"), Source::Environment(format!("{prefix}{rest}")));
        let value = value.into_string().map_err(|_| format!("{source}: it is not valid UTF-8"))?;
        let setting = match option(command, &name) {
            Some(option) => setting(option, vec![value], source)?,
            None if name == CONFIG => Setting { values: vec![value], source },
            None => return Err(unknown(command, &name, &source)),
        };
        settings.insert(name, setting);
    }
    Ok(settings)
}

fn setting(option: &Arg, values: Vec<String>, source: Source) -> Result<Setting, String> {
    let values = match values.as_slice() {
        _ if takes_value(option) => values,
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
    let similarity = |option: &&str| strsim::jaro(option, name);
    let closest = options(command).map(name_of).max_by(|one, other| similarity(one).total_cmp(&similarity(other)));
    let closest = closest.filter(|closest| similarity(closest) >= SIMILAR);
    let hint = closest.map(|closest| format!("; did you mean {closest:?}?")).unwrap_or_default();
    format!("{source}: there is no setting {name:?}{hint}")
}

/// Whether clap printed what was asked for, such as the help, in place of an error.
pub fn is_help(error: &clap::Error) -> bool {
    matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
}

#[cfg(test)]
mod tests {
    use clap::value_parser;

    use super::*;

    fn command() -> Command {
        let port = Arg::new("port").long("port").value_parser(value_parser!(u16)).default_value("5000").help("A port");
        let data = Arg::new("data").long("data").value_name("DIR").help("A folder");
        let strict = Arg::new("strict").long("strict").action(ArgAction::SetTrue).requires("data").help("Be strict");
        let lax = Arg::new("lax").long("lax").action(ArgAction::SetTrue).conflicts_with("strict").help("Be lax");
        let hear = Arg::new("hear").long("hear").value_name("ROOM").action(ArgAction::Append).help("A room");
        let config = Arg::new(CONFIG).long(CONFIG);
        Command::new("server").args([port, data, strict, lax, hear, config]).subcommand(Command::new("admin"))
    }

    fn read(file: &str) -> Result<FromFile, String> {
        let path = std::env::temp_dir().join(format!("linechat-settings-{}-{}", std::process::id(), fastrand::u64(..)));
        fs::write(&path, file).unwrap();
        let read = from_file(&command(), &path, Some("servers"));
        fs::remove_file(&path).unwrap();
        read.map_err(|why| why.replace(path.to_str().unwrap(), "FILE"))
    }

    /// The arguments with what a file and the environment set, or what is wrong.
    fn gather(file: &str, environment: &[(&str, &str)], given: &[&str]) -> Result<Arguments, String> {
        let given: Vec<_> = ["server"].iter().chain(given).map(OsString::from).collect();
        let environment = environment.iter().map(|(name, value)| (name.into(), value.into()));
        let environment = from_environment(&command(), "SERVER_", environment)?;
        let typed = typed(&command(), &given).unwrap();
        Ok(Arguments::with(&command(), &given, &typed, [environment, read(file)?.settings]))
    }

    fn matches(arguments: &Arguments) -> ArgMatches {
        command().try_get_matches_from(&arguments.all).unwrap()
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
        let error = command().try_get_matches_from(&both.all).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
        assert!(both.explain(&command(), &error).unwrap().contains(", line "), "{error}");
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
        assert_eq!(wrong("config = \"x\""), "FILE, line 1: there is no setting \"config\"");
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
        let wrong = from_file(&command(), Path::new("/no/such"), None).unwrap_err();
        assert!(wrong.starts_with("cannot read /no/such: "), "{wrong}");
    }

    #[test]
    fn a_bad_value_is_reported_with_its_place_unless_it_was_typed() {
        let explained = |environment: &[(&str, &str)], given: &[&str]| {
            let arguments = gather("", environment, given).unwrap();
            arguments.explain(&command(), &command().try_get_matches_from(&arguments.all).unwrap_err())
        };
        let why =
            "SERVER_PORT in the environment: invalid value '70000' for '--port <port>': 70000 is not in 0..=65535";
        assert_eq!(explained(&[("SERVER_PORT", "70000")], &[]).as_deref(), Some(why));
        assert_eq!(explained(&[], &["--port=70000"]), None);
    }

    #[test]
    fn a_setting_that_needs_another_one_is_reported_with_its_place() {
        let arguments = gather("port = 1\nstrict = true", &[], &[]).unwrap();
        let error = command().try_get_matches_from(&arguments.all).unwrap_err();
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
        assert_eq!(shown[0], "port = 5000 # default");
        assert_eq!(shown[1], "data = 'a \"b\"' # SERVER_DATA in the environment");
        assert_eq!(shown[2..4], ["strict = true # command line", "lax = false # default"]);
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
