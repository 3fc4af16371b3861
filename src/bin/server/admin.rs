//! `server admin`: a request to a server that runs, and its answer.

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

/// What the program is to do beside being a server.
#[derive(Debug, Subcommand)]
pub enum Order {
    /// Tell a server that runs what to do
    Admin(Admin),
}

/// Where the server is, and what it is to do.
#[derive(Debug, Args)]
pub struct Admin {
    /// The folder of the server, as it was given to it
    #[arg(long, value_name = "DIR")]
    data: PathBuf,

    #[command(subcommand)]
    request: Request,
}

#[derive(Debug, Subcommand)]
enum Request {
    /// Make NAME an operator; it has to be registered
    Op { name: String },
    /// Make NAME no operator any more
    Deop { name: String },
    /// Send NAME out of the room
    Kick { name: String, reason: Vec<String> },
    /// Let NAME, or those from ADDR, in no more; DURATION is like 30m, 2 hours or 7 days, and without it forever
    Ban {
        #[arg(value_name = "NAME|ADDR")]
        whom: String,
        #[arg(value_name = "DURATION] [REASON")]
        more: Vec<String>,
    },
    /// Let them in again
    Unban {
        #[arg(value_name = "NAME|ADDR")]
        whom: String,
    },
    /// Let NAME listen, but say nothing; DURATION is like 30m, 2 hours or 7 days, and without it forever
    Mute {
        name: String,
        #[arg(value_name = "DURATION] [REASON")]
        more: Vec<String>,
    },
    /// Let NAME talk again
    Unmute { name: String },
    /// Say something to everybody
    Say {
        #[arg(required = true)]
        text: Vec<String>,
    },
    /// List who is here, or something else
    List {
        #[arg(value_enum, default_value_t = What::People)]
        what: What,
    },
    /// Show how many there are of everything
    Stats,
    /// Register NAME, or give it another password: it is asked for, or the first line of standard input
    Register { name: String },
    /// Remove the registration of NAME
    Unregister { name: String },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    People,
    Names,
    Bans,
    Mutes,
}

impl Order {
    /// Gives it to the server, and shows the answer.
    pub fn give(self) -> ExitCode {
        let Self::Admin(admin) = self;
        match admin.ask() {
            // Whoever reads it may have seen enough.
            Ok(answer) => drop(io::stdout().write_all(answer.as_bytes())),
            Err(error) => {
                // If standard error is closed, the exit code says it.
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
            anyhow!("no server can be reached through {}: {}", path.display(), io_error::describe(&error))
        })?;
        check_owner(&path, socket_peercred(&server)?.uid)?;
        let request = self.request.text()?;
        server.set_read_timeout(Some(2 * CONTROL_LIMIT))?;
        server.write_all(request.as_bytes())?;
        server.shutdown(Shutdown::Write)?;
        let mut answer = String::new();
        server.read_to_string(&mut answer).context("the server does not answer")?;
        match (answer.strip_prefix("ok\n"), answer.strip_prefix("! ")) {
            (Some(text), _) => Ok(text.to_owned()),
            (None, Some(refusal)) => bail!("refused: {}", refusal.trim_end()),
            (None, None) => bail!("the server does not answer"),
        }
    }
}

/// Refuses a server of another user, who would get a password that is typed for it. That user's server would not obey anyway.
fn check_owner(path: &Path, owner: Uid) -> anyhow::Result<()> {
    let own = geteuid();
    if owner == own || owner.is_root() || own.is_root() {
        return Ok(());
    }
    bail!(
        "the server at {} belongs to user {}; only that user and root can tell it what to do",
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

/// What follows would be taken for a password.
fn one_line(text: &str) -> anyhow::Result<&str> {
    if text.contains('\n') {
        bail!("a request is one line");
    }
    Ok(text)
}

/// A password from a person, who does not see it and so types it twice, or from standard input.
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
        bail!("the two were not the same; nothing was changed");
    }
    Ok(first)
}
