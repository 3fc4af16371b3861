//! The effects of keys.

use rustix::process::Signal;

use super::tmux_client::TmuxClient;
use crate::support::harness::{FakeServer, Server};
use crate::support::program::ServerProgram;

#[test]
fn the_history_can_be_browsed_and_searched_and_is_saved() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    let mut cancelled = 0;
    for line in ["first words", "other words", "/register hunter2", "/PASSWORD hunter2 hunter3"] {
        client.keys(&format!("{line}\n"));
        client.has_typed("");
        if !line.starts_with('/') {
            alice.expect(&format!("Bob: {line}"));
            continue;
        }
        // Until then, the input is a password.
        client.press("C-c");
        cancelled += 1;
        client.shows("the end of it", |screen| {
            screen.iter().filter(|line| line.starts_with("-- Cancelled")).count() == cancelled
        });
    }
    client.keys("draft");
    client.press("Up");
    client.has_typed("other words");
    client.press("Up");
    client.has_typed("first words");
    client.press("Down");
    client.press("Down");
    client.has_typed("draft");
    client.press("C-c");
    client.press("C-r");
    client.keys("fir");
    client.shows("what was searched", |screen| screen.last().is_some_and(|line| line.ends_with("first words")));
    client.press("Enter");
    alice.expect("Bob: first words");
    assert_eq!(client.history().unwrap(), "first words\nother words\nfirst words\n");
}

#[test]
fn the_cursor_is_at_the_end_of_a_line_from_the_history() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    for line in ["one", "three"] {
        client.keys(&format!("{line}\n"));
        client.sees(&format!("Bob: {line}"));
    }
    client.keys("draft");
    for (key, line) in [("Up", "three"), ("C-p", "one"), ("Down", "three"), ("M-<", "one"), ("M->", "draft")] {
        client.press(key);
        client.has_typed(line);
        client.keys("!");
        client.has_typed(&format!("{line}!"));
    }
    client.press("C-_");
    client.has_typed("draft");
}

#[test]
fn the_end_of_a_search_leaves_nothing_on_the_screen() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    // Without a server, no message causes a redraw of the line.
    drop(server);
    client.sees("-- The server has shut down");
    client.keys("first words\n");
    client.sees("-- Not connected; your line will be sent after reconnecting.");
    // The match starts with the search term or contains it elsewhere; or there is no match, or no term.
    for (searched, found) in [("fir", "first words"), ("wor", "first words"), ("x", ""), ("", "")] {
        for key in ["Enter", "C-c", "Escape", "C-g"] {
            client.press("C-r");
            client.keys(searched);
            client.shows("the search", |screen| {
                let prompt = format!("reverse-i-search)`{searched}': {found}");
                screen.last().is_some_and(|last| last.ends_with(prompt.trim_end()))
            });
            client.press(key);
            client.has_typed("");
            client.keys("abc");
            client.has_typed("abc");
            client.press("C-u");
            client.has_typed("");
        }
    }
}

#[test]
fn no_history_saves_nothing() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &["--no-history"]) else { return };
    client.keys("hello\n");
    client.sees("Bob: hello");
    client.press("Up");
    client.has_typed("hello");
    assert_eq!(client.history(), None);
}

#[test]
fn keys_move_over_words_and_delete_them() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    client.keys("one two three");
    client.press("C-w");
    client.press("M-b");
    client.keys("and ");
    client.has_typed("one and two");
    client.press("C-a");
    client.press("M-f");
    client.keys(" more");
    client.has_typed("one more and two");
}

#[test]
fn tab_completes_names_and_commands() {
    let server = Server::start();
    let mut early = server.join("Early");
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let late = server.join("Late");
    client.sees("* Late has joined");
    client.keys("ea\tgood morning");
    client.has_typed("Early: good morning");
    client.press("C-c");
    client.keys("/ms\tla\tpsst");
    client.has_typed("/msg Late psst");
    client.press("C-c");
    drop(late);
    client.sees("* Late has left");
    client.keys("la\t");
    client.has_typed("la");
    client.press("C-c");
    early.send("/nick Dawn\n");
    client.sees("* Early is now Dawn");
    client.keys("hello da\t");
    client.shows("the new name", |screen| screen.last().is_some_and(|line| line == "> hello Dawn"));
}

#[test]
fn ctrl_c_clears_the_line_then_asks_then_leaves() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("never mind");
    client.has_typed("never mind");
    client.press("C-c");
    client.has_typed("");
    client.keys("hello\n");
    let screen = client.sees("Bob: hello");
    assert!(!screen.iter().any(|line| line.contains("Ctrl-C")), "there was a line to clear: {screen:#?}");
    client.press("C-c");
    client.sees("-- Press Ctrl-C again or Ctrl-D to leave.");
    client.press("C-c");
    alice.expect("Bob: hello");
    alice.expect("* Bob has left");
    client.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    client.sees("ended with 0");
    client.is_sane();
}

#[test]
fn ctrl_d_leaves_after_the_last_line_is_sent() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("last words\n");
    client.press("C-d");
    alice.expect("Bob: last words");
    alice.expect("* Bob has left");
    client.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    client.sees("ended with 0");
}

#[test]
fn ctrl_d_says_what_it_waits_for_when_the_server_hangs() {
    let server = ServerProgram::start(&[]);
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    server.program.signal(Signal::STOP);
    client.press("C-d");
    client.sees("-- Waiting for the server to say goodbye. Ctrl-D leaves without waiting.");
    client.press("C-d");
    client.sees("ended with ");
}

#[test]
fn ctrl_z_stops_the_client_and_fg_restores_the_typed_line() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("half a li");
    client.has_typed("half a li");
    client.press("C-z");
    client.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
    alice.send("while you were away\n");
    client.keys("fg\n");
    client.sees("Alice: while you were away");
    client.has_typed("half a li");
    client.keys("ne\n");
    alice.expect("Bob: half a line");
    client.press("C-d");
    client.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
    client.is_sane();
}

#[test]
fn after_a_stop_the_typed_line_is_drawn_whatever_modes_the_shell_sets() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.sees("* Alice has joined");
    client.keys("half a li");
    client.has_typed("half a li");
    client.signal("STOP");
    client.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
    // As zsh and fish do by themselves.
    client.keys("stty -icanon -echo -isig -iexten -icrnl -ixon; fg\n");
    client.has_typed("half a li");
    client.keys("ne\n");
    alice.expect("Bob: half a line");
}

#[test]
fn after_ctrl_z_and_fg_a_password_is_still_hidden() {
    for options in [&[][..], &["--plain"]] {
        let server = FakeServer::start();
        let Some((client, mut peer)) = TmuxClient::asked_for_a_password(&server, options) else { return };
        client.stops_and_goes_on(|| client.press("C-z"));
        if options.is_empty() {
            client.keys("hunter2");
        }
        client.stops_and_goes_on(|| client.signal("TSTP"));
        client.stops_and_goes_on(|| client.signal("STOP"));
        if !options.is_empty() {
            // Text that a plain terminal holds goes to the next reader, which would be the shell.
            client.keys("hunter2");
        }
        client.keys("\n");
        client.sees("-- Repeat the new password.");
        client.keys("hunter2\n");
        peer.expect("/register");
        peer.send("* Send the new password as the next line.\n");
        peer.expect("hunter2");
        let screen = client.screen();
        assert!(!screen.iter().any(|line| line.contains("hunter2")), "{screen:#?}");
    }
}

#[test]
fn ctrl_c_cancels_a_password_question_and_nothing_is_sent() {
    for options in [&[][..], &["--plain"]] {
        let server = FakeServer::start();
        let Some((client, mut peer)) = TmuxClient::asked_for_a_password(&server, options) else { return };
        client.keys("hunter2\nhun");
        client.sees("-- Repeat the new password.");
        client.press("C-c");
        client.sees("-- Cancelled; nothing was sent.");
        client.keys("hello\n");
        peer.expect("hello");
        let screen = client.screen();
        assert!(!screen.iter().any(|line| line.contains("hun")), "{screen:#?}");
    }
}
