//! The server's options, and what they make of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::anyhow;
use clap::{Parser, ValueEnum};
use linechat::accounts::{Accounts, Hasher};
use linechat::cli::manual::Manual;
use linechat::limits::{ACCOUNT_UNUSED_LEAST, ANNOUNCE_AFTER, PER_SOURCE, STALL_LIMIT, TLS_PORT, WRONG_PASSWORD_PAUSE};
use linechat::log::LevelFilter;
use linechat::os::descriptors::spare_descriptors;
use linechat::room::Policy;
use linechat::server::Config;
use linechat::server::access::auth::{Auth, RoomPassword};
use linechat::server::access::connection_limits::Capacity;
use linechat::server::access::rate_limit::PacePreset;
use linechat::server::admin::Control;
use linechat::server::listen::tls::TlsError;
use linechat::server::listen::{Listener, Tls};

use crate::admin::Order;
use crate::listeners::Listeners;

/// A chat that any line-oriented client can join: nc, telnet, a script, or the client beside this server.
///
/// The first line on standard output is `Server listening on HOST:PORT`; those of further places follow it, and then log
/// records. SIGINT (Ctrl-C) or SIGTERM ends the server gently within 10 seconds; a second one ends it at once. SIGHUP reads
/// the certificate and the password again; with nothing to read, or when its terminal is closed, it ends the server gently.
#[derive(Debug, Parser)]
#[command(version, override_usage = MANUAL.usage(), after_help = MANUAL.after_help())]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct Options {
    #[command(subcommand)]
    pub order: Option<Order>,

    /// The address to listen on; :: is IPv6 and IPv4
    #[arg(long, default_value = "0.0.0.0")]
    host: String,

    /// The port to listen on; 0 takes any free one
    #[arg(short, long, default_value_t = 5000)]
    port: u16,

    /// The port to listen on for TLS; 5001 when a certificate is given and no port
    #[arg(long, value_name = "PORT", requires = "certificate", help_heading = PRIVATE)]
    tls_port: Option<u16>,

    /// The address to listen on for TLS, if it is not that of --host
    #[arg(long, value_name = "HOST", requires = "certificate", help_heading = PRIVATE)]
    tls_host: Option<String>,

    /// The certificate, and those that lead to its issuer: PEM blocks; SIGHUP reads it and the key again
    #[arg(long, value_name = "FILE", requires = "tls_key", group = "certificate", help_heading = PRIVATE)]
    tls_cert: Option<PathBuf>,

    /// The private key of the certificate: a PEM block
    #[arg(long, value_name = "FILE", requires = "tls_cert", help_heading = PRIVATE)]
    tls_key: Option<PathBuf>,

    /// Make a certificate for trying out, and print its fingerprint
    #[arg(long, conflicts_with_all = ["tls_cert", "tls_key"], group = "certificate", help_heading = PRIVATE)]
    tls_self_signed: bool,

    /// Listen on a socket of the file system, too; it is removed at the end
    #[arg(long, value_name = "PATH", help_heading = PRIVATE)]
    unix: Option<PathBuf>,

    /// Who may connect to that socket, as chmod(1) has it in octal digits
    #[arg(long, value_name = "MODE", default_value = "0600", requires = "unix", value_parser = parse_mode, help_heading = PRIVATE)]
    unix_mode: u32,

    /// Let nobody in who does not know the password in this file: its first line, for nobody else to read; SIGHUP reads it again
    ///
    /// It is asked for after the name, and taken over TLS, from this machine and through its socket file.
    #[arg(long, value_name = "FILE", help_heading = WHO)]
    password_file: Option<PathBuf>,

    /// Keep registered names, bans and mutes in this folder, which is made if need be
    ///
    /// /register ties a name to a password there; the command `admin` speaks to the server through a socket in it.
    #[arg(long, value_name = "DIR", help_heading = WHO)]
    data: Option<PathBuf>,

    /// Let only those in who have a registered name; the command `admin` registers them
    #[arg(long, requires = "data", help_heading = WHO)]
    registered_only: bool,

    /// Remove accounts that nobody has logged in with for this long, such as 1year; at least 2days
    ///
    /// The server looks for them when it starts and once a day, and logs each that it removes.
    #[arg(long, value_name = "DURATION", requires = "data", value_parser = parse_unused, help_heading = WHO)]
    account_unused: Option<Duration>,

    /// Take passwords over plain connections from elsewhere, too, where others can read them
    #[arg(long, help_heading = WHO)]
    allow_plain_password: bool,

    /// Take an unfinished line as complete after MS milliseconds of silence
    ///
    /// For clients that send no line ends, such as simple socket scripts. The price: somebody who types in
    /// character mode and pauses for that long sends half a line.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    idle_line: Option<u64>,

    /// How fast each peer may talk; whoever is faster is slowed down, and nothing is lost
    ///
    /// All peers of one network together may send 4 times as much, and those of this machine 8 times as much. Answers count
    /// by their size.
    #[arg(long, value_enum, default_value_t = Pace::Open)]
    pace: Pace,

    /// How many connections there may be; by default as many as there are descriptors for
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_connections: Option<usize>,

    /// How many connections there may be from one IPv4 address or IPv6 /64 network; a /56 may have 4 times as many and a /48 16 times; this machine's own do not count
    #[arg(long, value_name = "N", default_value_t = PER_SOURCE, value_parser = at_least_one)]
    max_per_address: usize,

    /// Disconnect a peer that takes nothing of what is sent to it for so many seconds
    #[arg(long, value_name = "SECONDS", default_value_t = STALL_LIMIT.as_secs(), value_parser = clap::value_parser!(u64).range(1..=86_400))]
    stall_limit: u64,

    /// How many threads serve the room
    ///
    /// One serves thousands of peers, at the least cost for each line. More carry more lines in all, on machines that
    /// have the processors.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub threads: u16,

    /// What to log: off, error, warn, info or debug
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = parse_level)]
    pub log_level: LevelFilter,
}

const PRIVATE: &str = "Private connections";
const WHO: &str = "Who may come in";

pub const MANUAL: Manual = Manual {
    program: "server",
    purpose: "hold a linechat room, which any line-oriented client can join",
    synopsis: &["[OPTION]...", "admin --data DIR COMMAND"],
    exit_codes: &[
        ("0", "stopped by a signal"),
        ("1", "it could not start, or died; admin: it refused, or does not run"),
        ("2", "wrong usage"),
        ("130, 143", "ended at once by a second signal"),
    ],
    environment: &[],
    examples: &[
        "{}",
        "{} --host :: --pace public",
        "{} --host 127.0.0.1 --port 0 --log-level warn",
        "{} --host 127.0.0.1 --tls-host :: --tls-cert cert.pem --tls-key key.pem",
        "{} --tls-self-signed",
        "{} --unix /run/linechat/room.socket",
        "{} --data /var/lib/linechat",
        "{} admin --data /var/lib/linechat op Alice",
        "{} admin --data /var/lib/linechat ban 192.0.2.7 12h spam",
    ],
    output_lost: 1,
};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Pace {
    /// 200 lines at once, then 100 lines and 256 KiB a second
    Open,
    /// 10 lines at once, then 2 lines and 8 KiB a second
    Public,
    /// As fast as it goes
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

impl Options {
    /// Where the server listens; standard output is told of it in this order. It blocks.
    pub fn listeners(&self) -> anyhow::Result<Listeners> {
        // First of all the certificate: without it nothing is bound that would have to be given up.
        let tls = self.tls()?.map(Arc::new);
        let mut listeners = vec![Listener::bind(&self.host, self.port)?];
        if let Some(tls) = &tls {
            let host = self.tls_host.as_deref().unwrap_or(&self.host);
            let listener = Listener::bind(host, self.tls_port.unwrap_or(TLS_PORT))
                // It names the options of the plain port; a host may have hyphens, but no blank.
                .map_err(|error| anyhow!("for TLS: {}", error.to_string().replace(" --", " --tls-")))?;
            listeners.push(listener.with_tls(tls.clone()));
        }
        if let Some(path) = &self.unix {
            listeners.push(Listener::bind_path(path, self.unix_mode)?);
        }
        let control = self.data.as_deref().map(Control::bind).transpose()?;
        Ok(Listeners { listeners, control, tls })
    }

    fn tls(&self) -> Result<Option<Tls>, TlsError> {
        match (&self.tls_cert, &self.tls_key) {
            (Some(certificate), Some(key)) => Tls::from_files(certificate, key).map(Some),
            _ if self.tls_self_signed => Tls::self_signed(self.own_names()).map(Some),
            _ => Ok(None),
        }
    }

    /// By which names a client on this machine, or who was told `--tls-host`, comes to us.
    fn own_names(&self) -> Vec<String> {
        let mut names = vec!["localhost".to_owned(), Ipv4Addr::LOCALHOST.to_string(), Ipv6Addr::LOCALHOST.to_string()];
        let host = self.tls_host.as_deref().unwrap_or(&self.host);
        let is_wildcard = host.parse().is_ok_and(|ip: IpAddr| ip.is_unspecified());
        if !is_wildcard && !names.iter().any(|name| name == host) {
            names.push(host.to_owned());
        }
        names
    }

    /// What somebody has to prove before a name is theirs. It blocks.
    pub fn auth(&self) -> anyhow::Result<Auth> {
        let room_password = self.password_file.as_deref().map(RoomPassword::from_file).transpose()?.map(Arc::new);
        let accounts = self.data.as_deref().map(|data| Accounts::open(data, SystemTime::now())).transpose()?;
        let policy = Policy { accounts, registered_only: self.registered_only };
        Ok(Auth { room_password, policy, hasher: Hasher::default() })
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
            account_unused: self.account_unused,
            wrong_password_pause: WRONG_PASSWORD_PAUSE,
        }
    }
}

/// Permissions in octal digits.
fn parse_mode(text: &str) -> Result<u32, String> {
    u32::from_str_radix(text, 8)
        .ok()
        .filter(|&mode| mode <= 0o777)
        .ok_or_else(|| "it goes 0600, or 0660 for a group".to_owned())
}

/// How long an account may be unused.
fn parse_unused(text: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(text).map_err(|_| "write 90days or 1year".to_owned())?;
    if time < ACCOUNT_UNUSED_LEAST { Err("at least 2days".to_owned()) } else { Ok(time) }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("there has to be room for one".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// Trace is left out: at that level the libraries below speak too, from threads that must not wait for standard
/// output.
fn parse_level(text: &str) -> Result<LevelFilter, String> {
    match text.parse() {
        Ok(LevelFilter::Trace) | Err(_) => Err("choose one of off, error, warn, info, debug".to_owned()),
        Ok(level) => Ok(level),
    }
}
