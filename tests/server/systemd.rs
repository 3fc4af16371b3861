//! What the server says to systemd, and the sockets that it gets from there. The tests play systemd.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linechat::limits::{LISTEN_BACKLOG, SEGMENT_BYTES};
use rusqlite::Connection;
use rustix::process::Signal;
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use super::password::password_file;
use super::unix_socket::{UnixPeer, path};
use crate::support::folder::Folder;
use crate::support::harness::{DEADLINE, Peer, own_address, skipped};
use crate::support::program::{Program, SERVER, ServerProgram, listening_on};
use crate::support::tls_peer::{Certificate, TlsPeer};

/// The socket on which systemd listens. The folder also has room for the server's data.
struct Systemd {
    socket: UnixDatagram,
    /// Its path in NOTIFY_SOCKET.
    path: String,
    folder: Folder,
}

impl Systemd {
    fn listen(test: &str) -> Self {
        let folder = Folder::empty(&format!("systemd-{test}"));
        let path = folder.join("notify").to_str().unwrap().to_owned();
        Self { socket: bind(Path::new(&path)), path, folder }
    }

    /// On a socket without a file.
    #[cfg(target_os = "linux")]
    fn listen_abstract(test: &str) -> Self {
        let name = format!("linechat-{test}-{}", std::process::id());
        let (socket, path) = (bind(format!("\0{name}").as_ref()), format!("@{name}"));
        Self { socket, path, folder: Folder::empty(&format!("systemd-{test}")) }
    }

    fn start(&self, watchdog: Option<Duration>, arguments: &[&str]) -> ServerProgram {
        let mut command = Command::new(SERVER);
        command.args(["--host", "127.0.0.1", "--port", "0"]).args(arguments);
        command.env("NOTIFY_SOCKET", &self.path);
        if let Some(limit) = watchdog {
            command.env("WATCHDOG_USEC", limit.as_micros().to_string());
        }
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut program = Program::spawn(command);
        let address = listening_on(&program.stdout.line());
        ServerProgram { program, address }
    }

    /// The next message, as its lines.
    #[track_caller]
    fn told(&self) -> Vec<String> {
        let mut bytes = [0; 4096];
        let count = self.socket.recv(&mut bytes).expect("the server tells something");
        str::from_utf8(&bytes[..count]).unwrap().lines().map(str::to_owned).collect()
    }

    #[track_caller]
    fn expect(&self, lines: &[&str]) {
        assert_eq!(self.told(), lines);
    }

    /// Waits for a status. Until then, the server may only say that it works.
    #[track_caller]
    fn expect_status(&self, status: &str) {
        let since = Instant::now();
        loop {
            assert!(since.elapsed() < DEADLINE, "the status is not {status:?}");
            match &self.told()[..] {
                [works] => assert_eq!(works, "WATCHDOG=1"),
                [works, line] => {
                    assert_eq!(works, "WATCHDOG=1");
                    if line == &format!("STATUS={status}") {
                        return;
                    }
                }
                lines => panic!("{lines:?}"),
            }
        }
    }
}

/// A path that begins with a zero is that of an abstract socket.
fn bind(path: &Path) -> UnixDatagram {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None).unwrap();
    socket.bind(&SockAddr::unix(path).unwrap()).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.into()
}

#[test]
fn the_server_says_that_it_is_ready_and_that_it_stops() {
    let systemd = Systemd::listen("ready");
    let mut server = systemd.start(None, &[]);
    systemd.expect(&["READY=1", "STATUS=0 people, 1 room"]);
    let _alice = server.join("Alice");
    server.program.signal(Signal::TERM);
    systemd.expect(&["STOPPING=1"]);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn the_status_counts_who_is_there_and_is_sent_when_it_changes() {
    let systemd = Systemd::listen("status");
    let server = systemd.start(Some(Duration::from_millis(100)), &[]);
    systemd.expect(&["READY=1", "STATUS=0 people, 1 room"]);
    let mut alice = server.join("Alice");
    systemd.expect_status("1 person, 1 room");
    systemd.expect(&["WATCHDOG=1"]);
    let _bob = server.join("Bob");
    systemd.expect_status("2 people, 1 room");
    alice.send("/join dev\n");
    systemd.expect_status("2 people, 2 rooms");
}

#[test]
fn a_reload_is_told_with_the_time() {
    let systemd = Systemd::listen("reload");
    let file = password_file("systemd-reload", "open sesame\n");
    let server = systemd.start(None, &["--password-file", file.to_str().unwrap()]);
    systemd.expect(&["READY=1", "STATUS=0 people, 1 room"]);
    let now = || rustix::time::clock_gettime(rustix::time::ClockId::Monotonic).tv_sec;
    let before = now();
    server.program.signal(Signal::HUP);
    let reloading = systemd.told();
    assert_eq!((reloading.len(), reloading[0].as_str()), (2, "RELOADING=1"));
    let at: i64 = reloading[1].strip_prefix("MONOTONIC_USEC=").expect("the time").parse().unwrap();
    assert!((before..=now()).contains(&(at / 1_000_000)), "{at}");
    systemd.expect(&["READY=1"]);
}

/// With `--sync always`, the rooms wait for the disk. A transaction of the test keeps the server from writing.
#[test]
fn a_server_whose_rooms_hang_no_longer_says_that_it_works() {
    let systemd = Systemd::listen("hangs");
    let data = systemd.folder.join("data");
    let limit = Duration::from_secs(1);
    let mut server = systemd.start(Some(limit), &["--sync", "always", "--data", data.to_str().unwrap()]);
    systemd.expect(&["READY=1", "STATUS=0 people, 1 room"]);
    let mut alice = server.join("Alice");
    systemd.expect_status("1 person, 1 room");
    let since = Instant::now();
    (0..3).for_each(|_| systemd.expect(&["WATCHDOG=1"]));
    let took = since.elapsed();
    assert!((limit / 2..2 * limit).contains(&took), "it says so twice in {limit:?}: {took:?}");

    let database = Connection::open(data.join("linechat.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    alice.send("hello\n");
    // One ping may have been answered before.
    systemd.socket.set_read_timeout(Some(2 * limit)).unwrap();
    let mut last = Instant::now();
    let mut bytes = [0; 4096];
    while last.elapsed() < 2 * limit && systemd.socket.recv(&mut bytes).is_ok() {
        assert!(since.elapsed() < DEADLINE, "it still says that it works");
        last = Instant::now();
    }
    database.execute_batch("ROLLBACK").unwrap();
    systemd.socket.set_read_timeout(Some(DEADLINE)).unwrap();
    systemd.expect(&["WATCHDOG=1"]);
    server.program.signal(Signal::TERM);
    assert_eq!(server.program.finish().code, Some(0));
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_socket_is_told_too() {
    let systemd = Systemd::listen_abstract("abstract");
    let server = systemd.start(None, &[]);
    systemd.expect(&["READY=1", "STATUS=0 people, 1 room"]);
    server.program.signal(Signal::TERM);
    systemd.expect(&["STOPPING=1"]);
}

#[test]
fn a_server_that_cannot_tell_systemd_works_and_logs_it_once_until_it_can() {
    let mut systemd = Systemd::listen("gone");
    let path = systemd.folder.join("notify");
    fs::remove_file(&path).unwrap();
    let file = password_file("systemd-gone", "open sesame\n");
    let mut server = systemd.start(None, &["--password-file", file.to_str().unwrap()]);
    server.wait_for_record("systemd not told");
    // A reload tells systemd twice.
    let reload = |server: &mut ServerProgram| {
        server.program.signal(Signal::HUP);
        let mut seen = String::new();
        while !seen.ends_with(" reloaded") {
            seen = server.program.stdout.line();
            assert!(!seen.ends_with("systemd not told"));
        }
    };
    reload(&mut server);
    reload(&mut server);
    systemd.socket = bind(&path);
    reload(&mut server);
    // What belongs to the reload before it may come first.
    while systemd.told()[0] != "RELOADING=1" {}
    systemd.expect(&["READY=1"]);
    fs::remove_file(&path).unwrap();
    server.program.signal(Signal::HUP);
    server.wait_for_record("systemd not told");
}

/// Starts a server with these sockets as descriptors 3 and, if there are two, 4. Their names are separated by colons.
fn start_with(names: Option<&str>, sockets: Vec<OwnedFd>, arguments: &[&str]) -> Program {
    let mut command = Command::new("sh");
    // The shell has the process id that the server will have. It gets a second socket as its standard error.
    let script = match sockets.len() {
        1 => "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"",
        _ => "exec 3<&0 4<&2 </dev/null 2>/dev/null; LISTEN_PID=$$ exec \"$0\" \"$@\"",
    };
    command.args(["-c", script, SERVER]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env("LISTEN_FDS", sockets.len().to_string()).envs(names.map(|names| ("LISTEN_FDNAMES", names)));
    let mut sockets = sockets.into_iter();
    command.stdin(sockets.next().expect("there is a socket"));
    if let Some(second) = sockets.next() {
        command.stderr(second);
    }
    Program::adopt(command.spawn().unwrap())
}

/// A socket that listens as one of systemd, and its address.
fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((own_address(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

fn copy(listener: &TcpListener) -> OwnedFd {
    listener.try_clone().unwrap().into()
}

#[test]
fn a_passed_socket_replaces_the_plain_port() {
    let (listener, address) = listener();
    // With the name of its socket unit, it has none of its own.
    for names in [Some("plain"), Some("linechat-server.socket"), None] {
        let mut server = start_with(names, vec![copy(&listener)], &["--host", "192.0.2.1"]);
        server.stdout.expect(&format!("Server listening on {address} (opened by systemd)"));
        Peer::connect(address).join("Alice");
        server.signal(Signal::TERM);
        let finished = server.finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
        assert!(finished.stdout.contains(&format!("{address} (opened by systemd)")), "{}", finished.stdout);
    }
}

#[test]
fn a_plain_and_a_tls_socket_lead_into_one_room() {
    let ((plain, address), (tls, tls_address)) = (listener(), listener());
    let certificate = Certificate::make("systemd-tls");
    let mut server = start_with(Some("tls:plain"), vec![copy(&tls), copy(&plain)], &certificate.arguments());
    server.stdout.expect(&format!("Server listening on {address} (opened by systemd)"));
    server.stdout.expect(&format!("Server listening on {tls_address} with TLS (opened by systemd)"));
    let mut alice = Peer::connect(address).join("Alice");
    let mut bob = TlsPeer::connect(tls_address, &certificate.trust());
    bob.send("Bob\nhi\n");
    alice.expect_message("Bob: hi");
}

#[test]
fn a_passed_unix_socket_stays_when_the_server_stops() {
    let path = path("systemd-passed");
    let listener = UnixListener::bind(&path).unwrap();
    let arguments = ["--host", "127.0.0.1", "--port", "0", "--unix", "/not/used"];
    for _ in 0..2 {
        let mut server = start_with(Some("unix"), vec![listener.try_clone().unwrap().into()], &arguments);
        listening_on(&server.stdout.line());
        server.stdout.expect(&format!("Server listening on {} (opened by systemd)", path.display()));
        UnixPeer::join(&path, "Alice");
        server.signal(Signal::TERM);
        assert_eq!(server.finish().code, Some(0));
    }
    assert!(path.exists());
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_passed_socket_that_cannot_be_used_is_refused_with_the_reason() {
    let (listener, address) = listener();
    let unix = path("systemd-refused");
    let at_path = UnixListener::bind(&unix).unwrap();
    let at_path = || at_path.try_clone().unwrap().into();
    let refused = |name: &str, socket: OwnedFd| {
        let finished = start_with(Some(name), vec![socket], &["--port", "0"]).finish();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""));
        finished.stderr
    };
    let kinds = "write plain or tls for a TCP port, or unix for a Unix socket";
    let passed = format!("server: {address} (opened by systemd)");
    assert_eq!(refused("tls", copy(&listener)), format!("{passed} is for TLS, which needs --tls-cert and --tls-key\n"));
    assert_eq!(refused("tsl", copy(&listener)), format!("{passed} has FileDescriptorName=tsl; {kinds}\n"));
    assert_eq!(refused("unix", copy(&listener)), format!("{passed} has FileDescriptorName=unix; {kinds}\n"));
    let passed = format!("server: {} (opened by systemd)", unix.display());
    assert_eq!(refused("plain", at_path()), format!("{passed} has FileDescriptorName=plain; {kinds}\n"));
    let connection = TcpStream::connect(address).unwrap();
    let why = refused("plain", connection.into());
    let unusable =
        "server: systemd has passed \"plain\", which is not a TCP or Unix stream socket that listens (Accept=no)\n";
    assert_eq!(why, unusable);
    let unbound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    assert_eq!(refused("plain", unbound.into()), unusable);
    let datagrams = UnixDatagram::unbound().unwrap();
    assert_eq!(refused("plain", datagrams.into()), unusable);
    fs::remove_file(&unix).unwrap();
}

/// Whoever starts the server may have got sockets that are not meant for it.
#[test]
fn sockets_for_another_process_are_left_alone() {
    for process in [Some("1"), Some(""), None] {
        let mut command = Command::new(SERVER);
        command.args(["--host", "127.0.0.1", "--port", "0"]).env("LISTEN_FDS", "1").env_remove("LISTEN_PID");
        command.envs(process.map(|process| ("LISTEN_PID", process))).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = Program::spawn(command);
        Peer::connect(listening_on(&server.stdout.line())).join("Alice");
    }
}

#[test]
fn a_passed_socket_gets_our_options_and_no_child_inherits_it() {
    let (listener, address) = listener();
    let mut server = start_with(Some("plain"), vec![copy(&listener)], &[]);
    server.stdout.line();
    let options = SockRef::from(&listener);
    assert_eq!(options.tcp_mss().unwrap(), SEGMENT_BYTES);
    let info = fs::read_to_string(format!("/proc/{}/fdinfo/3", server.pid().as_raw_nonzero())).unwrap();
    let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).expect("its flags");
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    assert_ne!(u32::from_str_radix(flags.trim(), 8).unwrap() & CLOSE_ON_EXEC, 0, "{info}");
    let Ok(shown) = Command::new("ss").args(["-Hltn", "src", &address.to_string()]).output() else {
        return skipped("the backlog of a passed socket: ss is not installed");
    };
    let shown = String::from_utf8(shown.stdout).unwrap();
    let most: i32 = fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap().trim().parse().unwrap();
    let backlog = LISTEN_BACKLOG.min(most).to_string();
    assert_eq!(shown.split_whitespace().nth(2), Some(backlog.as_str()), "{shown}");
}

/// How a connection that comes at any time ended.
#[derive(Debug, PartialEq, Eq)]
enum Visit {
    /// It was in the room, and got its farewell.
    Welcomed,
    /// It came to a server that was stopping, and was told so.
    TurnedAway,
}

/// Connects, gives a name and leaves.
fn visit(address: SocketAddr, number: usize) -> Visit {
    let mut socket = TcpStream::connect(address).expect("no connection is refused");
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket.write_all(format!("p{number}\n/quit\n").as_bytes()).unwrap();
    let lines: Vec<_> = BufReader::new(socket).lines().map(|line| line.expect("no connection is cut off")).collect();
    let is_in = |start: &str| lines.iter().any(|line| line.starts_with(start));
    match lines.last() {
        Some(last) if is_in("* Welcome, ") && last.starts_with("* Bye, ") => Visit::Welcomed,
        Some(last) if last.starts_with("! shutting-down") => Visit::TurnedAway,
        _ => panic!("connection {number} got {lines:?}"),
    }
}

/// 200 connections a second come while the server is restarted several times. Each time, somebody who does not hang up
/// makes the old server take two seconds to stop.
#[test]
fn restarts_refuse_no_connection_and_lose_none() {
    const RESTARTS: usize = 3;
    let (listener, address) = listener();
    let start = || {
        let mut server = start_with(Some("plain"), vec![copy(&listener)], &["--log-level", "warn"]);
        server.stdout.line();
        server
    };
    let mut server = start();
    let (is_over, visited) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (is_over, visited) = (&is_over, &visited);
    let visits: Vec<_> = thread::scope(|scope| {
        let coming = scope.spawn(move || {
            let (since, mut visits) = (Instant::now(), Vec::new());
            for number in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                visits.push(scope.spawn(move || {
                    let visit = visit(address, number);
                    visited.fetch_add(1, Ordering::Relaxed);
                    visit
                }));
                let next = since + Duration::from_millis(5) * (number as u32 + 1);
                thread::sleep(next.saturating_duration_since(Instant::now()));
            }
            let took = since.elapsed();
            eprintln!("{} connections in {took:?}", visits.len());
            (visits, took)
        });
        let mut stops = Duration::ZERO;
        for _ in 0..RESTARTS {
            // This server has welcomed a second's connections.
            let seen = visited.load(Ordering::Relaxed) + 200;
            let since = Instant::now();
            while visited.load(Ordering::Relaxed) < seen {
                assert!(since.elapsed() < DEADLINE, "{} connections have ended", visited.load(Ordering::Relaxed));
                thread::sleep(Duration::from_millis(5));
            }
            let mut stays = Peer::connect(address).join("Stays");
            let since = Instant::now();
            server.signal(Signal::TERM);
            let finished = server.finish();
            assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
            server = start();
            let farewell = stays.rest().pop();
            assert_eq!(farewell.as_deref(), Some("* Bye, Stays: 0 lines accepted, 0 refused."));
            stops += since.elapsed();
        }
        is_over.store(true, Ordering::Relaxed);
        let (visits, took) = coming.join().unwrap();
        assert!(visits.len() as f64 > 150.0 * took.as_secs_f64(), "they came too slowly: {} in {took:?}", visits.len());
        eprintln!("a restart took {:?}", stops / RESTARTS as u32);
        visits.into_iter().map(|visit| visit.join().unwrap()).collect()
    });
    let welcomed = visits.iter().filter(|visit| **visit == Visit::Welcomed).count();
    eprintln!("{welcomed} of {} were welcomed, and the others told that the server was stopping", visits.len());
    // Few come in the moment in which a server still accepts, but is about to stop.
    assert!(visits.len() - welcomed <= visits.len() / 20, "{welcomed} of {}", visits.len());
}
