//! The prompt says in which room the person is. A fake server plays the other side.

use super::tmux_client::{COLUMNS, TmuxClient};
use crate::support::harness::{FakeServer, Peer};

fn start(fake: &FakeServer) -> Option<(TmuxClient, Peer)> {
    let client = TmuxClient::start_without_waiting(fake.address, &[])?;
    let peer = fake.welcome("Bob");
    client.sees("* Welcome, Bob.");
    client.has_typed("");
    Some((client, peer))
}

/// Waits until the last line of the screen is this.
#[track_caller]
fn ends_with(client: &TmuxClient, line: &str) -> Vec<String> {
    client.shows(line, |screen| screen.last().is_some_and(|last| last == line))
}

#[test]
fn the_prompt_follows_the_person_and_the_typed_line_stays() {
    let fake = FakeServer::start();
    let Some((client, mut peer)) = start(&fake) else { return };
    peer.send("* You are now in dev. Nobody else is here.\n");
    ends_with(&client, "dev>");
    client.keys("half a line");
    ends_with(&client, "dev> half a line");
    (0..4).for_each(|_| client.moves("Left"));
    peer.send("* You are now in development. 1 other here: Al.\nAl: hi\n");
    ends_with(&client, "development> half a line");
    // The cursor is where it was.
    client.keys("new ");
    client.sees("Al: hi");
    let screen = ends_with(&client, "development> half a new line");
    assert_eq!(
        screen[screen.len() - 4..],
        [
            "* You are now in dev. Nobody else is here.",
            "* You are now in development. 1 other here: Al.",
            "Al: hi",
            "development> half a new line",
        ]
    );
    peer.send("* development was closed by Olga\n");
    ends_with(&client, "> half a new line");
    client.keys("\n");
    peer.expect("half a new line");
    let screen = ends_with(&client, ">");
    assert!(!screen.iter().any(|line| line.ends_with("> half a new line")), "{screen:#?}");
}

#[test]
fn a_client_that_enters_a_room_at_once_has_its_prompt() {
    let fake = FakeServer::start();
    let Some(client) = TmuxClient::start_without_waiting(fake.address, &["--room", "dev"]) else { return };
    let mut peer = fake.accept("Bob #dev");
    peer.send("* Welcome to dev, Bob. You are the first here. /help lists the commands.\n");
    ends_with(&client, "dev>");
}

/// The editor draws nothing else in between, so no message is lost or drawn over another.
#[test]
fn messages_arrive_unharmed_while_the_prompt_changes_again_and_again() {
    const CHANGES: usize = 60;
    let fake = FakeServer::start();
    let Some((client, mut peer)) = start(&fake) else { return };
    client.keys("typed");
    client.has_typed("typed");
    let mut expected = Vec::new();
    for change in 0..CHANGES {
        let room = ["a", "room-with-a-long-name", "b2"][change % 3];
        let notice = format!("* You are now in {room}. Nobody else is here.");
        let messages: Vec<_> = (0..3).map(|number| format!("Al: message {change}.{number}")).collect();
        peer.send(&format!("{notice}\n"));
        messages.iter().for_each(|message| peer.send(&format!("{message}\n")));
        expected.push(notice);
        expected.extend(messages);
        client.keys("x");
    }
    let line = format!("typed{}", "x".repeat(CHANGES));
    let last = "* You are now in lobby. Nobody else is here.";
    peer.send(&format!("{last}\n"));
    expected.extend([last.to_owned(), format!("> {line}")]);
    // The prompt may be drawn first.
    let screen = client.shows("all of it", |screen| screen.ends_with(&expected[expected.len() - 2..]));
    let first = screen.iter().position(|shown| *shown == expected[0]).unwrap();
    assert_eq!(screen[first..], expected);
}

#[test]
fn a_typed_line_of_several_rows_stays_when_the_prompt_changes() {
    let fake = FakeServer::start();
    let Some((client, mut peer)) = start(&fake) else { return };
    let line = "0123456789".repeat(COLUMNS / 5);
    client.keys(&line);
    client.has_typed(&line);
    peer.send("* You are now in dev. Nobody else is here.\n");
    ends_with(&client, &format!("dev> {line}"));
    client.keys("x\n");
    peer.expect(&format!("{line}x"));
    client.sees("Bob: 0123456789");
    let screen = ends_with(&client, "dev>");
    assert_eq!(screen.iter().filter(|shown| shown.contains("0123456789")).count(), 1, "{screen:#?}");
}

#[test]
fn a_search_is_not_disturbed() {
    let fake = FakeServer::start();
    let Some((client, mut peer)) = start(&fake) else { return };
    client.keys("first words\n");
    peer.expect("first words");
    client.press("C-r");
    client.keys("wor");
    client.sees("(reverse-i-search)`wor': first words");
    peer.send("* You are now in dev. Nobody else is here.\n");
    client.keys("ds");
    client.sees("(reverse-i-search)`words': first words");
    client.press("C-e");
    ends_with(&client, "dev> first words");
    client.sees("* You are now in dev.");
}

#[test]
fn a_password_stays_hidden_when_the_prompt_changes() {
    let fake = FakeServer::start();
    let Some((client, mut peer)) = TmuxClient::asked_for_a_password(&fake, &[]) else { return };
    client.keys("open sesa");
    peer.send("* You are now in dev. Nobody else is here.\n");
    ends_with(&client, "dev>");
    client.keys("me\n");
    client.sees("-- Repeat the new password.");
    client.keys("open sesame\n");
    peer.expect("/register");
    peer.send("* Send the new password as the next line.\n");
    peer.expect("open sesame");
    let screen = client.screen().join("\n");
    assert!(!screen.contains("sesa"), "{screen}");
}
