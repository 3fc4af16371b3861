//! The machine runs out of a resource.

use std::io::{BufRead, BufReader};
use std::thread;
use std::time::{Duration, Instant};

use linechat::limits::ANNOUNCE_AFTER;
use rustix::process::{Resource, Rlimit, prlimit};

use super::scene::{Scene, first_to_get, trouble};
use crate::support::harness::Peer;
use crate::support::program::{Program, SERVER, ServerProgram, listening_on};

/// With 64 descriptors, 48 connections fit (docs/limits.md).
#[test]
fn eighty_clients_connect_with_sixty_four_descriptors() {
    let limited = ["-c", "ulimit -n 64; exec \"$0\" --host 127.0.0.1 --port 0", SERVER];
    let mut program = Program::start("/bin/sh", limited);
    let address = listening_on(&program.stdout.line());
    let scene = Scene::with(ServerProgram { program, address });
    let mut crowd: Vec<_> = (0..80).map(|_| Peer::connect(address)).collect();
    let crowded = |at: usize, peer: &mut Peer| {
        // A refused client may get the reason, or may only be disconnected.
        let _ = std::io::Write::write_all(&mut peer.stream(), format!("crowd{at}\n").as_bytes());
        let lines = std::io::BufRead::lines(std::io::BufReader::new(peer.stream()));
        // On a busy machine they may have been silent for a second, so the server prompts them first.
        let mut answers = lines.map_while(Result::ok).skip_while(|line| line == "* Send your name as the first line.");
        answers.next().is_some_and(|line| line.starts_with("* Welcome"))
    };
    let inside = crowd.iter_mut().enumerate().filter_map(|(at, peer)| crowded(at, peer).then_some(())).count();
    assert_eq!(inside, 48 - super::witnesses::COUNT);
    thread::sleep(ANNOUNCE_AFTER);
    drop(crowd);
    let relieved = first_to_get(address, "relieved");
    thread::sleep(ANNOUNCE_AFTER);
    drop(relieved);
    let (joined, left) = scene.finish().traffic();
    assert_eq!((joined, left), (inside + 1, inside + 1));
}

/// `accept` itself fails. The server must neither use all CPU time nor stop listening.
#[test]
fn accept_fails_without_a_descriptor() {
    let scene = Scene::start(&["--log-level", "error"]);
    let (address, process_stats) = (scene.address(), scene.process_stats());
    let limit = |current| {
        let maximum = rustix::process::getrlimit(Resource::Nofile).maximum;
        prlimit(Some(process_stats.0), Resource::Nofile, Rlimit { current: Some(current), maximum }).unwrap();
    };
    // Exactly as many as it has now: at best, the next connection gets the spare one.
    limit(process_stats.descriptors() as u64);
    let (before, since) = (process_stats.cpu(), Instant::now());
    let waiting: Vec<_> = (0..100).map(|_| Peer::connect(address)).collect();
    scene.witnesses.talk(100);
    thread::sleep(Duration::from_secs(1));
    let (cpu, elapsed) = (process_stats.cpu() - before, since.elapsed());
    eprintln!("no descriptors: {cpu:?} of CPU in {elapsed:?}, witnesses included");
    assert!(cpu < elapsed / 2, "it spins");
    drop(waiting);

    limit(1024);
    let since = Instant::now();
    drop(first_to_get(address, "relieved"));
    eprintln!("a join works {:?} after descriptors are back", since.elapsed());
    scene.finish();
}

#[test]
fn nobody_reads_the_log() {
    let (program, stdout) =
        Program::start_unread(SERVER, ["--host", "127.0.0.1", "--port", "0", "--log-level", "debug"]);
    let mut stdout = BufReader::new(stdout);
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    let address = listening_on(first.trim_end());
    let scene = Scene::with(ServerProgram { program, address });
    // Each causes several records: far more than the pipe and the queue hold.
    trouble(3000, |number| drop(Peer::connect(address).join(&format!("logged{number}"))));
    let (joined, left) = scene.finish().traffic();
    assert_eq!(joined, left);
    drop(stdout);
}
