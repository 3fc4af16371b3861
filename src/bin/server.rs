//! The server's command line: arguments to a configuration, signals to a shutdown, an error to an exit code.

use std::io::Write;
use std::process::{ExitCode, exit};
use std::time::Duration;

use anyhow::Context;
use async_signal::{Signal, Signals};
use async_std::task;
use clap::{Parser, ValueEnum};
use futures::StreamExt;
use linechat::journal::{Journal, LevelFilter};
use linechat::limits::{PER_SOURCE, STALL_LIMIT, UNNAMED};
use linechat::manual::Manual;
use linechat::server::config::{raise_descriptor_limit, spare_descriptors};
use linechat::server::door::Capacity;
use linechat::server::pace::Profile;
use linechat::server::{self, Config, Listener, start_threads};

/// A chat that any line-oriented client can join: nc, telnet, a script, or the client beside this server.
///
/// The first line on standard output is `Server listening on HOST:PORT`; log records follow it. SIGINT (Ctrl-C) or
/// SIGTERM ends the server gently within 10 seconds; a second one ends it at once.
#[derive(Debug, Parser)]
#[command(version, after_help = MANUAL.after_help())]
struct Arguments {
    /// The address to listen on; :: is IPv6 and IPv4
    #[arg(long, default_value = "0.0.0.0")]
    host: String,

    /// The port to listen on; 0 takes any free one
    #[arg(long, default_value_t = 5000)]
    port: u16,

    /// Take an unfinished line as complete after MS milliseconds of silence
    ///
    /// For clients that send no line ends, such as simple socket scripts. The price: somebody who types in
    /// character mode and pauses for that long sends half a line.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..=60_000))]
    idle_line: Option<u64>,

    /// How fast each peer may talk; whoever is faster is slowed down, and nothing is lost
    #[arg(long, value_enum, default_value_t = Pace::Open)]
    pace: Pace,

    /// How many connections there may be; by default as many as there are descriptors for
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    max_connections: Option<usize>,

    /// How many connections there may be from one IPv4 address or IPv6 /64 network; this machine's own do not count
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
    threads: u16,

    /// What to log: off, error, warn, info or debug
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = parse_level)]
    log_level: LevelFilter,
}

const MANUAL: Manual = Manual {
    program: "server",
    purpose: "hold a linechat room, which any line-oriented client can join",
    synopsis: &["[OPTION]..."],
    exit_codes: &[
        ("0", "stopped by a signal"),
        ("1", "it could not start, or died"),
        ("2", "wrong usage"),
        ("130, 143", "ended at once by a second signal"),
    ],
    environment: &[],
    examples: &["server", "server --host :: --pace public", "server --host 127.0.0.1 --port 0 --log-level warn"],
    output_lost: 1,
};

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Pace {
    /// 200 lines at once, then 100 lines and 256 KiB a second
    Open,
    /// 10 lines at once, then 2 lines a second
    Public,
    /// As fast as it goes
    Off,
}

impl From<Pace> for Profile {
    fn from(pace: Pace) -> Self {
        match pace {
            Pace::Open => Self::Open,
            Pace::Public => Self::Public,
            Pace::Off => Self::Off,
        }
    }
}

fn main() -> ExitCode {
    let arguments: Arguments = MANUAL.parse();
    start_threads(arguments.threads.into());
    match task::block_on(run(arguments)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("server: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    raise_descriptor_limit();
    let listener = Listener::bind(&arguments.host, arguments.port)?;
    let signals = Signals::new([Signal::Int, Signal::Term]).context("cannot wait for signals")?;
    // Whoever started us may have closed our standard output; we serve all the same.
    let _ = writeln!(std::io::stdout(), "Server listening on {listener}");
    let (journal, scribe) = Journal::start(arguments.log_level);
    let config = arguments.config();
    let served = server::run(vec![listener], config, journal, first_of(signals)).await;
    scribe.flush();
    Ok(served?)
}

impl Arguments {
    fn config(&self) -> Config {
        let connections = self.max_connections.unwrap_or(usize::MAX).min(spare_descriptors());
        Config {
            idle_line: self.idle_line.map(Duration::from_millis),
            pace: self.pace.into(),
            capacity: Capacity { connections, per_source: self.max_per_address, unnamed: UNNAMED },
            stall_limit: Duration::from_secs(self.stall_limit),
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(0) => Err("there has to be room for one".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

/// Waits for a signal. From then on another one ends the process at once.
async fn first_of(mut signals: Signals) {
    signals.next().await;
    task::spawn(async move {
        if let Some(Ok(signal)) = signals.next().await {
            exit(128 + signal as i32);
        }
    });
}

/// Trace is left out: at that level the libraries below speak too, from threads that must not wait for standard
/// output.
fn parse_level(text: &str) -> Result<LevelFilter, String> {
    match text.parse() {
        Ok(LevelFilter::Trace) | Err(_) => Err("choose one of off, error, warn, info, debug".to_owned()),
        Ok(level) => Ok(level),
    }
}
