//! Many clients at once.

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use linechat::limits::ANNOUNCE_AFTER;
use linechat::os::descriptors::{raise_descriptor_limit, spare_descriptors};

use super::scene::{Scene, first_to_get, heavy, trouble};
use crate::support::harness::{Peer, skipped};
use crate::support::lines::is_like;
use crate::support::program::ServerProgram;

#[test]
fn five_hundred_race_for_one_name() {
    const RACERS: usize = 500;
    raise_descriptor_limit();
    let scene = Scene::start(&[]);
    let mut waits = Vec::new();
    for round in 0..10 {
        let mut winner = race(scene.address(), RACERS);
        winner.send("mine\n");
        if round % 2 == 0 {
            winner.half_close();
        } else {
            winner.reset();
        }
        let since = Instant::now();
        let next = first_to_get(scene.address(), "racer");
        waits.push(since.elapsed());
        drop(next);
    }
    waits.sort_unstable();
    eprintln!("a name was free again after {:?} (median), {:?} at most", waits[waits.len() / 2], waits.last().unwrap());
    let heard = scene.finish();
    let (joined, left) = heard.traffic();
    assert_eq!(joined, left);
    let said = &heard.said()["racer"];
    // Data that was unread when the reset came may be lost.
    assert!((5..=10).contains(&said.len()), "{said:?}");
}

/// A sender that is too fast is not read for a while. Its reset is noticed anyway, even in a quiet room.
#[test]
fn a_name_is_free_after_the_reset_of_a_slowed_peer() {
    let server = ServerProgram::start(&["--pace", "public"]);
    let mut ghost = server.join("ghost");
    ghost.send(&"boo\n".repeat(10_000));
    while !is_like(&ghost.line(), "* You are sending too fast: …") {}
    ghost.reset();
    let since = Instant::now();
    let mut next = first_to_get(server.address, "ghost");
    eprintln!("the name of a paced sender was free again after {:?}", since.elapsed());
    next.expect_nothing_new();
}

/// Makes this many connections send the same name. Returns the only one that got it.
fn race(address: SocketAddr, racers: usize) -> Peer {
    let (waiting, winners, losers) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()), AtomicUsize::new(0));
    trouble(racers, |_| waiting.lock().unwrap().push(Peer::connect(address)));
    let waiting = waiting.into_inner().unwrap().into_iter().map(|peer| Mutex::new(Some(peer))).collect::<Vec<_>>();
    trouble(racers, |number| waiting[number].lock().unwrap().as_mut().unwrap().send("racer\n"));
    trouble(racers, |number| {
        let mut peer = waiting[number].lock().unwrap().take().unwrap();
        match peer.line().as_str() {
            line if is_like(line, "! name-taken: racer …") => _ = losers.fetch_add(1, Ordering::Relaxed),
            line if line.starts_with("* Welcome, racer. ") => winners.lock().unwrap().push(peer),
            line => panic!("{line:?}"),
        }
    });
    let mut winners = winners.into_inner().unwrap();
    assert_eq!((winners.len(), losers.into_inner()), (1, racers - 1));
    winners.pop().unwrap()
}

#[test]
fn five_thousand_join_and_all_reset() {
    let _alone = heavy();
    raise_descriptor_limit();
    let storm = spare_descriptors().saturating_sub(200).min(5000);
    if storm < 5000 {
        skipped(&format!("in part: there are descriptors for {storm} connections, not for 5000"));
    }
    let scene = Scene::start(&[]);
    let (address, peers) = (scene.address(), Mutex::new(Vec::new()));
    trouble(storm, |number| {
        let peer = Peer::connect(address).join(&format!("storm{number}"));
        peers.lock().unwrap().push(peer);
    });
    thread::sleep(ANNOUNCE_AFTER);
    peers.into_inner().unwrap().into_iter().for_each(Peer::reset);
    assert_eq!(scene.finish().traffic(), (storm, storm));
}

/// As after a server restart, over a slow network: all clients are connected before the first one sends its name.
#[test]
fn everyone_can_join_when_all_connect_before_the_first_name() {
    let _alone = heavy();
    let same: fn(usize) -> IpAddr = |_| IpAddr::from([127, 0, 0, 1]);
    let spread: fn(usize) -> IpAddr = |number| IpAddr::from([127, 1, (number / 250) as u8, (number % 250) as u8 + 1]);
    raise_descriptor_limit();
    let room = spare_descriptors().saturating_sub(200);
    for (count, from) in [(1000, same), (5000, same), (5000, spread)] {
        if room < count {
            skipped(&format!("there are descriptors for {room} connections, not for {count}"));
            continue;
        }
        let scene = Scene::start(&[]);
        let (address, crowd) = (scene.address(), Mutex::new(Vec::new()));
        trouble(count, |number| {
            let peer = Peer::connect_from(from(number), address);
            crowd.lock().unwrap().push(Mutex::new(peer));
        });
        let crowd = crowd.into_inner().unwrap();
        trouble(count, |number| crowd[number].lock().unwrap().send(&format!("crowd{number}\n")));
        trouble(count, |number| {
            let mut peer = crowd[number].lock().unwrap();
            let first = peer.line();
            // It may have been prompted for its name meanwhile.
            let welcome = if first == "* Send your name as the first line." { peer.line() } else { first };
            assert!(welcome.starts_with(&format!("* Welcome, crowd{number}. ")), "{welcome:?}");
        });
        scene.witnesses.talk(1);
        thread::sleep(ANNOUNCE_AFTER);
        crowd.into_iter().for_each(|peer| peer.into_inner().unwrap().reset());
        assert_eq!(scene.finish().traffic(), (count, count));
    }
}

/// Endless empty lines and telnet commands, before any name. The witnesses keep talking, and the senders are
/// disconnected.
#[test]
fn floods_without_a_name() {
    let scene = Scene::start(&[]);
    let address = scene.address();
    let flooding = thread::spawn(move || {
        trouble(40, |number| {
            let flood = [&b"\n"[..], b"\xff\xf1"][number % 2].repeat(16 * 1024);
            let peer = Peer::connect(address);
            // At some point the server has closed the connection.
            while (&mut peer.stream()).write_all(&flood).is_ok() {}
        });
    });
    while !flooding.is_finished() {
        scene.witnesses.talk(1);
    }
    flooding.join().unwrap();
    assert_eq!(scene.finish().traffic(), (0, 0));
}

/// A byte per second never finishes a name, and does not extend the time limit for it, which is 30 s.
#[test]
fn slowloris() {
    let scene = Scene::start(&[]);
    let address = scene.address();
    let dribbling = thread::spawn(move || {
        let connect = |_| {
            let mut peer = Peer::connect(address);
            peer.send("x");
            peer
        };
        let mut peers: Vec<_> = (0..100).map(connect).collect();
        for _ in 0..27 {
            thread::sleep(Duration::from_secs(1));
            peers.iter_mut().for_each(|peer| peer.send("x"));
        }
        for mut peer in peers {
            peer.expect("! login-timeout: …30 s…");
            peer.expect_end();
        }
    });
    let mut came_in = 0;
    while !dribbling.is_finished() {
        let mut honest = scene.join("honest");
        honest.send("/quit\n");
        honest.rest();
        came_in += 1;
        thread::sleep(Duration::from_millis(500));
    }
    dribbling.join().unwrap();
    let (joined, left) = scene.finish().traffic();
    assert_eq!(joined, left);
    assert!(came_in > 20, "only {came_in} honest peers came in");
}
