//! `server admin`: sends a request to a running server and prints the reply.

use std::io::{self, BufRead, IsTerminal, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use linechat::cli::program_name::program_name;
use linechat::limits::{CONTROL_LIMIT, LINE_BYTES};
use linechat::os::io_error;
use linechat::server::admin::Control;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Uid, geteuid};
use zeroize::Zeroizing;

#[derive(Debug, Subcommand)]
pub enum Subcommands {
    /// Administer a running server
    Admin(Admin),
}

#[derive(Debug, Args)]
pub struct Admin {
    /// The --data folder of the server
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    #[command(subcommand)]
    request: Request,
}

#[derive(Debug, Subcommand)]
enum Request {
    /// Make NAME an operator; it must be registered
    Op { name: String },
    /// Remove the operator rights of NAME
    Deop { name: String },
    /// Disconnect NAME
    Kick { name: String, reason: Vec<String> },
    /// Ban NAME or ADDR; DURATION is like 30m, 2 hours or 7 days [default: forever]
    Ban {
        #[arg(value_name = "NAME|ADDR")]
        whom: String,
        #[arg(value_name = "DURATION] [REASON")]
        more: Vec<String>,
    },
    /// Lift a ban
    Unban {
        #[arg(value_name = "NAME|ADDR")]
        whom: String,
    },
    /// Stop NAME from sending messages; DURATION is like 30m, 2 hours or 7 days [default: forever]
    Mute {
        name: String,
        #[arg(value_name = "DURATION] [REASON")]
        more: Vec<String>,
    },
    /// Lift a mute
    Unmute { name: String },
    /// Send an announcement to everyone
    Say {
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// List the people in the room, the registered names, the bans or the mutes
    List {
        #[arg(value_enum, default_value_t = What::People)]
        what: What,
    },
    /// Show statistics
    Stats,
    /// Register NAME or change its password, which is read from the terminal or from standard input
    Register { name: String },
    /// Delete the registration of NAME
    Unregister { name: String },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    People,
    Names,
    Bans,
    Mutes,
}

impl Subcommands {
    pub fn run(self) -> ExitCode {
        let Self::Admin(admin) = self;
        match admin.ask() {
            // The reader may have closed the pipe early, as `head` does.
            Ok(answer) => drop(io::stdout().write_all(answer.as_bytes())),
            Err(error) => {
                // If standard error is closed, the exit code has to do.
                let _ = writeln!(io::stderr(), "{}: {error:#}", program_name("server"));
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    }
}

impl Admin {
    fn ask(self) -> anyhow::Result<String> {
        let path = Control::path(&self.data);
        let mut server = UnixStream::connect(&path).map_err(|error| {
            anyhow!("cannot connect to a server at {}: {}", path.display(), io_error::describe(&error))
        })?;
        check_owner(&path, socket_peercred(&server)?.uid)?;
        let request = self.request.text()?;
        server.set_read_timeout(Some(2 * CONTROL_LIMIT))?;
        server.write_all(request.as_bytes())?;
        server.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        server.read_to_string(&mut answer).context("the server did not respond")?;
        match (answer.strip_prefix("ok\n"), answer.strip_prefix("! ")) {
            (Some(text), _) => Ok(text.to_owned()),
            (None, Some(refusal)) => bail!("refused: {}", refusal.trim_end()),
            (None, None) => bail!("the server did not respond"),
        }
    }
}

/// Refuses a server that another user runs: it would get the password that is typed. It would refuse the request anyway.
fn check_owner(path: &Path, owner: Uid) -> anyhow::Result<()> {
    let own = geteuid();
    if owner == own || owner.is_root() || own.is_root() {
        return Ok(());
    }
    bail!(
        "the server at {} belongs to user {}; only that user and root can administer it",
        path.display(),
        owner.as_raw()
    )
}

impl Request {
    fn text(self) -> anyhow::Result<Zeroizing<String>> {
        let line = match self {
            Self::Op { name } => format!("op {name}"),
            Self::Deop { name } => format!("deop {name}"),
            Self::Kick { name, reason } => format!("kick {name} {}", reason.join(" ")),
            Self::Ban { whom, more } => format!("ban {whom} {}", more.join(" ")),
            Self::Unban { whom } => format!("unban {whom}"),
            Self::Mute { name, more } => format!("mute {name} {}", more.join(" ")),
            Self::Unmute { name } => format!("unmute {name}"),
            Self::Say { text } => format!("say {}", text.join(" ")),
            Self::List { what } => format!("list {}", format!("{what:?}").to_lowercase()),
            Self::Stats => "stats".to_owned(),
            Self::Register { name } => {
                let secret = new_password()?;
                return Ok(Zeroizing::new(format!("{}\n{}\n", one_line(&format!("register {name}"))?, *secret)));
            }
            Self::Unregister { name } => format!("unregister {name}"),
        };
        Ok(Zeroizing::new(format!("{}\n", one_line(&line)?)))
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
