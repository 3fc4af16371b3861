//! The client in the background of a shell with job control.

use super::tmux_client::TmuxClient;
use crate::support::harness::Server;

const WAITS: &str = "client: waiting in the background; bring it to the foreground";

/// A shell without job control. timeout(1) then moves itself and the client to a background process group.
const TIMEOUT: &str = r#"sh -c 'timeout 1 "$@"; exit $?' sh"#;

/// timeout(1) sends SIGTERM and SIGCONT.
#[test]
fn timeout_ends_a_client_in_the_background() {
    for options in [&[][..], &["--plain"]] {
        let server = Server::start();
        let Some(client) = TmuxClient::in_environment(TIMEOUT, server.address, options) else { return };
        client.sees("ended with 124");
        let screen = client.sees(WAITS);
        assert!(!screen.iter().any(|line| line.starts_with("* Welcome")), "{screen:#?}");
        client.is_sane();
    }
}

#[test]
fn a_signal_ends_a_client_started_in_the_background() {
    for options in [&[][..], &["--plain"]] {
        for (signal, code) in [("TERM", 143), ("HUP", 129), ("INT", 130)] {
            let server = Server::start();
            let Some(client) = TmuxClient::start_without_waiting(server.address, &[options, &["& wait $!"]].concat())
            else {
                return;
            };
            client.sees(WAITS);
            client.signal(signal);
            client.sees(&format!("ended with {code}"));
            client.is_sane();
        }
    }
}

#[test]
fn a_client_started_in_the_background_joins_when_brought_to_the_foreground() {
    for options in [&["&"][..], &["--plain", "&"]] {
        let server = Server::start();
        let mut alice = server.join("Alice");
        let Some(client) = TmuxClient::start_without_waiting(server.address, &[options, &["true"]].concat()) else {
            return;
        };
        client.shows(WAITS, |screen| screen.iter().any(|line| line.contains(WAITS)));
        client.keys("fg\n");
        alice.expect("* Bob has joined");
        client.sees("* Welcome, Bob.");
        client.keys("hello\n");
        alice.expect("Bob: hello");
        client.press("C-d");
        alice.expect("* Bob has left");
        client.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
        client.is_sane();
    }
}

#[test]
fn after_bg_the_terminal_is_left_alone_until_fg() {
    for options in [&[][..], &["--plain"]] {
        let server = Server::start();
        let mut alice = server.join("Alice");
        let Some(client) = TmuxClient::start_without_waiting(server.address, options) else { return };
        client.sees("* Welcome, Bob.");
        alice.expect("* Bob has joined");
        client.press("C-z");
        client.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
        client.keys("bg\n");
        client.shows("the job", |screen| screen.iter().any(|line| line.starts_with("[1]+") && line.ends_with('&')));
        alice.send("meanwhile\n");
        client.keys("echo the shell\"'\"s line\n");
        let screen = client.sees("the shell's line");
        assert!(!screen.iter().any(|line| line.contains("meanwhile")), "{screen:#?}");
        client.keys("fg\n");
        client.sees("Alice: meanwhile");
        client.keys("back\n");
        alice.expect("Bob: back");
        client.press("C-z");
        client.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
        client.keys("bg; wait; echo gone\n");
        client.signal("TERM");
        client.sees("gone");
        alice.expect("* Bob has left");
        client.is_sane();
    }
}
