//! The client at a plain terminal, which only appends lines: a person types, and nothing from the server acts on the
//! screen.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, OptionalActions, OutputModes, tcgetattr, tcsetattr};

use crate::support::harness::{FakeServer, Peer, Server, within};
use crate::support::lines::is_like;
use crate::support::program::{CLIENT, Output, Program};

pub const CONNECTED: &str = "Connected to server. You can start typing messages.";
const CTRL_D: &str = "\x04";

/// Both ends of a new terminal: the screen and keyboard, and the program's end.
pub fn plain_terminal() -> (File, OwnedFd) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&screen).unwrap();
    unlockpt(&screen).unwrap();
    let path = ptsname(&screen, Vec::new()).unwrap().into_string().unwrap();
    let flags = OpenptFlags::NOCTTY.bits().cast_signed();
    let program: OwnedFd = File::options().read(true).write(true).custom_flags(flags).open(path).unwrap().into();
    (screen.into(), program)
}

/// A terminal that neither echoes input nor changes line endings, so that the screen has exactly the client's output.
pub fn terminal() -> (File, OwnedFd) {
    let (screen, program) = plain_terminal();
    let mut modes = tcgetattr(&program).unwrap();
    modes.local_modes -= LocalModes::ECHO;
    modes.output_modes -= OutputModes::OPOST;
    tcsetattr(&program, OptionalActions::Now, &modes).unwrap();
    (screen, program)
}

/// A person at a client.
pub struct Person {
    pub program: Program,
    keyboard: File,
    pub screen: Output,
}

impl Person {
    fn start(address: SocketAddr, name: &str) -> Self {
        Self::start_with(address, name, &[])
    }

    pub fn start_with(address: SocketAddr, name: &str, options: &[&str]) -> Self {
        let (screen, side) = terminal();
        let mut command = client(address, name);
        command.args(options);
        command.stdin(side.try_clone().unwrap()).stdout(side);
        let program = Program::spawn(command);
        Self { program, keyboard: screen.try_clone().unwrap(), screen: Output::of(screen) }
    }

    /// The next line without the time.
    #[track_caller]
    pub fn sees(&mut self, line: &str) {
        let shown = self.screen.line();
        let is_time = |time: &str| time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).eq("00:00".chars());
        let behind = shown.split_once(' ').filter(|(time, _)| is_time(time)).map(|(_, line)| line);
        assert!(behind.is_some_and(|shown| is_like(shown, line)), "{line:?} is not {shown:?}");
    }

    pub fn type_in(&mut self, keys: &str) {
        self.type_bytes(keys.as_bytes());
    }

    pub fn type_bytes(&mut self, bytes: &[u8]) {
        self.keyboard.write_all(bytes).unwrap();
    }
}

fn client(address: SocketAddr, name: &str) -> Command {
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(address, name)).arg("--plain");
    command
}

#[test]
fn a_quiet_client_has_no_greeting() {
    let server = Server::start();
    let mut bob = Person::start_with(server.address, "Bob", &["--quiet"]);
    bob.sees("* Welcome, Bob. You are the first here. /help lists the commands.");
    // Refusals are still shown.
    bob.type_in("/nope\n");
    let refusal = bob.screen.line();
    assert!(refusal.contains("! unknown-command: "), "{refusal:?}");
}

#[test]
fn a_person_is_told_of_the_connection_and_talks() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, "Bob");
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. 1 other here: Alice. /help lists the commands.");
    alice.expect("* Bob has joined");
    bob.type_in("hi Alice\n");
    alice.expect("Bob: hi Alice");
    alice.send("hi Bob\n");
    bob.sees("Alice: hi Bob\x07");
}

#[test]
fn a_dumb_terminal_gets_only_appended_lines() {
    let server = Server::start();
    let (screen, side) = terminal();
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, "Bob")).env("TERM", "dumb");
    command.stdin(side.try_clone().unwrap()).stdout(side);
    let program = Program::spawn(command);
    let mut bob = Person { program, keyboard: screen.try_clone().unwrap(), screen: Output::of(screen) };
    bob.screen.expect(CONNECTED);
    bob.type_in("/quit\n");
    bob.sees("* Welcome, Bob. You are the first here. /help lists the commands.");
    bob.sees("* Bye, Bob: 0 lines accepted, 0 refused.");
    assert_eq!(bob.screen.rest(), b"");
    assert_eq!(bob.program.finish().code, Some(0));
}

#[test]
fn quit_leaves_with_code_0() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, "Bob");
    bob.type_in("/quit tea time\n");
    let done = bob.program.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
    let screen = String::from_utf8(bob.screen.rest()).unwrap();
    let last = "* Bye, Bob: 0 lines accepted, 0 refused. since=0 brings you back here.";
    assert_eq!(screen.lines().next_back().map(|line| &line[6..]), Some(last));
    alice.expect("* Bob has joined");
    alice.expect("* Bob has left (\"tea time\")");
}

#[test]
fn an_action_cannot_be_imitated() {
    let fake = FakeServer::start();
    let mut bob = Person::start(fake.address, "Bob");
    let mut server = fake.welcome("Bob");
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. You are the first here.");
    server.send("Alice: /me has left\nAlice (privately): /me waves\nAlice: //me waves\n");
    bob.sees("~ Alice has left");
    bob.sees("~ (privately) Alice waves\x07");
    bob.sees("Alice: //me waves");
}

#[test]
fn ctrl_d_leaves_with_code_0() {
    let server = Server::start();
    let mut bob = Person::start(server.address, "Bob");
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. You are the first here. /help lists the commands.");
    bob.type_in("hi\n");
    bob.type_in(CTRL_D);
    bob.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    let done = bob.program.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_refused_line_is_shown_and_the_session_continues() {
    let server = Server::start();
    let mut bob = Person::start(server.address, "Bob");
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. You are the first here. /help lists the commands.");
    bob.type_in("/msg Dave hi\n");
    bob.sees("! no-such-user: … Dave…");
    bob.type_in("/quit\n");
    assert_eq!(bob.program.finish().code, Some(0));
}

/// The next line, which is a notice of the client.
#[track_caller]
fn asked_again(bob: &mut Person, why: &str) {
    bob.screen.expect(&format!("-- {why}. Type another name and press Enter; Ctrl-D leaves."));
}

#[test]
fn another_name_is_asked_for_when_one_is_taken() {
    let server = Server::start();
    let mut holder = server.join("Bob");
    let mut bob = Person::start(server.address, "Bob");
    asked_again(&mut bob, "Bob is taken");
    bob.type_in("BOB\n");
    asked_again(&mut bob, "BOB is taken");
    bob.type_in("Bob Smith\n\n");
    asked_again(&mut bob, "names cannot contain spaces");
    bob.type_in("Carol\n");
    bob.sees("* Welcome, Carol. 1 other here: Bob. /help lists the commands.");
    bob.type_in("hi\n");
    holder.expect("* Carol has joined");
    holder.expect("Carol: hi");
}

/// What was typed for the first name is not sent for the second.
#[test]
fn another_name_is_asked_for_after_a_password() {
    let fake = FakeServer::start();
    let mut bob = Person::start(fake.address, "Bob");
    let mut server = fake.accept("Bob");
    server.send("! password-required: send the password as the next line\n");
    bob.screen.expect(CONNECTED);
    bob.screen.expect("-- Password of Bob or the server? What you type is not shown; Enter sends it.");
    bob.type_in("open sesame\n");
    server.expect("open sesame");
    server.send("! name-taken: Bob is taken\n* Send another name.\n");
    asked_again(&mut bob, "Bob is taken");
    bob.type_in("Carol\n");
    let mut server = fake.accept("Carol");
    server.send("! password-required: send the password as the next line\n");
    bob.screen.expect("-- Password of Carol or the server? What you type is not shown; Enter sends it.");
    bob.type_in("open sesame\n");
    server.expect("open sesame");
    server.send("* Welcome, Carol. You are the first here.\n");
    bob.sees("* Welcome, Carol. You are the first here.");
    bob.type_in("hi\n");
    server.expect("hi");
}

#[test]
fn a_refusal_that_is_not_about_the_name_ends_the_client() {
    for refusal in ["banned: you are banned", "penalized: too many wrong passwords", "server-full: come back later"] {
        let fake = FakeServer::start();
        let mut bob = Person::start(fake.address, "Bob");
        fake.accept("Bob").send(&format!("! {refusal}\n"));
        let done = bob.program.finish();
        assert_eq!((done.code, done.stderr), (Some(1), format!("client: the server refused Bob: {refusal}\n")));
    }
}

#[test]
fn giving_no_other_name_is_code_1() {
    let server = Server::start();
    let _holder = server.join("Bob");
    let mut bob = Person::start(server.address, "Bob");
    asked_again(&mut bob, "Bob is taken");
    bob.type_in(CTRL_D);
    let done = bob.program.finish();
    assert_eq!(done.code, Some(1));
    assert_eq!(done.stderr, "client: the server refused Bob: name-taken: Bob is taken\n");
}

#[test]
fn without_reconnecting_a_server_that_stops_is_reported_with_code_3() {
    let mut server = Server::start();
    let mut bob = Person::start_with(server.address, "Bob", &["--no-reconnect"]);
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. You are the first here. /help lists the commands.");
    server.begin_stop();
    let done = bob.program.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(3), "client: the server was shut down\n"));
    bob.sees("* The server is shutting down");
}

#[test]
fn the_client_reconnects_and_sends_what_was_typed() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bob = Person::start(listener.local_addr().unwrap(), "Bob");
    let first = welcome(listener.try_clone().unwrap(), b"* Welcome, Bob.\n");
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob.");
    drop(first);
    bob.screen.expect("-- The connection was lost. Trying to reconnect; what you type will be sent later.");
    bob.type_in("are you there?\n");
    bob.screen.expect("-- Not connected; your line will be sent after reconnecting.");
    let mut second = welcome(listener, b"* Welcome, Bob.\n* Nothing was said after 0.\n");
    assert!(bob.screen.line().starts_with("-- Reconnected. You were away since "));
    bob.sees("* Welcome, Bob.");
    second.expect("are you there?");
    second.send("[1 2026-11-26T12:03:11Z] Bob: are you there?\nAlice: yes, Bob\n");
    bob.sees("Alice: yes, Bob\x07");
    bob.type_in(CTRL_D);
    second.expect_end();
    second.send("* Bye, Bob: 1 line accepted, 0 refused.\n");
    drop(second);
    bob.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    assert_eq!(bob.program.finish().code, Some(0));
}

#[test]
fn only_an_empty_line_answers_the_question_about_a_paste() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut bob = Person::start(server.address, "Bob");
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. 1 other here: Alice. /help lists the commands.");
    alice.expect("* Bob has joined");
    bob.type_in("1\n2\n3\n4\n5\n6\n");
    bob.screen.expect("-- Send 6 lines? Enter sends them, Ctrl-C discards them.");
    bob.type_in("by the way\n");
    bob.screen.expect("-- Send 7 lines? Enter sends them, Ctrl-C discards them.");
    alice.expect_nothing_new();
    bob.type_in("\n");
    ["1", "2", "3", "4", "5", "6", "by the way"].iter().for_each(|line| alice.expect(&format!("Bob: {line}")));
}

#[test]
fn ctrl_c_asks_once_and_then_leaves() {
    let server = Server::start();
    let mut bob = Person::start(server.address, "Bob");
    bob.screen.expect(CONNECTED);
    bob.sees("* Welcome, Bob. You are the first here. /help lists the commands.");
    bob.program.signal(Signal::INT);
    bob.screen.expect("-- Press Ctrl-C again or Ctrl-D to leave.");
    bob.program.signal(Signal::INT);
    bob.sees("* Bye, Bob: 0 lines accepted, 0 refused.");
    assert_eq!(bob.program.finish().code, Some(0));
}

/// This happens when ssh is killed or a window is closed. In a session of its own, the client gets signals from this
/// terminal.
#[test]
fn a_hangup_ends_the_client_and_frees_the_name() {
    let (editor, plain) = ("--no-history", "--plain");
    // SIGHUP and the end of the input race. After the signal the client exits with code 129.
    let (signalled, ended) = ([Some(129), Some(0)], [Some(0); 2]);
    for (option, in_session, codes) in
        [(editor, true, signalled), (editor, false, ended), (plain, true, signalled), (plain, false, ended)]
    {
        let server = Server::start();
        let mut alice = server.join("Alice");
        let (screen, side) = terminal();
        let mut command = Command::new(if in_session { "setsid" } else { CLIENT });
        if in_session {
            command.args(["--ctty", "--wait", CLIENT]);
        }
        command.args(Program::client_arguments(server.address, "Bob")).arg(option).env("TERM", "xterm");
        command.stdin(side.try_clone().unwrap()).stdout(side);
        let mut program = Program::spawn(command);
        alice.expect("* Bob has joined");
        let screen = within(move || read_until(screen, "* Welcome, Bob."));
        drop(screen);
        alice.expect("* Bob has left");
        let code = program.finish().code;
        assert!(codes.contains(&code), "{option} ended with {code:?}, in a session: {in_session}");
    }
}

pub fn read_until(mut screen: File, text: &str) -> File {
    let mut shown = Vec::new();
    while !String::from_utf8_lossy(&shown).contains(text) {
        let mut bytes = [0; 512];
        let count = screen.read(&mut bytes).unwrap();
        shown.extend_from_slice(&bytes[..count]);
    }
    screen
}

/// Accepts the first connection and its name, and answers with `words`.
pub fn welcome(listener: TcpListener, words: &[u8]) -> Peer {
    let mut server = within(move || {
        let mut server = Peer::new(listener.accept().unwrap().0);
        let login = server.line();
        assert!(login.starts_with("Bob "), "{login}");
        server
    });
    server.send_bytes(words);
    server
}

pub const ATTACK: &[u8] = b"* Welcome, Bob.\n\x1b]0;owned\x07\x1b[2J\r\nx\rAlice: y\n\xff\xc2\x9b2J\xe2\x80\xaegpj\n";
pub const DEFUSED: [&str; 4] = ["* Welcome, Bob.", "^[]0;owned^G^[[2J", "x^MAlice: y", "\u{fffd}<U+009B>2J<U+202E>gpj"];

#[test]
fn a_hostile_server_cannot_act_on_the_screen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut bob = Person::start(listener.local_addr().unwrap(), "Bob");
    let _server = welcome(listener, ATTACK);
    bob.screen.expect(CONNECTED);
    DEFUSED.iter().for_each(|line| bob.sees(line));
}

#[test]
fn a_hostile_server_cannot_act_on_the_screen_when_input_is_a_pipe() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (screen, side) = terminal();
    let mut command = client(listener.local_addr().unwrap(), "Bob");
    command.arg("-v").stdin(Stdio::piped()).stdout(side);
    let mut program = Program::spawn(command);
    let mut screen = Output::of(screen);
    let _server = welcome(listener, ATTACK);
    DEFUSED.iter().for_each(|line| screen.expect(line));
    // Nobody types here, so the status does not belong among the server's lines.
    program.stderr.expect("Connected to server.");
}
