//! The client in the background of a shell with jobs.

use super::desk::Desk;
use crate::support::harness::Server;

const WAITS: &str = "client: waiting in the background; bring it to the foreground";

/// A shell without job control. timeout(1) then moves itself and the client to a background process group.
const TIMEOUT: &str = r#"sh -c 'timeout 1 "$@"; exit $?' sh"#;

/// timeout(1) sends SIGTERM and SIGCONT.
#[test]
fn timeout_ends_a_client_in_the_background() {
    for options in [&[][..], &["--plain"]] {
        let server = Server::start();
        let Some(desk) = Desk::in_environment(TIMEOUT, server.address, options) else { return };
        desk.sees("ended with 124");
        let screen = desk.sees(WAITS);
        assert!(!screen.iter().any(|line| line.starts_with("* Welcome")), "{screen:#?}");
        desk.is_sane();
    }
}

#[test]
fn a_signal_ends_a_client_started_in_the_background() {
    for options in [&[][..], &["--plain"]] {
        for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
            let server = Server::start();
            let Some(desk) = Desk::hurry(server.address, &[options, &["& wait $!"]].concat()) else { return };
            desk.sees(WAITS);
            desk.signal(signal);
            desk.sees(&format!("ended with {code}"));
            desk.is_sane();
        }
    }
}

#[test]
fn a_client_started_in_the_background_joins_when_brought_to_the_foreground() {
    for options in [&["&"][..], &["--plain", "&"]] {
        let server = Server::start();
        let mut alice = server.join("Alice");
        let Some(desk) = Desk::hurry(server.address, &[options, &["true"]].concat()) else { return };
        desk.shows(WAITS, |screen| screen.iter().any(|line| line.contains(WAITS)));
        desk.keys("fg\n");
        alice.expect("* Bob has joined");
        desk.sees("* Welcome, Bob.");
        desk.keys("hello\n");
        alice.expect("Bob: hello");
        desk.press("C-d");
        alice.expect("* Bob has left");
        desk.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
        desk.is_sane();
    }
}

#[test]
fn after_bg_the_terminal_is_left_alone_until_fg() {
    for options in [&[][..], &["--plain"]] {
        let server = Server::start();
        let mut alice = server.join("Alice");
        let Some(desk) = Desk::hurry(server.address, options) else { return };
        desk.sees("* Welcome, Bob.");
        alice.expect("* Bob has joined");
        desk.press("C-z");
        desk.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
        desk.keys("bg\n");
        desk.shows("the job", |screen| screen.iter().any(|line| line.starts_with("[1]+") && line.ends_with('&')));
        alice.send("meanwhile\n");
        desk.keys("echo the shell\"'\"s line\n");
        let screen = desk.sees("the shell's line");
        assert!(!screen.iter().any(|line| line.contains("meanwhile")), "{screen:#?}");
        desk.keys("fg\n");
        desk.sees("Alice: meanwhile");
        desk.keys("back\n");
        alice.expect("Bob: back");
        desk.press("C-z");
        desk.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
        desk.keys("bg; wait; echo gone\n");
        desk.signal("TERM");
        desk.sees("gone");
        alice.expect("* Bob has left");
        desk.is_sane();
    }
}
