//! Only lines that may not have arrived are reported.

use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::tmux_client::TmuxClient;
use crate::support::harness::{FakeServer, Server};
use crate::support::program::ServerProgram;

#[test]
fn a_command_counts_as_lost_until_the_server_answers_a_later_line() {
    let server = FakeServer::start();
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    let mut peer = server.welcome("Bob");
    client.keys("/nick One\n");
    peer.expect("/nick One");
    peer.send("Alice: tick\n");
    client.sees("Alice: tick");
    let pong = peer.expect_ping();
    client.keys("/nick Two\n");
    peer.expect("/nick Two");
    peer.send(&format!("{pong}Alice: tock\n"));
    client.sees("Alice: tock");
    drop(peer);
    client.sees("-- A line that you sent may not have arrived: /nick Two");

    // A new connection starts without a ping.
    let mut peer = server.welcome("Bob");
    client.sees("-- Reconnected.");
    thread::sleep(Duration::from_millis(1500));
    client.keys("/nick Three\n");
    peer.expect("/nick Three");
    let pong = peer.expect_ping();
    peer.send(&format!("{pong}Alice: well\n"));
    client.sees("Alice: well");
    drop(peer);
    let _peer = server.welcome("Bob");
    let screen = client.shows("the second return", |screen| {
        screen.iter().filter(|line| line.starts_with("-- Reconnected.")).count() == 2
    });
    let missing = screen.iter().filter(|line| line.contains("may not have arrived")).count();
    assert_eq!(missing, 1, "{screen:#?}");
    assert!(!screen.iter().any(|line| line.starts_with("* Pong")), "{screen:#?}");
    assert_eq!(client.history().unwrap(), "/nick One\n/nick Two\n/nick Three\n");
}

/// The history of a server in memory ends with the server.
#[test]
fn all_lines_of_a_paste_that_a_killed_server_has_not_accepted_are_reported() {
    const LINES: usize = 40;
    let server = ServerProgram::start(&["--pace", "public"]);
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let alice = server.join("Alice");
    client.paste(&(0..LINES).map(|number| format!("pasted {number}\n")).collect::<String>(), false);
    client.sees("-- Send 40 lines?");
    client.press("Enter");
    thread::sleep(Duration::from_secs(4));
    server.program.signal(Signal::KILL);
    client.sees("-- The connection was lost");
    let address = alice.stream().peer_addr().unwrap();
    let mut text = Vec::new();
    // A killed server may reset its connections.
    let _ = std::io::Read::read_to_end(&mut alice.stream(), &mut text);
    let heard = String::from_utf8(text).unwrap().matches("Bob: pasted ").count();
    assert!((1..LINES).contains(&heard), "{heard} were heard");
    drop(server);
    let _again = ServerProgram::start_at(address, &[]);
    let screen = client.sees("-- Up to ");
    let told = screen.iter().find_map(|line| line.strip_prefix("-- Up to ")).unwrap();
    let (told, first) = told.split_once(" of the lines you sent may not have arrived, starting with: pasted ").unwrap();
    let (told, first): (usize, usize) = (told.parse().unwrap(), first.parse().unwrap());
    assert!(told >= LINES - heard, "{heard} were heard, and {told} are missing");
    assert_eq!(told + first, LINES);
    assert!(first > 0, "nothing has a receipt");
}

#[test]
fn pongs_of_the_client_are_hidden_and_those_of_the_person_are_shown() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("hello\n");
    alice.expect("Bob: hello");
    thread::sleep(Duration::from_millis(1500));
    client.keys("/ping\n/ping 42\n");
    client.sees("* Pong 42");
    client.keys("/nick Carol\n");
    alice.expect("* Bob is now Carol");
    client.keys("hello again\n");
    alice.expect("Carol: hello again");
    thread::sleep(Duration::from_millis(1500));
    client.press("C-d");
    let screen = client.sees("* Bye, Carol: 2 lines accepted, 0 refused.");
    let pongs: Vec<_> = screen.iter().filter(|line| line.starts_with("* Pong")).collect();
    assert_eq!(pongs, ["* Pong", "* Pong 42"], "{screen:#?}");
    alice.expect("* Carol has left");
}

#[test]
fn nothing_is_reported_as_lost_if_the_goodbye_counts_all_lines() {
    let server = super::connection::server_alone();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("hello\n");
    alice.expect("Bob: hello");
    server.program.signal(Signal::TERM);
    client.sees("-- The server has shut down");
    drop(server);
    let _again = ServerProgram::start_at(alice.stream().peer_addr().unwrap(), &[]);
    let screen = client.sees("-- Reconnected.");
    assert!(!screen.iter().any(|line| line.contains("may not have arrived")), "{screen:#?}");
}
