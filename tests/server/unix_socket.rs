//! The room at a Unix socket.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::support::harness::DEADLINE;
use crate::support::lines::assert_like;
use crate::support::program::{Program, SERVER, ServerProgram};

pub fn path(test: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("linechat-{test}-{}.socket", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

fn start(path: &Path, more: &[&str]) -> ServerProgram {
    let mut server = ServerProgram::start(&[&["--unix", path.to_str().unwrap()], more].concat());
    server.program.stdout.expect(&format!("Server listening on {}", path.display()));
    server
}

pub struct UnixPeer(BufReader<UnixStream>);

impl UnixPeer {
    pub fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub fn join(path: &Path, name: &str) -> Self {
        let mut peer = Self::connect(path);
        peer.send(&format!("{name}\n"));
        assert!(peer.line().starts_with(&format!("* Welcome, {name}. ")));
        peer
    }

    pub fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }
}

#[test]
fn a_unix_socket_leads_into_the_same_room() {
    let path = path("same-room");
    let server = start(&path, &[]);
    let mut alice = server.join("Alice");
    let mut bob = UnixPeer::join(&path, "Bob");
    alice.expect("* Bob has joined");
    bob.send("hi\n");
    alice.expect("Bob: hi");
    alice.send("hello\n");
    assert_eq!(bob.line(), "Alice: hello\n");
    bob.send("the last word");
    bob.0.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(bob.line(), "* Bye, Bob: 2 lines accepted, 0 refused. since=3 brings you back here.\n");
    assert_eq!(bob.line(), "");
    alice.expect("Bob: the last word");
    alice.expect("* Bob has left");
}

#[test]
fn the_mode_of_the_socket_decides_who_can_connect() {
    let path = path("mode");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o777;
    let server = start(&path, &[]);
    assert_eq!(mode(), 0o600);
    drop(server);
    let _server = start(&path, &["--unix-mode", "0660"]);
    assert_eq!(mode(), 0o660);
}

#[test]
fn a_stale_socket_is_replaced_and_removed_on_exit() {
    let path = path("stale");
    let mut server = start(&path, &[]);
    server.program.signal(Signal::KILL);
    server.program.finish();
    assert!(path.exists());
    let mut server = start(&path, &[]);
    UnixPeer::join(&path, "Bob");
    server.program.signal(Signal::TERM);
    assert_eq!(server.program.finish().code, Some(0));
    assert!(!path.exists());
}

#[test]
fn files_that_are_not_stale_sockets_are_not_replaced() {
    let path = path("taken");
    let at = path.to_str().unwrap();
    let refused = || Program::start(SERVER, ["--host", "127.0.0.1", "--port", "0", "--unix", at]).finish();
    let server = start(&path, &[]);
    let finished = refused();
    assert_eq!(finished.stderr, format!("server: {at} is in use; is another server running?\n"));
    UnixPeer::join(&path, "Bob");
    drop(server);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "precious").unwrap();
    let finished = refused();
    assert_eq!(finished.stderr, format!("server: {at} exists and is not a socket; choose another path\n"));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    fs::remove_file(&path).unwrap();
}

#[test]
fn a_local_user_can_be_banned_by_the_displayed_user_id() {
    let (path, folder) = (path("banned"), std::env::temp_dir().join(format!("linechat-banned-{}", std::process::id())));
    let _ = fs::remove_dir_all(&folder);
    let data = ["--data", folder.to_str().unwrap()];
    let _server = start(&path, &data);
    let admin = |request: &[&str]| {
        let finished = Program::start(SERVER, [&["admin"], &data[..], request].concat()).finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{request:?}");
        finished.stdout
    };
    let mut bob = UnixPeer::join(&path, "Bob");
    let place = format!("user:{}", rustix::process::getuid().as_raw());
    assert_eq!(admin(&["list"]), format!("Bob\tfrom {place}\n"));
    assert_like(&admin(&["ban", &place]), &format!("Banned: {place} forever; …Bob from {place}.\n"));
    assert_like(&bob.line(), "! banned: …forever\n");
    let mut again = UnixPeer::connect(&path);
    assert_like(&again.line(), "! banned: …forever\n");
    assert_eq!(admin(&["unban", &place]), format!("No longer banned: {place}.\n"));
    UnixPeer::join(&path, "Bob");
    fs::remove_dir_all(&folder).unwrap();
}
