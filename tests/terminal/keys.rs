//! What keys do.

use rustix::process::Signal;

use super::desk::Desk;
use crate::support::harness::{FakeServer, Server};
use crate::support::program::ServerProgram;

#[test]
fn the_history_is_walked_and_searched_and_kept_for_the_next_time() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    let mut cancelled = 0;
    for line in ["first words", "other words", "/register hunter2", "/PASSWORD hunter2 hunter3"] {
        desk.keys(&format!("{line}\n"));
        desk.has_typed("");
        if !line.starts_with('/') {
            alice.expect(&format!("Bob: {line}"));
            continue;
        }
        // Until then, what is typed is a password.
        desk.press("C-c");
        cancelled += 1;
        desk.shows("the end of it", |screen| {
            screen.iter().filter(|line| line.starts_with("-- Cancelled")).count() == cancelled
        });
    }
    desk.keys("draft");
    desk.press("Up");
    desk.has_typed("other words");
    desk.press("Up");
    desk.has_typed("first words");
    desk.press("Down");
    desk.press("Down");
    desk.has_typed("draft");
    desk.press("C-c");
    desk.press("C-r");
    desk.keys("fir");
    desk.shows("what was searched", |screen| screen.last().is_some_and(|line| line.ends_with("first words")));
    desk.press("Enter");
    alice.expect("Bob: first words");
    assert_eq!(desk.history().unwrap(), "first words\nother words\nfirst words\n");
}

#[test]
fn the_cursor_is_at_the_end_of_a_line_from_the_history() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    for line in ["one", "three"] {
        desk.keys(&format!("{line}\n"));
        desk.sees(&format!("Bob: {line}"));
    }
    desk.keys("draft");
    for (key, line) in [("Up", "three"), ("C-p", "one"), ("Down", "three"), ("M-<", "one"), ("M->", "draft")] {
        desk.press(key);
        desk.has_typed(line);
        desk.keys("!");
        desk.has_typed(&format!("{line}!"));
    }
    desk.press("C-_");
    desk.has_typed("draft");
}

#[test]
fn the_end_of_a_search_leaves_nothing_on_the_screen() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    // Without a server nothing comes that would have the line drawn again.
    drop(server);
    desk.sees("-- The server has shut down");
    desk.keys("first words\n");
    desk.sees("-- Not connected; your line will be sent when you are back.");
    // What is found begins with what was searched, or does not; or nothing is found, or searched.
    for (searched, found) in [("fir", "first words"), ("wor", "first words"), ("x", ""), ("", "")] {
        for key in ["Enter", "C-c", "Escape", "C-g"] {
            desk.press("C-r");
            desk.keys(searched);
            desk.shows("the search", |screen| {
                let prompt = format!("reverse-i-search)`{searched}': {found}");
                screen.last().is_some_and(|last| last.ends_with(prompt.trim_end()))
            });
            desk.press(key);
            desk.has_typed("");
            desk.keys("abc");
            desk.has_typed("abc");
            desk.press("C-u");
            desk.has_typed("");
        }
    }
}

#[test]
fn no_history_keeps_nothing() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &["--no-history"]) else { return };
    desk.keys("hello\n");
    desk.sees("Bob: hello");
    desk.press("Up");
    desk.has_typed("hello");
    assert_eq!(desk.history(), None);
}

#[test]
fn words_are_moved_over_and_deleted() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    desk.keys("one two three");
    desk.press("C-w");
    desk.press("M-b");
    desk.keys("and ");
    desk.has_typed("one and two");
    desk.press("C-a");
    desk.press("M-f");
    desk.keys(" more");
    desk.has_typed("one more and two");
}

#[test]
fn tab_completes_the_names_of_those_who_are_here_and_commands() {
    let server = Server::start();
    let mut early = server.join("Early");
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    let late = server.join("Late");
    desk.sees("* Late has joined");
    desk.keys("ea\tgood morning");
    desk.has_typed("Early: good morning");
    desk.press("C-c");
    desk.keys("/ms\tla\tpsst");
    desk.has_typed("/msg Late psst");
    desk.press("C-c");
    drop(late);
    desk.sees("* Late has left");
    desk.keys("la\t");
    desk.has_typed("la");
    desk.press("C-c");
    early.send("/nick Dawn\n");
    desk.sees("* Early is now Dawn");
    desk.keys("hello da\t");
    desk.shows("the new name", |screen| screen.last().is_some_and(|line| line == "> hello Dawn"));
}

#[test]
fn ctrl_c_clears_the_line_then_asks_then_leaves() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    desk.keys("never mind");
    desk.has_typed("never mind");
    desk.press("C-c");
    desk.has_typed("");
    desk.keys("hello\n");
    let screen = desk.sees("Bob: hello");
    assert!(!screen.iter().any(|line| line.contains("Ctrl-C")), "there was a line to clear: {screen:#?}");
    desk.press("C-c");
    desk.sees("-- Ctrl-C again leaves, and so does Ctrl-D.");
    desk.press("C-c");
    alice.expect("Bob: hello");
    alice.expect("* Bob has left");
    desk.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    desk.sees("ended with 0");
    desk.is_sane();
}

#[test]
fn ctrl_d_leaves_and_the_last_line_is_sent_first() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    desk.keys("last words\n");
    desk.press("C-d");
    alice.expect("Bob: last words");
    alice.expect("* Bob has left");
    desk.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    desk.sees("ended with 0");
}

#[test]
fn ctrl_d_says_what_it_waits_for_when_the_server_hangs() {
    let server = ServerProgram::start(&[]);
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    server.program.signal(Signal::STOP);
    desk.press("C-d");
    desk.sees("-- Waiting for the server to say goodbye. Ctrl-D leaves without that.");
    desk.press("C-d");
    desk.sees("ended with ");
}

#[test]
fn ctrl_z_stops_it_and_fg_goes_on_with_the_typed_line() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    desk.keys("half a li");
    desk.has_typed("half a li");
    desk.press("C-z");
    desk.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
    alice.send("while you were away\n");
    desk.keys("fg\n");
    desk.sees("Alice: while you were away");
    desk.has_typed("half a li");
    desk.keys("ne\n");
    alice.expect("Bob: half a line");
    desk.press("C-d");
    desk.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
    desk.is_sane();
}

#[test]
fn the_typed_line_is_drawn_after_a_stop_whatever_modes_the_shell_gives_it() {
    let server = Server::start();
    let Some(desk) = Desk::sit_down(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    desk.sees("* Alice has joined");
    desk.keys("half a li");
    desk.has_typed("half a li");
    desk.signal("STOP");
    desk.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
    // As zsh and fish do of themselves.
    desk.keys("stty -icanon -echo -isig -iexten -icrnl -ixon; fg\n");
    desk.has_typed("half a li");
    desk.keys("ne\n");
    alice.expect("Bob: half a line");
}

#[test]
fn after_ctrl_z_and_fg_a_password_is_still_hidden() {
    for options in [&[][..], &["--plain"]] {
        let server = FakeServer::start();
        let Some((desk, mut peer)) = Desk::asked_for_a_password(&server, options) else { return };
        desk.stops_and_goes_on(|| desk.press("C-z"));
        if options.is_empty() {
            desk.keys("hunter2");
        }
        desk.stops_and_goes_on(|| desk.signal("TSTP"));
        desk.stops_and_goes_on(|| desk.signal("STOP"));
        if !options.is_empty() {
            // What a plain terminal holds of a line goes to whoever reads next, which would be the shell.
            desk.keys("hunter2");
        }
        desk.keys("\n");
        desk.sees("-- The new password again?");
        desk.keys("hunter2\n");
        peer.expect("/register");
        peer.send("* Send the new password as the next line.\n");
        peer.expect("hunter2");
        let screen = desk.screen();
        assert!(!screen.iter().any(|line| line.contains("hunter2")), "{screen:#?}");
    }
}

#[test]
fn ctrl_c_cancels_a_question_for_a_password_and_nothing_is_sent() {
    for options in [&[][..], &["--plain"]] {
        let server = FakeServer::start();
        let Some((desk, mut peer)) = Desk::asked_for_a_password(&server, options) else { return };
        desk.keys("hunter2\nhun");
        desk.sees("-- The new password again?");
        desk.press("C-c");
        desk.sees("-- Cancelled; nothing was sent.");
        desk.keys("hello\n");
        peer.expect("hello");
        let screen = desk.screen();
        assert!(!screen.iter().any(|line| line.contains("hun")), "{screen:#?}");
    }
}
