//! What the screen shows.

use crate::desk::Desk;
use crate::harness::Server;

#[test]
fn colours_tell_names_notices_and_refusals_apart() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &["--color", "always"]) else { return };
    let mut alice = server.join("Alice");
    alice.send("hello bob\n");
    desk.sees("Alice: hello bob");
    desk.keys("/nonsense\n");
    desk.sees("! unknown-command");
    let screen = desk.colours().join("\n");
    assert!(screen.contains("\x1b[38;5;"), "no colour of a name: {screen:?}");
    assert!(screen.contains("\x1b[1mhello bob"), "one's own name is not highlighted: {screen:?}");
    assert!(screen.contains("\x1b[1m\x1b[31m! unknown-command"), "a refusal is not marked: {screen:?}");
    assert!(screen.contains("\x1b[2m"), "notices are not dimmed: {screen:?}");
}

#[test]
fn without_colour_there_is_none() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &["--color", "never"]) else { return };
    let mut alice = server.join("Alice");
    alice.send("hello bob\n");
    desk.sees("Alice: hello bob");
    let screen = desk.colours().join("\n");
    assert!(!screen.contains('\x1b'), "{screen:?}");
}

#[test]
fn a_hostile_peer_and_wide_text_cannot_move_the_screen() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    alice.send("\x1b[2J\x1b[Hgone?\x07\n");
    desk.sees("Alice: ^[[2J^[[Hgone?^G");
    desk.sees("* Welcome, Bob.");
}

#[test]
fn plain_only_adds_lines() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let Some(desk) = Desk::hurry(server.address, &["--plain"]) else { return };
    alice.expect("* Bob has joined");
    desk.sees("Connected to server. You can start typing messages.");
    desk.keys("hello\n");
    alice.expect("Bob: hello");
    alice.send("hi\n");
    let screen = desk.sees("Alice: hi");
    assert!(screen.iter().any(|line| line == "hello"), "the terminal's own echo: {screen:#?}");
}
