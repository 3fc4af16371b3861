//! Hostile bytes.

use std::io::{Read, Write};
use std::net::Shutdown;

use super::scene::{Scene, trouble};
use crate::support::harness::{DEADLINE, Peer};

#[test]
fn a_thousand_resets_in_the_middle_of_a_line() {
    let scene = Scene::start(&[]);
    let address = scene.address();
    trouble(1000, |number| {
        let mut peer = Peer::connect(address).join(&format!("reset{number}"));
        peer.send("half a line");
        peer.reset();
    });
    let heard = scene.finish();
    // Most were there for too short a time to be announced.
    let (joined, left) = heard.traffic();
    assert_eq!(joined, left);
    assert!(heard.said().is_empty(), "an unfinished line was passed on after a reset");
}

#[test]
fn writers_of_one_byte_at_a_time() {
    let scene = Scene::start(&[]);
    let address = scene.address();
    let line = |number| format!("Zoë's {number}th line, ☃ in it\tand a bit more so that it takes its time");
    trouble(40, |number| {
        let mut peer = Peer::connect(address);
        for byte in format!("slow{number}\r\n{}\r\n", line(number)).bytes() {
            peer.send_bytes(&[byte]);
        }
        peer.half_close();
        let rest = peer.rest();
        assert_eq!(rest.last(), Some(&format!("* Bye, slow{number}: 1 line accepted, 0 refused.")));
    });
    let heard = scene.finish();
    let said = heard.said();
    for number in 0..40 {
        assert_eq!(said[format!("slow{number}").as_str()], [line(number)]);
    }
}

#[test]
fn fifty_megabytes_without_a_line_end() {
    let scene = Scene::start(&["--pace", "off"]);
    let address = scene.address();
    let before = scene.process_stats().resident();
    for name in ["", "Endless\n"] {
        let mut peer = Peer::connect(address);
        peer.send(name);
        // At some point the server closes the connection and says so.
        let megabyte = vec![b'x'; 1 << 20];
        let sent = (0..50).take_while(|_| peer.stream().write_all(&megabyte).is_ok()).count();
        assert!(sent < 50, "the server took it all");
    }
    let grown = scene.process_stats().resident().saturating_sub(before);
    assert!(grown < 2 << 20, "the server grew by {grown} bytes");
    assert!(scene.finish().said().is_empty());
}

#[test]
fn a_sender_of_an_endless_line_receives_the_reason() {
    let scene = Scene::start(&["--pace", "off"]);
    let address = scene.address();
    trouble(100, |number| {
        let mut peer = Peer::connect(address).join(&format!("endless{number}"));
        peer.send(&"x".repeat(200_000));
        let rest = peer.rest();
        // It is refused when it is too long, and again when it does not end.
        assert_eq!(rest.iter().filter(|line| line.starts_with("! line-too-long: ")).count(), 2, "{rest:?}");
        assert_eq!(rest.last(), Some(&format!("* Bye, endless{number}: 0 lines accepted, 2 refused.")));
        // The close is not a reset: the server reads what still arrives for a while.
        peer.send("x");
    });
    let (joined, left) = scene.finish().traffic();
    assert_eq!(joined, left);
}

/// Half of them are in the room, and half never have a name. Each witness checks that all text is safe.
#[test]
fn a_thousand_sessions_of_random_bytes() {
    let scene = Scene::start(&["--pace", "off"]);
    let address = scene.address();
    trouble(1000, |number| {
        let mut random = Random(number as u64 + 1);
        let mut peer = Peer::connect(address);
        if number % 2 == 0 {
            peer = peer.join(&format!("random{number}"));
        }
        let bytes: Vec<u8> = (0..random.next() % 8192).map(|_| random.next() as u8).collect();
        // It may have been disconnected already, and what it is told may come after a reset.
        let stream = peer.stream();
        let _ = (&*stream).write_all(&bytes).and_then(|()| stream.shutdown(Shutdown::Write));
        let ended = (&*stream).read_to_end(&mut Vec::new());
        assert!(!matches!(ended, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{DEADLINE:?} passed");
    });
    let (joined, left) = scene.finish().traffic();
    assert_eq!(joined, left);
}

/// xorshift64 (Marsaglia 2003): the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }
}

#[test]
fn greetings_of_other_protocols() {
    let scene = Scene::start(&[]);
    let address = scene.address();
    let greetings: [&[u8]; 8] = [
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUser-Agent: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 19\r\n\r\nx\nmallory\nhello\n\n\n\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\nmallory\nhello\n",
        b"SSH-2.0-OpenSSH_10.0\r\nmallory\nhello\n",
        b"EHLO example.org\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"\0\0\0\x08\x04\xd2\x16\x2f", // PostgreSQL asks for TLS
        b"OPTIONS sip:nm SIP/2.0\r\nVia: SIP/2.0/TCP nm\r\n\r\n",
    ];
    trouble(40 * greetings.len(), |number| {
        let mut peer = Peer::connect(address);
        peer.send_bytes(greetings[number % greetings.len()]);
        peer.half_close();
        let rest = peer.rest();
        assert!(rest.iter().any(|line| line.starts_with("! ")), "{rest:?}");
    });
    let heard = scene.finish();
    assert_eq!(heard.traffic(), (0, 0));
    assert!(heard.said().is_empty());
}
