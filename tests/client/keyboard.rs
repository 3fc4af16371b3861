//! Unusual input from the terminal.

use std::io::Write;
use std::iter::repeat_with;
use std::process::Command;
use std::time::Instant;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::ioctl_fionread;

use super::editor::{Person, client};
use super::plain::{self, CONNECTED, read_until, terminal};
use crate::support::harness::{DEADLINE, Server, within};
use crate::support::program::{Output, Program};

const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;
const CTRL_Z: u8 = 26;
const CTRL_BACKSLASH: u8 = 28;

#[test]
fn a_byte_that_is_not_utf8_is_shown_and_sent_as_u_fffd() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, &[]);
    alice.expect("* Bob has joined");
    bob.type_bytes(b"sch\xf6n");
    // The emulated screen drops U+FFFD.
    bob.has_typed("schn");
    assert!(String::from_utf8_lossy(&bob.bytes).contains('\u{fffd}'));
    bob.type_in("\r");
    alice.expect("Bob: sch\u{fffd}n");
    for byte in 0x80..=0xff {
        bob.type_bytes(&[byte, b'x', b'\r']);
        alice.expect("Bob: \u{fffd}x");
    }
    bob.type_bytes(b"\xc3");
    bob.type_bytes(b"\xa9\r");
    alice.expect("Bob: \u{e9}");
}

#[test]
fn an_incomplete_character_is_shown_after_a_silence() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &[]);
    bob.type_bytes(b"a\xe4");
    bob.has_typed("a");
    let shown = |bob: &Person| String::from_utf8_lossy(&bob.bytes).contains('\u{fffd}');
    while !shown(&bob) {
        bob.reads_on();
    }
}

#[test]
fn no_bytes_end_the_client_or_damage_the_next_line() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, &[]);
    alice.expect("* Bob has joined");
    // These leave, stop the client or send the line.
    let mut without = vec![CTRL_C, CTRL_D, CTRL_Z, CTRL_BACKSLASH, b'\r', b'\n'];
    // Alt and a number repeat the next key up to thousands of times.
    without.extend(b'0'..=b'9');
    let mut random = fastrand::Rng::with_seed(13);
    for round in 0..60 {
        let mut bytes: Vec<u8> = repeat_with(|| match random.u8(..4) {
            0 => random.u8(..),
            1 => random.choice(*b"\x1b\x1b[[OP~;?$\0\x7f\xc3\xa4\xf0\x9f").unwrap(),
            2 => random.u8(b' '..=b'~'),
            _ => random.u8(0x80..),
        })
        .filter(|byte| !without.contains(byte))
        .take(80)
        .collect();
        if round % 3 == 0 {
            bytes.extend(b"\x1b[200~");
        }
        // Ends any incomplete command, ensures that the line is not empty, and clears it.
        bytes.extend([7, b'x', b'x', CTRL_C]);
        bob.type_bytes(&bytes);
        bob.type_in(&format!("still here {round}\r"));
        let line = within({
            let mut alice = alice.try_clone();
            move || alice.line()
        });
        assert_eq!(line, format!("Bob: still here {round}"), "after {:?}", bytes.escape_ascii().to_string());
    }
}

#[test]
fn unknown_and_incomplete_keys_change_nothing_and_messages_still_appear() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, &[]);
    bob.type_in("half\x1b[97;5u\x1b[<0;10;20M\x1b[?1;2c\x1bO5P a li");
    bob.has_typed("half a li");
    for (key, message) in [("\x1b", "one"), ("\x1b[", "two"), ("\x1bO", "three")] {
        bob.type_in(key);
        alice.send(&format!("{message}\n"));
        bob.sees(&format!("Alice: {message}"));
        bob.has_typed("half a li");
    }
}

#[test]
fn a_paste_without_an_end_ends_after_a_silence() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, &[]);
    alice.expect("* Bob has joined");
    bob.type_in("half \x1b[200~a line");
    alice.send("while it is pasted\n");
    bob.sees("Alice: while it is pasted");
    bob.has_typed("half a line");
    bob.type_in(" more\r");
    alice.expect("Bob: half a line more");
    bob.type_in("\x04");
    bob.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    assert_eq!(bob.leaves_it_sane().code, Some(0));
}

#[test]
fn ctrl_c_ends_a_paste_without_an_end() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, &[]);
    alice.expect("* Bob has joined");
    bob.type_in("\x1b[200~one\rtwo\x03three\r");
    alice.expect("Bob: three");
}

#[test]
fn an_escape_in_a_paste_is_text() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, &[]);
    alice.expect("* Bob has joined");
    bob.type_in("a\x1b[200~\x1b[31mb\x1b[D\x1bb\x1b[200~\x07c\x1b[201~");
    bob.has_typed("a^[[31mb^[[D^[b^[[200~^Gc");
    bob.type_in("\r");
    alice.expect("Bob: a^[[31mb^[[D^[b^[[200~^Gc");
    assert!(!String::from_utf8_lossy(&bob.bytes).contains("\x1b[31mb"));
}

#[test]
fn a_huge_paste_can_be_cleared() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, &[]);
    alice.expect("* Bob has joined");
    bob.type_in(&format!("\x1b[200~{}\x1b[201~\x03after\r", "x".repeat(200_000)));
    alice.expect("Bob: after");
}

#[test]
fn a_password_with_invalid_bytes_is_not_sent() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &[]);
    bob.type_bytes(b"/register\rhunt\xe9r2\r");
    bob.sees("-- Not sent: passwords can only contain");
}

#[test]
fn at_a_plain_terminal_a_line_that_is_not_utf8_is_not_sent() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = plain::Person::start_with(server.address, "Bob", &[]);
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. 1 other here: Alice. /help lists the commands.");
    alice.expect("* Bob has joined");
    for byte in 0x80..=0xff {
        bob.type_bytes(&[b's', byte, b'n', b'\n']);
        bob.screen.expect("-- Not sent: invalid UTF-8: s\u{fffd}n");
    }
    bob.type_bytes("nächste\n".as_bytes());
    alice.expect("Bob: nächste");
}

/// Another program has left the terminal in non-blocking mode. Nobody reads the screen for a while, so that writes
/// would fail.
#[test]
fn nothing_is_lost_at_a_terminal_in_non_blocking_mode() {
    for option in ["--no-bell", "--plain"] {
        let server = Server::start();
        let mut alice = server.join("Alice");
        let (mut screen, side) = terminal();
        fcntl_setfl(&side, fcntl_getfl(&side).unwrap() | OFlags::NONBLOCK).unwrap();
        let mut command = client(server.address, &[option]);
        command.env("TERM", "xterm").stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap());
        let _program = Program::spawn(command);
        alice.expect("* Bob has joined");
        screen = within(move || read_until(screen, "* Welcome, Bob."));
        let words = "x".repeat(1000);
        (0..100).for_each(|number| alice.send(&format!("{number} {words}\n")));
        let since = Instant::now();
        while ioctl_fionread(&screen).unwrap() < 3000 {
            assert!(since.elapsed() < DEADLINE, "nothing is written with {option}");
            std::thread::yield_now();
        }
        let mut keyboard = screen.try_clone().unwrap();
        keyboard.write_all(b"first\r\n").unwrap();
        let mut shown = Output::of(screen);
        let mut text = String::new();
        while !text.contains(": 99 x") {
            let bytes = shown.next_within_deadline().expect("it goes on writing");
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
        (0..100).for_each(|number| assert_eq!(text.matches(&format!(": {number} x")).count(), 1, "{option}"));
        alice.expect("Bob: first");
        keyboard.write_all(b"second\r\n").unwrap();
        alice.expect("Bob: second");
        assert!(fcntl_getfl(&side).unwrap().contains(OFlags::NONBLOCK), "the shared mode was changed");
    }
}

/// Nothing stops a process whose session has no job control.
#[test]
fn ctrl_z_without_job_control_changes_nothing() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let program = client(server.address, &[]);
    let mut command = Command::new("setsid");
    command.args(["--ctty", "--wait"]).arg(program.get_program()).args(program.get_args());
    let mut bob = Person::at(command);
    alice.expect("* Bob has joined");
    bob.type_in("half a li\x1ane\r");
    alice.expect("Bob: half a line");
    bob.has_typed("");
    bob.is_taken_over();
}
