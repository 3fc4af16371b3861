//! What the screen shows.

use super::tmux_client::{COLUMNS, TmuxClient};
use crate::support::harness::Server;

#[test]
fn names_notices_and_refusals_have_different_colours() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &["--color", "always"]) else { return };
    let mut alice = server.join("Alice");
    alice.send("hello bob\n");
    client.sees("Alice: hello bob");
    client.keys("/nonsense\n");
    client.sees("! unknown-command");
    let screen = client.colours().join("\n");
    assert!(screen.contains("\x1b[38;5;"), "no colour of a name: {screen:?}");
    assert!(screen.contains("\x1b[1mhello bob"), "one's own name is not highlighted: {screen:?}");
    assert!(screen.contains("\x1b[1m\x1b[31m! unknown-command"), "a refusal is not marked: {screen:?}");
    assert!(screen.contains("\x1b[2m"), "notices are not dimmed: {screen:?}");
}

#[test]
fn color_never_turns_colours_off() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &["--color", "never"]) else { return };
    let mut alice = server.join("Alice");
    alice.send("hello bob\n");
    client.sees("Alice: hello bob");
    let screen = client.colours().join("\n");
    assert!(!screen.contains('\x1b'), "{screen:?}");
}

#[test]
fn no_color_turns_colours_off_unless_the_option_asks_for_them() {
    let server = Server::start();
    for (variables, options, colours) in [
        ("NO_COLOR=1", &[][..], false),
        ("NO_COLOR=", &[], true),
        ("-u NO_COLOR", &[], true),
        ("NO_COLOR=1", &["--color", "always"], true),
    ] {
        let Some(client) = TmuxClient::in_environment(&format!("env {variables}"), server.address, options) else {
            return;
        };
        client.sees("* Welcome, Bob.");
        let screen = client.colours().join("\n");
        assert_eq!(screen.contains("\x1b["), colours, "{variables} {options:?}: {screen:?}");
        client.press("C-d");
        client.sees("ended with 0");
    }
}

#[test]
fn ones_own_name_rings_the_bell_unless_it_is_off() {
    let server = Server::start();
    for (options, bells) in [(&[][..], 2), (&["--no-bell"], 0)] {
        let Some(client) = TmuxClient::start(server.address, options) else { return };
        let mut alice = server.join("Alice");
        client.record();
        alice.send("hello all\nhello bob!\n/msg bob psst\nthat was it\n");
        let written = client.recorded("that was it");
        assert_eq!(written.matches('\x07').count(), bells, "{options:?}: {written:?}");
        client.press("C-d");
        client.sees("ended with 0");
        alice.send("/quit\n");
        alice.rest();
    }
}

/// Dangerous characters become visible text, and wide ones keep their width. Neither disturbs the typed line.
#[test]
fn a_hostile_peer_and_wide_text_cannot_move_the_screen() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("half a li");
    client.has_typed("half a li");
    alice.send("\x1b[2J\x1b[Hgone?\x07\u{202e}\n");
    // Each is wider than a row. In the second and third, a wide character would start in the last column.
    let wide =
        ["世".repeat(COLUMNS), format!("x{}", "界".repeat(COLUMNS)), "🎉".repeat(COLUMNS), "e\u{301}".repeat(COLUMNS)];
    wide.iter().for_each(|text| alice.send(&format!("{text}\n")));
    alice.send("done\n");
    let screen = client.sees("Alice: done");
    let shown: Vec<_> =
        screen.iter().filter_map(|line| line.strip_prefix("Alice: ")).map(|line| line.replace(' ', "")).collect();
    let [first, rest @ .., done] = &shown[..] else { panic!("{screen:#?}") };
    assert_eq!((first.as_str(), done.as_str()), ("^[[2J^[[Hgone?^G<U+202E>", "done"));
    assert_eq!(rest, wide);
    assert!(screen.iter().any(|line| line.starts_with("* Welcome, Bob.")), "{screen:#?}");
    client.has_typed("half a li");
    client.keys("ne\n");
    alice.expect("Bob: half a line");
}

#[test]
fn a_plain_terminal_appends_lines_but_not_to_a_typed_one() {
    for (variables, options) in [("TERM=dumb", &[][..]), ("env -u TERM", &[]), ("", &["--plain"])] {
        let server = Server::start();
        let mut alice = server.join("Alice");
        let Some(client) = TmuxClient::in_environment(variables, server.address, options) else { return };
        client.record();
        alice.expect("* Bob has joined");
        client.sees("Connected to server. You can start typing messages.");
        client.sees("* Welcome, Bob.");
        client.keys("hello\n");
        alice.expect("Bob: hello");
        client.keys("half a li");
        client.sees("half a li");
        alice.send("hi\n");
        client.sees("Alice: hi");
        client.keys("ne\n");
        alice.expect("Bob: half a line");
        alice.send("bye\n");
        let screen = client.sees("Alice: bye");
        let lines: Vec<_> = screen.iter().filter(|line| !line.is_empty()).collect();
        let tail = &lines[lines.len() - 5..];
        assert_eq!(tail, ["hello", "half a li", "Alice: hi", "ne", "Alice: bye"]);
        let written = client.recorded("Alice: bye");
        let acts = written.split_once("Alice: hi").unwrap().1.replace("\r\n", "");
        assert!(!acts.contains(char::is_control), "{variables} {options:?}: {acts:?}");
        client.press("C-d");
        client.sees("* Bye, Bob: 2 lines accepted, 0 refused.");
        client.sees("ended with 0");
        client.is_sane();
    }
}
