//! The server's password, tested with bare sockets.

use std::fs;
use std::net::{IpAddr, SocketAddr, UdpSocket};
#[cfg(unix)]
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use linechat::server::Config;
use linechat::server::access::auth::{Auth, RoomPassword};
#[cfg(unix)]
use rustix::process::Signal;

use crate::support::harness::{Peer, Server, Settings, make_private, skipped, unpaced};
use crate::support::lines::{assert_all_like, assert_like, bye, is_like};
#[cfg(unix)]
use crate::support::program::{Program, SERVER, ServerProgram};

// Tests of the client also send these lines.
pub const REQUIRED: &str = "! password-required: send the password as the next line";
pub const WRONG: &str = "! wrong-password: incorrect password";
pub const TOO_MANY: &str = "! too-many-tries: 3 passwords were incorrect; wait a minute, then reconnect to try again";

pub fn password_file(test: &str, content: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("linechat-password-{test}-{}", std::process::id()));
    let _ = fs::remove_file(&path);
    fs::write(&path, content).unwrap();
    make_private(&path);
    path
}

pub fn config(test: &str) -> Settings {
    let password = RoomPassword::from_file(&password_file(test, "open sesame\n")).unwrap();
    Auth { room_password: Some(Arc::new(password)), ..Auth::default() }.into()
}

fn allow_plain(Settings(config, auth): Settings) -> Settings {
    Settings(Config { allow_plain_password: true, ..config }, auth)
}

/// A connection from this local address.
pub fn connect_from(ip: &str, server: SocketAddr) -> Peer {
    Peer::connect_from(ip.parse().unwrap(), server)
}

#[test]
fn only_the_correct_room_password_admits() {
    let server = Server::start_with(config("comes-in"));
    let mut alice = server.connect();
    alice.send("Alice\n");
    alice.expect(REQUIRED);
    alice.send("open sesame\n");
    alice.expect("* Welcome, Alice. …");

    let mut mallory = server.connect();
    mallory.send("Mallory\n");
    for guess in ["Open sesame", "open sesame ", "/who"] {
        mallory.expect(REQUIRED);
        mallory.send(&format!("{guess}\n"));
        mallory.expect(WRONG);
    }
    mallory.expect_rest(&[TOO_MANY]);
    alice.expect_nothing_new();
}

#[test]
fn a_script_may_send_name_and_password_at_once() {
    let server = Server::start_with(config("at-once"));
    let mut alice = server.connect();
    alice.send("Alice\nopen sesame\n");
    alice.expect(REQUIRED);
    alice.line();
    let mut cron = server.connect();
    cron.send("cron\nopen sesame\nbackup done\n");
    cron.half_close();
    cron.expect(REQUIRED);
    assert!(cron.line().starts_with("* Welcome, cron. "));
    cron.expect_rest(&[&bye("cron", 1, 0)]);
    alice.expect("* cron has joined");
    alice.expect("cron: backup done");
}

#[test]
fn lines_after_a_wrong_password_are_neither_passwords_nor_messages() {
    let server = Server::start_with(config("behind"));
    let mut cron = server.connect();
    cron.send("cron\nwrong\nopen sesame\nbackup done\n");
    cron.expect_rest(&[REQUIRED, WRONG]);
}

#[test]
fn the_right_password_may_follow_a_wrong_one_at_once() {
    let config = config("at-once-again");
    for _ in 0..20 {
        let server = Server::start_with(config.clone());
        let mut peer = server.connect();
        peer.send("Bob\n");
        peer.expect(REQUIRED);
        peer.send("close sesame\n");
        peer.expect(WRONG);
        peer.send("open sesame\n");
        peer.expect(REQUIRED);
        assert!(peer.line().starts_with("* Welcome, "));
    }
}

/// The client announces a password, but the name needs none.
#[test]
fn auth_over_plain_tcp_is_refused() {
    let Some(ip) = outer_address() else { return skipped("this machine has no address but the loopback") };
    let server = Server::start_at(&ip.to_string(), unpaced());
    let mut bob = server.connect();
    bob.send("Bob auth\nopen sesame\nhi\n");
    bob.expect_rest(&["! unprotected"]);
}

#[test]
fn the_room_password_is_asked_for_once_for_several_names() {
    let server = Server::start_with(config("once"));
    let mut alice = server.connect();
    alice.send("Alice\nopen sesame\n");
    alice.expect(REQUIRED);
    alice.line();
    let mut bob = server.connect();
    bob.send("Alice\n");
    bob.expect(REQUIRED);
    bob.send("open sesame\n");
    bob.expect("! name-taken: Alice …");
    bob.expect("* Send another name.");
    bob.send("Bob\n");
    assert!(bob.line().starts_with("* Welcome, Bob. "));
}

#[test]
fn guesses_count_per_user_for_all_loopback_addresses_together() {
    let server = Server::start_with(config("guesses"));
    let mut outcomes = Vec::new();
    for at in 1..=20 {
        let mut mallory = connect_from(&format!("127.0.7.{at}"), server.address);
        mallory.send("Mallory\nguess\n");
        mallory.half_close();
        outcomes.extend(mallory.rest().into_iter().filter(|line| !is_like(line, REQUIRED)));
    }
    let (looked_at, refused) = outcomes.split_at(3);
    assert_all_like(looked_at, &[WRONG; 3]);
    assert_all_like(refused, &["! penalized: … s"; 17]);
    let mut alice = server.connect();
    if !alice.belongs_to(12_345) {
        return skipped("another user of this machine: only root can make a connection of theirs");
    }
    alice.send("Alice\nopen sesame\n");
    alice.expect(REQUIRED);
    assert!(alice.line().starts_with("* Welcome, Alice. "));
}

#[test]
fn a_hundred_connections_get_no_more_password_tries_than_one() {
    let server = Server::start_with(config("hundred"));
    // Each name is sent at once, because the server prompts a client that is silent for a second.
    let connect = |at| {
        let mut peer = connect_from("127.0.0.7", server.address);
        peer.send(&format!("m{at}\n"));
        peer
    };
    let mut peers: Vec<_> = (0..100).map(connect).collect();
    peers.iter_mut().for_each(|peer| peer.expect(REQUIRED));
    for peer in &mut peers {
        peer.send("guess\n");
        peer.half_close();
    }
    let looked_at =
        peers.iter_mut().map(Peer::rest).filter(|lines| lines.iter().any(|line| is_like(line, WRONG))).count();
    assert_eq!(looked_at, 3);
}

#[test]
fn a_telnet_client_does_not_echo_the_password() {
    let server = Server::start_with(config("telnet"));
    let mut alice = server.connect();
    alice.send("Alice\r\n");
    alice.expect_with_end(REQUIRED, "\r\n");
    alice.expect_start(b"\xff\xfb\x01");
    alice.send_bytes(b"\xff\xfd\x01open sesame\r\n");
    alice.expect_start(b"\xff\xfc\x01\r\n");
    alice.expect_with_end("* Welcome, Alice. …", "\r\n");
    alice.send_bytes(b"\xff\xfe\x01/nick Alice\r\n");
    alice.expect_with_end("* You are already Alice…", "\r\n");
}

/// An address of this machine that is not a loopback address.
pub fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    // Nothing is sent. The kernel only tells which source address it would use.
    socket.connect("192.0.2.1:9").ok()?;
    Some(socket.local_addr().ok()?.ip()).filter(|ip| !ip.is_loopback() && !ip.is_unspecified())
}

#[test]
fn passwords_over_plain_tcp_are_refused_unless_allowed() {
    let Some(ip) = outer_address() else {
        return skipped("a password over a plain connection: this machine has no address but its loopback interface's");
    };
    let config = config("plain");
    let server = Server::start_at(&ip.to_string(), config.clone());
    let mut alice = server.connect();
    alice.send("Alice\n");
    alice.expect_rest(&["! unprotected"]);
    let server = Server::start_at(&ip.to_string(), allow_plain(config));
    let mut alice = server.connect();
    alice.send("Alice\nopen sesame\n");
    alice.expect(REQUIRED);
    assert!(alice.line().starts_with("* Welcome, Alice. "));
}

#[test]
fn after_wrong_passwords_new_connections_from_that_address_are_refused() {
    let Some(ip) = outer_address() else {
        return skipped("a guesser from elsewhere: this machine has no address but its loopback interface's");
    };
    let config = config("room-password");
    let server = Server::start_at(&ip.to_string(), allow_plain(config));
    let mut mallory = server.connect();
    mallory.send("Mallory\n");
    while is_like(&mallory.line(), REQUIRED) {
        mallory.send("guess\n");
        mallory.expect(WRONG);
    }
    // It has sent nothing yet.
    server.connect().expect("! penalized");
}

#[cfg(unix)]
fn start(file: &Path) -> ServerProgram {
    ServerProgram::start(&["--log-level", "debug", "--password-file", file.to_str().unwrap()])
}

#[cfg(unix)]
#[test]
fn sighup_reloads_the_password_and_a_bad_file_changes_nothing() {
    let file = password_file("renewed", "open sesame\n");
    let mut server = start(&file);
    let mut try_password = |name: &str, password: &str, event: &str| {
        server.program.signal(Signal::HUP);
        while !server.program.stdout.line().ends_with(event) {}
        let mut peer = Peer::connect(server.address);
        peer.send(&format!("{name}\n{password}\n"));
        peer.expect(REQUIRED);
        peer.line()
    };
    assert!(try_password("one", "open sesame", "reloaded").starts_with("* Welcome, "));
    fs::write(&file, "close sesame\n").unwrap();
    assert!(try_password("two", "close sesame", "reloaded").starts_with("* Welcome, "));
    fs::write(&file, "\n").unwrap();
    assert!(try_password("three", "close sesame", "not reloaded").starts_with("* Welcome, "));
    assert_like(&try_password("four", "open sesame", "not reloaded"), WRONG);
}

#[cfg(unix)]
#[test]
fn a_password_file_that_others_can_read_is_refused_at_startup() {
    let file = password_file("exposed", "open sesame\n");
    fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let finished = Program::start(SERVER, ["--port", "0", "--password-file", file.to_str().unwrap()]).finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""));
    let path = file.display();
    let change = if rustix::process::geteuid().is_root() { "g-w,o=" } else { "go=" };
    let why = format!("others can read the password in {path}; run chmod {change} {path}");
    assert_eq!(finished.stderr, format!("server: {why}\n"));
}

#[test]
fn a_weak_password_is_refused_at_startup() {
    let error = RoomPassword::from_file(&password_file("weak", "sesame\n")).unwrap_err().to_string();
    assert!(error.ends_with(" is not a valid password: passwords need at least 8 characters"), "{error}");
}

#[test]
fn leaving_at_the_password_question_is_hardly_penalized() {
    let server = Server::start_with(config("leaves"));
    for _ in 0..20 {
        let mut peer = connect_from("127.0.0.7", server.address);
        peer.send("Alice\n");
        peer.expect(REQUIRED);
        peer.half_close();
        peer.expect_rest(&[]);
    }
    let mut alice = connect_from("127.0.0.7", server.address);
    alice.send("Alice\nopen sesame\n");
    alice.expect(REQUIRED);
    assert!(alice.line().starts_with("* Welcome, Alice. "));
}

#[cfg(unix)]
#[test]
fn the_question_for_a_password_is_not_logged_as_a_refusal() {
    let mut server = start(&password_file("asked", "open sesame\n"));
    for (name, passwords) in [("Alice", &["open sesame"][..]), ("Bob", &["guess", "open sesame"])] {
        let mut peer = Peer::connect(server.address);
        peer.send(&format!("{name}\n"));
        peer.expect(REQUIRED);
        for (at, password) in passwords.iter().enumerate() {
            if at > 0 {
                peer.expect(WRONG);
                peer.expect(REQUIRED);
            }
            peer.send(&format!("{password}\n"));
        }
        assert!(peer.line().starts_with("* Welcome, "));
    }
    server.program.signal(Signal::TERM);
    let log = server.program.finish().stdout;
    assert!(log.contains("wrong password"), "{log}");
    assert!(!log.contains("password-required"), "{log}");
}
