//! The server's command line: arguments to a configuration, signals to a shutdown, an error to an exit code.

mod admin;
mod arguments;
mod places;
mod reload;
mod resources;
mod signals;

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::anyhow;
use async_std::task;
use blocking::unblock;
use linechat::journal::{Journal, Record};
use linechat::manual::program_name;
use linechat::server::config::raise_descriptor_limit;
use linechat::server::{self, start_threads};

use arguments::{Arguments, MANUAL};
use reload::{Reload, note_untimely};
use signals::Signals;

fn main() -> ExitCode {
    let (mut arguments, _): (Arguments, _) = MANUAL.parse();
    if let Some(order) = arguments.order.take() {
        return order.give();
    }
    match start(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // If standard error is closed, the exit code says it.
            let _ = writeln!(io::stderr(), "{}: {error}", program_name("server"));
            ExitCode::FAILURE
        }
    }
}

fn start(arguments: Arguments) -> anyhow::Result<()> {
    raise_descriptor_limit();
    resources::check(arguments.threads.into())?;
    start_threads(arguments.threads.into());
    task::block_on(run(arguments))
}

async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // It starts a thread, which stays: without one, what blocks would never come to its end.
    unblock(|| ()).await;
    let admission = arguments.admission()?;
    let places = arguments.places()?;
    let reload =
        Reload { tls: places.tls.clone().filter(|tls| tls.has_files()), password: admission.room_password.clone() };
    let signals = Signals::new(reload.is_any()).map_err(|error| anyhow!("cannot wait for signals: {error}"))?;
    places.announce();
    let (journal, scribe) =
        Journal::start(arguments.log_level).map_err(|error| anyhow!("cannot start the log: {error}"))?;
    places.tls.iter().for_each(|tls| note_untimely(&journal, tls));
    if let Some(places) = places.reachable()
        && !admission.is_private()
    {
        journal.note(Record::Open { places });
    }
    let reloading = journal.clone();
    let stopped = signals.until_stop(journal.clone(), move || reload.clone().run(reloading.clone()));
    let config = arguments.config(admission);
    let served = server::run(places.listeners, places.control, config, journal, stopped).await;
    scribe.flush();
    Ok(served?)
}
