//! Commands: lines that begin with a slash.

use crate::support::harness::Server;
use crate::support::lines::{assert_like, bye};

#[test]
fn help_lists_all_commands() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/help\n/nick\n");
    let mut help = String::new();
    loop {
        match alice.line() {
            line if line.starts_with("* ") => help += &(line + "\n"),
            line => break assert_like(&line, "! bad-arguments: …/nick NEWNAME"),
        }
    }
    for command in [
        "/quit [REASON]",
        "/exit",
        "/bye",
        "/q",
        "/who",
        "/names",
        "/msg NAME TEXT",
        "/w",
        "/whisper",
        "/me TEXT",
        "/?",
        "/nick NEWNAME",
        "/ignore [NAME]",
        "/unignore NAME",
        "/ping [TOKEN]",
        "/help",
        "//",
    ] {
        assert!(help.contains(command), "{command} is missing in\n{help}");
    }
    bob.expect_nothing_new();
}

#[test]
fn aliases_work_and_an_action_is_an_ordinary_message() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/names\n/w bob psst\n/whisper bob again\n/me waves\n/me\n/bye now\n");
    alice.expect_rest(&["* 2 here: Alice, Bob", "! bad-arguments: …/me TEXT", &bye("Alice", 3, 1)]);
    bob.expect("Alice (privately): psst");
    bob.expect("Alice (privately): again");
    bob.expect("Alice: /me waves");
    bob.expect("* Alice has left (\"now\")");
    for (quit, left) in [("/exit", "* Carol has left"), ("/Q done", "* Carol has left (\"done\")")] {
        let mut carol = server.join("Carol");
        bob.expect("* Carol has joined");
        carol.send(&format!("{quit}\n"));
        carol.expect_rest(&[&bye("Carol", 0, 0)]);
        bob.expect(left);
    }
    bob.send("/?\n");
    bob.expect("* /who [ROOM]: list who is here, or in ROOM (also /names)");
}

#[test]
fn who_lists_all_peers_sorted_by_name() {
    let server = Server::start();
    let [_carol, _alice, mut bob] = server.join_all(["carol", "Alice", "Bob"]);
    bob.send("/who\n");
    bob.expect("* 3 here: Alice, Bob, carol");
}

#[test]
fn a_long_who_list_is_split_into_several_notices() {
    let server = Server::start();
    let names: Vec<_> = (0..40).map(|at| format!("somebody-with-a-long-name-{at:02}")).collect();
    let _others: Vec<_> = names.iter().map(|name| server.join(name)).collect();
    let mut last = server.join("z");
    last.send("/who\n/nick\n");
    let mut lines = Vec::new();
    loop {
        match last.line() {
            line if line.starts_with("* ") => lines.push(line),
            line => break assert_like(&line, "! bad-arguments: …/nick NEWNAME"),
        }
    }
    assert!(lines.len() > 1, "{lines:?}");
    assert!(lines.iter().all(|line| line.len() < 450), "{lines:?}");
    assert!(lines[1..].iter().all(|line| line.starts_with("* and: ")), "{lines:?}");
    let named = lines.join("").replace("* 41 here: ", "").replace("* and: ", " ");
    assert_eq!(named, names.join(", ") + ", z");
}

#[test]
fn a_private_message_reaches_only_its_recipient() {
    let server = Server::start();
    let [mut alice, mut bob, mut carol] = server.join_all(["Alice", "Bob", "Carol"]);
    alice.send("/msg bob  the key is  under the mat \n");
    bob.expect("Alice (privately): the key is  under the mat");
    carol.expect_nothing_new();
    alice.expect_nothing_new();
}

#[test]
fn a_command_after_a_blank_is_still_private() {
    let server = Server::start();
    let [mut alice, mut bob, mut zoe] = server.join_all(["Alice", "Bob", "Zoe"]);
    alice.send(" /msg Zoe my secret\n\u{feff}/msg Zoe and\n\u{200b}\t/mgs Zoe this\n  //msg Zoe said\n");
    zoe.expect("Alice (privately): my secret");
    zoe.expect("Alice (privately): and");
    bob.expect("Alice:   /msg Zoe said");
    alice.expect("! unknown-command: … /mgs…");
}

#[test]
fn a_private_message_to_an_unknown_name_is_refused_and_reaches_nobody() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/msg Dave hello\n");
    alice.expect("! no-such-user: … Dave…");
    alice.send("/msg *** hello\n");
    alice.expect("! no-such-user: … ***…");
    bob.expect_nothing_new();
}

#[test]
fn a_ping_is_answered_in_order_and_only_to_its_sender() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/ping early\nhi\n/msg Dave hi\n/foo\n/PING\nhi again\n/ping two words \n");
    alice.expect("* Pong early");
    alice.expect("! no-such-user: … Dave…");
    alice.expect("! unknown-command: … /foo…");
    alice.expect("* Pong");
    alice.expect("* Pong two words");
    bob.expect("Alice: hi");
    bob.expect("Alice: hi again");
    bob.expect_nothing_new();
}

#[test]
fn a_ping_token_is_made_safe_and_shortened() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let longest = "é".repeat(64);
    alice.send(&format!("/ping \x1b[2J\n/ping {longest}\n/ping {longest}é\n/ping {}\n", "x".repeat(4096)));
    alice.expect("* Pong ^[[2J");
    alice.expect(&format!("* Pong {longest}"));
    assert_eq!(alice.line(), format!("* Pong {longest}…"));
    alice.expect("! line-too-long: …4096…");
}

#[test]
fn a_command_with_missing_arguments_is_refused_with_its_usage() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    for (line, usage) in [
        ("/msg", "/msg NAME TEXT"),
        ("/msg Bob", "/msg NAME TEXT"),
        ("/msg Bob   ", "/msg NAME TEXT"),
        ("/nick", "/nick NEWNAME"),
        ("/nick  ", "/nick NEWNAME"),
        ("/unignore", "/unignore NAME"),
    ] {
        alice.send(&format!("{line}\n"));
        alice.expect(&format!("! bad-arguments: …{usage}"));
    }
    bob.expect_nothing_new();
}

#[test]
fn a_rename_is_announced_and_applies_to_later_lines() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("before\n/nick Alicia\nafter\n/msg Bob psst\n");
    alice.expect("* Alice is now Alicia");
    bob.expect("Alice: before");
    bob.expect("* Alice is now Alicia");
    bob.expect("Alicia: after");
    bob.expect("Alicia (privately): psst");
    bob.send("/msg Alicia back\n");
    alice.expect("Bob (privately): back");
    alice.send("/quit\n");
    alice.expect(&bye("Alicia", 3, 0));
    bob.expect("* Alicia has left");
}

#[test]
fn a_new_name_that_is_taken_is_refused_and_the_old_one_stays() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/nick BOB\n");
    alice.expect("! name-taken: BOB …");
    alice.send("still Alice\n");
    bob.expect("Alice: still Alice");
}

#[test]
fn a_new_name_that_breaks_a_rule_is_refused_and_the_old_one_stays() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/nick two words\n");
    alice.expect("! bad-name");
    alice.send("/nick *\n");
    alice.expect("! bad-name: …'*'…");
    alice.send(&format!("/nick {}\n", "x".repeat(33)));
    alice.expect("! bad-name: …32…");
    alice.send("still Alice\n");
    bob.expect("Alice: still Alice");
}

#[test]
fn a_peer_can_respell_its_own_name() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/nick ALICE\n");
    alice.expect("* Alice is now ALICE");
    bob.expect("* Alice is now ALICE");
    alice.send("/nick ALICE\n");
    alice.expect("* You are already ALICE…");
    bob.expect_nothing_new();
}

#[test]
fn a_name_that_was_given_up_is_free() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/nick Alicia\n");
    alice.expect("* Alice is now Alicia");
    let _newcomer = server.join("Alice");
    bob.expect("* Alice is now Alicia");
    bob.expect("* Alice has joined");
    bob.send("/who\n");
    bob.expect("* 3 here: Alice, Alicia, Bob");
    bob.send("/nick alicia\n");
    bob.expect("! name-taken: alicia …");
}

#[test]
fn an_unknown_command_is_refused_and_never_relayed() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    for (line, shown) in [("/mgs Bob secret", "/mgs"), ("/", "/"), ("/ who", "/"), ("/\x1b[2J", "/^[[2J")] {
        alice.send(&format!("{line}\n"));
        let refusal = alice.line();
        assert_like(&refusal, "! unknown-command");
        assert!(refusal.contains(&format!(" {shown};")), "{refusal:?}");
    }
    bob.expect_nothing_new();
}

#[test]
fn a_long_unknown_command_is_quoted_in_part() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    alice.send(&format!("/{}\n", "x".repeat(3000)));
    let refusal = alice.line();
    assert_like(&refusal, "! unknown-command");
    assert!(refusal.contains(&format!(" /{}…;", "x".repeat(39))), "{refusal:?}");
}

#[test]
fn commands_ignore_case() {
    let server = Server::start();
    let [mut alice, mut bob] = server.join_all(["Alice", "Bob"]);
    alice.send("/WHO\n/Msg BOB psst\n/nIcK Alicia\n/QUIT Gone Fishing\n");
    alice.expect("* 2 here: Alice, Bob");
    alice.expect("* Alice is now Alicia");
    alice.expect(&bye("Alicia", 1, 0));
    bob.expect("Alice (privately): psst");
    bob.expect("* Alice is now Alicia");
    bob.expect("* Alicia has left (\"Gone Fishing\")");
}

#[test]
fn replies_come_in_the_order_of_the_lines() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    alice.send("/who\n/nope\n/nick Al\n/msg Bob x\n/quit\n");
    alice.expect_rest(&[
        "* 1 here: Alice",
        "! unknown-command: … /nope…",
        "* Alice is now Al",
        "! no-such-user: … Bob…",
        &bye("Al", 0, 2),
    ]);
}
