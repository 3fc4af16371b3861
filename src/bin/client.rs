//! The client's command line: arguments to a configuration, the outcome of the visit to an exit code.

use std::io::ErrorKind;
use std::process::ExitCode;
use std::time::Duration;

use async_std::task;
use clap::Parser;
use linechat::client::display::Display;
use linechat::client::input::Input;
use linechat::client::{Config, Lost, Outcome, pipe, status};
use linechat::limits::WAIT_LIMIT;
use linechat::protocol::Name;

/// Joins a linechat room: lines from standard input are said, what the others say goes to standard output.
///
/// At a terminal, type and press Enter; /help lists the commands, /quit or Ctrl-D leaves. In a pipe, standard
/// output carries only what the server said and status goes to standard error; at the end of standard input the
/// client waits for the last answers.
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
struct Arguments {
    /// Your name in the room: 1 to 32 characters, a letter or digit first, no blanks
    #[arg(long, value_parser = |text: &str| Name::parse(text))]
    name: Name,

    /// The server's address or name
    #[arg(long, default_value = "127.0.0.1")]
    host: String,

    /// The server's port
    #[arg(long, default_value_t = 5000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,

    /// Print messages only: no notices, and refusals on standard error
    #[arg(long, help_heading = "In a pipe")]
    lines_only: bool,

    /// Stay so many seconds after the end of standard input, for answers; 0.5 is half a second
    #[arg(long, value_name = "SECONDS", default_value = "0", hide_default_value = true, value_parser = parse_wait, help_heading = "In a pipe")]
    wait: Duration,
}

const AFTER_HELP: &str = "\
Exit codes:
  0  everything was said, and you left
  1  refused: the name (taken, ...) or, in a pipe, a line
  2  wrong usage
  3  cannot connect, or the connection, standard input or standard output was lost

Examples:
  echo 'backup done' | client --name cron
  echo 'anybody here?' | client --name poll --lines-only --wait 30
  tail -f access.log | client --name log > /dev/null";

const REFUSED: u8 = 1;
const LOST: u8 = 3;

fn main() -> ExitCode {
    let Arguments { name, host, port, lines_only, wait } = Arguments::parse();
    let display = Display::standard();
    let interactive = display.is_interactive();
    let config = Config { name, host, port };
    let options = pipe::Options { lines_only, wait };
    match task::block_on(pipe::run(&config, &options, Input::standard(), display)) {
        Ok(Outcome::Left) => ExitCode::SUCCESS,
        // At a terminal one has seen it, and said it better since.
        Ok(Outcome::LinesRefused(..)) if interactive => ExitCode::SUCCESS,
        Ok(Outcome::LinesRefused(count, last)) => fail(REFUSED, &format!("{count} refused, the last: {last}")),
        Ok(Outcome::NameRefused(why)) => fail(REFUSED, &format!("the server refused {}: {why}", config.name)),
        // Whoever read our output has seen enough, as `head` does. That is no fault to speak of.
        Err(Lost::Output(error)) if error.kind() == ErrorKind::BrokenPipe => ExitCode::from(LOST),
        Err(lost) => fail(LOST, &lost.to_string()),
    }
}

fn fail(code: u8, why: &str) -> ExitCode {
    status::say(&format!("client: {why}"));
    ExitCode::from(code)
}

fn parse_wait(text: &str) -> Result<Duration, String> {
    let wait = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    wait.filter(|&wait| wait <= WAIT_LIMIT).ok_or_else(|| format!("seconds from 0 to {}", WAIT_LIMIT.as_secs()))
}
