//! Readers that stop reading, and senders that never pause.

use std::io::{Read, Write};
use std::net::Shutdown;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::scene::{Scene, eventually, first_to_get, heavy, is_long};
use crate::support::harness::Peer;
use crate::support::lines::{bye, is_like};
use crate::support::program::{Program, ServerProgram};

/// Far more than the feed and the kernel buffer: the number of lines, and their length.
const LINES: usize = 6000;
const LINE_BYTES: usize = 4000;

#[test]
fn clients_that_never_read_delay_nobody_and_learn_what_they_missed() {
    let scene = Scene::start(&["--pace", "off"]);
    let stalled: Vec<_> = (0..20)
        .map(|number| Peer::connect_with_a_small_buffer(scene.address()).join(&format!("stalled{number}")))
        .collect();
    flood(&scene);
    for mut peer in stalled {
        peer.begin_to_read();
        let (received, missed) = hear_out(|| peer.line());
        assert_eq!(received + missed, LINES);
        assert!(missed > 0, "the feed held everything");
    }
    scene.finish();
}

#[test]
fn stopped_clients_delay_nobody_and_learn_what_they_missed() {
    let scene = Scene::start(&["--pace", "off"]);
    let mut stopped: Vec<_> =
        (0..3).map(|number| Program::client(scene.address(), &format!("stopped{number}"))).collect();
    for client in &mut stopped {
        assert!(client.stdout.line().starts_with("* Welcome"));
        client.signal(Signal::STOP);
    }
    flood(&scene);
    for mut client in stopped {
        client.signal(Signal::CONT);
        let (received, missed) = hear_out(|| client.stdout.line());
        assert_eq!(received + missed, LINES);
        assert!(missed > 0, "the feed held everything");
    }
    scene.finish();
}

/// A peer sends numbered lines and then an end marker. Meanwhile the witnesses keep talking and receive them.
fn flood(scene: &Scene) {
    let mut flood = scene.join("flood");
    let padding = "x".repeat(LINE_BYTES);
    for number in 0..LINES {
        flood.send(&format!("{number} {padding}\n"));
    }
    flood.send("the end\n");
    flood.half_close();
    assert_eq!(flood.rest().last(), Some(&format!("* Bye, flood: {} lines accepted, 0 refused.", LINES + 1)));
    scene.witnesses.talk(1);
}

/// How many lines of the flood a reader received, and how many it missed. It must be told about every missed line.
///
/// The notices count the witnesses' lines as well, so their number may be larger. (tests/server/stall.rs checks the
/// exact number.)
fn hear_out(mut line: impl FnMut() -> String) -> (usize, usize) {
    let (mut next, mut received, mut missed, mut told) = (0, 0, 0, 0);
    loop {
        let line = line();
        if let Some(count) = line.strip_prefix("* You missed ") {
            told += count.split_once(' ').unwrap().0.parse::<usize>().unwrap();
            continue;
        }
        let Some(text) = line.strip_prefix("flood: ") else { continue };
        let number = if text == "the end" { LINES } else { text.split_once(' ').unwrap().0.parse().unwrap() };
        assert!(
            number >= next && number - next <= told,
            "{number} came after {next}, and {told} were said to be missed"
        );
        missed += number - next;
        if number == LINES {
            return (received, missed);
        }
        (received, next, told) = (received + 1, number + 1, 0);
    }
}

/// All data for it is in the kernel, where Linux alone would end the connection after 120 s.
#[test]
fn in_a_quiet_room_a_peer_has_the_whole_stall_limit() {
    check_stall_limit(10);
}

/// The server waits to write. Linux alone would end the connection after 120 s.
#[test]
fn a_peer_has_the_whole_stall_limit_while_the_server_waits_to_write() {
    check_stall_limit(1000);
}

/// A peer stops reading before this many lines are sent, and reads them in the end.
fn check_stall_limit(lines: usize) {
    let rest = if is_long() { Duration::from_secs(140) } else { Duration::from_secs(4) };
    let limit = (rest.as_secs() + 60).to_string();
    let mut quiet = ServerProgram::start(&["--pace", "off", "--stall-limit", &limit]);
    let mut stalled = Peer::connect_with_a_small_buffer(quiet.address).join("resting");
    let mut alice = quiet.join("Alice");
    alice.send(&format!("{}\n", "x".repeat(1000)).repeat(lines));
    thread::sleep(rest);
    alice.send("/who\n");
    alice.expect("* 2 here: Alice, resting");
    let (said, notices): (Vec<_>, Vec<_>) =
        (0..=lines).map(|_| stalled.line()).partition(|line| line.starts_with("Alice: x"));
    assert_eq!((said.len(), notices), (lines, vec!["* Alice has joined".to_owned()]));
    quiet.program.signal(Signal::TERM);
    drop((alice, stalled));
    assert_eq!(quiet.program.finish().code, Some(0));
}

#[test]
fn a_peer_that_stops_reading_in_a_quiet_room_is_disconnected_with_a_reason() {
    let quiet = ServerProgram::start(&["--pace", "off", "--stall-limit", "2"]);
    let stalled = Peer::connect_with_a_small_buffer(quiet.address).join("resting");
    let mut alice = quiet.join("Alice");
    alice.send(&format!("{}\n", "x".repeat(1000)).repeat(10));
    alice.expect("* resting has left: stopped reading");
    drop(stalled);
}

#[test]
fn a_peer_that_reads_nothing_for_too_long_is_disconnected_with_a_reason() {
    let scene = Scene::start(&["--pace", "off", "--stall-limit", "2"]);
    let stalled = Peer::connect_with_a_small_buffer(scene.address()).join("stalled");
    flood(&scene);
    drop((first_to_get(scene.address(), "stalled"), stalled));
    assert!(scene.finish().notices().any(|notice| notice == "stalled has left: stopped reading"));
}

/// They read slowly, and they are the majority. With rate limits, the room does not wait for them for long.
#[test]
fn many_slow_readers_that_talk_cannot_stop_the_room() {
    let _alone = heavy();
    let scene = Scene::start(&[]);
    let crowd: Vec<_> = (0..20)
        .map(|number| Peer::connect_with_a_small_buffer(scene.address()).join(&format!("slow{number}")))
        .collect();
    // Marks beyond the eighth are shown as <U+0301>. With longer lines, the witnesses could not keep up on a busy
    // machine, and the room does not wait for them either.
    let line = format!("x{}\n", "\u{301}".repeat(400));
    let mut hands = Vec::new();
    for peer in &crowd {
        let (talking, reading, lines) = (peer.try_clone(), peer.try_clone(), line.repeat(2000));
        hands.push(thread::spawn(move || drop((&mut talking.stream()).write_all(lines.as_bytes()))));
        hands.push(thread::spawn(move || {
            while (&mut reading.stream()).read(&mut [0; 4096]).is_ok_and(|count| count > 0) {
                thread::sleep(Duration::from_millis(200));
            }
        }));
    }
    // One after another, because otherwise the result would depend on the speed of the machine.
    (0..20).for_each(|_| scene.witnesses.talk(10));
    crowd.iter().for_each(|peer| peer.stream().shutdown(Shutdown::Both).unwrap());
    hands.into_iter().for_each(|hand| hand.join().unwrap());
    crowd.into_iter().for_each(Peer::reset);
    scene.finish();
}

/// The room waits for active readers, so nobody misses anything from a pipe at full speed.
#[test]
fn a_million_lines_into_twenty_readers() {
    let _alone = heavy();
    let lines = if is_long() { 1_000_000 } else { 100_000 };
    let padding = "x".repeat(200);
    let scene = Scene::start(&["--pace", "off"]);
    let readers: Vec<_> = (0..20)
        .map(|number| {
            let mut reader = scene.join(&format!("reader{number}"));
            thread::spawn(move || {
                let mut next = 0;
                while next < lines {
                    let line = reader.line();
                    assert!(!line.starts_with("* You missed"), "{line}");
                    if let Some(number) = line.strip_prefix("pipe: ") {
                        assert_eq!(number.split_once(' ').unwrap().0.parse(), Ok(next));
                        next += 1;
                        // At first they are slower than the server on any machine.
                        if next < 100_000 && next % 20 == 0 {
                            thread::sleep(Duration::from_millis(1));
                        }
                    }
                }
            })
        })
        .collect();
    let mut pipe = scene.join("pipe");
    for start in (0..lines).step_by(100) {
        pipe.send(&(start..start + 100).map(|number| format!("{number} {padding}\n")).collect::<String>());
    }
    pipe.half_close();
    readers.into_iter().for_each(|reader| reader.join().expect("every reader gets all"));
    eventually("the pipe is told", || is_like(&pipe.line(), &bye("pipe", lines, 0)));
    drop(pipe);
    assert_eq!(scene.finish().said()["pipe"].len(), lines);
}
