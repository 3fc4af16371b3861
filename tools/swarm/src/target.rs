//! The servers that can be measured, each as a process of its own, and its statistics from the kernel.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

use crate::dialect::Dialect;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum)]
pub enum Target {
    /// Ours
    Linechat,
    /// The minimum that a program must do
    Floor,
    /// `ncat --chat`
    Ncat,
    /// An IRC server in C
    Ngircd,
    /// An IRC server in C++
    Inspircd,
    /// A message broker in Go
    Nats,
}

/// A running server. Dropping it kills it.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    folder: PathBuf,
}

impl Target {
    pub fn name(self) -> &'static str {
        match self {
            Self::Linechat => "linechat",
            Self::Floor => "floor",
            Self::Ncat => "ncat --chat",
            Self::Ngircd => "ngircd",
            Self::Inspircd => "inspircd",
            Self::Nats => "nats-server",
        }
    }

    pub fn dialect(self) -> Dialect {
        match self {
            Self::Linechat => Dialect::Linechat,
            Self::Floor => Dialect::Bare,
            Self::Ncat => Dialect::Ncat,
            Self::Ngircd | Self::Inspircd => Dialect::Irc,
            Self::Nats => Dialect::Nats,
        }
    }

    /// The number of peers that it is made for. ncat uses select(2), and an IRC server announces each join to each
    /// peer.
    pub fn most_peers(self) -> usize {
        match self {
            Self::Ncat | Self::Ngircd | Self::Inspircd => 1000,
            Self::Linechat | Self::Floor | Self::Nats => usize::MAX,
        }
    }

    /// Whether its listen backlog is short.
    pub fn has_short_backlog(self) -> bool {
        matches!(self, Self::Ncat | Self::Ngircd)
    }

    /// Whether the program is installed.
    pub fn is_installed(self) -> bool {
        let mut probe = match self {
            Self::Linechat | Self::Floor => return true,
            Self::Ncat => Command::new("ncat"),
            Self::Ngircd => Command::new("/usr/sbin/ngircd"),
            Self::Inspircd => Command::new("/usr/sbin/inspircd"),
            Self::Nats => Command::new("nats-server"),
        };
        probe.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
    }

    /// Starts it on a free port, with every limit off that could affect the load. `binary` is our server program.
    pub fn start(self, binary: &Path, rooms: usize) -> Result<Server> {
        let folder = std::env::temp_dir().join(format!("swarm-{}-{}", std::process::id(), self.name()));
        fs::create_dir_all(&folder)?;
        let port = free_port()?;
        let port_text = port.to_string();
        let mut command = match self {
            Self::Linechat => with_arguments(
                binary,
                &["--host", "127.0.0.1", "--port", &port_text, "--pace", "off", "--log-level", "warn"],
            ),
            Self::Floor => with_arguments(&std::env::current_exe()?, &["floor", &port_text]),
            Self::Ncat => {
                with_arguments("ncat", &["--chat", "--keep-open", "--max-conns", "2000", "-l", "127.0.0.1", &port_text])
            }
            Self::Ngircd => {
                let config = folder.join("ngircd.conf");
                fs::write(&config, ngircd_config(port))?;
                let mut command = with_arguments("/usr/sbin/ngircd", &["--nodaemon", "--config"]);
                command.arg(config);
                command
            }
            Self::Inspircd => {
                let config = folder.join("inspircd.conf");
                fs::write(&config, inspircd_config(port, &folder))?;
                let mut command = with_arguments("/usr/sbin/inspircd", &["--nofork", "--runasroot", "--config"]);
                command.arg(config);
                command
            }
            Self::Nats => with_arguments("nats-server", &["--addr", "127.0.0.1", "--port", &port_text]),
        };
        if rooms > 1 {
            command.args(["--room-limit", &(rooms + 1).to_string()]);
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().expect("it is piped");
        // Its output is read, or it would block at some point.
        std::thread::spawn(move || BufReader::new(output).lines().for_each(drop));
        let mut server = Server { child, address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), folder };
        server.wait_until_it_listens()?;
        Ok(server)
    }
}

fn with_arguments(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments);
    command
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn ngircd_config(port: u16) -> String {
    format!(
        "[Global]\nName = irc.example.net\nInfo = bench\nListen = 127.0.0.1\nPorts = {port}\n\
         [Limits]\nMaxConnections = 0\nMaxConnectionsIP = 0\nMaxJoins = 0\nMaxPenaltyTime = 0\nPingTimeout = 3600\n\
         [Options]\nDNS = no\nIdent = no\nPAM = no\nSyslogFacility = local7\n"
    )
}

fn inspircd_config(port: u16, folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "<server name=\"irc.example.net\" description=\"bench\" id=\"1AB\" network=\"bench\">\n\
         <admin name=\"bench\" nick=\"bench\" email=\"bench@example.net\">\n\
         <bind address=\"127.0.0.1\" port=\"{port}\" type=\"clients\">\n\
         <connect name=\"main\" allow=\"*\" timeout=\"600\" pingfreq=\"3600\" fakelag=\"no\" commandrate=\"1000000000\" \
         threshold=\"1000000\" recvq=\"1048576\" softsendq=\"67108864\" hardsendq=\"67108864\" localmax=\"100000\" \
         globalmax=\"100000\" resolvehostnames=\"no\" useident=\"no\" maxchans=\"20\">\n\
         <performance softlimit=\"100000\" somaxconn=\"4096\" quietbursts=\"yes\" netbuffersize=\"65534\">\n\
         <pid file=\"{folder}/inspircd.pid\">\n\
         <path datadir=\"{folder}\" logdir=\"{folder}\" runtimedir=\"{folder}\">\n\
         <options defaultmodes=\"n\">\n"
    )
}

impl Server {
    fn wait_until_it_listens(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(10);
        let pause = || std::thread::sleep(Duration::from_millis(50));
        let probe = loop {
            if let Ok(probe) = TcpStream::connect(self.address) {
                break probe;
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended: {status}");
            }
            ensure!(Instant::now() < deadline, "the server does not listen");
            pause();
        };
        // ncat exits if a peer has gone before it could accept it.
        pause();
        drop(probe);
        pause();
        Ok(())
    }

    /// The CPU time of its threads, in nanoseconds.
    pub fn cpu(&self) -> Result<u64> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(self.proc("task"))? {
            // A thread that has just ended is not counted.
            let Ok(times) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
            let on_processor = times.split(' ').next().context("schedstat has three numbers")?;
            nanoseconds += on_processor.parse::<u64>()?;
        }
        Ok(nanoseconds)
    }

    /// Its memory, in bytes.
    pub fn resident(&self) -> Result<u64> {
        let status = fs::read_to_string(self.proc("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
    }

    fn proc(&self, file: &str) -> PathBuf {
        ["/proc", &self.child.id().to_string(), file].iter().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have exited by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}
