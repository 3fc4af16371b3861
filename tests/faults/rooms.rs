//! Many rooms, which hostile or careless people use to make the server take memory: docs/limits.md.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::thread;

use linechat::limits::{ROOMS_HEARD, ROOMS_READ, TOPIC_CHARS};
use rustix::process::Signal;

use super::scene::{Scene, heavy, trouble};
use super::witnesses::COUNT;
use crate::support::harness::Peer;

/// The number of peers of each kind.
const EACH: usize = 12;
/// The rooms in which each talker talks and each reader is.
const ROOMS: usize = 1 + ROOMS_HEARD;
/// How many further rooms have a topic, and nobody in them.
const TOPICS: usize = 80;

/// The longest lines that a talker says in each of its rooms. The server makes each four times as long.
const LONG_LINES: usize = 16;
/// After each of them, so many of one letter.
const SHORT_LINES: usize = 20;
/// The replies that a mover requests in each room before it goes to the next one. They fill most of a batch.
const REPLIES: usize = 60;

/// Everything at once. In each of as many rooms as possible somebody talks, and somebody hears it; neither reads. Others
/// go from room to room, with many unread replies in each. The rest of the rooms have the longest topics. Meanwhile
/// somebody in the lobby gets replies, besides the witnesses.
#[test]
fn many_rooms_stay_below_the_published_bound() {
    let _alone = heavy();
    let most = 1 + EACH * ROOMS + EACH + TOPICS;
    let scene = Scene::start(&["--pace", "off", "--room-limit", &most.to_string()]);
    let mut watcher = scene.join("watcher");
    let deaf = |name: &str, number: usize| {
        let mut peer = Peer::connect_with_a_small_buffer(scene.address());
        peer.send(&format!("{name}{number} #t{number}-0 replay=0\r\n"));
        peer.expect_start(b"* Welcome");
        (1..ROOMS).for_each(|room| peer.send(&format!("/hear t{number}-{room}\r\n")));
        peer
    };
    let talkers: Vec<_> = (0..EACH).map(|number| deaf("talker", number)).collect();
    let readers: Vec<_> = (0..EACH).map(|number| deaf("reader", number)).collect();
    let movers: Vec<_> = (0..EACH)
        .map(|number| {
            let mut peer = Peer::connect_with_a_small_buffer(scene.address());
            peer.send(&format!("mover{number} replay=0\r\n"));
            peer.expect_start(b"* Welcome");
            peer
        })
        .collect();
    let topic = format!("/topic {}\n", "\u{202e}".repeat(TOPIC_CHARS));
    // Marks beyond the eighth are shown as <U+0301>.
    let long = "\u{301}".repeat(2000);
    thread::scope(|scope| {
        let make_moves = |number: usize| {
            let mut mover = movers[number].try_clone();
            // As many as its session makes before the mover has read anything.
            for room in 0..ROOMS_READ - 4 {
                mover.send(&format!("/join m{number}-{room}\n{}", "/help\n".repeat(REPLIES)));
            }
            mover.send("/msg watcher done\n");
        };
        let before = scene.process_stats().resident();
        trouble(EACH, make_moves);
        for _ in 0..EACH {
            while !watcher.line().ends_with(" (privately): done") {}
        }
        let moves = scene.process_stats().resident().saturating_sub(before);
        eprintln!("{EACH} peers that move: {} KiB", moves >> 10);
        assert!(moves <= (4 + EACH as u64 * 3 / 2) << 20, "{moves} bytes for what is not read of rooms that are gone");
        let make = |number: usize| {
            let mut talker = talkers[number].try_clone();
            talker.send(&topic);
            for _ in 0..LONG_LINES {
                for room in 0..ROOMS {
                    let short = format!("/say t{number}-{room} x\n").repeat(SHORT_LINES);
                    talker.send(&format!("/say t{number}-{room} {long}\n{short}"));
                }
            }
            talker.send("/msg watcher done\n");
        };
        scope.spawn(move || trouble(EACH, make));
        watcher.send("/ping 0\n");
        let (mut done, mut pongs) = (0, 0);
        while done < EACH {
            let line = watcher.line();
            done += usize::from(line.ends_with(" (privately): done"));
            if line.starts_with("* Pong ") {
                pongs += 1;
                watcher.send(&format!("/ping {pongs}\n"));
            }
        }
        assert!(pongs > 10, "only {pongs} replies meanwhile");
    });
    let mut opener = scene.join("opener");
    for room in 0..TOPICS {
        opener.send(&format!("/join x{room}\n{topic}/leave\n/ping {room}\n"));
        while opener.line() != format!("* Pong {room}") {}
    }
    opener.send("/join one-more\n");
    while !opener.line().starts_with("! too-many-rooms: ") {}
    let peak = scene.process_stats().peak_resident();
    let connections = (3 * EACH + COUNT + 2) as u64;
    let bound = (48 << 20) + connections * (1 << 20);
    eprintln!("{connections} connections, {most} rooms: {} KiB at most, of {} KiB", peak >> 10, bound >> 10);
    assert!(peak <= bound, "{peak} bytes, and {bound} are allowed");
    drop((talkers, readers, movers, opener, watcher));
    let heard = scene.finish();
    assert!(heard.said().is_empty());
}

/// How often all people come, go from room to room, and leave the server.
const ROUNDS: usize = 6;
/// The memory may grow by this much between the second round and the last one.
const TOLERANCE: u64 = 4 << 20;

/// Many rooms are opened and left again and again. In some of them `messages` long messages are said in each round. These
/// rooms are the same in each round, unless nothing is kept. No other room may take memory afterwards.
fn come_and_go(arguments: &[&str], messages: usize, are_kept: bool) {
    const PEOPLE: usize = 8;
    const STEPS: usize = 10;
    const ROOMS_IN_A_STEP: usize = 10;
    let _alone = heavy();
    let scene = Scene::start(&[&["--pace", "off"], arguments].concat());
    let mut watcher = scene.join("watcher");
    let long = format!("{}\n", "\u{301}".repeat(2000)).repeat(messages);
    let (address, mut resident) = (scene.address(), Vec::new());
    for round in 0..ROUNDS {
        trouble(PEOPLE, |number| {
            let mut peer = Peer::connect(address);
            peer.send(&format!("guest{round}-{number}\n"));
            for step in 0..STEPS {
                let age = if are_kept { 0 } else { round };
                let mut lines = format!("/join k{number}-{step}-{age}\n{long}");
                for room in 0..ROOMS_IN_A_STEP {
                    let room = format!("{round}-{number}-{step}-{room}");
                    lines += &format!("/hear h{room}\n/join e{room}\n/topic none\n/topic -\n/deaf h{room}\n");
                }
                peer.send(&format!("{lines}/ping {step}\n"));
                let mut line = peer.line();
                while line != format!("* Pong {step}") {
                    // A disk that is busy for longer than a room waits may refuse the first message of a new room.
                    assert!(!line.starts_with('!') || line.starts_with("! not-kept: "), "{line}");
                    line = peer.line();
                }
            }
            peer.send("/quit\n");
            while !peer.raw_line().is_empty() {}
        });
        resident.push(scene.process_stats().resident());
    }
    eprintln!("{arguments:?}: {:?} KiB", resident.iter().map(|bytes| bytes >> 10).collect::<Vec<_>>());
    assert!(resident[ROUNDS - 1] <= resident[1] + TOLERANCE, "it grows: {resident:?}");
    let kept = if are_kept { PEOPLE * STEPS } else { 0 };
    watcher.send("/rooms\n");
    let mut line = watcher.line();
    while !line.contains(" room: ") && !line.contains(" rooms: ") {
        line = watcher.line();
    }
    assert_eq!(line.split(' ').nth(1), Some((1 + kept).to_string().as_str()), "{line}");
    drop(watcher);
    // Not more than that: connections to the database stay open.
    let Scene { mut server, witnesses, .. } = scene;
    witnesses.finish();
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

/// A folder for the data of a server.
fn folder(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("linechat-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    DirBuilder::new().mode(0o700).create(&folder).unwrap();
    folder
}

#[test]
fn rooms_that_everyone_has_left_take_no_memory_if_the_history_is_in_memory() {
    come_and_go(&[], 16, true);
}

#[test]
fn rooms_that_everyone_has_left_take_no_memory_if_the_history_is_on_the_disk() {
    let data = folder("left-rooms");
    come_and_go(&["--data", data.to_str().unwrap()], 3, true);
    std::fs::remove_dir_all(&data).unwrap();
}

#[test]
fn rooms_that_everyone_has_left_take_no_memory_if_nothing_is_kept() {
    let data = folder("left-rooms-without-messages");
    come_and_go(&["--data", data.to_str().unwrap(), "--keep", "0"], 3, false);
    std::fs::remove_dir_all(&data).unwrap();
}
