//! The memory limits that docs/limits.md publishes.

use std::fs::DirBuilder;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::DirBuilderExt;
use std::thread;
use std::time::{Duration, Instant};

use super::scene::{Scene, eventually, heavy, trouble};
use super::witnesses::COUNT;
use crate::support::harness::Peer;
use crate::support::process_stats::ProcessStats;
use crate::support::program::{Program, ServerProgram};
use crate::support::tls_peer::{Certificate, TlsPeer};

/// The number of peers of each kind.
const EACH: usize = 4;

/// What each peer sends that floods the room with long lines. The server makes it four times as long.
const LONG_BYTES: usize = 4 * 1024 * 1024;
/// What each peer sends that floods the room with lines of one letter. The server adds the sender's name to each.
const SHORT_BYTES: usize = 64 * 1024;

/// Everything at once, each in a peer of its own. Floods of text that grows when it is made safe, and floods of the
/// shortest lines; these senders never read, and get CR LF. Slow readers, so that the room waits for them and every
/// queue fills up. Half lines, before and after the login.
#[test]
fn the_worst_mix_stays_below_the_published_bound() {
    let _alone = heavy();
    let scene = Scene::start(&["--pace", "off"]);
    let deaf = |name: String| {
        let mut peer = Peer::connect_with_a_small_buffer(scene.address());
        peer.send(&format!("{name}\r\n"));
        peer.expect_start(b"* Welcome, ");
        peer
    };
    let half_names: Vec<_> = (0..EACH)
        .map(|_| {
            let mut peer = Peer::connect(scene.address());
            peer.send(&"x".repeat(4000));
            peer
        })
        .collect();
    let half_lines: Vec<_> = (0..EACH)
        .map(|number| {
            let mut peer = deaf(format!("half{number}"));
            peer.send(&"x".repeat(4000));
            peer
        })
        .collect();
    let slow: Vec<_> = (0..EACH).map(|number| deaf(format!("slow{number}"))).collect();
    let slow: Vec<_> = slow.into_iter().map(|peer| thread::spawn(|| read_slowly(peer))).collect();
    let floods: Vec<_> = (0..2 * EACH).map(|number| deaf(format!("flood{number}"))).collect();
    let others = scene.process_stats().descriptors() - floods.len();
    trouble(floods.len(), |number| {
        // Marks beyond the eighth are shown as <U+0301>.
        let (line, bytes) = match number % 2 {
            0 => (format!("x{}\n", "\u{301}".repeat(2000)), LONG_BYTES),
            // Each line has a different audience, and sometimes there is a long reply.
            _ => (format!("x\n/msg flood{number} y\n").repeat(100) + "/who\n", SHORT_BYTES),
        };
        let mut flood = floods[number].try_clone();
        flood.send(&line.repeat(bytes / line.len()));
        flood.half_close();
    });
    // They do not read their farewell, so they are cut off after all their input was handled.
    eventually("the floods are over", || scene.process_stats().descriptors() <= others);
    let peak = scene.process_stats().peak_resident();
    let connections = (5 * EACH + COUNT) as u64;
    let bound = (48 << 20) + connections * (1 << 20);
    eprintln!("{connections} connections: {} KiB at most, and {} KiB are allowed", peak >> 10, bound >> 10);
    assert!(peak <= bound, "{peak} bytes, and {bound} are published");
    slow.into_iter().for_each(|reader| drop(reader.join().unwrap()));
    drop((half_names, half_lines, floods));
    let heard = scene.finish();
    assert!(heard.said().len() == 2 * EACH, "a flood was not heard of");
}

/// Each login hashes a password, and half of them negotiate TLS first. The passwords are right, so no penalty slows
/// down the storm.
#[test]
fn memory_is_freed_after_a_storm_of_logins() {
    const LOGINS: usize = 120;
    let _alone = heavy();
    let certificate = Certificate::make("login-storm");
    let folder = std::env::temp_dir().join(format!("linechat-login-storm-data-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    DirBuilder::new().mode(0o700).create(&folder).unwrap();
    let data = ["--data", folder.to_str().unwrap()];
    let mut server = ServerProgram::start(&[&data[..], &certificate.arguments()].concat());
    let tls = tls_address(&mut server.program);
    let trust = certificate.trust();
    let mut owner = server.join("Alice");
    owner.send("/register\ncorrect horse\ncorrect horse\n");
    while !owner.line().starts_with("* Registered: Alice ") {}
    drop(owner);
    const LOGIN: &str = "Alice\ncorrect horse\n/quit\n";
    let is_in = |lines: Vec<String>| lines.iter().any(|line| line.starts_with("* Welcome, Alice. "));
    trouble(LOGINS, |number| {
        let came_in = if number % 2 == 0 {
            let [.., high, low] = (number as u32).to_be_bytes();
            let mut peer = Peer::connect_from(IpAddr::from([127, 1, high, low]), server.address);
            peer.send(LOGIN);
            is_in(peer.rest())
        } else {
            let mut peer = TlsPeer::connect(tls, &trust);
            peer.send(LOGIN);
            is_in(peer.rest())
        };
        assert!(came_in, "login {number}");
    });
    let process_stats = ProcessStats(server.program.pid());
    let (peak, rest) = (process_stats.peak_resident(), process_stats.resident());
    eprintln!("{LOGINS} logins: {} KiB at most, {} KiB afterwards", peak >> 10, rest >> 10);
    assert!(peak <= 96 << 20, "{peak} bytes at most");
    assert!(rest <= 56 << 20, "{rest} bytes afterwards");
    std::fs::remove_dir_all(&folder).unwrap();
}

/// The TLS address of the server, from its second line.
fn tls_address(program: &mut Program) -> SocketAddr {
    let line = program.stdout.line();
    let address = line.strip_prefix("Server listening on ").and_then(|line| line.strip_suffix(" with TLS"));
    address.and_then(|address| address.parse().ok()).unwrap_or_else(|| panic!("the second line is {line:?}"))
}

/// Reads about 100 KiB per second while there is more, but only for a limited time. After that it reads nothing.
fn read_slowly(peer: Peer) -> Peer {
    let since = Instant::now();
    while since.elapsed() < Duration::from_secs(5) && peer.stream().read(&mut [0; 1024]).unwrap() > 0 {
        thread::sleep(Duration::from_millis(10));
    }
    peer
}
