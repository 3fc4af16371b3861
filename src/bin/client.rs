//! The client's command line: arguments to a configuration, the outcome of the visit to an exit code.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::ExitCode;

use async_std::task;
use clap::{ColorChoice, Parser};
use linechat::client::display::Display;
use linechat::client::input::Input;
use linechat::client::{Config, Lost, Outcome, pipe, terminal};
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

    /// Show colours: when there is a terminal, and NO_COLOR is not set; always; or never
    #[arg(long, value_name = "WHEN", default_value_t = ColorChoice::Auto, help_heading = AT_A_TERMINAL)]
    color: ColorChoice,

    /// Do not ring the bell when somebody says your name
    #[arg(long, help_heading = AT_A_TERMINAL)]
    no_bell: bool,

    /// Do not keep what you type in a file (in $XDG_STATE_HOME/linechat, or ~/.local/state/linechat)
    #[arg(long, help_heading = AT_A_TERMINAL)]
    no_history: bool,

    /// Leave when the connection is lost, instead of making it again
    #[arg(long, help_heading = AT_A_TERMINAL)]
    no_reconnect: bool,

    /// Only ever add lines, and leave the typed line to the terminal: for screen readers and script(1); so it is with TERM=dumb
    #[arg(long, help_heading = AT_A_TERMINAL)]
    plain: bool,
}

const AT_A_TERMINAL: &str = "At a terminal";

const AFTER_HELP: &str = "\
Exit codes:
  0  everything was said, and you left
  1  refused: the name (taken, ...) or, in a pipe, a line
  2  wrong usage
  3  cannot connect, or the connection or standard output was lost

Example: echo 'backup done' | client --name cron";

const REFUSED: u8 = 1;
const LOST: u8 = 3;

impl Arguments {
    fn at_a_terminal(&self) -> terminal::Options {
        let color = match self.color {
            ColorChoice::Auto => std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
            ColorChoice::Always => true,
            ColorChoice::Never => false,
        };
        let history = if self.no_history { None } else { history_file() };
        terminal::Options { history, color, bell: !self.no_bell, reconnect: !self.no_reconnect }
    }
}

/// Where the history is kept (XDG Base Directory Specification 0.8), if the person has a home.
fn history_file() -> Option<PathBuf> {
    let absolute = |variable| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
    state.map(|state| state.join("linechat/history"))
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let config = Config { name: arguments.name.clone(), host: arguments.host.clone(), port: arguments.port };
    let display = Display::standard();
    let interactive = display.is_interactive();
    let visit = if !arguments.plain && terminal::is_there() {
        terminal::run(&config, &arguments.at_a_terminal())
    } else {
        task::block_on(pipe::run(&config, Input::standard(), display))
    };
    match visit {
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
    eprintln!("client: {why}");
    ExitCode::from(code)
}
