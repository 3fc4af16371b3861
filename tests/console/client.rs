//! A person types at the console while others talk.

use std::net::SocketAddr;
use std::process::Command;

use crate::console::{BACKSPACE, CTRL_C, CTRL_D, Console, ENTER, LEFT, TAB, UP};
use crate::support::harness::{FakeServer, Server};
use crate::support::program::{CLIENT, Program};

const REQUIRED: &str = "! password-required: send the password as the next line";

fn client(address: SocketAddr) -> Command {
    let mut command = Command::new(CLIENT);
    // Wine shows the codes of colours as text.
    command.args(Program::client_arguments(address, "Bob")).args(["--color", "never", "--no-history"]);
    command.env_remove("LINECHAT_PASSWORD").env_remove("TERM");
    command
}

impl Console {
    /// Nothing else on the screen contains any of these letters.
    #[track_caller]
    fn has_not_shown_the_password(&self) {
        let (rows, _) = self.shown();
        assert!(!rows.iter().any(|row| row.contains(['ζ', 'ξ', 'ψ'])), "{rows:#?}");
    }
}

#[test]
fn an_edited_line_is_sent() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let console = Console::open();
    let _bob = console.start(client(server.address));
    alice.expect("* Bob has joined");
    console.sees("* Welcome, Bob. 1 other here: Alice.");
    console.has_typed("");
    console.type_in("worx");
    console.press(&[BACKSPACE]);
    console.type_in("d");
    console.has_typed("word");
    console.press(&[LEFT]);
    console.type_in("l");
    console.shows("an l before the d", |rows, to_cursor| {
        rows.last().is_some_and(|row| row == "> world") && to_cursor == "> worl"
    });
    console.press(&[ENTER]);
    console.sees("Bob: world");
    alice.expect("Bob: world");
    console.has_typed("");
    console.type_in("Zoë 世界");
    console.press(&[ENTER]);
    alice.expect("Bob: Zoë 世界");
}

#[test]
fn keys_recall_clear_complete_and_leave() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let console = Console::open();
    let mut bob = console.start(client(server.address));
    alice.expect("* Bob has joined");
    console.sees("* Welcome, Bob. 1 other here: Alice.");
    console.type_in("hello");
    console.press(&[ENTER]);
    alice.expect("Bob: hello");
    console.has_typed("");
    console.press(&[UP]);
    console.has_typed("hello");
    console.press(&[CTRL_C]);
    console.has_typed("");
    console.type_in("ali");
    console.press(&[TAB]);
    console.has_typed("Alice: ");
    console.press(&[CTRL_C]);
    console.has_typed("");
    console.press(&[CTRL_D]);
    alice.expect("* Bob has left");
    let done = bob.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_message_does_not_destroy_the_half_typed_line() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let console = Console::open();
    let _bob = console.start(client(server.address));
    alice.expect("* Bob has joined");
    console.sees("* Welcome, Bob. 1 other here: Alice.");
    console.type_in("half a li");
    console.has_typed("half a li");
    alice.send("hello there\n");
    console.sees("Alice: hello there");
    console.has_typed("half a li");
    console.type_in("ne");
    console.has_typed("half a line");
    console.press(&[ENTER]);
    console.sees("Bob: half a line");
    alice.expect("Bob: half a line");
}

#[test]
fn a_password_is_not_shown() {
    type_a_password(&[], |console| console.has_typed("hello"));
}

#[test]
fn without_an_editor_lines_are_sent_and_a_password_is_not_shown() {
    type_a_password(&["--plain"], |console| console.sees("hello"));
}

/// Types a password, and then a line that `shown` waits for.
fn type_a_password(arguments: &[&str], shown: impl FnOnce(&Console)) {
    let fake = FakeServer::start();
    let console = Console::open();
    let mut command = client(fake.address);
    command.args(arguments);
    let _bob = console.start(command);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    console.sees("-- Password of Bob or the server?");
    console.type_in("ζξx");
    console.press(&[BACKSPACE]);
    console.type_in("ψζ");
    console.press(&[ENTER]);
    server.expect("ζξψζ");
    server.send("* Welcome, Bob. You are the first here.\n");
    console.sees("* Welcome, Bob.");
    console.type_in("hello");
    shown(&console);
    console.press(&[ENTER]);
    server.expect("hello");
    console.has_not_shown_the_password();
}
