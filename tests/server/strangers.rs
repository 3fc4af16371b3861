//! Clients that connect to the wrong port, and connections beyond the limits.

use linechat::server::Config;
use linechat::server::access::connection_limits::Capacity;

use crate::support::harness::{Peer, Server};
use crate::support::lines::is_like;

#[test]
fn other_protocols_get_one_refusal_and_are_disconnected() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    for (greeting, name, end) in [
        (&b"GET / HTTP/1.1\r\nHost: chat\r\n\r\n"[..], "HTTP", "\r\n"),
        (b"POST / HTTP/1.1\r\nContent-Length: 16\r\n\r\nx\nmallory\nhello\n", "HTTP", "\r\n"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "TLS", "\n"),
        (b"SSH-2.0-OpenSSH_9.2p1\r\n", "SSH", "\r\n"),
        (b"\r\n\r\nGET / HTTP/1.1\r\n\r\n", "HTTP", "\r\n"),
        (b"PROPFIND /dav HTTP/1.1\r\nHost: chat\r\n\r\nmallory\r\n", "HTTP", "\r\n"),
        (b"BREW /pot HTTP/1.0\n", "HTTP", "\n"),
    ] {
        let mut stranger = server.connect();
        stranger.send_bytes(greeting);
        stranger.expect_with_end(&format!("! wrong-protocol: …{name}…"), end);
        stranger.expect_end();
    }
    bob.expect_nothing_new();
}

#[test]
fn other_protocols_are_detected_however_their_bytes_are_split() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    for (greeting, name) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], "HTTP"),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", "HTTP"),
        (b"BREW /pot HTTP/1.1\r\n\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS"),
        (b"SSH-2.0-x\r\n", "SSH"),
    ] {
        let (mut is_known, mut cut) = (false, 0);
        while !is_known {
            cut += 1;
            let mut stranger = server.connect();
            stranger.send_bytes(&greeting[..cut]);
            // The telnet command AYT. Its reply shows that the first part was read separately.
            stranger.send_bytes(&[255, 246]);
            let mut line = stranger.line();
            is_known = line != "[yes]\r";
            if !is_known {
                stranger.send_bytes(&greeting[cut..]);
                line = stranger.line();
            }
            let refusal = format!("! wrong-protocol: …{name}…");
            assert!(is_like(&line, &refusal), "{line:?} after {greeting:?} split at {cut}");
            stranger.expect_end();
        }
    }
    bob.expect_nothing_new();
}

#[test]
fn names_like_an_ssh_banner_are_refused() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut susi = server.connect();
    susi.send("ssh-susi\n");
    susi.expect("! bad-name: …SSH-…");
    susi.expect("* Send another name.");
    susi.send("SSH-2.0-x\n");
    susi.expect("! bad-name: …SSH-…");
    bob.send("/nick SSH-2.0-x\n");
    bob.expect("! bad-name: …SSH-…");
}

#[test]
fn lines_after_an_invalid_name_of_another_protocol_never_become_names() {
    let server = Server::start();
    let mut bob = server.join("Bob");
    let mut mail = server.connect();
    mail.send("EHLO example.org\r\nmallory\r\nhello\r\n");
    mail.expect_with_end("! bad-name: …\"example.org\"…", "\r\n");
    mail.expect_end();
    let mut redis = server.connect();
    redis.send("PING\r\nhello\r\n");
    redis.expect_with_end("! bad-name", "\r\n");
    redis.expect_end();
    bob.expect_nothing_new();
}

#[test]
fn a_full_server_refuses_the_next_connection_and_a_leave_makes_room() {
    let capacity = Capacity { connections: 2, per_source: 1 };
    let server = Server::start_with(Config { capacity, ..Config::default() });
    let [mut alice, bob] = server.join_all(["Alice", "Bob"]);
    let mut late = server.connect();
    late.send("Carol\nhi\n");
    late.expect_rest(&["! server-full"]);
    drop(bob);
    alice.expect("* Bob has left");
    // The connection of a peer that has left may stay open briefly.
    loop {
        let mut carol = server.connect();
        carol.send("Carol\n");
        match carol.line() {
            line if line.starts_with("! server-full") => continue,
            line => break assert!(line.starts_with("* Welcome, Carol. "), "{line:?}"),
        }
    }
}

#[test]
fn in_a_full_server_the_oldest_connection_without_a_name_makes_room() {
    let capacity = Capacity { connections: 3, per_source: 99 };
    let server = Server::start_with(Config { capacity, ..Config::default() });
    let mut dave = server.join("Dave");
    let mut oldest = server.connect();
    oldest.expect("* Send your name as the first line.");
    let mut second = server.connect();
    second.expect("* Send your name as the first line.");
    // For another source that has fewer connections. For the same source it would have to be older.
    let mut newcomer = Peer::connect_from([127, 0, 0, 2].into(), server.address);
    oldest.expect_rest(&["! server-full: …name…"]);
    newcomer.send("Carol\n");
    newcomer.expect("* Welcome, Carol. 1 other here: Dave. …");
    second.send("Bob\n");
    second.expect("* Welcome, Bob. 2 others here: Carol, Dave. …");
    dave.expect("* Carol has joined");
}

#[test]
fn in_a_full_server_a_young_connection_is_not_evicted_for_its_own_source() {
    let capacity = Capacity { connections: 1, per_source: 99 };
    let server = Server::start_with(Config { capacity, ..Config::default() });
    let mut first = server.connect();
    let mut late = server.connect();
    late.expect_rest(&["! server-full"]);
    first.send("Alice\n");
    first.expect("* Welcome, Alice. …");
}
