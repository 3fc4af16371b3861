//! Output never breaks the typed line.

use std::thread;
use std::time::Duration;

use super::tmux_client::{COLUMNS, TmuxClient};
use crate::support::harness::Server;

#[test]
fn a_half_typed_line_survives_incoming_messages_and_a_resize() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("half a li");
    client.has_typed("half a li");
    alice.send("one\nzwei: Grüße, 世界 🎉 👩‍👩‍👧\nthree\n");
    let screen = client.sees("Alice: three");
    assert_eq!(
        screen[screen.len() - 4..],
        ["Alice: one", "Alice: zwei: Grüße, 世界 🎉 👩‍👩‍👧", "Alice: three", "> half a li"]
    );
    client.resize(30);
    alice.send("narrow\n");
    client.sees("Alice: narrow");
    client.resize(90);
    alice.send("wide\n");
    client.sees("Alice: wide");
    client.keys("ne\n");
    alice.expect("Bob: half a line");
    let screen = client.sees("Bob: half a line");
    assert!(!screen.iter().any(|line| line.starts_with("> half")), "an echo was left: {screen:#?}");
}

#[test]
fn a_typed_line_of_several_rows_and_wide_characters_survives() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    let long = "山田さん ".repeat(COLUMNS / 4);
    client.keys(&long);
    client.has_typed(long.trim_end());
    alice.send("one\ntwo\nthree\n");
    client.sees("Alice: three");
    client.has_typed(long.trim_end());
    client.keys("!\n");
    alice.expect(&format!("Bob: {long}!"));
    let screen = client.sees("Bob: 山田さん");
    assert_eq!(screen.iter().filter(|line| line.contains("山田")).count(), 1, "{screen:#?}");
}

/// The terminal reflows the screen, so the typed line has more or fewer rows than before.
#[test]
fn a_typed_line_of_several_rows_survives_every_resize() {
    let letters: String = (0..147).map(|at| char::from(b'a' + at % 26)).collect();
    for (line, keys, messages) in [
        (&letters, &[][..], 3),
        (&letters, &["C-a"][..], 30),
        (&letters, &["M-b"][..], 30),
        (&"山田さ ".repeat(20), &[][..], 3),
    ] {
        let server = Server::start();
        let Some(client) = TmuxClient::start(server.address, &[]) else { return };
        let mut alice = server.join("Alice");
        let said = |text: &str| format!("Alice: {text}");
        let texts: Vec<_> = (0..messages).map(|number| format!("{number} {}", "~".repeat(70))).collect();
        texts.iter().for_each(|text| alice.send(&format!("{text}\n")));
        let mut expected: Vec<_> = texts.iter().map(|text| said(text)).collect();
        client.sees(&expected[expected.len() - 1]);
        client.keys(line);
        client.has_typed(line);
        keys.iter().for_each(|key| client.moves(key));
        for (number, columns) in [30, 90, 45, 149, 40, 60, 150, 75, 20, 60].into_iter().enumerate() {
            client.resize(columns);
            // Once this is shown, the client has redrawn after the resize. Some widths repeat, but the messages differ.
            let text = format!("resize {number}, {columns} columns");
            alice.send(&format!("{text}\n"));
            expected.push(said(&text));
            client.sees(&said(&text));
            let screen = client.has_typed(line);
            let first = screen.iter().position(|line| *line == expected[0]).expect("the first message is there");
            assert_eq!(screen[first..screen.len() - 1], expected, "at {columns} columns, after {keys:?}, {messages}");
        }
    }
}

/// With nothing above the typed line, the terminal could move rows of the line off the screen instead.
#[test]
fn on_an_empty_screen_a_resize_duplicates_no_message() {
    let line: String = (0..250).map(|at| char::from(b'a' + at % 26)).collect();
    for (messages, clear) in [(0, false), (1, false), (6, true), (30, true)] {
        let server = Server::start();
        let Some(client) = TmuxClient::in_environment("clear;", server.address, &[]) else { return };
        client.sees("* Welcome, Bob.");
        client.has_typed("");
        client.resize(90);
        let mut alice = server.join("Alice");
        client.sees("* Alice has joined");
        let mut expected: Vec<_> = (0..messages).map(|number| format!("Alice: message {number}")).collect();
        (0..messages).for_each(|number| alice.send(&format!("message {number}\n")));
        expected.iter().for_each(|line| drop(client.sees(line)));
        if clear {
            client.press("C-l");
            client.shows("an empty screen", |_| client.visible() == [">"]);
        }
        client.keys(&line);
        client.has_typed(&line);
        for (number, columns) in [40, 90, 50, 90].into_iter().enumerate() {
            client.resize(columns);
            // Once this is shown, the client has redrawn after the resize.
            let text = format!("resize {number}, {columns} columns");
            alice.send(&format!("{text}\n"));
            expected.push(format!("Alice: {text}"));
            client.sees(&format!("Alice: {text}"));
            let screen = client.has_typed(&line);
            let start = screen.iter().position(|line| *line == "* Alice has joined").expect("the join is there") + 1;
            let shown: Vec<_> = screen[start..screen.len() - 1].iter().filter(|line| !line.is_empty()).collect();
            assert!(shown.into_iter().eq(&expected), "at {columns} columns, {messages}: {screen:#?}");
            assert_eq!(screen.iter().filter(|line| line.starts_with("-- Connected.")).count(), 1, "{screen:#?}");
        }
    }
}

#[test]
fn a_half_typed_line_survives_four_thousand_messages() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.keys("half a li");
    client.has_typed("half a li");
    alice.send(&(0..4000).map(|number| format!("{number}\n")).collect::<String>());
    let screen = client.sees("Alice: 3999");
    let numbers = screen.iter().filter_map(|line| line.strip_prefix("Alice: "));
    assert!(numbers.eq((0..4000).map(|number| number.to_string())), "a message is missing, doubled or out of order");
    client.has_typed("half a li");
    client.keys("ne\n");
    alice.expect("Bob: half a line");
}

/// No line is lost, duplicated or out of order.
#[test]
fn a_hundred_own_lines_race_against_seven_hundred() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    let mut talking = alice.try_clone();
    let talk = thread::spawn(move || {
        for number in 0..700 {
            talking.send(&format!("{number}\n"));
            thread::sleep(Duration::from_millis(10));
        }
    });
    for number in 0..100 {
        client.keys(&format!("mine {number}\n"));
        // Send the next line when this one has arrived. On a busy machine, several at once could count as a paste.
        alice.expect(&format!("Bob: mine {number}"));
    }
    talk.join().unwrap();
    client.sees("Alice: 699");
    let screen = client.sees("Bob: mine 99");
    let of = |who: &str| screen.iter().filter_map(|line| line.strip_prefix(who)).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(of("Bob: "), (0..100).map(|number| format!("mine {number}")).collect::<Vec<_>>());
    assert_eq!(of("Alice: "), (0..700).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn lines_typed_ahead_arrive_completely_and_in_order() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let Some(client) = TmuxClient::start_without_waiting(server.address, &[]) else { return };
    client.keys("one\ntwo\nthree\n");
    alice.expect("* Bob has joined");
    ["one", "two", "three"].iter().for_each(|line| alice.expect(&format!("Bob: {line}")));
}

#[test]
fn a_paste_causes_one_question_and_arrives_completely() {
    for (bracketed, last_end) in [(true, "\n"), (true, ""), (false, "\n"), (false, "")] {
        let server = Server::start();
        let Some(client) = TmuxClient::start(server.address, &[]) else { return };
        let mut alice = server.join("Alice");
        let lines: Vec<_> = (0..200).map(|number| format!("pasted {number} ☃")).collect();
        client.paste(&(lines.join("\n") + last_end), bracketed);
        if bracketed {
            client.sees("pasted 199");
            client.press("Enter");
        }
        client.sees("-- Send 200 lines? Enter sends them, Ctrl-C discards them.");
        alice.expect_nothing_new();
        client.press("Enter");
        lines.iter().for_each(|line| alice.expect(&format!("Bob: {line}")));
        let screen = client.sees("Bob: pasted 199");
        assert_eq!(screen.iter().filter(|line| line.starts_with("-- Send ")).count(), 1);
        assert!(screen.iter().filter_map(|line| line.strip_prefix("Bob: ")).eq(&lines));
    }
}

#[test]
fn ctrl_d_before_the_question_about_a_paste_discards_nothing() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    // Ctrl-D is a key directly after the lines.
    client.keys(&((0..8).map(|number| format!("{number}\n")).collect::<String>() + "\x04"));
    client.sees("-- Send 8 lines? Enter sends them, Ctrl-C discards them.");
    client.sees("-- Not sent yet: 8 lines. Ctrl-D again leaves without sending.");
    // The time that a person needs to read and answer. A key any sooner could be part of the paste.
    thread::sleep(Duration::from_millis(400));
    client.press("Enter");
    (0..8).for_each(|number| alice.expect(&format!("Bob: {number}")));
    // A few lines cause no question.
    client.keys("one\ntwo\n\x04");
    ["Bob: one", "Bob: two", "* Bob has left"].iter().for_each(|line| alice.expect(line));
    client.sees("* Bye, Bob: 10 lines accepted, 0 refused.");
    client.sees("ended with 0");
}

#[test]
fn ctrl_d_at_an_open_question_warns_before_it_discards() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.paste("a\nb\nc\nd\ne\nf\n", false);
    client.sees("-- Send 6 lines?");
    client.press("C-d");
    client.sees("-- Not sent yet: 6 lines. Ctrl-D again leaves without sending.");
    // Another key in between withdraws the first Ctrl-D.
    client.keys("g\n");
    client.sees("-- Send 7 lines?");
    client.press("C-d");
    client.sees("-- Not sent yet: 7 lines. Ctrl-D again leaves without sending.");
    client.press("C-d");
    client.sees("-- 7 lines discarded.");
    client.sees("* Bye, Bob: 0 lines accepted, 0 refused.");
    alice.expect("* Bob has left");
}

#[test]
fn a_paste_can_be_discarded_and_a_small_one_causes_no_question() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.paste("a\nb\nc\nd\ne\nf\n", false);
    client.sees("-- Send 6 lines?");
    client.press("C-c");
    client.sees("-- 6 lines discarded.");
    client.paste("1\n2\n3\n4\n5\n", false);
    (1..=5).for_each(|number| alice.expect(&format!("Bob: {number}")));
}

/// Like a slow connection: the paste pauses after the seventh line, long enough for the question.
#[test]
fn a_paste_cannot_answer_the_question_itself() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.paste("a\nb\nc\nd\ne\nf\ng\n", false);
    client.sees("-- Send 7 lines?");
    client.paste("\nh\ni\nj", false);
    client.sees("-- Send 10 lines?");
    alice.expect_nothing_new();
    client.press("Enter");
    "abcdefghij".chars().for_each(|line| alice.expect(&format!("Bob: {line}")));
    client.has_typed("");
}

#[test]
fn an_answer_and_ctrl_d_at_once_send_a_paste_and_leave() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.paste("a\nb\nc\nd\ne\nf\n", false);
    client.sees("-- Send 6 lines?");
    client.press("Enter");
    client.press("C-d");
    "abcdef".chars().for_each(|line| alice.expect(&format!("Bob: {line}")));
    alice.expect("* Bob has left");
    client.sees("ended with 0");
}

#[test]
fn a_paste_is_discarded_with_its_unfinished_last_line() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    let mut alice = server.join("Alice");
    client.paste("a\nb\nc\nd\ne\nf\nrest", false);
    client.sees("-- Send 7 lines?");
    client.press("C-c");
    client.sees("-- 7 lines discarded.");
    client.has_typed("");
    client.keys("hello\n");
    alice.expect("Bob: hello");
}

#[test]
fn lines_beyond_ten_thousand_waiting_ones_are_refused_and_shown() {
    let server = Server::start();
    let Some(client) = TmuxClient::start(server.address, &[]) else { return };
    drop(server);
    client.sees("-- The server has shut down");
    client.paste(&("kept\n".repeat(10_000) + "one\ntwo\n"), false);
    client.sees("-- Send 10002 lines?");
    client.press("Enter");
    client.sees("-- Not sent, because 10000 lines are already waiting: 2 lines from this one on: one");
}
