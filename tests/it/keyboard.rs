//! Unusual input from the terminal.

use std::io::Write;
use std::time::Instant;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::ioctl_fionread;

use crate::editor::client;
use crate::harness::{DEADLINE, Server, within};
use crate::plain::{read_until, terminal};
use crate::program::{Output, Program};

/// Another program has left the terminal in non-blocking mode. Nobody reads the screen for a while, so writes would fail.
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
