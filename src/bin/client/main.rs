//! The client's command line: arguments to a configuration, the outcome of the session to an exit code.

mod servers;

use std::ffi::OsString;
use std::fmt;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use async_std::task;
use clap::builder::{OsStringValueParser, PathBufValueParser, TypedValueParser};
use clap::{ArgMatches, ColorChoice, CommandFactory, Parser, ValueHint, error};
use linechat::cli::manual::Manual;
use linechat::cli::program_name::program_name;
use linechat::cli::settings::CommandLine;
use linechat::cli::status;
use linechat::cli::status::Verbosity;
use linechat::client::bot::program;
use linechat::client::bot::program::Program;
use linechat::client::connection::ConnectError;
use linechat::client::display::Display;
use linechat::client::input::Input;
use linechat::client::target::parse_port;
use linechat::client::{
    ClientError, Config, Endpoint, IfTaken, Outcome, PASSWORD_VARIABLE, Target, Trust, Wanted, bot, pipe, startup,
    terminal,
};
use linechat::limits::WAIT_LIMIT;
use linechat::model::{BadSecret, Name, RoomName, Secret};
use linechat::net::tls::Fingerprint;
use linechat::os::io_error;
use linechat::os::{password_file, paths};
use linechat::protocol::Since;

/// Join a linechat room: send lines from standard input, and print what others say.
///
/// At a terminal, type a line and press Enter; /help lists the commands, /quit or Ctrl-D leaves. In a pipe, standard
/// output carries only what the server sends, and standard error only errors. At end of input, the client waits for the
/// last replies and exits.
#[derive(Debug, Parser)]
#[command(version, override_usage = MANUAL.usage(), after_help = MANUAL.after_help())]
struct Arguments {
    /// Server to join: HOST, HOST:PORT, tls://HOST, unix:PATH, or a name of --config [env: LINECHAT_HOST] [default:
    /// 127.0.0.1]
    ///
    /// Write an IPv6 address with a port in brackets. HOST must come before --exec.
    // After --exec, it is an argument of CMD instead: see `words`.
    #[arg(value_name = "HOST[:PORT]", value_hint = ValueHint::Hostname)]
    server: Option<OsString>,

    /// Your name in the room: 1 to 32 characters without spaces, starting with a letter or digit [env: LINECHAT_NAME]
    /// [default at a terminal: your user name]
    #[arg(short, long, value_parser = |text: &str| Name::parse(text))]
    name: Option<Name>,

    /// Same as the HOST argument, with or without a port
    #[arg(long, value_name = "HOST[:PORT]", value_parser = a_target(), value_hint = ValueHint::Hostname)]
    host: Option<Target>,

    /// Port of the server [env: LINECHAT_PORT] [default: 5000, or 5001 for TLS]
    #[arg(short, long, value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Same as unix:PATH: the Unix socket of a server on this machine
    #[arg(long, value_name = "PATH", value_hint = ValueHint::FilePath)]
    unix: Option<PathBuf>,

    /// Print no greeting at a terminal; refusals and errors are still shown
    #[arg(short, long, conflicts_with = "verbose")]
    quiet: bool,

    /// Report the state of the connection on standard error, also in a pipe
    #[arg(short, long)]
    verbose: bool,

    /// Use TLS and verify the server's certificate against HOST and the system's certificate authorities; same as
    /// tls://HOST
    #[arg(long, help_heading = OVER_TLS)]
    tls: bool,

    /// Trust only the certificates in FILE (PEM) and those signed by them; implies --tls
    #[arg(long, value_name = "FILE", value_parser = authorities(), conflicts_with = "tls_fingerprint", help_heading = OVER_TLS)]
    tls_ca: Option<Trust>,

    /// Trust only the certificate with this fingerprint, whatever its name or dates; implies --tls
    #[arg(long, value_name = "SHA256", help_heading = OVER_TLS)]
    tls_fingerprint: Option<Fingerprint>,

    /// What to do if the name is taken [default: ask for another one at a terminal, otherwise wait]
    #[arg(long, value_name = "WHAT", value_enum)]
    if_taken: Option<IfTaken>,

    /// If the server asks for a password, send the first line of FILE, which no other user may read [env:
    /// LINECHAT_PASSWORD, with the password itself] [default at a terminal: ask]
    #[arg(long, value_name = "FILE", value_parser = a_password(), help_heading = PASSWORDS)]
    password_file: Option<Secret>,

    /// Send passwords over unencrypted connections to other machines, where others could read them
    #[arg(long, help_heading = PASSWORDS)]
    allow_plain_password: bool,

    /// Enter ROOM in place of the lobby: dev or #dev
    #[arg(long, value_name = "ROOM", value_parser = |text: &str| RoomName::parse(text), help_heading = ROOMS)]
    room: Option<RoomName>,

    /// Also hear what is said in ROOM, marked with its name: #ops Carol: disk is full; may be repeated
    #[arg(long, value_name = "ROOM", value_parser = |text: &str| RoomName::parse(text), help_heading = ROOMS)]
    hear: Vec<RoomName>,

    /// Show what was said after WHEN: the number of a message, a duration such as 2h, or a time such as 12:03 (UTC)
    #[arg(long, value_name = "WHEN", help_heading = HISTORY)]
    since: Option<Since>,

    /// Show the newest N messages from before you joined [default at a terminal: as many as the server chooses;
    /// otherwise 0]
    #[arg(long, value_name = "N", help_heading = HISTORY)]
    replay: Option<usize>,

    /// In a pipe, print messages with their numbers and times, also your own: [88120 2026-11-26T12:03:11Z] Alice: hello
    #[arg(long, help_heading = HISTORY)]
    ids: bool,

    /// Settings: these options in TOML, such as no-bell = true; and under [servers.NAME] those of a server NAME
    /// [default: $XDG_CONFIG_HOME/linechat/config.toml or ~/.config/linechat/config.toml, if it exists]
    ///
    /// The command line overrides it. `--generate config` prints an example.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// Print the settings that would be used, and where each comes from
    #[arg(long)]
    print_config: bool,

    /// When to use colours; auto means at a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", default_value_t = ColorChoice::Auto, help_heading = AT_A_TERMINAL)]
    color: ColorChoice,

    /// Do not ring the bell when someone mentions your name
    #[arg(long, help_heading = AT_A_TERMINAL)]
    no_bell: bool,

    /// Do not save what you type to a history file (in $XDG_STATE_HOME/linechat or ~/.local/state/linechat)
    #[arg(long, help_heading = AT_A_TERMINAL)]
    no_history: bool,

    /// Exit when the connection is lost, instead of reconnecting
    #[arg(long, help_heading = AT_A_TERMINAL)]
    no_reconnect: bool,

    /// Only append lines, and let the terminal edit the input: for screen readers and script(1); implied by TERM=dumb
    #[arg(long, help_heading = AT_A_TERMINAL)]
    plain: bool,

    /// Print only messages: no notices, and refusals on standard error
    #[arg(long, help_heading = "In a pipe")]
    lines_only: bool,

    /// Stay this long after end of input, to receive replies; 0.5 is half a second
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = parse_wait, help_heading = "In a pipe")]
    wait: Duration,

    /// Run CMD for each message, with LINECHAT_FROM, LINECHAT_ROOM, LINECHAT_TEXT and LINECHAT_PRIVATE (1 or 0) in its
    /// environment
    ///
    /// CMD is a program, not a shell command line. Its arguments follow; those that start with a hyphen need -- before
    /// them. Only one CMD runs at a time. Up to 64 messages wait; the number of messages dropped beyond that is reported
    /// on standard error. Standard input is not read, so the bot runs until the server closes the connection or a signal
    /// ends it.
    #[arg(long, value_name = "CMD", value_parser = a_program(), conflicts_with = "wait", help_heading = "As a bot")]
    exec: Option<OsString>,

    /// Send each line of CMD's output to the room of the message, or to the sender of a private message
    #[arg(long, requires = "exec", help_heading = "As a bot")]
    reply: bool,

    /// Arguments of CMD
    #[arg(value_name = "ARG", help_heading = "As a bot")]
    arguments: Vec<OsString>,

    /// The server is in a table of the file.
    #[arg(skip)]
    is_in_file: bool,
}

const OVER_TLS: &str = "Over TLS";
const PASSWORDS: &str = "Passwords";
const ROOMS: &str = "Rooms";
const HISTORY: &str = "History";
const AT_A_TERMINAL: &str = "At a terminal";

const MANUAL: Manual = Manual {
    program: "client",
    purpose: "chat client for a terminal, a pipe or a program",
    synopsis: &["[OPTION]... [HOST[:PORT]]", "[OPTION]... [HOST[:PORT]] --exec CMD [--reply] [--] [ARG]..."],
    exit_codes: &[
        ("0", "everything was sent, and you left"),
        ("1", "the server refused the name, the password or, in a pipe, a line"),
        ("2", "invalid usage"),
        ("3", "could not start or connect, or lost the connection, standard input or standard output"),
    ],
    environment: &[
        (NAME_VARIABLE, "your name, if there is no --name"),
        (HOST_VARIABLE, "the server, if the command line names none; takes the same forms as HOST"),
        (PORT_VARIABLE, "the port, if neither --port nor the server has one"),
        ("USER", "your name at a terminal, if there is neither --name nor LINECHAT_NAME"),
        (PASSWORD_VARIABLE, "the password, if there is no --password-file; it is not passed to the command of --exec"),
        ("NO_COLOR", "if set and not empty, no colours are used"),
        (
            "SSL_CERT_FILE",
            "a file of certificates to trust with --tls instead of the system's; SSL_CERT_DIR is a folder of them",
        ),
        ("XDG_CONFIG_HOME", "the folder of linechat/config.toml, which is read without --config [default: ~/.config]"),
        ("XDG_STATE_HOME", "the folder of linechat/history, which keeps what you type [default: ~/.local/state]"),
        ("LINECHAT_FROM", "set for the command of --exec: the sender of the message"),
        ("LINECHAT_ROOM", "set for it: the room where the message was said, such as lobby"),
        ("LINECHAT_TEXT", "set for it: the text of the message; never let a shell evaluate it"),
        ("LINECHAT_PRIVATE", "set for it: 1 if the message is private, otherwise 0"),
    ],
    examples: &[
        "{}",
        "{} --name Bob chat.example:6000",
        "{} --name Bob tls://chat.example",
        "{} --name Bob tls://chat.example --password-file ~/.linechat-password",
        "{} --name Bob unix:/run/linechat/socket",
        "echo 'backup done' | {} --name cron",
        "echo 'anybody here?' | {} --name poll --lines-only --wait 30",
        "tail -f access.log | {} --name log > /dev/null",
        "{} --name Bob --room dev --hear ops chat.example",
        "{} --name clock --reply --exec date -- -u +%T > /dev/null",
        "{} --name echo --reply --exec timeout 10 sh -- -c 'echo \"$LINECHAT_TEXT\"' > /dev/null",
    ],
    tables: "
# Options of a server that is called home:
# [servers.home]
# host = \"tls://chat.example\"
# room = \"dev\"
",
    output_lost: LOST,
};

const PASSWORD_KEPT: &str = "others could read it on its way, so it was not sent; use --tls, or --allow-plain-password in a network that you trust";

const NAME_VARIABLE: &str = "LINECHAT_NAME";
const HOST_VARIABLE: &str = "LINECHAT_HOST";
const PORT_VARIABLE: &str = "LINECHAT_PORT";

const HOST: &str = "127.0.0.1";
const PORT: u16 = 5000;
const TLS_PORT: u16 = 5001;

const REFUSED: u8 = 1;
const LOST: u8 = 3;

impl Arguments {
    /// Whether a person is typing at a terminal.
    fn is_at_a_terminal(&self) -> bool {
        !self.lines_only && self.wait.is_zero() && self.exec.is_none() && terminal::is_there()
    }

    /// The name from the command line or the environment. `words` are the words on the command line that may name the
    /// server.
    ///
    /// # Errors
    /// Why there is none.
    fn name(&self, words: &[OsString]) -> Result<Name, String> {
        if let Some(name) = &self.name {
            return Ok(name.clone());
        }
        if let Some(name) = variable(NAME_VARIABLE) {
            return Name::parse(&name).map_err(|why| format!("{NAME_VARIABLE}: {why}"));
        }
        let user = if self.is_at_a_terminal() { variable(paths::USER_VARIABLE) } else { None };
        match user {
            Some(user) => Name::parse(&user).map_err(|why| {
                let advice = advice_for_a_name(words);
                format!(
                    "your user name {user:?} cannot be your name in the room: {why}; choose one with --name NAME{advice}"
                )
            }),
            None => {
                let advice = advice_for_a_name(words);
                Err(format!("a name is required: give --name NAME, or set {NAME_VARIABLE}{advice}"))
            }
        }
    }

    /// The server from the command line or the environment. `words` are the words on the command line that may name it.
    ///
    /// # Errors
    fn target(&self, words: &[OsString], line: &CommandLine) -> Result<Target, String> {
        let mut given = Vec::new();
        for word in words {
            given.push((format!("{word:?}"), Target::parse(word).map_err(|why| why.to_string())?));
        }
        // What is typed overrides the file.
        let is_overridden = self.port.is_some() && line.source("port").is_none() && line.source("host").is_some();
        let host = self.host.clone().map(|host| if is_overridden { host.without_port() } else { host });
        given.extend(host.map(|host| (place(line, "host"), host)));
        given.extend(self.unix.clone().map(|path| (place(line, "unix"), Target::Unix(path))));
        match given.as_slice() {
            [(source, target)] => self.with_options(target.clone(), source, line),
            [(first, _), (second, _), ..] => Err(format!("{first} and {second} each name a server; use only one")),
            [] => match servers::variable(HOST_VARIABLE) {
                Some(host) => {
                    let target = Target::parse(&host).map_err(|why| format!("{HOST_VARIABLE}: {why}"))?;
                    // Options override the environment.
                    let target = if self.port.is_some() { target.without_port() } else { target };
                    self.with_options(target, HOST_VARIABLE, line)
                }
                None => self.with_options(Target::Tcp { host: HOST.to_owned(), port: None, tls: false }, HOST, line),
            },
        }
    }

    /// Adds the port and TLS to the target. `source` says where the target was named.
    fn with_options(&self, target: Target, source: &str, line: &CommandLine) -> Result<Target, String> {
        let Target::Tcp { host, port, tls } = target else {
            return match self.network_option() {
                Some(option) => {
                    let option = place(line, option);
                    Err(format!("{option} cannot be used with {source}: a socket file has no port and no TLS"))
                }
                None => Ok(target),
            };
        };
        let port = match (port, self.port) {
            (Some(_), Some(_)) => {
                return Err(format!("{source} and {} each give a port; use only one", place(line, "port")));
            }
            (None, None) => {
                match variable(PORT_VARIABLE).filter(|_| servers::is_used(PORT_VARIABLE, self.is_in_file)) {
                    Some(port) => Some(parse_port(&port).map_err(|why| format!("{PORT_VARIABLE}: {why}"))?),
                    None => None,
                }
            }
            (port, option) => port.or(option),
        };
        let tls = tls || self.tls || self.tls_ca.is_some() || self.tls_fingerprint.is_some();
        Ok(Target::Tcp { host, port, tls })
    }

    /// An option that only makes sense for TCP.
    fn network_option(&self) -> Option<&'static str> {
        let options = [
            ("port", self.port.is_some()),
            ("tls", self.tls),
            ("tls-ca", self.tls_ca.is_some()),
            ("tls-fingerprint", self.tls_fingerprint.is_some()),
        ];
        options.into_iter().find(|(_, is_given)| *is_given).map(|(option, _)| option)
    }

    /// The target with default ports and trusted certificates.
    fn endpoint(&self, target: Target) -> Result<Endpoint, ClientError> {
        let (host, port) = match target {
            Target::Unix(path) => return Ok(Endpoint::Unix(path)),
            Target::Tcp { host, port, tls: false } => {
                return Ok(Endpoint::Tcp { host, port: port.unwrap_or(default_port(false)), trust: None });
            }
            Target::Tcp { host, port, tls: true } => (host, port.unwrap_or(default_port(true))),
        };
        let trust = match (&self.tls_ca, self.tls_fingerprint) {
            (Some(trust), _) => trust.clone(),
            (None, Some(fingerprint)) => Trust::Exactly(fingerprint),
            (None, None) => Trust::system()?,
        };
        Ok(Endpoint::Tcp { host, port, trust: Some(trust) })
    }

    /// Whether lines are only appended: by option, or because the terminal can do nothing else.
    fn is_plain(&self) -> bool {
        self.plain || terminal::is_dumb()
    }

    fn verbosity(&self) -> Verbosity {
        match (self.quiet, self.verbose) {
            (true, _) => Verbosity::Quiet,
            (_, true) => Verbosity::Verbose,
            _ => Verbosity::Normal,
        }
    }

    fn at_a_terminal(&self) -> terminal::Options {
        let color = match self.color {
            ColorChoice::Auto => !self.is_plain() && servers::variable("NO_COLOR").is_none(),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let history = if self.no_history { None } else { history_file() };
        terminal::Options { history, color, bell: !self.no_bell, reconnect: !self.no_reconnect, greeting: !self.quiet }
    }
}

/// The history file, if the person has a home.
fn history_file() -> Option<PathBuf> {
    paths::state_folder().map(|folder| folder.join("linechat").join("history"))
}

fn main() -> ExitCode {
    let parsed = MANUAL.parse::<Arguments>(servers::gather);
    let settings = parsed.options.print_config.then(|| parsed.settings());
    let (mut words, arguments_of_program) = words(&parsed.matches);
    let (mut arguments, line) = (parsed.options, parsed.line);
    arguments.is_in_file = line.named.is_some();
    if arguments.is_in_file {
        // The word names a table of settings, which has the host.
        words.clear();
    }
    if let Some(settings) = settings {
        let target = arguments.target(&words, &line).ok();
        return MANUAL.print(with_target(&settings, target).as_bytes()).into();
    }
    arguments.arguments = arguments_of_program;
    let name = arguments.name(&words).unwrap_or_else(|why| wrong_usage(why));
    let target = arguments.target(&words, &line).unwrap_or_else(|why| wrong_usage(why));
    let display = Display::standard(arguments.verbosity());
    // A bot reads no standard input.
    let display = if arguments.exec.is_some() { display.unattended() } else { display };
    let interactive = display.is_interactive();
    let config = arguments.config.clone();
    let without_port = match &target {
        Target::Tcp { host, port: None, tls: false } => Some(host.clone()),
        _ => None,
    };
    match session(arguments, name.clone(), target, display) {
        Ok(Outcome::Left) => ExitCode::SUCCESS,
        // The person has seen it at the terminal.
        Ok(Outcome::LinesRefused(..)) if interactive => ExitCode::SUCCESS,
        Ok(Outcome::LinesRefused(count, last)) => fail(REFUSED, &format!("{count} refused, the last: {last}")),
        Ok(Outcome::PasswordKept) => fail(REFUSED, &format!("{name} needs a password, and {PASSWORD_KEPT}")),
        Ok(Outcome::NameRefused(why)) => fail(REFUSED, &format!("the server refused {name}: {why}")),
        // The reader of our output closed it early, as `head` does. That is not an error to report.
        Err(ClientError::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(LOST),
        Err(ClientError::NotConnected(ref lost @ ConnectError::UnknownHost { ref host, .. })) => {
            let advice = servers::advice(&Arguments::command(), config, host).filter(|_| line.named.is_none());
            fail(LOST, &format!("{lost}{}", advice.unwrap_or_else(|| advice_for_a_name(&words))))
        }
        Err(ClientError::NotConnected(ref lost @ ConnectError::Silent(_))) => {
            let advice = without_port.map(|host| format!(", or try tls://{host}")).unwrap_or_default();
            fail(LOST, &format!("{lost}{advice}"))
        }
        Err(lost) => fail(LOST, &lost.to_string()),
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { TLS_PORT } else { PORT }
}

/// The printed settings, with the port and TLS as the server's target has them. These lines are comments, because the
/// host or other options imply them.
fn with_target(settings: &str, target: Option<Target>) -> String {
    let Some(Target::Tcp { port, tls, .. }) = target else { return settings.to_owned() };
    let implied = |setting: &str, source: &str| format!("{:40} # {source}\n", format!("# {setting}"));
    let lines = settings.lines().map(|line| match (line, port) {
        ("# port is not set", Some(port)) => implied(&format!("port = {port}"), "host"),
        ("# port is not set", None) => implied(&format!("port = {}", default_port(tls)), "default"),
        (line, _) if tls && line.trim_start_matches("# ").starts_with("tls = false ") => {
            implied("tls = true", "host or certificates")
        }
        (line, _) => format!("{line}\n"),
    });
    lines.collect()
}

/// Where an option was set, for an error.
fn place(line: &CommandLine, option: &str) -> String {
    line.source(option).map_or_else(|| format!("--{option}"), ToString::to_string)
}

/// The words on the command line that are neither options nor their values: those before `--exec` name the server, and
/// those after it are arguments of the program.
fn words(matches: &ArgMatches) -> (Vec<OsString>, Vec<OsString>) {
    let exec = matches.index_of("exec").unwrap_or(usize::MAX);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    for id in ["server", "arguments"] {
        let indices = matches.indices_of(id).into_iter().flatten();
        for (index, word) in indices.zip(matches.get_raw(id).into_iter().flatten()) {
            if index < exec { &mut before } else { &mut after }.push(word.to_owned());
        }
    }
    (before, after)
}

/// A hint for somebody who gave a name where the host should be.
fn advice_for_a_name(words: &[OsString]) -> String {
    let word = words.first().and_then(|word| word.to_str()).filter(|&word| word != "localhost" && !word.contains('.'));
    match word.filter(|word| Name::parse(word).is_ok()) {
        Some(name) => format!("; if {name:?} is your name, write {} --name {name}", program_name("client")),
        None => String::new(),
    }
}

/// An environment variable that is set and not empty. Invalid UTF-8 becomes U+FFFD, which no valid value contains.
fn variable(name: &str) -> Option<String> {
    servers::variable(name).map(|value| value.to_string_lossy().into_owned())
}

/// Ends the program like clap.
fn wrong_usage(why: impl fmt::Display) -> ! {
    Arguments::command().error(error::ErrorKind::ValueValidation, why).exit()
}

fn session(arguments: Arguments, name: Name, target: Target, display: Display) -> Result<Outcome, ClientError> {
    let at_a_terminal = arguments.is_at_a_terminal();
    startup::start(!at_a_terminal)?;
    let config = Config {
        name,
        endpoint: arguments.endpoint(target)?,
        password: arguments.password_file.clone().or_else(|| {
            servers::is_used(PASSWORD_VARIABLE, arguments.is_in_file).then(password_of_environment).flatten()
        }),
        allow_plain_password: arguments.allow_plain_password,
        if_taken: arguments.if_taken,
        room: arguments.room.clone(),
        hear: arguments.hear.clone(),
        wanted: Wanted {
            ids: arguments.ids,
            since: arguments.since,
            replay: arguments.replay.or((!at_a_terminal).then_some(0)),
        },
    };
    if at_a_terminal {
        let run = if arguments.is_plain() { terminal::run_plain } else { terminal::run };
        return run(&config, &arguments.at_a_terminal());
    }
    let Arguments { lines_only, wait, exec, reply, arguments, .. } = arguments;
    if let Some(path) = exec {
        let program = Program { path, arguments };
        return task::block_on(bot::run(&config, bot::Options { program, reply, lines_only }, display));
    }
    task::block_on(pipe::run(&config, &pipe::Options { lines_only, wait }, Input::standard(), display))
}

fn fail(code: u8, why: &str) -> ExitCode {
    status::complain(why);
    ExitCode::from(code)
}

fn a_target() -> impl TypedValueParser<Value = Target> {
    OsStringValueParser::new().try_map(|text| Target::parse(&text))
}

fn authorities() -> impl TypedValueParser<Value = Trust> {
    PathBufValueParser::new().try_map(|path| Trust::from_file(&path))
}

fn a_password() -> impl TypedValueParser<Value = Secret> {
    PathBufValueParser::new().try_map(|path| password_file::read(&path))
}

/// The password from the environment. Exits if it is not a valid password.
fn password_of_environment() -> Option<Secret> {
    let text = servers::variable(PASSWORD_VARIABLE)?;
    let secret = text.to_str().ok_or(BadSecret::NotText).and_then(Secret::parse);
    Some(secret.unwrap_or_else(|why| wrong_usage(format!("{PASSWORD_VARIABLE}: {why}"))))
}

/// The name or path of an existing program.
fn a_program() -> impl TypedValueParser<Value = OsString> {
    OsStringValueParser::new().try_map(|path| {
        program::check(&path).map_err(|error| io_error::describe(&error))?;
        Ok::<_, String>(path)
    })
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let wait = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    wait.filter(|&wait| wait <= WAIT_LIMIT).ok_or_else(|| format!("must be from 0 to {} seconds", WAIT_LIMIT.as_secs()))
}
