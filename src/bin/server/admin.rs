//! `server admin`: sends a request to a running server and prints the reply, or reads the history.

use std::ffi::OsString;
use std::io::{self, BufRead, ErrorKind, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::builder::PossibleValuesParser;
use clap::error;
use clap::{Arg, ArgMatches, Args, Command, CommandFactory, FromArgMatches, Subcommand};
use linechat::cli::manual::wrong;
use linechat::cli::program_name::program_name;
use linechat::cli::settings::GENERATE;
use linechat::limits::{CONTROL_LIMIT, LINE_BYTES};
use linechat::net::control;
use linechat::net::control::ControlStream;
use linechat::os::io_error;
use linechat::protocol::AdminCommand;
use linechat::protocol::command::{Access, COMMANDS, CommandSpec};
use zeroize::Zeroizing;

use crate::archive;
use crate::archive::{Backup, Export, Statistics};
use crate::options::{MANUAL, Options, data_in};

#[derive(Debug, Subcommand)]
pub enum Subcommands {
    /// Administer a server
    Admin(Admin),
    /// Print the settings that the server would use with these options, and where each comes from
    Config {
        #[arg(value_name = "OPTION", trailing_var_arg = true, allow_hyphen_values = true)]
        options: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub struct Admin {
    /// The --data folder of the server [default: that of --config or the environment]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The --config file of the server
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    config: Option<PathBuf>,

    #[command(subcommand)]
    request: Request,
}

#[derive(Debug)]
enum Request {
    /// A line that names a command of the table, without its slash. The server carries it out.
    Line(String),
    Backup(Backup),
    History(Statistics),
    Export(Export),
}

/// clap also knows the commands from the table. It checks the number of words; the server checks their meaning.
impl Subcommand for Request {
    fn augment_subcommands(command: Command) -> Command {
        let backup = Command::new(BACKUP).about("Copy messages and accounts to a new file, also while the server runs");
        let history =
            Command::new(HISTORY).about("Show how many messages are stored, their size, the oldest and the newest");
        let export = Command::new(EXPORT).about("Write the stored messages to a new file or to standard output");
        command.subcommands(commands().map(subcommand)).subcommands([
            Backup::augment_args(backup),
            Statistics::augment_args(history),
            Export::augment_args(export),
        ])
    }

    fn augment_subcommands_for_update(command: Command) -> Command {
        Self::augment_subcommands(command)
    }

    fn has_subcommand(name: &str) -> bool {
        commands().any(|command| command.name() == name) || [BACKUP, HISTORY, EXPORT].contains(&name)
    }
}

impl FromArgMatches for Request {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let (name, matches) =
            matches.subcommand().ok_or_else(|| clap::Error::new(error::ErrorKind::MissingSubcommand))?;
        match name {
            BACKUP => return Backup::from_arg_matches(matches).map(Self::Backup),
            HISTORY => return Statistics::from_arg_matches(matches).map(Self::History),
            EXPORT => return Export::from_arg_matches(matches).map(Self::Export),
            _ => {}
        }
        let arguments = matches.ids().filter_map(|id| matches.get_many::<String>(id.as_str())).flatten();
        let words: Vec<_> = [name].into_iter().chain(arguments.map(String::as_str)).collect();
        Ok(Self::Line(words.join(" ")))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

const BACKUP: &str = "backup";
const HISTORY: &str = "history";
const EXPORT: &str = "export";

/// The commands of the table that the control socket takes.
fn commands() -> impl Iterator<Item = &'static CommandSpec> {
    COMMANDS.iter().filter(|command| !matches!(command.access, Access::Everyone(_)))
}

fn subcommand(command: &'static CommandSpec) -> Command {
    let (first, rest) = command.help.split_at(1);
    let help = format!("{}{rest}", first.to_ascii_uppercase());
    Command::new(command.name()).about(help).args(command.arguments().split_whitespace().map(argument))
}

/// An argument, from its word in the usage. It is optional if in brackets, and literal if in small letters.
fn argument(word: &'static str) -> Arg {
    let name = word.trim_matches(['[', ']']);
    let argument = Arg::new(name).required(name == word);
    match name {
        "TEXT" | "REASON" => argument.num_args(1..),
        _ if name.starts_with(char::is_lowercase) => argument.value_parser(PossibleValuesParser::new(name.split('|'))),
        _ => argument,
    }
}

impl Subcommands {
    pub fn run(self) -> ExitCode {
        let answer = match self {
            Self::Admin(admin) => admin.carry_out(),
            Self::Config { options } => return print_settings(options),
        };
        match answer {
            // The reader may have closed the pipe early, as `head` does.
            Ok(answer) => drop(io::stdout().write_all(answer.as_bytes())),
            Err(error) => {
                // If standard error is closed, the exit code must suffice.
                let _ = writeln!(io::stderr(), "{}: {error:#}", program_name("server"));
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }
}

impl Admin {
    /// Returns what is to be shown.
    fn carry_out(self) -> anyhow::Result<String> {
        let data = self.data.unwrap_or_else(|| data_of_settings(self.config));
        match &self.request {
            Request::Line(line) => ask(&data, line),
            Request::Backup(backup) => archive::backup(&data, backup),
            Request::History(statistics) => archive::history(&data, statistics),
            Request::Export(export) => archive::export(&data, export).map(|()| String::new()),
        }
    }
}

/// Prints the settings of a server with these options.
fn print_settings(options: Vec<OsString>) -> ExitCode {
    let given: Vec<_> = [program_name("server").into()].into_iter().chain(options).collect();
    let parsed = Options::parse(&given).unwrap_or_else(|error| error.exit());
    if parsed.options.subcommand.is_some() || parsed.options.check || parsed.matches.contains_id(GENERATE) {
        let why = "config takes only settings";
        Options::command().error(error::ErrorKind::ArgumentConflict, why).exit();
    }
    MANUAL.print(parsed.settings().as_bytes()).into()
}

/// The folder in the settings of a server: in this file, or in the environment and the file that it names. Exits if there
/// is none.
fn data_of_settings(config: Option<PathBuf>) -> PathBuf {
    if let Some(config) = config {
        return data_in(&config).unwrap_or_else(|why| wrong(why).exit());
    }
    let given = [program_name("server").into()];
    let data = Options::parse(&given).unwrap_or_else(|error| error.exit()).options.data;
    data.unwrap_or_else(|| {
        let why = "give --data DIR, the folder of the server, or --config FILE, its settings, such as --config \
            /etc/linechat/server.toml; or set LINECHAT_SERVER_CONFIG";
        Options::command().error(error::ErrorKind::MissingRequiredArgument, why).exit()
    })
}

/// How long the server may take to answer. It waits for the request half of this time.
const PATIENCE: Duration = CONTROL_LIMIT.saturating_mul(2);

fn ask(data: &Path, line: &str) -> anyhow::Result<String> {
    let mut server = ControlStream::connect(data, PATIENCE).map_err(|error| not_connected(data, &error))?;
    let request = request(line)?;
    let mut answer = String::new();
    let sent = server.send(request.as_bytes());
    sent.and_then(|()| server.read_to_string(&mut answer)).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => too_late(),
        _ => anyhow!("lost the connection to the server: {}", io_error::describe(&error)),
    })?;
    match (answer.strip_prefix("ok\n"), answer.strip_prefix("! ")) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, Some(refusal)) => bail!("refused: {}", refusal.trim_end()),
        (None, None) => bail!("the server closed the connection without an answer"),
    }
}

fn not_connected(data: &Path, error: &io::Error) -> anyhow::Error {
    let (path, why) = (control::path(data), io_error::describe(error));
    match error.kind() {
        ErrorKind::NotFound if data.try_exists().is_ok_and(|exists| !exists) => {
            anyhow!("no server is running with --data {}: there is no such folder", data.display())
        }
        // A server that was killed leaves its socket behind.
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            anyhow!("no server is running with --data {}", data.display())
        }
        ErrorKind::WouldBlock | ErrorKind::TimedOut => too_late(),
        ErrorKind::PermissionDenied => {
            anyhow!("cannot connect to a server at {}: {why}; only root and the server's user can", path.display())
        }
        _ => anyhow!("cannot connect to a server at {}: {why}", path.display()),
    }
}

fn too_late() -> anyhow::Error {
    anyhow!("the server did not answer within {} s", PATIENCE.as_secs())
}

fn request(line: &str) -> anyhow::Result<Zeroizing<String>> {
    let line = one_line(line)?;
    match AdminCommand::parse(line) {
        Ok(AdminCommand::Register(_)) => Ok(Zeroizing::new(format!("{line}\n{}\n", *new_password()?))),
        // The server reports what is wrong with other requests.
        _ => Ok(Zeroizing::new(format!("{line}\n"))),
    }
}

/// Checks that a request has no second line, which the server would read as a password.
fn one_line(text: &str) -> anyhow::Result<&str> {
    if text.contains('\n') {
        bail!("a request must be a single line");
    }
    Ok(text)
}

/// Asks for a password twice at a terminal, or reads it from standard input.
fn new_password() -> anyhow::Result<Zeroizing<String>> {
    if !io::stdin().is_terminal() {
        let mut line = Zeroizing::new(String::with_capacity(LINE_BYTES));
        let read = io::stdin().lock().take(LINE_BYTES as u64).read_line(&mut line);
        read.context("cannot read a password from standard input")?;
        if line.starts_with('\u{feff}') {
            // The byte order mark of a file.
            line.remove(0);
        }
        let length = line.trim_end_matches(['\r', '\n']).len();
        line.truncate(length);
        return Ok(line);
    }
    let ask = |prompt| rpassword::prompt_password(prompt).map(Zeroizing::new).context("cannot ask for a password");
    let (first, second) = (ask("New password: ")?, ask("Again: ")?);
    if first != second {
        bail!("the two passwords do not match; nothing was changed");
    }
    Ok(first)
}
