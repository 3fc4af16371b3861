//! The server's command line: arguments to a configuration, signals to a shutdown, an error to an exit code.

mod admin;
mod archive;
mod listeners;
mod options;
mod passed;
mod reload;
mod resources;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::anyhow;
use async_std::task;
use blocking::unblock;
use linechat::cli::manual::Parsed;
use linechat::cli::program_name::program_name;
use linechat::log::{Log, Record};
use linechat::os::descriptors::raise_descriptor_limit;
use linechat::os::systemd::{PassedSocket, take_sockets};
use linechat::server;
use linechat::server::start_threads;
use linechat::server::systemd::tell_around;

use options::{MANUAL, Options, gather};
use reload::{Reload, note_untimely};
use signals::Signals;

fn main() -> ExitCode {
    let mut parsed = MANUAL.parse::<Options>(gather);
    if let Some(subcommand) = parsed.options.subcommand.take() {
        return subcommand.run();
    }
    parsed.options.agree(&parsed.line).unwrap_or_else(|error| error.exit());
    let done = if parsed.options.check { parsed.options.check() } else { start(parsed) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, the exit code must suffice.
            let _ = writeln!(io::stderr(), "{}: {error}", program_name("server"));
            ExitCode::FAILURE
        }
    }
}

fn start(parsed: Parsed<Options>) -> anyhow::Result<()> {
    let sockets = take_sockets()?;
    let threads = parsed.options.threads.into();
    raise_descriptor_limit();
    resources::check(threads)?;
    start_threads(threads);
    task::block_on(run(parsed, sockets))
}

async fn run(parsed: Parsed<Options>, sockets: Vec<PassedSocket>) -> anyhow::Result<()> {
    let options = &parsed.options;
    // This starts a thread of the blocking pool, which stays. If none could be started later, blocking work would never finish.
    unblock(|| ()).await;
    let database = options.database()?;
    let auth = options.auth(database.as_ref())?;
    let history = options.history(database.as_ref())?;
    let listeners = options.listeners(sockets)?;
    let reload = Arc::new(Reload::new(&parsed, listeners.tls.clone(), auth.room_password.clone()));
    let signals = Signals::new(reload.is_any()).map_err(|error| anyhow!("cannot wait for signals: {error}"))?;
    listeners.announce();
    let (log, writer) = Log::start(options.log_level).map_err(|error| anyhow!("cannot start the log: {error}"))?;
    if let Some(database) = database {
        let log = log.clone();
        database.on_problem(move |problem| log.note(Record::Database(problem)));
    }
    listeners.tls.iter().for_each(|tls| note_untimely(&log, tls));
    if let Some(listeners) = listeners.reachable()
        && !auth.is_private()
    {
        log.note(Record::Open { places: listeners });
    }
    let reloading = log.clone();
    let stopped = signals.until_stop(log.clone(), move || {
        let (reload, log) = (Arc::clone(&reload), reloading.clone());
        async move { tell_around(&log, reload.run(log.clone())).await }
    });
    let auth = (auth, history.clone());
    let served = server::run(listeners.listeners, listeners.control, options.config(), auth, log, stopped).await;
    // If this fails, numbering continues after a gap. The problem was reported.
    let _ = history.close().await;
    drop(history);
    writer.flush();
    Ok(served?)
}
