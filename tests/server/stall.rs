//! A slow or broken client never affects the others.

use linechat::limits::SEND_BUFFER;

use crate::support::harness::{Peer, Server, within};

/// Far more than the feed and the kernel buffer for a peer that does not read: the number of lines, and their length.
const LINES: usize = 10_000;
const LINE_BYTES: usize = 4000;

#[test]
fn a_peer_that_never_reads_delays_nobody_and_learns_how_many_lines_it_missed() {
    let server = Server::start();
    let mut stalled = Peer::connect_with_a_small_buffer(server.address).join("Stalled");
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let padding = "x".repeat(LINE_BYTES);
    for start in (0..LINES).step_by(100) {
        let lines: Vec<_> = (start..start + 100).map(|number| format!("{number} {padding}")).collect();
        alice.send(&(lines.join("\n") + "\n"));
        lines.iter().for_each(|line| bob.expect(&format!("Alice: {line}")));
    }
    alice.send("the end\n");
    bob.expect("Alice: the end");

    stalled.begin_to_read();
    stalled.expect("* Alice has joined");
    stalled.expect("* Bob has joined");
    let (mut next, mut gaps) = (0, 0);
    loop {
        match stalled.line() {
            line if line == "Alice: the end" => break,
            line if line.starts_with("* You missed ") => {
                gaps += 1;
                next += line["* You missed ".len()..].split_once(' ').unwrap().0.parse::<usize>().unwrap();
            }
            line => {
                assert_eq!(line, format!("Alice: {next} {padding}"));
                next += 1;
            }
        }
    }
    assert_eq!((next, gaps), (LINES, 1));
    stalled.send("back\n");
    bob.expect("Stalled: back");
}

#[test]
fn a_peer_that_pauses_for_less_than_the_feed_loses_nothing() {
    let server = Server::start();
    let mut slow = Peer::connect_with_a_small_buffer(server.address).join("Slow");
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let lines: Vec<_> = (0..1500).map(|number| format!("{number} {}", "x".repeat(LINE_BYTES))).collect();
    for some in lines.chunks(100) {
        alice.send(&(some.join("\n") + "\n"));
        some.iter().for_each(|line| bob.expect(&format!("Alice: {line}")));
    }
    slow.begin_to_read();
    slow.expect("* Alice has joined");
    slow.expect("* Bob has joined");
    lines.iter().for_each(|line| slow.expect(&format!("Alice: {line}")));
}

#[test]
fn a_peer_that_floods_and_reads_no_refusals_delays_nobody() {
    let server = Server::start();
    let mut mallory = Peer::connect_with_a_small_buffer(server.address).join("Mallory");
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let flooding = std::thread::spawn(move || {
        mallory.send(&"/x\n".repeat(50_000));
        mallory
    });
    for turn in 0..100 {
        alice.send(&format!("{turn}\n"));
        bob.expect(&format!("Alice: {turn}"));
    }
    let mallory = within(move || flooding.join().unwrap());
    alice.send("done\n");
    bob.expect("Alice: done");
    drop(mallory);
    let left = bob.line();
    assert!(left.starts_with("* Mallory has left"), "{left:?}");
}

#[test]
fn connections_that_never_give_a_name_delay_nobody() {
    let server = Server::start();
    let _silent: Vec<_> = (0..50).map(|_| server.connect()).collect();
    let mut half = server.connect();
    half.send("Al");
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("hi\n");
    bob.expect("Alice: hi");
}

/// The standard library listens with a backlog of 128. Connections beyond it wait for a second or more.
#[test]
fn a_storm_of_connections_is_queued_until_it_is_accepted() {
    let listener = linechat::server::listen::Listener::bind("127.0.0.1", 0).unwrap();
    let address = listener.address().unwrap();
    // Nobody accepts them.
    let connected: Vec<_> = (0..300).map(|_| Peer::connect(address)).collect();
    assert_eq!(connected.len(), 300);
}

/// If a segment is as long as the send buffer, it is acknowledged 40 ms late, and the peer gets only 3 MB/s.
#[cfg(unix)]
#[test]
fn several_segments_fit_into_the_send_buffer() {
    let server = Server::start();
    let peer = server.join("Alice");
    let segment = socket2::SockRef::from(peer.stream()).tcp_mss().unwrap();
    assert!(segment > 0 && segment as usize * 4 <= SEND_BUFFER, "{segment} bytes");
}
