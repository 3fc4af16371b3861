//! Losing the connection, and reconnecting.

use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::tmux_client::TmuxClient;
use crate::support::harness::{DEADLINE, FakeServer, Peer, Server, own_address, skipped};
use crate::support::program::ServerProgram;

/// A server that another one can replace at its address.
pub fn server_alone() -> ServerProgram {
    ServerProgram::start_at((own_address(), 0).into(), &[])
}

#[test]
fn a_loss_is_reported_once_and_typed_lines_are_sent_after_reconnecting() {
    let causes = [(Signal::TERM, "-- The server has shut down"), (Signal::KILL, "-- The connection was lost")];
    for (signal, reported) in causes {
        let mut server = server_alone();
        let address = server.address;
        let Some(client) = TmuxClient::start(address, &[]) else { return };
        client.keys("half a li");
        client.has_typed("half a li");
        server.program.signal(signal);
        server.program.finish();
        client.sees(reported);
        client.has_typed("half a li");
        client.keys("ne\n");
        client.sees("-- Not connected; your line will be sent after reconnecting.");
        let again = ServerProgram::start_at(address, &[]);
        let mut alice = Peer::connect(address);
        alice.send("Alice\n");
        client.sees("-- Reconnected. You were away since ");
        let screen = client.sees("Bob: half a line");
        assert_eq!(screen.iter().filter(|line| line.starts_with(reported)).count(), 1);
        while alice.line() != "Bob: half a line" {}
        drop(again);
    }
}

#[test]
fn the_client_waits_until_its_old_connection_frees_the_name() {
    let server = server_alone();
    let address = server.address;
    let Some(client) = TmuxClient::start(address, &[]) else { return };
    drop(server);
    client.sees("-- The connection was lost");
    let again = ServerProgram::start_at(address, &[]);
    // The first attempts may fail.
    let ghost = crate::support::harness::within(move || {
        loop {
            let mut ghost = Peer::connect(address);
            ghost.send("Bob\n");
            if ghost.line().starts_with("* Welcome") {
                return ghost;
            }
        }
    });
    client.sees("-- Cannot rejoin as Bob yet (! name-taken: Bob is taken); trying again.");
    drop(ghost);
    client.sees("-- Reconnected.");
    drop(again);
}

#[test]
fn a_silent_server_times_out_and_the_client_tries_again() {
    if std::env::var_os("LINECHAT_LONG_TESTS").is_none_or(|value| value != "1") {
        return skipped("a mute server; LINECHAT_LONG_TESTS=1 tests it, in half a minute");
    }
    let server = FakeServer::start();
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    drop(server.welcome("Bob"));
    client.sees("-- The connection was lost");
    let mut mute = server.accept("Bob");
    mute.send("* Send your name as the first line.\n");
    mute.stream().set_read_timeout(Some(2 * DEADLINE)).unwrap();
    let since = Instant::now();
    mute.expect_end();
    assert!(since.elapsed() > Duration::from_secs(25), "{:?}", since.elapsed());
    // Both directions are closed. Otherwise a server that wakes up would accept the name there.
    let is_closed = (0..200).any(|_| {
        thread::sleep(Duration::from_millis(10));
        mute.stream().write_all(b"* Welcome, Bob.\n").is_err()
    });
    assert!(is_closed, "somebody still listens");
    let _peer = server.welcome("Bob");
    client.sees("-- Reconnected.");
}

#[test]
fn a_silent_server_at_the_first_login_ends_the_client() {
    if std::env::var_os("LINECHAT_LONG_TESTS").is_none_or(|value| value != "1") {
        return skipped("a mute server; LINECHAT_LONG_TESTS=1 tests it, in half a minute");
    }
    let server = FakeServer::start();
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    let mut mute = server.accept("Bob");
    mute.stream().set_read_timeout(Some(2 * DEADLINE)).unwrap();
    mute.expect_end();
    client.sees("client: no welcome from the server within 30 s; is it a linechat server?");
    client.sees("ended with 3");
}

#[test]
fn without_reconnecting_a_loss_ends_the_client() {
    let server = ServerProgram::start(&[]);
    let Some(client) = TmuxClient::start(server.address, &["--no-reconnect"]) else { return };
    server.program.signal(Signal::TERM);
    client.sees("client: the server was shut down");
    client.sees("ended with 3");
    client.is_sane();
}

/// The editor draws nothing during a search, so the last lines are never shown.
#[test]
fn a_history_search_does_not_delay_the_end() {
    let server = ServerProgram::start(&[]);
    let Some(client) = TmuxClient::start(server.address, &["--no-reconnect"]) else { return };
    client.keys("hello\n");
    client.sees("Bob: hello");
    client.press("C-r");
    client.sees("(reverse-i-search)");
    server.program.signal(Signal::TERM);
    client.sees("client: the server was shut down");
    client.shows("the end", |screen| screen.iter().any(|line| line.ends_with("ended with 3")));
    client.is_sane();
}

#[test]
fn another_name_is_asked_for_until_one_is_free() {
    let server = Server::start();
    let (mut holder, _alice) = (server.join("Bob"), server.join("Alice"));
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    let again = "Type another name and press Enter; Ctrl-D leaves.";
    client.sees(&format!("-- Bob is taken. {again}"));
    // More names than the server accepts on one connection, invalid names, and an empty line.
    for name in ["Alice", "ALICE", "BOB", "alice"] {
        client.has_typed("");
        client.keys(&format!("{name}\n"));
        client.sees(&format!("-- {name} is taken. {again}"));
    }
    for (text, why) in [("Bob Smith", "names cannot contain spaces"), ("/register", "names cannot contain '/'")] {
        client.keys(&format!("{text}\n\n"));
        client.sees(&format!("-- {why}. {again}"));
    }
    client.keys("Carol\n");
    let screen = client.sees("* Welcome, Carol. 2 others here: Alice, Bob. /help lists the commands.");
    assert!(!screen.iter().any(|line| line.starts_with("-- Connected.")), "{screen:#?}");
    client.keys("hi\n");
    client.sees("Carol: hi");
    for line in ["* Alice has joined", "* Carol has joined", "Carol: hi"] {
        holder.expect(line);
    }
    client.press("C-d");
    client.sees("* Bye, Carol: 1 line accepted, 0 refused.");
    client.sees("ended with 0");
    client.is_sane();
}

#[test]
fn ctrl_d_at_the_question_for_another_name_gives_up_with_code_1() {
    let server = Server::start();
    let _holders = (server.join("Bob"), server.join("Alice"));
    for leave in ["C-d", "C-c"] {
        let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
        client.sees("-- Bob is taken.");
        client.has_typed("");
        client.keys("Alice\n");
        client.sees("-- Alice is taken.");
        client.has_typed("");
        (0..if leave == "C-c" { 2 } else { 1 }).for_each(|_| client.press(leave));
        client.sees("client: the server refused Bob: name-taken: Bob is taken");
        client.sees("ended with 1");
        client.is_sane();
    }
}

#[test]
fn a_missing_server_ends_the_client_even_after_asking_for_another_name() {
    let server = Server::start();
    let _bob = server.join("Bob");
    let address = server.address;
    let Some(client) = TmuxClient::start_without_waiting(address, &[]) else { return };
    client.sees("-- Bob is taken.");
    drop(server);
    client.has_typed("");
    let since = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(since.elapsed() < DEADLINE, "the server has not stopped");
        thread::sleep(Duration::from_millis(10));
    }
    client.keys("Carol\n");
    client.sees("client: cannot connect to");
    client.sees("ended with 3");
    let Some(client) = TmuxClient::start_without_waiting(address, &[]) else { return };
    client.sees("ended with 3");
}

#[test]
fn a_signal_restores_the_terminal() {
    for (signal, status) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
        let server = Server::start();
        let Some(client) = TmuxClient::start(server.address, &[]) else { return };
        client.keys("half a line");
        client.has_typed("half a line");
        client.signal(signal);
        client.sees(&format!("ended with {status}"));
        client.is_sane();
    }
}
