//! The server's command-line options, and the configuration made from them.

use std::env;
use std::ffi::OsString;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use clap::error::ErrorKind;
use clap::{Command, CommandFactory, Parser, ValueEnum};
use linechat::accounts::{Accounts, Hasher};
use linechat::cli::manual::{Manual, Parsed, wrong};
use linechat::cli::program_name::program_name;
use linechat::cli::settings::{CONFIG, CommandLine, File};
use linechat::cli::{settings, status};
use linechat::database::{Database, Sync};
use linechat::history;
use linechat::history::{History, Keep};
use linechat::limits::{
    ACCOUNT_UNUSED_LEAST, ANNOUNCE_AFTER, KEEP_BYTES_LEAST, PER_SOURCE, REPLAY, REPLAY_MOST, ROOM_LIMIT, STALL_LIMIT,
    SYNC_MOST, TLS_PORT, WRONG_PASSWORD_PAUSE,
};
use linechat::log::LevelFilter;
use linechat::model::RoomName;
use linechat::os::descriptors::spare_descriptors;
use linechat::os::password_file::PasswordFileError;
use linechat::os::systemd::PassedSocket;
use linechat::room::{OpenRooms, Policy};
use linechat::server::Config;
use linechat::server::access::auth::{Auth, RoomPassword};
use linechat::server::access::connection_limits::Capacity;
use linechat::server::access::rate_limit::PacePreset;
use linechat::server::admin::Control;
use linechat::server::listen::tls::TlsError;
use linechat::server::listen::{Listener, Tls};

use crate::admin::Subcommands;
use crate::listeners::Listeners;
use crate::passed::Passed;

/// A chat server for any line-oriented client: nc, telnet, a script, or the linechat client.
///
/// The first line on standard output is `Server listening on HOST:PORT`. One line for each further address follows, then
/// log records. SIGINT (Ctrl-C) or SIGTERM stops the server gracefully within 10 seconds; a second one stops it at once.
/// SIGHUP rereads the settings, the certificate and the password. If there are no such files, or the terminal was closed,
/// it stops the server.
#[derive(Debug, Parser)]
#[command(version, override_usage = MANUAL.usage(), after_help = MANUAL.after_help())]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Options {
    #[command(subcommand)]
    pub subcommand: Option<Subcommands>,

    /// Settings: these options in TOML, such as port = 5000; SIGHUP rereads it [env: LINECHAT_SERVER_CONFIG]
    ///
    /// The environment and the command line override it. `--generate config` prints an example. No other user may be able
    /// to change it.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Read all settings, certificates, passwords and accounts, report the first problem, and exit; it changes nothing
    #[arg(long)]
    pub check: bool,

    /// Address to listen on; :: means IPv6 and IPv4
    #[arg(long, default_value = "0.0.0.0")]
    host: String,

    /// Port to listen on; 0 means any free port
    #[arg(short, long, default_value_t = 5000)]
    port: u16,

    /// Port to listen on for TLS [default: 5001, if there is a certificate]
    #[arg(long, value_name = "PORT", requires = "certificate", help_heading = PRIVATE)]
    tls_port: Option<u16>,

    /// Address to listen on for TLS [default: same as --host]
    #[arg(long, value_name = "HOST", requires = "certificate", help_heading = PRIVATE)]
    tls_host: Option<String>,

    /// Certificate chain in PEM format, the server's own certificate first; SIGHUP reloads it and the key
    #[arg(long, value_name = "FILE", requires = "tls_key", group = "certificate", help_heading = PRIVATE)]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM format
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = PRIVATE)]
    tls_key: Option<PathBuf>,

    /// Create a self-signed certificate for testing and print its fingerprint
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"], group = "certificate", help_heading = PRIVATE)]
    tls_self_signed: bool,

    /// Also listen on a Unix socket at PATH; it is removed on exit
    #[arg(long, value_name = "PATH", help_heading = PRIVATE)]
    unix: Option<PathBuf>,

    /// Permissions of the Unix socket, in octal as for chmod(1)
    #[arg(long, value_name = "MODE", default_value = "0600", requires = "unix", value_parser = parse_mode, help_heading = PRIVATE)]
    unix_mode: u32,

    /// Require the password in the first line of FILE, which no other user may read; SIGHUP reloads it
    ///
    /// The server asks for it after the name. It is accepted over TLS, from this machine and through the Unix socket.
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    pub password_file: Option<PathBuf>,

    /// Store messages, registered names, bans and mutes in DIR, which is created if needed
    ///
    /// With it, /register protects a name with a password, and the `admin` command can reach the server.
    #[arg(long, value_name = "DIR", help_heading = WHO)]
    pub data: Option<PathBuf>,

    /// Keep messages for this long, such as 30days, or forever; 0 keeps none, not even in memory
    ///
    /// Without --data, the newest 10,000 messages are kept in memory, whatever their age.
    #[arg(long, value_name = "DURATION", default_value = "30days", value_parser = parse_keep, help_heading = HISTORY)]
    keep: Keep,

    /// Remove the oldest messages when the database is larger than this, such as 500MiB
    #[arg(long, value_name = "SIZE", default_value = "1GiB", requires = "data", value_parser = parse_bytes, help_heading = HISTORY)]
    keep_bytes: u64,

    /// When messages must be on the disk: this long after they are shown, such as 200ms; or always, before they are shown
    ///
    /// A power cut loses what was not on the disk yet. A crash of the server alone loses nothing. With `always`, lines are
    /// refused while the disk is full.
    #[arg(long, value_name = "DURATION|always", default_value = "200ms", requires = "data", value_parser = parse_sync, help_heading = HISTORY)]
    sync: Sync,

    /// Admit only registered names; the `admin` command registers them
    #[arg(long, requires = "data", help_heading = WHO)]
    registered_only: bool,

    /// Remove accounts that have not been used for this long, such as 1year; at least 2days
    ///
    /// The server checks at startup and once a day, and logs each account that it removes.
    #[arg(long, value_name = "DURATION", requires = "data", value_parser = parse_unused, help_heading = WHO)]
    account_unused: Option<Duration>,

    /// Accept passwords over unencrypted connections from other machines, where others could read them
    #[arg(long, help_heading = WHO)]
    allow_plain_password: bool,

    /// Show this many of the newest messages to everyone who joins; 0 shows none
    ///
    /// A client that sends more than its name at once, as in a pipe, does not get them.
    #[arg(long, value_name = "N", default_value_t = REPLAY, value_parser = parse_replay)]
    replay: usize,

    /// Who can open rooms: everyone (open), registered names (registered), or nobody (fixed:ROOM,ROOM,...)
    ///
    /// With `fixed`, these rooms always exist. A room of an earlier run that has messages or a topic exists too. `fixed:`
    /// alone allows only the lobby.
    #[arg(long, value_name = "WHO", default_value = "open", value_parser = parse_rooms, help_heading = ROOMS)]
    rooms: OpenRooms,

    /// Maximum number of rooms: the lobby, those of --rooms, and others with people, messages or a topic
    #[arg(long, value_name = "N", default_value_t = ROOM_LIMIT, value_parser = at_least_one, help_heading = ROOMS)]
    room_limit: usize,

    /// Treat an unfinished line as complete after MS milliseconds of silence
    ///
    /// For clients that send no line endings, such as simple socket scripts. The price: someone who types in
    /// character mode and pauses for that long sends half a line.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    idle_line: Option<u64>,

    /// How fast each client may send; faster clients are slowed down, and nothing is lost
    ///
    /// All clients of one network together may send 4 times as much, and those on this machine 8 times as much. Replies
    /// count by their size.
    #[arg(long, value_enum, default_value_t = Pace::Open)]
    pace: Pace,

    /// Maximum number of connections [default: as many as file descriptors allow]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_connections: Option<usize>,

    /// Maximum number of connections from one IPv4 address or IPv6 /64 network; a /56 may have 4 times and a /48 16 times as many; those from this machine do not count
    #[arg(long, value_name = "N", default_value_t = PER_SOURCE, value_parser = at_least_one)]
    max_per_address: usize,

    /// Disconnect a client that has read nothing for this long
    #[arg(long, value_name = "SECONDS", default_value_t = STALL_LIMIT.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    stall_limit: u64,

    /// Number of threads that serve the room
    ///
    /// One thread serves thousands of clients at the lowest cost per line. More threads can carry more lines in total if
    /// there are enough processors.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,

    /// Log level: off, error, warn, info or debug
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = parse_level)]
    pub log_level: LevelFilter,
}

/// The start of the names of variables in the environment that are settings.
const PREFIX: &str = "LINECHAT_SERVER_";

const PRIVATE: &str = "TLS and Unix sockets";
const WHO: &str = "Access control";
const HISTORY: &str = "History";
const ROOMS: &str = "Rooms";

pub const MANUAL: Manual = Manual {
    program: "server",
    purpose: "chat server for any line-oriented client",
    synopsis: &["[OPTION]...", "config [OPTION]...", "admin [--data DIR] COMMAND"],
    exit_codes: &[
        ("0", "stopped by a signal"),
        ("1", "could not start, or crashed; admin: refused, or the server is not running"),
        ("2", "invalid usage"),
        ("130, 143", "stopped at once by a second signal"),
    ],
    environment: &[
        (
            "LINECHAT_SERVER_...",
            "any option: LINECHAT_SERVER_LOG_LEVEL=warn is --log-level warn; it overrides the file, and the command line overrides it",
        ),
        (
            "NOTIFY_SOCKET, WATCHDOG_USEC, LISTEN_FDS",
            "set by systemd, to be told how the server is, and to pass sockets, which replace those of the options",
        ),
    ],
    examples: &[
        "{}",
        "{} --host :: --pace public",
        "{} --host 127.0.0.1 --port 0 --log-level warn",
        "{} --host 127.0.0.1 --tls-host :: --tls-cert cert.pem --tls-key key.pem",
        "{} --tls-self-signed",
        "{} --unix /run/linechat/room.socket",
        "{} --data /var/lib/linechat",
        "{} --config /etc/linechat/server.toml",
        "{} config --config /etc/linechat/server.toml",
        "{} admin --data /var/lib/linechat op Alice",
        "{} admin --data /var/lib/linechat ban 192.0.2.7 12h spam",
    ],
    tables: "",
    output_lost: 1,
};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Pace {
    /// A burst of 200 lines, then 100 lines and 256 KiB per second
    Open,
    /// A burst of 10 lines, then 2 lines and 8 KiB per second
    Public,
    /// No limit
    Off,
}

impl From<Pace> for PacePreset {
    fn from(pace: Pace) -> Self {
        match pace {
            Pace::Open => Self::Open,
            Pace::Public => Self::Public,
            Pace::Off => Self::Off,
        }
    }
}

/// Adds the settings in the file and in the environment to the arguments.
///
/// # Errors
/// Which of them cannot be used.
pub fn gather(command: &Command, given: &[OsString]) -> Result<CommandLine, String> {
    let Some(typed) = settings::typed(command, given) else { return Ok(CommandLine::only(given)) };
    let mut environment = settings::from_environment(command, PREFIX, env::vars_os())?;
    let variable = environment.remove(CONFIG).and_then(|variable| variable.values.into_iter().next());
    let mut given = given.to_vec();
    let file = settings::typed_value(&typed, CONFIG).or_else(|| {
        let file = variable?;
        // So that the program knows of it.
        given.insert(1.min(given.len()), format!("--{CONFIG}={file}").into());
        Some(file.into())
    });
    let file = match file {
        Some(path) => File::read_protected(Path::new(&path))?.settings(command, None)?.settings,
        None => settings::Settings::new(),
    };
    Ok(CommandLine::with(command, &given, &typed, [environment, file]))
}

/// The value of `data` in a file of settings.
///
/// # Errors
/// Why the file cannot be used, or that it sets no folder.
pub fn data_in(file: &Path) -> Result<PathBuf, String> {
    let mut settings = File::read_protected(file)?.settings(&Options::command(), None)?.settings;
    let data = settings.remove("data").and_then(|data| data.values.into_iter().next());
    data.map(PathBuf::from).ok_or_else(|| format!("{}: data is not set, but admin needs it", file.display()))
}

impl Options {
    /// The options in these arguments, and in the file and the environment that belong to them.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn parse(given: &[OsString]) -> Result<Parsed<Self>, clap::Error> {
        let parsed = Parsed::<Self>::of(given, gather)?;
        parsed.options.agree(&parsed.line)?;
        Ok(parsed)
    }

    /// Reads everything that the server would read, and changes nothing. Blocks.
    ///
    /// # Errors
    /// The first problem.
    pub fn check(&self) -> anyhow::Result<()> {
        let tls = self.tls()?;
        self.password()?;
        Listener::check(&self.host, self.port)?;
        self.tls_host.iter().try_for_each(|host| Listener::check(host, self.port))?;
        if let Some(data) = &self.data {
            // A server may be running with it.
            Accounts::check(data)?;
        }
        if let Some(why) = tls.and_then(|tls| tls.untimely()) {
            status::say(&format!("{}: {why}", program_name(MANUAL.program)));
        }
        Ok(())
    }

    /// Checks what clap cannot check.
    ///
    /// # Errors
    /// Which options do not agree.
    pub fn agree(&self, line: &CommandLine) -> Result<(), clap::Error> {
        let OpenRooms::Fixed(rooms) = &self.rooms else { return Ok(()) };
        let count = 1 + rooms.iter().filter(|room| !room.is_lobby()).count();
        if count <= self.room_limit {
            return Ok(());
        }
        let why = format!("the lobby and the rooms of --rooms are {count}, but --room-limit is {}", self.room_limit);
        match line.source("rooms").or_else(|| line.source("room-limit")) {
            Some(source) => Err(wrong(format!("{source}: {why}"))),
            None => Err(Self::command().error(ErrorKind::ValueValidation, why)),
        }
    }

    /// Opens the sockets that the server listens on, in the order in which they are announced. Those that systemd has
    /// opened replace ours of the same kind. Blocks.
    pub fn listeners(&self, passed: Vec<PassedSocket>) -> anyhow::Result<Listeners> {
        // The certificate comes first: if it cannot be read, no socket was opened in vain.
        let tls = self.tls()?.map(Arc::new);
        let passed = Passed::new(passed, tls.as_ref())?;
        let mut listeners = passed.plain;
        if listeners.is_empty() {
            listeners.push(Listener::bind(&self.host, self.port)?);
        }
        if !passed.tls.is_empty() {
            listeners.extend(passed.tls);
        } else if let Some(tls) = &tls {
            let host = self.tls_host.as_deref().unwrap_or(&self.host);
            let listener = Listener::bind(host, self.tls_port.unwrap_or(TLS_PORT))
                // It names the options of the plain port; a host may have hyphens, but no blank.
                .map_err(|error| anyhow!("for TLS: {}", error.to_string().replace(" --", " --tls-")))?;
            listeners.push(listener.with_tls(tls.clone()));
        }
        if !passed.unix.is_empty() {
            listeners.extend(passed.unix);
        } else if let Some(path) = &self.unix {
            listeners.push(Listener::bind_path(path, self.unix_mode)?);
        }
        let control = self.data.as_deref().map(Control::bind).transpose()?;
        Ok(Listeners { listeners, control, tls })
    }

    /// The files of the certificate and its key.
    pub fn tls_files(&self) -> Option<(&Path, &Path)> {
        self.tls_cert.as_deref().zip(self.tls_key.as_deref())
    }

    fn tls(&self) -> Result<Option<Tls>, TlsError> {
        match self.tls_files() {
            Some((certificate, key)) => Tls::from_files(certificate, key).map(Some),
            _ if self.tls_self_signed => Tls::self_signed(self.own_names()).map(Some),
            _ => Ok(None),
        }
    }

    /// The names by which clients on this machine, or those given `--tls-host`, reach this server.
    fn own_names(&self) -> Vec<String> {
        let mut names = vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
        let host = self.tls_host.as_deref().unwrap_or(&self.host);
        let is_wildcard = host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
        if !is_wildcard && !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
        names
    }

    /// Opens the database in the data folder. Blocks.
    pub fn database(&self) -> anyhow::Result<Option<Database>> {
        Ok(self.data.as_deref().map(Database::open).transpose()?)
    }

    /// What a client must prove before it gets a name. Blocks.
    pub fn auth(&self, database: Option<&Database>) -> anyhow::Result<Auth> {
        let room_password = self.password()?.map(Arc::new);
        let accounts = database.map(|database| Accounts::open(database, SystemTime::now())).transpose()?;
        let (rooms, room_limit) = (self.rooms.clone(), self.room_limit);
        let policy = Policy { accounts, registered_only: self.registered_only, rooms, room_limit };
        Ok(Auth { room_password, policy, hasher: Hasher::default() })
    }

    fn password(&self) -> Result<Option<RoomPassword>, PasswordFileError> {
        self.password_file.as_deref().map(RoomPassword::from_file).transpose()
    }

    /// Where messages are kept. Blocks.
    pub fn history(&self, database: Option<&Database>) -> anyhow::Result<History> {
        let settings = history::Settings { keep: self.keep, keep_bytes: Some(self.keep_bytes), sync: self.sync };
        Ok(match database {
            Some(database) => History::open(database, settings)?,
            None if self.keep == Keep::Nothing => History::off(),
            None => History::in_memory(),
        })
    }

    pub fn config(&self) -> Config {
        let connections = self.max_connections.unwrap_or(usize::MAX).min(spare_descriptors());
        Config {
            idle_line: self.idle_line.map(Duration::from_millis),
            pace: self.pace.into(),
            capacity: Capacity { connections, per_source: self.max_per_address },
            allow_plain_password: self.allow_plain_password,
            stall_limit: Duration::from_secs(self.stall_limit),
            announce_after: ANNOUNCE_AFTER,
            replay: self.replay,
            account_unused: self.account_unused,
            wrong_password_pause: WRONG_PASSWORD_PAUSE,
        }
    }
}

fn parse_rooms(text: &str) -> Result<OpenRooms, String> {
    match (text, text.strip_prefix("fixed:")) {
        ("open", _) => Ok(OpenRooms::Everyone),
        ("registered", _) => Ok(OpenRooms::Registered),
        // Only the lobby.
        (_, Some("")) => Ok(OpenRooms::Fixed(Vec::new())),
        (_, Some(names)) => {
            let mut rooms = Vec::new();
            for name in names.split(',') {
                let room = RoomName::parse(name).map_err(|error| format!("\"{name}\": {error}"))?;
                // Probably another one was meant.
                if rooms.contains(&room) {
                    return Err(format!("{room} is named twice"));
                }
                rooms.push(room);
            }
            Ok(OpenRooms::Fixed(rooms))
        }
        _ => Err("write open, registered or fixed:ROOM,ROOM".to_owned()),
    }
}

fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|&mode| mode <= 0o777)
        .ok_or_else(|| "write an octal mode such as 0600, or 0660 for a group".to_owned())
}

fn parse_unused(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|_| "write 90days or 1year".to_owned())?;
    if time < ACCOUNT_UNUSED_LEAST { Err("must be at least 2days".to_owned()) } else { Ok(time) }
}

fn parse_keep(text: &str) -> Result<Keep, String> {
    match text {
        "0" => Ok(Keep::Nothing),
        "forever" => Ok(Keep::For(None)),
        _ => match humantime::parse_duration(text) {
            Ok(time) if !time.is_zero() => Ok(Keep::For(Some(time))),
            _ => Err("write 12h, 30days, forever or 0".to_owned()),
        },
    }
}

/// A number of bytes with a unit.
fn parse_bytes(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches(|char: char| !char.is_ascii_digit());
    let unit = match text[number.len()..].to_ascii_lowercase().as_str() {
        "kib" | "k" => 1024,
        "mib" | "m" => 1024 * 1024,
        "gib" | "g" => 1024 * 1024 * 1024,
        "tib" | "t" => 1024_u64.pow(4),
        _ => 0,
    };
    let bytes = number.parse().ok().and_then(|number: u64| number.checked_mul(unit)).unwrap_or_default();
    if bytes < KEEP_BYTES_LEAST { Err("write 500MiB or 2GiB; at least 1MiB".to_owned()) } else { Ok(bytes) }
}

fn parse_sync(text: &str) -> Result<Sync, String> {
    match text {
        "always" => Ok(Sync::Always),
        _ => match humantime::parse_duration(text) {
            Ok(time) if time <= SYNC_MOST => Ok(Sync::Within(time)),
            _ => Err("write 200ms, 1s or always; at most 1min".to_owned()),
        },
    }
}

fn parse_replay(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count) if count <= REPLAY_MOST => Ok(count),
        _ => Err(format!("must be from 0 to {REPLAY_MOST}")),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("must be at least 1".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// There is no trace level: at that level libraries log too, from threads that must not wait for standard output.
fn parse_level(text: &str) -> Result<LevelFilter, String> {
    match text.parse() {
        Ok(LevelFilter::Trace) | Err(_) => Err("must be one of off, error, warn, info, debug".to_owned()),
        Ok(level) => Ok(level),
    }
}
