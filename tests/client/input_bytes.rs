//! The client in a pipe with input that is not plain UTF-8.

use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};

use crate::support::harness::{Peer, Server};
#[cfg(unix)]
use crate::support::program::ServerProgram;
use crate::support::program::{CLIENT, Program};

/// A client in a pipe, and the end that writes to it.
fn start(arguments: &[&str]) -> (Program, ChildStdin) {
    let mut child = Command::new(CLIENT)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    (Program::adopt(child), stdin)
}

fn at<'a>(address: &'a [String; 6], more: &[&'a str]) -> Vec<&'a str> {
    address.iter().map(String::as_str).chain(more.iter().copied()).collect()
}

/// In telnet, 0xFF 0xEC ends the input. 0xFF 0xF7 erases a character, 0xFF 0xF8 erases a line, and 0xFF 0xFB starts an
/// option.
#[cfg(unix)]
#[test]
fn no_byte_of_the_input_is_a_telnet_command() {
    let socket = std::env::temp_dir().join(format!("linechat-bytes-{}.socket", std::process::id()));
    let path = socket.to_str().unwrap();
    let arguments = ["--unix", path, "--tls-self-signed", "--tls-port", "0"];
    let mut server = ServerProgram::start(&arguments);
    let tls = server.program.stdout.line();
    let tls_port = tls.strip_suffix(" with TLS").unwrap().rsplit_once(':').unwrap().1.to_owned();
    server.program.stdout.expect(&format!("Server listening on {path}"));
    let fingerprint = server.program.stdout.line();
    let fingerprint = fingerprint.strip_prefix("Certificate fingerprint (SHA-256): ").unwrap();
    let port = server.address.port().to_string();
    let mut alice = server.join("Alice");
    for (name, to) in [
        ("tcp", &["--port", &port][..]),
        ("tls", &["--port", &tls_port, "--tls-fingerprint", fingerprint]),
        ("unix", &["--unix", path]),
    ] {
        let (mut client, mut stdin) = start(&[&["--name", name], to].concat());
        stdin.write_all(b"one\n\xff\xec\ntwo\nab\xff\xf7\n\xff\xf8x\n\xff\xfb\x01\n\xff\n\xff\xff\nthree\n").unwrap();
        drop(stdin);
        let done = client.finish();
        let why = "client: 6 refused, the last: not-utf8: ";
        assert!(done.stderr.contains(why), "{name}: {}", done.stderr);
        assert_eq!(done.stdout.matches("! not-utf8: ").count(), 6, "{name}: {}", done.stdout);
        assert!(done.stdout.ends_with(&format!("* Bye, {name}: 3 lines accepted, 6 refused.\n")), "{}", done.stdout);
        assert_eq!(done.code, Some(1), "{name}");
        for line in ["one", "two", "three"] {
            alice.expect_message(&format!("{name}: {line}"));
        }
    }
}

/// The output of a program of `--exec` is made valid UTF-8 first.
#[cfg(unix)]
#[test]
fn no_byte_of_a_reply_is_a_telnet_command() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let address = Program::client_arguments(server.address, "bot");
    let script = r"printf 'one\n\377\354\ntwo\n'";
    let (_bot, _stdin) = start(&at(&address, &["--reply", "--exec", "sh", "--", "-c", script]));
    alice.expect("* bot has joined");
    alice.send("hi\n");
    for line in ["one", "\u{fffd}\u{fffd}", "two"] {
        alice.expect(&format!("bot: {line}"));
    }
}

#[test]
fn utf16_is_sent_as_utf8() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let address = Program::client_arguments(server.address, "Bob");
    for bytes in [u16::to_le_bytes, u16::to_be_bytes] {
        let text: Vec<u8> = "\u{feff}zoë 世界\r\n👩‍👧\r\n".encode_utf16().flat_map(bytes).collect();
        let (mut client, mut stdin) = start(&at(&address, &[]));
        alice.expect("* Bob has joined");
        // It may be split anywhere.
        for piece in text.chunks(3) {
            stdin.write_all(piece).unwrap();
        }
        drop(stdin);
        alice.expect("Bob: zoë 世界");
        alice.expect("Bob: 👩‍👧");
        alice.expect("* Bob has left");
        assert_eq!(client.finish().code, Some(0));
    }
}

#[test]
fn a_utf8_byte_order_mark_at_the_start_is_not_sent() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let address = Program::client_arguments(server.address, "Bob");
    // Only the first one is a mark. The start of an incomplete mark is data.
    for (pieces, said) in [
        (&["\u{feff}one\n\u{feff}two\n".as_bytes()][..], &["one", "\u{feff}two"][..]),
        (&[b"\xef", b"\xbb\xbfone\n"], &["one"]),
        (&[b"\xef\xbb", b"\xbb\xef\xbb\xbb\none\n"], &["\u{fefb}\u{fefb}", "one"]),
        (&["\u{feff}".as_bytes(), b"/who\none"], &["one"]),
    ] {
        let (mut client, mut stdin) = start(&at(&address, &[]));
        alice.expect("* Bob has joined");
        for piece in pieces {
            stdin.write_all(piece).unwrap();
        }
        drop(stdin);
        for line in said {
            assert_eq!(raw_message(&mut alice), *line);
        }
        alice.expect("* Bob has left");
        assert_eq!(client.finish().code, Some(0));
    }
}

/// What Bob says, with invisible characters unchanged.
fn raw_message(alice: &mut Peer) -> String {
    let line = alice.line();
    line.strip_prefix("Bob: ").unwrap_or_else(|| panic!("{line}")).replace("<U+FEFF>", "\u{feff}")
}

/// Half a mark, followed by the end of the input.
#[test]
fn an_incomplete_mark_is_data() {
    let server = Server::start();
    let address = Program::client_arguments(server.address, "Bob");
    for bytes in [&b"\xff"[..], b"\xef\xbb"] {
        let (mut client, mut stdin) = start(&at(&address, &[]));
        stdin.write_all(bytes).unwrap();
        drop(stdin);
        let done = client.finish();
        assert!(done.stdout.ends_with("* Bye, Bob: 0 lines accepted, 1 refused.\n"), "{}", done.stdout);
        assert_eq!(done.code, Some(1));
    }
}
