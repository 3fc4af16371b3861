//! What the server says to systemd: the tests play systemd.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use rustix::process::Signal;

use super::password::password_file;
use crate::support::harness::{DEADLINE, Peer};
use crate::support::program::{Program, SERVER, ServerProgram, listening_on};

/// The socket on which systemd listens. The folder also has room for the server's data.
struct Systemd {
    folder: PathBuf,
    socket: UnixDatagram,
}

impl Systemd {
    fn listen(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("linechat-systemd-{test}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        let socket = UnixDatagram::bind(folder.join("notify")).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { folder, socket }
    }

    fn start(&self, watchdog: Option<Duration>, arguments: &[&str]) -> ServerProgram {
        let mut command = Command::new(SERVER);
        command.args(["--host", "127.0.0.1", "--port", "0"]).args(arguments);
        command.env("NOTIFY_SOCKET", self.folder.join("notify"));
        if let Some(limit) = watchdog {
            command.env("WATCHDOG_USEC", limit.as_micros().to_string());
        }
        let mut program = Program::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()));
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
        loop {
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

impl Drop for Systemd {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
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

#[test]
fn a_server_that_cannot_tell_systemd_logs_that_and_works() {
    let systemd = Systemd::listen("gone");
    fs::remove_file(systemd.folder.join("notify")).unwrap();
    let mut server = systemd.start(None, &[]);
    server.wait_for_record("systemd not told");
    Peer::connect(server.address).join("Alice");
}
