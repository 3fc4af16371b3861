//! The shutdown of a busy server.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::process::Signal;

use super::scene::heavy;
use crate::support::harness::{Peer, accepted};
use crate::support::program::ServerProgram;

const TALKERS: usize = 4;

/// Every accepted line reaches everyone, and the farewell to its sender counts it. These peers are their own witnesses.
#[test]
fn sigterm_under_load_loses_no_accepted_line() {
    let _alone = heavy();
    for round in 1..=20 {
        let mut server = ServerProgram::start(&["--pace", "off"]);
        let talkers: Vec<_> = (0..TALKERS).map(|at| server.join(&format!("talker{at}"))).collect();
        let mut witness = server.join("witness");
        let talks: Vec<_> = talkers.into_iter().map(|peer| thread::spawn(|| talk_until_told(peer))).collect();
        // The shutdown comes while they send, each time a bit later.
        let mut witnessed: Vec<_> = (0..round * 250).map(|_| witness.line()).collect();
        server.program.signal(Signal::TERM);
        witnessed.extend(witness.rest());
        drop(witness);

        let heard: Vec<_> = talks.into_iter().map(|talk| talk.join().unwrap()).collect();
        for at in 0..TALKERS {
            let said = accepted(heard[at].last().unwrap());
            assert!(said > 0, "talker{at} was not in the midst of it");
            let others = heard.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, heard)| heard);
            for heard in others.chain([&witnessed]) {
                let prefix = format!("talker{at}: ");
                let numbers = heard.iter().filter_map(|line| line.strip_prefix(&prefix)).map(str::parse);
                assert!(numbers.eq((0..said).map(Ok)), "round {round}: not the {said} lines of talker{at}");
            }
        }
        let finished = server.program.finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    }
}

/// Sends numbered lines as fast as possible until the server shuts down. Returns everything that it received.
fn talk_until_told(mut peer: Peer) -> Vec<String> {
    let is_told = Arc::new(AtomicBool::new(false));
    let writing = thread::spawn({
        let (is_told, stream) = (is_told.clone(), peer.stream().try_clone().unwrap());
        move || {
            let mut numbers = 0..;
            while !is_told.load(Ordering::Relaxed) {
                let lines: String = numbers.by_ref().take(20).map(|number: u64| format!("{number}\n")).collect();
                // After the shutdown, the server reads nothing more.
                if (&stream).write_all(lines.as_bytes()).is_err() {
                    return;
                }
            }
        }
    });
    let mut heard = Vec::new();
    loop {
        heard.push(peer.line());
        if heard.last().unwrap() == "* The server is shutting down" {
            break;
        }
    }
    is_told.store(true, Ordering::Relaxed);
    heard.extend(peer.rest());
    writing.join().unwrap();
    heard
}
