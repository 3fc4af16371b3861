//! A password that a person types at a terminal: it reaches the server, and nothing else.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use linechat::client::terminal;
use rustix::process::Signal;
use rustix::termios::{LocalModes, tcgetattr};

use super::editor::{Modes, Person, client, panic_beside};
use super::plain::plain_terminal;
use crate::server::password::{REQUIRED, TOO_MANY, WRONG, outer_address, password_file};
use crate::support::folder::Folder;
use crate::support::harness::{DEADLINE, FakeServer, Peer, own_address, skipped};
use crate::support::program::{CLIENT, Output, Program, ServerProgram, server_of_another_user, without_time};

/// Nothing else on the screen contains any of these letters, so a single leaked letter is detected.
const SECRET: &str = "ζξψζξψξζ";
/// The first row of the question.
const ASKED: &str = "-- Password of Bob or the server? What you type is not";
const WELCOME: &str = "* Welcome, Bob. You are the first here.\n";
const WELCOME_BACK: &str = "* Welcome, Bob. You are the first here.\n* Nothing was said after 0.\n";

fn shows_secret(text: &[u8]) -> bool {
    String::from_utf8_lossy(text).contains(['ζ', 'ξ', 'ψ'])
}

impl Person {
    /// Asserts that no letter of the password was written to the terminal.
    #[track_caller]
    fn has_not_shown_it(&self) {
        assert!(!shows_secret(&self.bytes), "{}", String::from_utf8_lossy(&self.bytes));
    }
}

/// Bob at the editor, whom the server has asked for his password.
fn asked(fake: &FakeServer, options: &[&str]) -> (Person, Peer) {
    let mut command = client(fake.address, options);
    command.env_remove("LINECHAT_PASSWORD");
    let mut bob = Person::start_without_waiting(command);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    bob.sees(ASKED);
    bob.has_typed("");
    (bob, server)
}

/// Bob at the editor, in the room.
fn welcomed(fake: &FakeServer) -> (Person, Peer) {
    let mut bob = Person::start_without_waiting(client(fake.address, &[]));
    let server = fake.welcome("Bob");
    bob.sees(WELCOME.trim_end());
    bob.has_typed("");
    (bob, server)
}

#[test]
fn a_wrong_password_is_asked_for_again_and_a_right_one_is_remembered() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = asked(&fake, &[]);
    bob.type_in("ζξ\r");
    server.expect("ζξ");
    server.send(&format!("{WRONG}\n{REQUIRED}\n"));
    bob.sees("! wrong-password: incorrect password");
    bob.type_in(&format!("{SECRET}\r"));
    server.expect(SECRET);
    server.send(WELCOME);
    let rows = bob.sees(WELCOME.trim_end());
    assert_eq!(rows.iter().filter(|row| *row == ASKED).count(), 2, "{rows:#?}");
    assert!(!rows.iter().any(|row| row.contains("password-required")), "{rows:#?}");
    // The connection is lost, and the server asks again on the next one.
    drop(server);
    let mut server = fake.accept("Bob auth");
    server.send(&format!("{REQUIRED}\n"));
    server.expect(SECRET);
    server.send(WELCOME_BACK);
    bob.sees("-- Reconnected.");
    bob.type_in("hello\r");
    server.expect("hello");
    bob.sees("Bob: hello");
    bob.has_not_shown_it();
}

#[test]
fn no_key_brings_a_password_back_and_no_file_contains_it() {
    let fake = FakeServer::start();
    let home = std::env::temp_dir().join(format!("linechat-typed-{}", std::process::id()));
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(fake.address, "Bob")).env("XDG_STATE_HOME", &home);
    let mut bob = Person::start_without_waiting(command);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    bob.sees(ASKED);
    bob.type_in(SECRET);
    let arguments = fs::read(format!("/proc/{}/cmdline", bob.program.pid().as_raw_nonzero())).unwrap();
    assert!(!shows_secret(&arguments));
    bob.type_in("\r");
    server.expect(SECRET);
    server.send(WELCOME);
    bob.sees(WELCOME.trim_end());
    bob.type_in("hello\r");
    server.expect("hello");
    bob.sees("Bob: hello");
    // Up, yank and undo, each followed by Ctrl-C.
    for key in ["\x10", "\x19"] {
        bob.type_in(key);
        bob.has_typed("hello");
        bob.type_in("\x03");
        bob.has_typed("");
    }
    bob.type_in("\x1b100\x1f");
    bob.type_in("bye\r");
    server.expect("bye");
    bob.sees("Bob: bye");
    bob.has_not_shown_it();
    assert_eq!(fs::read_to_string(home.join("linechat/history")).unwrap(), "hello\nbye\n");
    fs::remove_dir_all(&home).unwrap();
}

/// The keys arrive before the server has read the command.
#[test]
fn fast_typing_after_the_command_is_hidden() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = welcomed(&fake);
    bob.type_in(&format!("hi\r/register\r{SECRET}\r{SECRET}\r"));
    server.expect("hi");
    // A refusal of an earlier line would seem to end the request.
    let pong = server.expect_ping();
    server.send(&format!("! line-too-long: no\n{pong}"));
    server.expect("/register");
    server.send("* Send the new password as the next line.\n");
    server.expect(SECRET);
    server.send("* Send the new password again.\n");
    server.expect(SECRET);
    server.send("* Registered: Bob is yours.\n");
    bob.sees("* Registered: Bob is yours.");
    bob.type_in("hello");
    bob.has_typed("hello");
    bob.type_in("\r");
    server.expect_said("hello");
    bob.has_not_shown_it();
    // It is the password of the name from now on.
    drop(server);
    let mut server = fake.accept("Bob auth");
    server.send(&format!("{REQUIRED}\n"));
    server.expect(SECRET);
}

/// Waits until all previous keys are handled: Ctrl-L clears the screen.
fn all_keys_are_read(bob: &mut Person) {
    bob.type_in("\x0c");
    bob.shows("a clear screen", |rows| !rows.iter().any(|row| row.starts_with("--")));
}

#[test]
fn passwords_are_sent_once_all_are_typed_and_a_mistyped_one_is_asked_for_again() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = welcomed(&fake);
    bob.type_in("/password\r");
    bob.sees("-- Current password?");
    bob.type_in("ψψψ\r");
    bob.sees("-- New password?");
    bob.type_in(&format!("{SECRET}\rζξ\r"));
    bob.sees("-- The passwords did not match. New password?");
    // Messages of others are shown meanwhile.
    server.send("Alice: hi Bob\n");
    bob.sees("Alice: hi Bob");
    bob.type_in(&format!("{SECRET}\r{SECRET}\r"));
    server.expect("/password");
    server.send("* Send the password of your name as the next line.\n");
    server.expect("ψψψ");
    for question in ["* Send the new password as the next line.\n", "* Send the new password again.\n"] {
        server.send(question);
        server.expect(SECRET);
    }
    server.send("* Password changed: Bob asks for the new one from now on.\n");
    bob.sees("* Password changed");
    bob.has_not_shown_it();
}

#[test]
fn ctrl_c_cancels_a_command_and_nothing_of_it_is_sent() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = welcomed(&fake);
    for keys in ["\x03", "ζξ\x03", "ζξψ\rζξ\x03"] {
        bob.type_in(&format!("/register\r{keys}"));
        bob.sees("-- Cancelled; nothing was sent.");
        all_keys_are_read(&mut bob);
    }
    bob.type_in("hello\r");
    server.expect("hello");
    bob.has_not_shown_it();
}

#[test]
fn a_refusal_ends_the_request_and_no_password_is_sent_after_it() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = welcomed(&fake);
    bob.type_in(&format!("/password\rζξψ\r{SECRET}\r{SECRET}\rhello\r"));
    server.expect("/password");
    server.send("* Send the password of your name as the next line.\n");
    server.expect("ζξψ");
    server.send("! wrong-password: that is not the password\n");
    bob.sees("! wrong-password");
    server.expect_said("hello");
    bob.has_not_shown_it();
}

#[test]
fn a_half_typed_password_stays_hidden_when_the_question_ends() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = returning(&fake);
    server.send(&format!("{REQUIRED}\n"));
    bob.sees(ASKED);
    bob.type_in("ζξ");
    all_keys_are_read(&mut bob);
    server.send(WELCOME_BACK);
    bob.sees("-- Reconnected.");
    bob.type_in("ψ\r");
    bob.sees("-- Not sent: the server is no longer asking for a password.");
    bob.type_in("hello\r");
    server.expect_said("hello");
    bob.sees("Bob: hello");
    bob.has_not_shown_it();
}

#[test]
fn text_pasted_after_the_command_is_not_sent() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = welcomed(&fake);
    // A bracketed paste is visible, but it is meant as a password.
    bob.type_in("\x1b[200~hi\r/unregister\rζξψ\r\x1b[201~");
    bob.shows("the paste", |rows| rows.last().is_some_and(|row| row.contains("ζξψ")));
    bob.type_in("\r");
    server.expect("hi");
    bob.sees("-- Not sent: type a command about your account by itself.");
    bob.type_in("hello\r");
    server.expect_said("hello");
}

#[test]
fn only_the_first_line_of_a_paste_is_used_as_the_password() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = asked(&fake, &[]);
    bob.type_in("\x1b[200~ζξψ\rψψ\r1\r2\r3\r4\r5\r6\r\x1b[201~");
    bob.type_in("\r");
    server.expect("ζξψ");
    server.send(WELCOME);
    bob.sees(WELCOME.trim_end());
    bob.type_in("hello\r");
    server.expect("hello");
    bob.has_not_shown_it();
}

#[test]
fn a_half_typed_line_stays_unchanged_during_the_question() {
    let fake = FakeServer::start();
    let (mut bob, server) = welcomed(&fake);
    bob.type_in("half a li");
    bob.has_typed("half a li");
    drop(server);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    bob.sees(ASKED);
    bob.type_in("ζζ\x7f\x7fζξψ\r");
    server.expect("ζξψ");
    bob.has_typed("half a li");
    server.send(WELCOME_BACK);
    bob.sees("-- Reconnected.");
    bob.type_in("ne");
    bob.has_typed("half a line");
    bob.type_in("\r");
    server.expect("half a line");
    bob.has_not_shown_it();
}

#[test]
fn leaving_during_the_question_shows_nothing() {
    for keys in ["\x04", "ζξ\x03\x03\x03"] {
        let fake = FakeServer::start();
        let (mut bob, mut server) = asked(&fake, &[]);
        bob.type_in(keys);
        server.expect_end();
        let done = bob.leaves_it_sane();
        assert_eq!((done.code, done.stderr.as_str()), (Some(3), "client: left before the server said goodbye\n"));
    }
}

#[test]
fn too_many_wrong_passwords_are_code_1() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = asked(&fake, &[]);
    for asked in 1..=3 {
        bob.shows("the question", |rows| rows.iter().filter(|row| *row == ASKED).count() == asked);
        bob.type_in("ζξψ\r");
        server.expect("ζξψ");
        server.send(&format!("{WRONG}\n{}\n", if asked == 3 { TOO_MANY } else { REQUIRED }));
    }
    let done = bob.leaves_it_sane();
    let why = TOO_MANY.trim_start_matches("! ");
    assert_eq!((done.code, done.stderr), (Some(1), format!("client: the server refused Bob: {why}\n")));
}

#[test]
fn a_wrong_password_of_the_environment_is_followed_by_a_question() {
    let fake = FakeServer::start();
    let mut command = client(fake.address, &[]);
    command.env("LINECHAT_PASSWORD", "ψψψ");
    let mut bob = Person::start_without_waiting(command);
    let mut server = fake.accept("Bob auth");
    server.send(&format!("{REQUIRED}\n"));
    server.expect("ψψψ");
    server.send(&format!("{WRONG}\n{REQUIRED}\n"));
    bob.sees(ASKED);
    bob.type_in("ζξψ\r");
    server.expect("ζξψ");
    server.send(WELCOME);
    bob.sees(WELCOME.trim_end());
    bob.has_not_shown_it();
}

#[test]
fn no_password_is_asked_for_where_others_could_read_it() {
    let Some(ip) = outer_address() else {
        return skipped("a password over a plain connection: this machine has no address but its loopback interface's");
    };
    let fake = FakeServer::start_at(ip);
    let mut command = client(fake.address, &[]);
    command.env("LINECHAT_PASSWORD", SECRET);
    let mut bob = Person::start_without_waiting(command);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    server.expect_end();
    let done = bob.program.finish();
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.starts_with("client: Bob needs a password, and others could read it on its way"), "{done:?}");
    // In the room, the command is not sent.
    let (mut bob, mut server) = welcomed(&fake);
    bob.type_in("/register\r");
    bob.sees("-- Not sent: others could read your password.");
    bob.type_in("hello");
    bob.has_typed("hello");
    bob.type_in("\r");
    server.expect("hello");
}

#[test]
fn a_late_refusal_of_a_new_name_does_not_reveal_the_password() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = welcomed(&fake);
    bob.type_in(&format!("/nick Alice\r/register\r{SECRET}\r{SECRET}\r"));
    server.expect("/nick Alice");
    let pong = server.expect_ping();
    for late in ["! name-taken: Alice is taken", "! name-registered: Alice is registered", "! not-kept: the disk"] {
        server.send(&format!("{late}\n"));
        bob.sees(late);
    }
    server.send(&pong);
    server.expect("/register");
    server.send("* Send the new password as the next line.\n");
    server.expect(SECRET);
    server.send("! bad-password: no\n");
    bob.sees("! bad-password: no");
    bob.type_in("hello\r");
    server.expect_said("hello");
    bob.has_not_shown_it();
}

/// A question that a hostile server asks to get a password.
const WANTED: &str = "* Send the password of Bob as the next line.";
const UNASKED: &str = "-- No command of yours asked for this. Do not type a";

#[test]
fn a_question_on_an_unprotected_connection_causes_a_warning() {
    let Some(ip) = outer_address() else {
        return skipped("a hostile server elsewhere: this machine has no address but its loopback interface's");
    };
    let fake = FakeServer::start_at(ip);
    let (mut bob, mut server) = welcomed(&fake);
    server.send(&format!("{WANTED}\n"));
    bob.sees(UNASKED);
    bob.type_in("hello");
    bob.has_typed("hello");
    bob.type_in("\r");
    server.expect("hello");
    bob.sees("Bob: hello");
    let mut bob = Plain::client(&fake);
    let mut server = fake.welcome("Bob");
    bob.sees(WELCOME.trim_end());
    server.send(&format!("{WANTED}\n"));
    bob.sees(UNASKED);
    bob.type_in("hello\n");
    server.expect("hello");
    bob.echoes(true);
}

#[test]
fn a_question_without_a_command_causes_a_warning() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = welcomed(&fake);
    server.send(&format!("{WANTED}\n"));
    bob.sees(UNASKED);
    bob.type_in("hello");
    bob.has_typed("hello");
    bob.type_in("\r");
    server.expect("hello");
    bob.sees("Bob: hello");
    // The same applies to a question after the end of a command.
    bob.type_in("/unregister\rζξψ\r");
    server.expect_said("/unregister");
    server.send(&format!("! not-registered: no\n{WANTED}\n"));
    bob.shows("the warnings", |rows| rows.iter().filter(|row| row.contains("No command of yours")).count() == 2);
    bob.type_in("bye");
    bob.has_typed("bye");
    let mut bob = Plain::client(&fake);
    let mut server = fake.welcome("Bob");
    bob.sees(WELCOME.trim_end());
    server.send(&format!("{WANTED}\n"));
    bob.sees(UNASKED);
    bob.type_in("hello\n");
    server.expect("hello");
    bob.echoes(true);
}

/// Bob at the editor while the client reconnects, before the welcome.
fn returning(fake: &FakeServer) -> (Person, Peer) {
    let (bob, server) = welcomed(fake);
    drop(server);
    (bob, fake.accept("Bob"))
}

#[test]
fn a_question_before_the_welcome_causes_a_warning() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = returning(&fake);
    server.send(&format!("{WANTED}\n"));
    bob.sees(UNASKED);
    bob.type_in("hello");
    bob.has_typed("hello");
    bob.type_in("\r");
    bob.sees("-- Not connected; your line will be sent after reconnecting.");
    server.send(WELCOME_BACK);
    server.expect("hello");
    bob.sees("Bob: hello");
}

/// The person expects a question at that moment, and input is hidden.
#[test]
fn a_question_during_the_login_question_causes_no_warning() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = returning(&fake);
    server.send(&format!("{REQUIRED}\n"));
    bob.sees(ASKED);
    server.send(&format!("{WANTED}\n"));
    bob.sees(WANTED);
    bob.type_in(&format!("{SECRET}\r"));
    server.expect(SECRET);
    server.send(WELCOME);
    let rows = bob.sees("-- Reconnected.");
    assert!(!rows.iter().any(|row| row.starts_with(UNASKED)), "{rows:#?}");
    bob.has_not_shown_it();
}

/// Bob with a remembered password that the server no longer accepts when the client reconnects.
fn forgotten(fake: &FakeServer) -> (Person, Peer) {
    let mut command = client(fake.address, &[]);
    command.env("LINECHAT_PASSWORD", "ψψψ");
    let mut bob = Person::start_without_waiting(command);
    for answer in [WELCOME.to_owned(), format!("{WRONG}\n{REQUIRED}\n")] {
        let mut server = fake.accept("Bob auth");
        server.send(&format!("{REQUIRED}\n"));
        server.expect("ψψψ");
        server.send(&answer);
        if answer != WELCOME {
            bob.sees(ASKED);
            return (bob, server);
        }
        bob.sees(WELCOME.trim_end());
    }
    unreachable!("the second answer is the last one")
}

/// After the server died, another user of the machine has taken the port.
#[test]
fn a_remembered_password_is_not_sent_to_a_server_of_another_user() {
    let file = password_file("another-user", &format!("{SECRET}\n"));
    let first = ServerProgram::start_at((own_address(), 0).into(), &["--password-file", file.to_str().unwrap()]);
    let address = first.address;
    let mut command = client(address, &[]);
    command.env_remove("LINECHAT_PASSWORD");
    let mut bob = Person::start_without_waiting(command);
    bob.sees(ASKED);
    bob.type_in(&format!("{SECRET}\r"));
    bob.sees("* Welcome, Bob.");
    drop(first);
    bob.sees("-- The connection was lost");
    let Some(mut second) = server_of_another_user(address, &file, &[]) else { return };
    second.stdout.expect(&format!("Server listening on {address}"));
    // The rest is on the next rows.
    bob.sees("-- Your password was not sent again, because");
    // The person decides.
    bob.shows("the question again", |rows| rows.iter().filter(|row| *row == ASKED).count() == 2);
    bob.type_in(&format!("{SECRET}\r"));
    bob.sees("-- Reconnected.");
    bob.has_not_shown_it();
}

const TIMED_OUT: &str = "! login-timeout: no password within 30 s\n";

#[test]
fn a_wrong_remembered_password_ends_the_client_if_nobody_types_another() {
    for last in ["", TIMED_OUT] {
        let fake = FakeServer::start();
        let (bob, mut server) = forgotten(&fake);
        server.send(last);
        drop(server);
        let done = bob.leaves_it_sane();
        let why = "client: the server refused Bob: wrong-password: incorrect password\n";
        assert_eq!((done.code, done.stderr.as_str()), (Some(1), why));
    }
}

#[test]
fn a_wrong_remembered_password_can_be_replaced_by_typing_another() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = forgotten(&fake);
    bob.type_in("ζξ\r");
    server.expect("ζξ");
    server.send(&format!("{WRONG}\n{TOO_MANY}\n"));
    drop(server);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    // Text typed before the question would be a draft.
    bob.shows("the question again", |rows| rows.iter().filter(|row| *row == ASKED).count() == 2);
    bob.type_in(&format!("{SECRET}\r"));
    server.expect(SECRET);
    server.send(WELCOME);
    bob.sees("-- Reconnected.");
    // The new password is remembered.
    drop(server);
    let mut server = fake.accept("Bob auth");
    server.send(&format!("{REQUIRED}\n"));
    server.expect(SECRET);
    bob.has_not_shown_it();
}

/// Bob has typed this password, which was right.
fn logged_in(fake: &FakeServer, password: &str) -> (Person, Peer) {
    let (mut bob, mut server) = asked(fake, &[]);
    bob.type_in(&format!("{password}\r"));
    server.expect(password);
    server.send(WELCOME);
    bob.sees(WELCOME.trim_end());
    (bob, server)
}

/// Registers the present name with this password.
fn register(bob: &mut Person, server: &mut Peer, name: &str, password: &str) {
    bob.type_in(&format!("/register\r{password}\r{password}\r"));
    server.expect_said("/register");
    for question in ["* Send the new password as the next line.\n", "* Send the new password again.\n"] {
        server.send(question);
        server.expect(password);
    }
    server.send(&format!("* Registered: {name} is yours.\n"));
    bob.sees("* Registered: ");
}

fn rename(bob: &mut Person, server: &mut Peer, old: &str, new: &str) {
    bob.type_in(&format!("/nick {new}\r"));
    server.expect_said(&format!("/nick {new}"));
    server.send(&format!("* {old} is now {new}\n"));
    bob.sees(&format!("* {old} is now {new}"));
}

/// Accepts the client again, which has a password for this name, and asks for it.
fn asked_again(fake: &FakeServer, name: &str) -> Peer {
    let mut server = fake.accept(&format!("{name} auth"));
    server.send(&format!("{REQUIRED}\n"));
    server
}

fn welcome_back(bob: &mut Person, server: &mut Peer, name: &str, times: usize) {
    server.send(&format!("* Welcome, {name}. You are the first here.\n* Nothing was said after 0.\n"));
    bob.shows("the return", |rows| rows.iter().filter(|row| row.starts_with("-- Reconnected.")).count() == times);
}

const SERVERS: &str = "ψψψψ";

#[test]
fn a_registered_name_gets_its_own_password_and_any_other_name_that_of_the_server() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = logged_in(&fake, SERVERS);
    register(&mut bob, &mut server, "Bob", SECRET);
    for (times, old, name, password) in [(1, "Bob", "Bobby", SERVERS), (2, "Bobby", "Bob", SECRET)] {
        rename(&mut bob, &mut server, old, name);
        drop(server);
        server = asked_again(&fake, name);
        server.expect(password);
        welcome_back(&mut bob, &mut server, name, times);
    }
    bob.has_not_shown_it();
}

/// The client cannot know before whether the password of the login is that of the server or of the name.
#[test]
fn a_password_that_is_wrong_for_another_name_is_kept_for_its_own() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = logged_in(&fake, SECRET);
    rename(&mut bob, &mut server, "Bob", "Bobby");
    drop(server);
    let mut server = asked_again(&fake, "Bobby");
    server.expect(SECRET);
    server.send(&format!("{WRONG}\n{REQUIRED}\n"));
    bob.sees("-- Password of the server? What you type is not shown;");
    bob.type_in(&format!("{SERVERS}\r"));
    server.expect(SERVERS);
    welcome_back(&mut bob, &mut server, "Bobby", 1);
    for (times, name, password) in [(2, "Bobby", SERVERS), (3, "Bob", SECRET), (4, "Bobby", SERVERS)] {
        if times > 2 {
            rename(&mut bob, &mut server, if name == "Bob" { "Bobby" } else { "Bob" }, name);
        }
        drop(server);
        server = asked_again(&fake, name);
        server.expect(password);
        welcome_back(&mut bob, &mut server, name, times);
    }
    bob.has_not_shown_it();
}

#[test]
fn a_changed_or_removed_password_is_not_sent_again() {
    let fake = FakeServer::start();
    let (mut bob, mut server) = logged_in(&fake, "ζξψ");
    bob.type_in(&format!("/password\rζξψ\r{SECRET}\r{SECRET}\r"));
    server.expect("/password");
    server.send("* Send the password of your name as the next line.\n");
    server.expect("ζξψ");
    for question in ["* Send the new password as the next line.\n", "* Send the new password again.\n"] {
        server.send(question);
        server.expect(SECRET);
    }
    server.send("* Password changed: Bob asks for the new one from now on.\n");
    bob.sees("* Password changed");
    drop(server);
    let mut server = asked_again(&fake, "Bob");
    server.expect(SECRET);
    welcome_back(&mut bob, &mut server, "Bob", 1);
    bob.type_in(&format!("/unregister\r{SECRET}\r"));
    server.expect_said("/unregister");
    server.send("* Send the password of your name as the next line.\n");
    server.expect(SECRET);
    server.send("* Unregistered: Bob no longer requires a password.\n");
    bob.sees("* Unregistered");
    drop(server);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    bob.shows("another question", |rows| {
        rows.iter().skip_while(|row| !row.starts_with("* Unregistered")).any(|row| row == ASKED)
    });
    bob.has_not_shown_it();
}

#[test]
fn a_name_that_looks_like_a_registered_one_is_explained_before_the_question() {
    let fake = FakeServer::start();
    let mut bob = Plain::client(&fake);
    let mut server = fake.accept("Bob");
    let why = "! password-required: Bob looks like B0b, which is registered; if it is yours, send its password as the \
               next line";
    server.send(&format!("{why}\n"));
    let lines = bob.sees(ASKED);
    assert_eq!(lines[lines.len() - 2], why, "{lines:#?}");
}

/// The server asks for both passwords with the same words.
#[test]
fn a_restarted_server_gets_the_right_password_for_a_new_name() {
    let file = password_file("both", &format!("{SECRET}\n"));
    let data = Folder::absent("typed-both");
    let options = ["--password-file", file.to_str().unwrap(), "--data", data.to_str().unwrap()];
    let server = ServerProgram::start(&options);
    let address = server.address;
    let mut command = client(address, &[]);
    command.env_remove("LINECHAT_PASSWORD");
    let mut bob = Person::start_without_waiting(command);
    bob.sees(ASKED);
    bob.type_in(&format!("{SECRET}\r"));
    bob.sees("* Welcome, Bob.");
    bob.type_in("/register\rψψψψξξξξ\rψψψψξξξξ\r");
    bob.sees("* Registered: Bob is yours");
    bob.type_in("/nick Bobby\r");
    bob.sees("* Bob is now Bobby");
    drop(server);
    bob.sees("-- The ");
    let mut server = ServerProgram::start_at(address, &options);
    let rows = bob.sees("-- Reconnected.");
    assert!(!rows.iter().any(|row| row.contains("wrong-password")), "{rows:#?}");
    bob.has_not_shown_it();
    server.program.kill();
}

/// With the real server's questions, and all passwords typed ahead.
#[test]
fn registering_and_changing_a_password_work_when_typed_ahead() {
    const NEW: &str = "ψψψψξξξξ";
    let data = std::env::temp_dir().join(format!("linechat-typed-data-{}", std::process::id()));
    let server = ServerProgram::start(&["--data", data.to_str().unwrap()]);
    let mut bob = Person::start(server.address, &[]);
    bob.type_in(&format!("/register\r{SECRET}\r{SECRET}\r"));
    bob.sees("* Registered: Bob is yours");
    bob.has_typed("");
    bob.type_in(&format!("/password\r{SECRET}\r{NEW}\r{NEW}\r"));
    bob.sees("* Password changed: Bob ");
    bob.has_typed("");
    bob.has_not_shown_it();
    bob.type_in("/quit\r");
    assert_eq!(bob.program.finish().code, Some(0));
    for (password, code) in [(SECRET, 1), (NEW, 0)] {
        let mut command = Command::new(CLIENT);
        command.args(Program::client_arguments(server.address, "Bob")).env("LINECHAT_PASSWORD", password);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        assert_eq!(Program::spawn(command).finish().code, Some(code));
    }
    drop(server);
    fs::remove_dir_all(&data).unwrap();
}

/// Bob at a plain terminal that echoes what is typed.
struct Plain {
    program: Program,
    keyboard: File,
    written: Output,
    side: OwnedFd,
}

impl Plain {
    fn start(mut command: Command) -> Self {
        let (screen, side) = plain_terminal();
        command.stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap());
        let program = Program::spawn(command);
        Self { program, keyboard: screen.try_clone().unwrap(), written: Output::of(screen), side }
    }

    fn client(fake: &FakeServer) -> Self {
        let mut command = client(fake.address, &["--plain"]);
        command.env_remove("LINECHAT_PASSWORD");
        Self::start(command)
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// The lines up to one with this prefix, without the times and empty lines.
    #[track_caller]
    fn sees(&mut self, start: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.written.line();
            let line = without_time(line.trim_end_matches('\r')).to_owned();
            assert!(!shows_secret(line.as_bytes()), "{line}");
            lines.extend((!line.is_empty()).then(|| line.clone()));
            if line.starts_with(start) {
                return lines;
            }
        }
    }

    /// Waits until the echo is on, or off.
    #[track_caller]
    fn echoes(&self, echoes: bool) {
        let since = std::time::Instant::now();
        while tcgetattr(&self.side).unwrap().local_modes.contains(LocalModes::ECHO) != echoes {
            assert!(since.elapsed() < DEADLINE, "the echo is not {echoes}");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
}

#[test]
fn a_plain_terminal_does_not_echo_a_password() {
    let fake = FakeServer::start();
    let mut bob = Plain::client(&fake);
    let before = Modes::of(&bob.side);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    bob.sees(ASKED);
    bob.echoes(false);
    bob.type_in(&format!("{SECRET}\n"));
    server.expect(SECRET);
    server.send(WELCOME);
    bob.sees(WELCOME.trim_end());
    bob.echoes(true);
    bob.type_in("/register\n");
    bob.sees("-- New password?");
    bob.echoes(false);
    bob.type_in(&format!("{SECRET}\n{SECRET}\n"));
    bob.echoes(true);
    server.expect("/register");
    for question in ["* Send the new password as the next line.\n", "* Send the new password again.\n"] {
        server.send(question);
        server.expect(SECRET);
    }
    server.send("* Registered: Bob is yours.\n");
    bob.sees("* Registered");
    bob.type_in("/quit\n");
    bob.sees("/quit");
    assert_eq!(Modes::of(&bob.side), before);
}

/// It is invisible, so it would be sent with the next line.
#[test]
fn a_plain_terminal_discards_a_half_typed_password_when_the_question_ends() {
    let fake = FakeServer::start();
    let mut bob = Plain::client(&fake);
    drop(fake.welcome("Bob"));
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    bob.sees(ASKED);
    bob.echoes(false);
    bob.type_in("ζξ");
    server.send(WELCOME_BACK);
    bob.sees("-- Reconnected.");
    bob.echoes(true);
    bob.type_in("hello\n");
    server.expect("hello");
}

#[test]
fn a_plain_terminal_is_restored_however_the_client_ends() {
    for (signal, code) in [(Some(Signal::TERM), 143), (Some(Signal::HUP), 129), (Some(Signal::QUIT), 131), (None, 3)] {
        let fake = FakeServer::start();
        let mut bob = Plain::client(&fake);
        let before = Modes::of(&bob.side);
        let mut server = fake.accept("Bob");
        server.send(&format!("{REQUIRED}\n"));
        bob.sees(ASKED);
        bob.echoes(false);
        match signal {
            Some(signal) => bob.program.signal(signal),
            // The text before Ctrl-D must not be sent as a line.
            None => bob.type_in("ζξ\x04\x04"),
        }
        server.expect_end();
        assert_eq!(bob.program.finish().code, Some(code));
        assert_eq!(Modes::of(&bob.side), before);
        let Plain { mut written, side, keyboard, .. } = bob;
        drop((side, keyboard));
        assert!(!shows_secret(&written.rest()));
    }
}

/// The address of the server, for the process that panics.
const PANIC_AT: &str = "LINECHAT_TEST_PLAIN_PANIC_AT";

#[test]
fn a_panic_restores_a_plain_terminal() {
    if let Some(address) = std::env::var_os(PANIC_AT) {
        return panic_beside(terminal::run_plain, address.into_string().unwrap().parse().unwrap());
    }
    let fake = FakeServer::start();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "client::typed_password::a_panic_restores_a_plain_terminal"]);
    command.env(PANIC_AT, fake.address.to_string());
    let mut bob = Plain::start(command);
    let before = Modes::of(&bob.side);
    let mut server = fake.accept("Bob");
    server.send(&format!("{REQUIRED}\n"));
    bob.sees(ASKED);
    bob.echoes(false);
    bob.program.signal(Signal::USR1);
    assert_eq!(bob.program.finish().code, Some(101));
    assert_eq!(Modes::of(&bob.side), before);
}
