//! TLS at the server: a private connection to the same room, and misbehaving peers.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

use futures_rustls::pki_types::ServerName;
use futures_rustls::rustls::{ClientConfig, ClientConnection};
use linechat::limits::LOGIN_LIMIT;
use linechat::os::descriptors::raise_descriptor_limit;
use rustix::process::Signal;

use crate::support::harness::{DEADLINE, Peer, skipped};
use crate::support::lines::{bye, is_like};
use crate::support::program::{CLIENT, Program, SERVER, ServerProgram};
use crate::support::tls_peer::{Certificate, TlsPeer};

/// A server with a plain port and one for TLS.
struct Room {
    server: ServerProgram,
    address: SocketAddr,
    certificate: Certificate,
}

impl Room {
    fn open(test: &str) -> Self {
        let certificate = Certificate::make(test);
        let mut server = ServerProgram::start(&certificate.arguments());
        let line = server.program.stdout.line();
        let address = line.strip_prefix("Server listening on ").and_then(|line| line.strip_suffix(" with TLS"));
        let address = address.unwrap_or_else(|| panic!("the second line is {line:?}")).parse().unwrap();
        let fingerprint = server.program.stdout.line();
        assert!(fingerprint.starts_with("Certificate fingerprint (SHA-256): "), "{fingerprint}");
        Self { server, address, certificate }
    }

    fn connect(&self) -> TlsPeer {
        TlsPeer::connect(self.address, &self.certificate.trust())
    }

    fn connect_bare(&self) -> TcpStream {
        let socket = TcpStream::connect_timeout(&self.address, DEADLINE).unwrap();
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket
    }

    /// Stops the server, and checks that no thread of it has panicked.
    fn close(mut self) -> String {
        self.server.program.signal(Signal::TERM);
        let finished = self.server.program.finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
        finished.stdout
    }
}

#[test]
fn tls_and_plain_peers_are_in_one_room() {
    let room = Room::open("one-room");
    let mut alice = room.server.join("Alice");
    let mut bob = room.connect().join("Bob");
    alice.expect("* Bob has joined");
    bob.send("hi\n");
    alice.expect("Bob: hi");
    alice.send("hello\n");
    bob.expect("Alice: hello");
    bob.send("/quit done\n");
    assert_eq!(bob.rest(), [bye("Bob", 1, 0)]);
    alice.expect("* Bob has left (\"done\")");
}

#[test]
fn lines_before_close_notify_count_and_the_farewell_arrives() {
    let room = Room::open("half-close");
    let mut alice = room.server.join("Alice");
    let mut bob = room.connect().join("Bob");
    alice.expect("* Bob has joined");
    bob.send("the last word");
    bob.close_notify();
    assert_eq!(bob.rest(), [bye("Bob", 1, 0)]);
    alice.expect("Bob: the last word");
    alice.expect("* Bob has left");
}

#[test]
fn a_truncated_stream_is_a_lost_connection() {
    let room = Room::open("cut");
    let mut alice = room.server.join("Alice");
    let mut bob = room.connect().join("Bob");
    alice.expect("* Bob has joined");
    bob.send("Pay him 100");
    bob.cut();
    alice.expect("* Bob has left: connection lost");
}

#[test]
fn at_shutdown_every_tls_peer_gets_its_farewell_and_close_notify() {
    let room = Room::open("shutdown");
    let mut bobs: Vec<_> = (0..20).map(|at| room.connect().join(&format!("bob{at}"))).collect();
    room.close();
    for (at, bob) in bobs.iter_mut().enumerate() {
        let last = format!("* Bye, bob{at}: 0 lines accepted, 0 refused.");
        assert_eq!(bob.rest().last(), Some(&last));
    }
}

#[test]
fn plain_text_at_the_tls_port_is_refused_in_plain_text() {
    let room = Room::open("plain-text");
    let mut bob = Peer::connect(room.address);
    bob.send("Bob\n");
    bob.expect_rest(&["! wrong-protocol: …TLS…"]);
}

#[test]
fn silent_connections_do_not_block_handshakes() {
    let room = Room::open("silent");
    let silent: Vec<_> = (0..100).map(|_| room.connect_bare()).collect();
    let hello = client_hello(&room.certificate.trust());
    let half_way: Vec<_> = (0..100)
        .map(|_| {
            let mut socket = room.connect_bare();
            socket.write_all(&hello).unwrap();
            socket
        })
        .collect();
    room.connect().join("Bob");
    drop((silent, half_way));
}

/// The first message of a client (RFC 8446, section 4.1.2), with its record header.
fn client_hello(trust: &Arc<ClientConfig>) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut connection = ClientConnection::new(trust.clone(), name).unwrap();
    let mut hello = Vec::new();
    connection.write_tls(&mut hello).unwrap();
    hello
}

/// A few pseudo-random numbers (xorshift, Marsaglia 2003).
fn numbers(mut state: u32) -> impl Iterator<Item = u32> {
    std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state
    })
}

#[test]
fn an_unfinished_handshake_ends_at_the_login_time_limit() {
    if std::env::var_os("LINECHAT_LONG_TESTS").is_none_or(|value| value != "1") {
        return skipped("handshakes without end; LINECHAT_LONG_TESTS=1 tests them, in half a minute");
    }
    let room = Room::open("endless");
    let hello = client_hello(&room.certificate.trust());
    let mut sockets: Vec<_> = [&[][..], &hello[..20], &hello].map(|begun| (room.connect_bare(), begun)).into();
    for (socket, begun) in &mut sockets {
        socket.set_read_timeout(Some(2 * LOGIN_LIMIT)).unwrap();
        socket.write_all(begun).unwrap();
    }
    for (mut socket, _) in sockets {
        // The server's part of the handshake, an alert or nothing, and then the end, possibly by a reset.
        if let Err(error) = socket.read_to_end(&mut Vec::new()) {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    }
}

#[test]
fn a_thousand_truncated_or_damaged_handshakes_do_no_harm() {
    let room = Room::open("damaged");
    let hello = client_hello(&room.certificate.trust());
    for (at, random) in (0..1000).zip(numbers(7)) {
        let mut bytes = hello.clone();
        match at % 3 {
            0 => bytes.truncate(1 + at % hello.len()),
            1 => bytes[1 + random as usize % (hello.len() - 1)] ^= 1 << (random % 8),
            // What follows the ClientHello is not TLS.
            _ => bytes.extend(numbers(random | 1).take(64).map(|number| number as u8)),
        }
        let mut socket = room.connect_bare();
        socket.write_all(&bytes).unwrap();
        socket.shutdown(Shutdown::Write).unwrap();
        // A reply, an alert or nothing. The server must hang up, possibly with a reset.
        let _ = socket.read_to_end(&mut Vec::new());
    }
    room.connect().join("Bob");
    let log = room.close();
    assert!(log.contains("handshake failed"), "{log}");
}

#[test]
fn clients_cannot_make_the_tls_library_write_to_the_log() {
    let mut room = Room::open("library-log");
    // An address in the place of a name, as socat and ncat send it. rustls would log a warning for each.
    let mut hello = client_hello(&room.certificate.trust());
    let name = hello.windows(9).position(|bytes| bytes == b"localhost").unwrap();
    hello[name..name + 9].copy_from_slice(b"127.0.0.1");
    let mut socket = room.connect_bare();
    socket.write_all(&hello).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let mut log = Vec::new();
    while !log.last().is_some_and(|line: &String| line.ends_with("handshake failed")) {
        log.push(room.server.program.stdout.line());
    }
    log.retain(|line| line.contains("rustls"));
    assert_eq!(log, Vec::<String>::new());
    room.close();
}

#[test]
fn handshakes_sent_byte_by_byte_succeed() {
    let room = Room::open("byte-by-byte");
    for at in 0..1000 {
        let mut bob = room.connect();
        let stream = bob.stream.get_mut();
        while stream.conn.is_handshaking() {
            let mut bytes = Vec::new();
            stream.conn.write_tls(&mut bytes).unwrap();
            for byte in bytes {
                stream.sock.write_all(&[byte]).unwrap();
            }
            if stream.conn.is_handshaking() && stream.conn.wants_read() {
                stream.conn.read_tls(&mut stream.sock).unwrap();
                stream.conn.process_new_packets().unwrap();
            }
        }
        bob.join(&format!("bob{at}"));
    }
    room.close();
}

/// The reply of the server to a ClientHello of this version with these cipher suites: the description of its alert (RFC
/// 8446, section 6.2), or `None` if it continues.
fn alert(room: &Room, version: [u8; 2], suites: &[u16]) -> Option<u8> {
    let suites: Vec<_> = suites.iter().flat_map(|suite| suite.to_be_bytes()).collect();
    // supported_groups: x25519, secp256r1, secp384r1; ec_point_formats: uncompressed; signature_algorithms: those of TLS
    // 1.2 with ECDSA and RSA.
    let extensions = [
        &[0, 10, 0, 8, 0, 6, 0, 29, 0, 23, 0, 24][..],
        &[0, 11, 0, 2, 1, 0],
        &[0, 13, 0, 12, 0, 10, 4, 3, 5, 3, 8, 4, 4, 1, 2, 1],
    ]
    .concat();
    let mut hello = [&version[..], &[7; 32], &[0]].concat();
    hello.extend((suites.len() as u16).to_be_bytes());
    hello.extend(suites);
    hello.extend([1, 0]);
    hello.extend((extensions.len() as u16).to_be_bytes());
    hello.extend(extensions);
    let mut record = vec![0x16, 3, 1];
    record.extend((hello.len() as u16 + 4).to_be_bytes());
    record.extend([1, 0]);
    record.extend((hello.len() as u16).to_be_bytes());
    record.extend(hello);
    let mut socket = room.connect_bare();
    socket.write_all(&record).unwrap();
    let mut answer = [0; 7];
    socket.read_exact(&mut answer).unwrap();
    (answer[0] == 0x15).then_some(answer[6])
}

#[test]
fn old_protocols_and_weak_ciphers_are_refused() {
    const PROTOCOL_VERSION: u8 = 70;
    const HANDSHAKE_FAILURE: u8 = 40;
    const ECDHE_ECDSA_AES128_GCM: u16 = 0xc02b;
    let room = Room::open("weak");
    assert_eq!(alert(&room, [3, 3], &[ECDHE_ECDSA_AES128_GCM]), None, "TLS 1.2 is spoken");
    for (name, version) in [("SSL 3.0", [3, 0]), ("TLS 1.0", [3, 1]), ("TLS 1.1", [3, 2])] {
        assert_eq!(alert(&room, version, &[ECDHE_ECDSA_AES128_GCM]), Some(PROTOCOL_VERSION), "{name}");
    }
    for (name, suite) in [
        ("no encryption", 0x0001),
        ("no encryption, with ECDHE", 0xc006),
        ("export", 0x0003),
        ("RC4", 0x0005),
        ("RC4, with ECDHE", 0xc007),
        ("DES", 0x0009),
        ("3DES", 0x000a),
        ("3DES, with ECDHE", 0xc008),
        ("anonymous", 0x0034),
        ("anonymous, with ECDHE", 0xc018),
        ("no forward secrecy", 0x009c),
        ("CBC", 0xc009),
        ("CBC, with SHA-256", 0xc023),
    ] {
        assert_eq!(alert(&room, [3, 3], &[suite]), Some(HANDSHAKE_FAILURE), "{name}");
    }
    // SSL 2.0 begins differently, so it is not recognised as TLS.
    let mut peer = Peer::connect(room.address);
    peer.send_bytes(&[0x80, 0x2e, 1, 0, 2]);
    peer.expect("! wrong-protocol");
}

#[test]
fn a_hundred_certificate_reloads_affect_no_connection() {
    raise_descriptor_limit();
    let mut room = Room::open("renewed");
    let trust = room.certificate.trust();
    let mut peers: Vec<_> =
        (0..500).map(|at| TlsPeer::connect(room.address, &trust).join(&format!("peer{at}"))).collect();
    for _ in 0..100 {
        room.certificate.renew();
        room.server.program.signal(Signal::HUP);
        room.server.wait_for_record("reloaded");
    }
    let newcomer = room.connect().join("Newcomer");
    assert_ne!(newcomer.server_certificate(), peers[0].server_certificate());
    for (at, peer) in peers.iter_mut().enumerate() {
        peer.send("/nick\n");
        while !is_like(&peer.line(), "! bad-arguments") {}
        peer.send("/quit\n");
        assert_eq!(peer.rest().last(), Some(&format!("* Bye, peer{at}: 0 lines accepted, 1 refused.")));
    }
}

#[test]
fn a_bad_certificate_keeps_the_old_one_and_is_logged() {
    let mut room = Room::open("bad-file");
    let trust = room.certificate.trust();
    for content in ["", "nonsense", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(&room.certificate.certificate, content).unwrap();
        room.server.program.signal(Signal::HUP);
        room.server.wait_for_record("not reloaded");
        assert!(room.server.program.stdout.line().contains("certificate"));
        assert!(room.server.program.stdout.line().contains("cert.pem"));
        let mut bob = TlsPeer::connect(room.address, &trust).join("Bob");
        bob.send("/quit\n");
        bob.rest();
    }
}

#[test]
fn a_certificate_outside_its_validity_causes_a_warning_and_is_used() {
    let made = Certificate::make("untimely");
    made.renew_for(2000, 2001);
    let mut server = ServerProgram::start(&made.arguments());
    let address = server.program.stdout.line();
    let port = address.strip_suffix(" with TLS").and_then(|line| line.rsplit(':').next()).unwrap();
    let fingerprint = server.program.stdout.line();
    let fingerprint = fingerprint.strip_prefix("Certificate fingerprint (SHA-256): ").unwrap();
    server.wait_for_record("certificate invalid");
    assert!(server.program.stdout.line().ends_with(" the certificate has expired, so clients reject it"));
    let client = Program::start(CLIENT, ["--name", "Bob", "--port", port, "--tls-fingerprint", fingerprint]);
    assert_eq!(client.finish_with("Hello\n").code, Some(0));
    made.renew_for(3000, 3001);
    server.program.signal(Signal::HUP);
    server.wait_for_record("certificate invalid");
    assert!(server.program.stdout.line().ends_with(" the certificate is not valid yet, so clients reject it"));
}

#[test]
fn a_key_of_another_certificate_is_refused_at_startup() {
    let (one, other) = (Certificate::make("key-one"), Certificate::make("key-other"));
    let [_, _, _, certificate, _, _] = one.arguments();
    let key = other.key.to_str().unwrap();
    let arguments = ["--port", "0", "--tls-port", "0", "--tls-cert", certificate, "--tls-key", key];
    let finished = Program::start(SERVER, arguments).finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""));
    let why = "the key does not match the first certificate in the file, which must be the server's own";
    assert_eq!(finished.stderr, format!("server: cannot use the certificate in {certificate}: {why}\n"));
}

#[test]
fn an_unusable_key_is_refused_with_a_solution() {
    let made = Certificate::make("bad-key");
    let (certificate, key) = (made.certificate.display(), made.key.display());
    for (kind, error) in [
        (
            "ENCRYPTED PRIVATE KEY",
            format!("the private key in {key} is encrypted; decrypt it with openssl pkey -in {key} -out FILE"),
        ),
        (
            "PRIVATE KEY",
            format!(
                "cannot use the certificate in {certificate}: the key must be RSA with 2048 to 4096 bits, ECDSA with P-256 or P-384, or Ed25519"
            ),
        ),
        ("PUBLIC KEY", format!("cannot read a private key in {key}: it contains no such PEM block")),
    ] {
        std::fs::write(&made.key, format!("-----BEGIN {kind}-----\nAAAA\n-----END {kind}-----\n")).unwrap();
        let finished = Program::start(SERVER, ["--port", "0"].into_iter().chain(made.arguments())).finish();
        assert_eq!((finished.code, finished.stderr), (Some(1), format!("server: {error}\n")));
    }
}

#[test]
fn a_key_that_others_can_read_is_refused() {
    let made = Certificate::make("exposed-key");
    std::fs::set_permissions(&made.key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let arguments = ["--port", "0"].into_iter().chain(made.arguments());
    let finished = Program::start(SERVER, arguments).finish();
    let key = made.key.display();
    let error = format!("server: others can read or write the private key in {key}; run chmod g-w,o= {key}\n");
    assert_eq!((finished.code, finished.stderr), (Some(1), error));
}

#[test]
fn a_test_certificate_is_identified_by_its_fingerprint() {
    let mut server = ServerProgram::start(&["--tls-self-signed", "--tls-port", "0"]);
    assert!(server.program.stdout.line().ends_with(" with TLS"));
    let line = server.program.stdout.line();
    let fingerprint = line.strip_prefix("Certificate fingerprint (SHA-256): ").unwrap();
    assert!(fingerprint.parse::<linechat::net::tls::Fingerprint>().is_ok(), "{fingerprint}");
}
