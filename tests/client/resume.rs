//! A client that loses its connection continues where it was, and sends again what did not arrive.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use linechat::limits::MEMORY_HISTORY_MESSAGES;
use rustix::process::Signal;

use super::editor::{Person, client};
use crate::support::folder::Folder;
use crate::support::harness::{DEADLINE, Peer, Server};
use crate::support::program::{CLIENT, ServerProgram};
use crate::support::relay::Relay;

/// The number and the text of a message of this person, if the line is one.
fn message<'a>(line: &'a str, from: &str) -> Option<(u64, &'a str)> {
    let (number, rest) = line.strip_prefix('[')?.split_once(' ')?;
    let text = rest.split_once("] ")?.1.strip_prefix(from)?.strip_prefix(": ")?;
    Some((number.parse().unwrap(), text))
}

#[test]
fn every_typed_message_arrives_once_however_often_the_connection_is_cut() {
    const MESSAGES: usize = 60;
    let server = Server::start();
    let relay = Relay::start(server.address);
    let mut witness = server.connect();
    witness.send("Alice ids=on\n");
    witness.line();
    let mut bob = Person::start(relay.address, &[]);
    for number in 0..MESSAGES {
        bob.type_in(&format!("message {number}\r"));
        if number % 3 == 0 {
            // Before the message leaves, or while it is on its way, or after it was accepted.
            thread::sleep(Duration::from_micros(fastrand::u64(..20_000)));
            relay.cut();
        }
        // Faster typing would be taken for a paste.
        thread::sleep(Duration::from_millis(200));
    }
    let mut heard = Vec::new();
    while heard.len() < MESSAGES {
        let line = witness.line();
        heard.extend(message(&line, "Bob").map(|(_, text)| text.to_owned()));
    }
    let typed: Vec<_> = (0..MESSAGES).map(|number| format!("message {number}")).collect();
    assert_eq!(heard, typed);
    witness.expect_nothing_new();
    let last = format!("Bob: message {}", MESSAGES - 1);
    let screen = bob.sees(&last);
    assert!(!screen.iter().any(|line| line.contains("may not have arrived")), "{screen:#?}");
}

/// A reader that loses its connection at random, and continues with `since`, up to the message "the end". Counts how
/// often it was lost while it was in the room.
fn read(server: SocketAddr, name: &str, losses: &AtomicUsize) -> Vec<(u64, String)> {
    let relay = Relay::start(server);
    let mut heard: Vec<(u64, String)> = Vec::new();
    thread::scope(|scope| {
        let (reading, has_ended) = channel::<()>();
        let relay = &relay;
        scope.spawn(move || {
            let pause = || Duration::from_millis(fastrand::u64(..40));
            while has_ended.recv_timeout(pause()) == Err(RecvTimeoutError::Timeout) {
                relay.cut();
            }
        });
        while heard.last().is_none_or(|(_, text)| text != "the end") {
            let stream = Peer::connect(relay.address).stream().try_clone().unwrap();
            let since = heard.last().map_or(0, |(number, _)| *number);
            // It may be cut already.
            let _ = (&stream).write_all(format!("{name} ids=on since={since}\n").as_bytes());
            let (mut lines, mut line, mut was_in) = (BufReader::new(stream), String::new(), false);
            while matches!(lines.read_line(&mut line), Ok(1..)) && line.ends_with('\n') {
                was_in |= line.starts_with("* Welcome, ");
                heard.extend(message(line.trim_end(), "Alice").map(|(number, text)| (number, text.to_owned())));
                line.clear();
            }
            losses.fetch_add(usize::from(was_in), Relaxed);
        }
        drop(reading);
    });
    heard
}

#[test]
fn readers_that_resume_have_every_message_once_and_in_order() {
    const READERS: usize = 8;
    let is_long = std::env::var_os("LINECHAT_LONG_TESTS").is_some_and(|value| value == "1");
    let least = if is_long { 500 } else { 50 };
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut notices = alice.stream().try_clone().unwrap();
    thread::spawn(move || std::io::copy(&mut notices, &mut std::io::sink()));
    let (address, losses) = (server.address, Arc::new([const { AtomicUsize::new(0) }; READERS]));
    let readers: Vec<_> = (0..READERS)
        .map(|number| {
            let losses = Arc::clone(&losses);
            thread::spawn(move || read(address, &format!("Reader{number}"), &losses[number]))
        })
        .collect();
    let deadline = Instant::now() + DEADLINE * if is_long { 10 } else { 1 };
    let mut last = 0;
    while losses.iter().any(|losses| losses.load(Relaxed) < least) {
        assert!(Instant::now() < deadline, "lost so far: {losses:?}");
        // A slow machine must not lose what the history in memory forgets.
        if last + 1000 < MEMORY_HISTORY_MESSAGES as u64 {
            last += 1;
            alice.send(&format!("message {last}\n"));
        }
        thread::sleep(Duration::from_millis(1));
    }
    alice.send("the end\n");
    let mut said: Vec<_> = (1..=last).map(|number| (number, format!("message {number}"))).collect();
    said.push((last + 1, "the end".to_owned()));
    for reader in readers {
        let heard = reader.join().unwrap();
        let difference = heard.iter().zip(&said).find(|(heard, said)| heard != said);
        assert!(heard.len() == said.len() && difference.is_none(), "{} of {last}: {difference:?}", heard.len());
    }
    println!("{last} messages; lost: {losses:?}");
}

/// What docs/manual.md does in a shell: cuts off half a line, and continues after the last number.
fn next_run(log: &Path, address: SocketAddr) -> Child {
    let mut text = fs::read(log).unwrap_or_default();
    text.truncate(text.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1));
    fs::write(log, &text).unwrap();
    let last = numbers(log).last().copied().unwrap_or(0).to_string();
    let file = OpenOptions::new().append(true).open(log).unwrap();
    Command::new(CLIENT)
        .args(["--name", "log", "--if-taken", "number", "--since", &last, "--ids", "--wait", "600"])
        .args(["--host", &address.ip().to_string(), "--port", &address.port().to_string()])
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The numbers of the messages in a log.
fn numbers(log: &Path) -> Vec<u64> {
    let text = fs::read_to_string(log).unwrap();
    text.lines().filter_map(|line| message(line, "Alice").map(|(number, _)| number)).collect()
}

/// Sends messages until the server is killed. Returns the numbers that came back.
fn send_until_killed(mut peer: Peer) -> Vec<u64> {
    peer.send("Alice ids=on replay=0\n");
    let stream = peer.stream();
    let talking = stream.try_clone().unwrap();
    let talk = thread::spawn(move || {
        for number in 0.. {
            if (&talking).write_all(format!("message {number}\n").as_bytes()).is_err() {
                return;
            }
            thread::sleep(Duration::from_micros(500));
        }
    });
    let lines = BufReader::new(stream).lines().map_while(Result::ok);
    let seen = lines.filter_map(|line| message(&line, "Alice").map(|(number, _)| number)).collect();
    talk.join().unwrap();
    seen
}

/// The server and the client are killed at random, again and again.
#[test]
fn a_log_has_every_message_once_whatever_is_killed() {
    const KILLS: usize = 12;
    let folder = Folder::empty("log");
    let (data, log) = (folder.join("data"), folder.join("log"));
    let arguments = ["--pace", "off", "--data", data.to_str().unwrap()];
    let mut server = ServerProgram::start(&arguments);
    let address = server.address;
    let mut seen = Vec::new();
    let mut client = next_run(&log, address);
    for kill in 0..KILLS {
        let peer = Peer::connect(address);
        let sending = thread::spawn(move || send_until_killed(peer));
        for _ in 0..kill % 3 {
            thread::sleep(Duration::from_millis(fastrand::u64(..150)));
            client.kill().unwrap();
            client.wait().unwrap();
            client = next_run(&log, address);
        }
        thread::sleep(Duration::from_millis(fastrand::u64(50..200)));
        server.program.signal(Signal::KILL);
        server.program.finish();
        seen.extend(sending.join().unwrap());
        // It ends with the connection.
        client.wait().unwrap();
        server = ServerProgram::start_at(address, &arguments);
        client = next_run(&log, address);
    }
    // All that is stored, from a peer that was never there before.
    let mut peer = Peer::connect(address);
    peer.send("Carol ids=on since=0\n");
    let mut stored = Vec::new();
    loop {
        let line = peer.line();
        stored.extend(message(&line, "Alice").map(|(number, _)| number));
        if line.starts_with("* That was ") {
            break;
        }
    }
    let deadline = Instant::now() + DEADLINE;
    while numbers(&log).len() < stored.len() && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(50));
    }
    client.kill().unwrap();
    client.wait().unwrap();
    assert_eq!(numbers(&log), stored);
    assert!(stored.is_sorted_by(|one, next| one < next), "no number was used twice");
    let lost: Vec<_> = seen.iter().filter(|number| stored.binary_search(number).is_err()).collect();
    assert!(seen.len() > 500 && lost.is_empty(), "{} were seen, and lost: {lost:?}", seen.len());
}

/// Bob goes between two rooms and hears a third one. He says something in all of them.
#[test]
fn every_message_arrives_once_in_its_room_however_often_the_connection_is_cut() {
    const MESSAGES: usize = 60;
    let server = Server::start();
    let relay = Relay::start(server.address);
    let mut witness = server.connect();
    witness.send("Alice #b ids=on\n/hear a\n/hear ops\n");
    let mut bob = Person::start_without_waiting(client(relay.address, &["--room", "a", "--hear", "ops"]));
    bob.sees("* Welcome to a, Bob.");
    bob.sees("* You also hear ops now.");
    let (mut current, mut expected) = ("a", BTreeMap::<_, Vec<_>>::new());
    for number in 0..MESSAGES {
        let text = format!("message {number}");
        let (line, room) = if number % 3 == 1 { (format!("/say ops {text}"), "ops") } else { (text.clone(), current) };
        bob.type_in(&format!("{line}\r"));
        expected.entry(room.to_owned()).or_default().push(text);
        if number % 5 == 4 {
            current = if current == "a" { "b" } else { "a" };
            // A paste is not sent before it has ended.
            thread::sleep(Duration::from_millis(100));
            bob.type_in(&format!("/join {current}\r"));
        }
        if number % 3 != 0 {
            thread::sleep(Duration::from_micros(fastrand::u64(..20_000)));
            relay.cut();
        }
        thread::sleep(Duration::from_millis(200));
    }
    let mut heard = BTreeMap::<_, Vec<_>>::new();
    while heard.values().map(Vec::len).sum::<usize>() < MESSAGES {
        let line = witness.line();
        let Some((stamp, text)) = line.split_once("] Bob: ") else { continue };
        heard.entry(stamp[1..].split(' ').next().unwrap().to_owned()).or_default().push(text.to_owned());
    }
    assert_eq!(heard, expected);
    let screen = bob.shows("the last room", |rows| rows.last().is_some_and(|row| row == &format!("{current}>")));
    assert!(!screen.iter().any(|line| line.contains("may not have arrived")), "{screen:#?}");
}
