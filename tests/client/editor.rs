//! The client's editor at a pseudo-terminal, with an emulated screen.

use std::fs::File;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;

use async_signal::{Signal as Awaited, Signals};
use async_std::task::block_on;
use futures::StreamExt;
use linechat::client::{ClientError, Config, Endpoint, Outcome, Wanted, terminal};
use linechat::model::Name;
use rustix::process::Signal;
use rustix::termios::{LocalModes, SpecialCodeIndex, Termios, Winsize, tcgetattr, tcsetwinsize};
use vt100::{Color, Parser};

use super::plain::{ATTACK, DEFUSED, plain_terminal, welcome};
use crate::support::harness::{FakeServer, Peer, Server, within};
use crate::support::lines::assert_all_like;
use crate::support::program::{CLIENT, Finished, Output, Program, ServerProgram, without_time};

const ROWS: u16 = 20;
const COLUMNS: u16 = 60;
const CTRL_D: &str = "\x04";

/// A person at the editor. The screen shows what a terminal makes of the client's output.
pub struct Person {
    pub program: Program,
    keyboard: File,
    written: Output,
    /// All output that the screen has processed.
    pub bytes: Vec<u8>,
    screen: Parser<Bells>,
    /// The program's end of the terminal. It stays open so that the modes can be read after the program's end.
    side: OwnedFd,
    before: Modes,
}

/// All terminal modes that a program can change.
#[derive(Debug, PartialEq, Eq)]
pub struct Modes {
    flags: String,
    codes: Vec<u8>,
}

impl Modes {
    pub fn of(side: &OwnedFd) -> Self {
        let modes: Termios = tcgetattr(side).unwrap();
        let flags = (modes.input_modes, modes.output_modes, modes.control_modes, modes.local_modes);
        let codes = [
            SpecialCodeIndex::VINTR,
            SpecialCodeIndex::VQUIT,
            SpecialCodeIndex::VERASE,
            SpecialCodeIndex::VEOF,
            SpecialCodeIndex::VTIME,
            SpecialCodeIndex::VMIN,
            SpecialCodeIndex::VSUSP,
        ];
        Self { flags: format!("{flags:?}"), codes: codes.map(|code| modes.special_codes[code]).to_vec() }
    }
}

impl Person {
    /// Starts a client, and waits for the welcome and the editor.
    pub fn start(address: SocketAddr, options: &[&str]) -> Self {
        Self::at(client(address, options))
    }

    /// Starts this command, and waits for the welcome and the editor.
    pub fn at(command: Command) -> Self {
        let mut this = Self::start_without_waiting(command);
        this.sees("* Welcome, Bob.");
        this.has_typed("");
        this.is_taken_over();
        this
    }

    /// Starts a client and does not wait.
    pub fn start_without_waiting(mut command: Command) -> Self {
        let (screen, side) = plain_terminal();
        tcsetwinsize(&side, Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = Modes::of(&side);
        command.env("TERM", "xterm-256color").stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap());
        Self {
            program: Program::spawn(command),
            keyboard: screen.try_clone().unwrap(),
            written: Output::of(screen),
            bytes: Vec::new(),
            screen: Parser::new_with_callbacks(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0, Bells(0)),
            side,
            before,
        }
    }

    pub fn type_in(&mut self, keys: &str) {
        self.type_bytes(keys.as_bytes());
    }

    pub fn type_bytes(&mut self, bytes: &[u8]) {
        self.keyboard.write_all(bytes).unwrap();
    }

    /// Waits for any output.
    #[track_caller]
    pub fn reads_on(&mut self) {
        let bytes = self.written.next_within_deadline().expect("something is written");
        self.screen.process(&bytes);
        self.bytes.extend(bytes);
    }

    /// The rows of the screen without the times, up to the last one that is not empty.
    pub fn rows(&self) -> Vec<String> {
        let rows = self.screen.screen().rows(0, COLUMNS).map(|row| without_time(row.trim_end()).to_owned());
        let mut rows: Vec<_> = rows.collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Waits until the rows are as expected.
    #[track_caller]
    pub fn shows(&mut self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        loop {
            let rows = self.rows();
            if is_so(&rows) {
                return rows;
            }
            let Some(bytes) = self.written.next_within_deadline() else {
                panic!("not seen: {what}, but\n{}", rows.join("\n"))
            };
            self.screen.process(&bytes);
            self.bytes.extend(bytes);
        }
    }

    /// Waits for a row with this prefix.
    #[track_caller]
    pub fn sees(&mut self, start: &str) -> Vec<String> {
        self.shows(start, |rows| rows.iter().any(|row| row.starts_with(start)))
    }

    /// Waits until the typed line, in the last row, is this.
    #[track_caller]
    pub fn has_typed(&mut self, line: &str) -> Vec<String> {
        let line = format!("> {line}");
        self.shows(&line, |rows| rows.last().is_some_and(|last| *last == line.trim_end()))
    }

    /// Asserts that the editor reads each key by itself, and detects a paste.
    #[track_caller]
    pub fn is_taken_over(&self) {
        let modes = tcgetattr(&self.side).unwrap().local_modes;
        assert!(!modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{modes:?}");
        assert!(self.screen.screen().bracketed_paste());
    }

    /// Waits for the client's end. Asserts that the modes are restored, and that the typed line is gone.
    #[track_caller]
    pub fn leaves_it_sane(mut self) -> Finished {
        let done = self.program.finish();
        assert_eq!(Modes::of(&self.side), self.before);
        // The shell continues below.
        File::from(self.side.try_clone().unwrap()).write_all(b"$ ").unwrap();
        let rows = self.shows("the shell's prompt", |rows| rows.last().is_some_and(|last| last == "$"));
        assert!(!rows.iter().any(|row| row.starts_with('>')), "the typed line was left: {rows:#?}");
        let screen = self.screen.screen();
        assert!(!screen.bracketed_paste());
        assert_eq!((screen.fgcolor(), screen.bold(), screen.dim()), (Color::Default, false, false));
        done
    }

    /// The style of the first character of this text, which is on the screen once.
    #[track_caller]
    fn look_of(&self, text: &str) -> (Color, Weight) {
        let screen = self.screen.screen();
        let rows = screen.rows(0, COLUMNS).enumerate();
        let places: Vec<_> = rows.filter_map(|(row, shown)| Some((row, shown.find(text)?))).collect();
        let [(row, column)] = places[..] else { panic!("{text:?} is at {places:?} in {:#?}", self.rows()) };
        let cell = screen.cell(row.try_into().unwrap(), column.try_into().unwrap()).unwrap();
        let weight = match (cell.bold(), cell.dim()) {
            (false, false) => Weight::Normal,
            (true, false) => Weight::Bold,
            (false, true) => Weight::Dim,
            (true, true) => panic!("{text:?} is bold and dim"),
        };
        (cell.fgcolor(), weight)
    }

    fn bells(&self) -> usize {
        self.screen.callbacks().0
    }
}

pub fn client(address: SocketAddr, options: &[&str]) -> Command {
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(address, "Bob")).arg("--no-history").args(options).env_remove("NO_COLOR");
    command
}

/// A person, and a peer that acts as the server and has welcomed the person with this text.
fn start_before(listener: &TcpListener, words: &'static [u8]) -> (Person, Peer) {
    let (address, listener) = (listener.local_addr().unwrap(), listener.try_clone().unwrap());
    let welcome = thread::spawn(move || welcome(listener, words));
    (Person::start(address, &[]), welcome.join().unwrap())
}

#[derive(Debug, PartialEq, Eq)]
enum Weight {
    Normal,
    Bold,
    Dim,
}

/// Counts the bells.
struct Bells(usize);

impl vt100::Callbacks for Bells {
    fn audible_bell(&mut self, _: &mut vt100::Screen) {
        self.0 += 1;
    }
}

#[test]
fn a_quiet_client_has_no_greeting() {
    let server = Server::start();
    for (options, is_greeted) in [(&[][..], true), (&["-q"], false)] {
        let mut bob = Person::start(server.address, options);
        let rows = bob.sees("* Welcome, Bob.");
        assert_eq!(rows.iter().any(|row| row.contains("Connected")), is_greeted, "{rows:?}");
        bob.type_in(CTRL_D);
        assert_eq!(bob.program.finish().code, Some(0));
    }
}

#[test]
fn a_half_typed_line_survives_incoming_messages() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &[]);
    let mut alice = server.join("Alice");
    bob.type_in("half a li");
    bob.has_typed("half a li");
    alice.send("one\nzwei: Grüße, 世界\nthree\n");
    bob.sees("Alice: three");
    let screen = bob.has_typed("half a li");
    assert_eq!(screen[screen.len() - 4..], ["Alice: one", "Alice: zwei: Grüße, 世界", "Alice: three", "> half a li"]);
    bob.type_in("ne\r");
    alice.expect("Bob: half a line");
    bob.sees("Bob: half a line");
    let screen = bob.has_typed("");
    assert_eq!(
        screen[screen.len() - 5..],
        ["Alice: one", "Alice: zwei: Grüße, 世界", "Alice: three", "Bob: half a line", ">"]
    );
    assert_eq!(screen.iter().filter(|row| row.contains("half a")).count(), 1, "an echo was left: {screen:#?}");
}

#[test]
fn a_typed_line_of_several_rows_survives_incoming_messages() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &[]);
    let mut alice = server.join("Alice");
    // With the prompt, two and a half rows.
    let line: String = (0..148).map(|at| char::from(b'a' + at % 26)).collect();
    let typed = format!("> {line}");
    let rows = [&typed[..60], &typed[60..120], &typed[120..]];
    let is_typed = |screen: &[String]| screen.ends_with(&rows.map(str::to_owned));
    bob.type_in(&line);
    bob.shows("the typed line", is_typed);
    alice.send("one\ntwo\n");
    let screen =
        bob.shows("the typed line below", |screen| is_typed(screen) && screen.iter().any(|row| row == "Alice: two"));
    assert_eq!(screen[screen.len() - 5..][..2], ["Alice: one", "Alice: two"]);
    assert_eq!(screen.iter().filter(|row| row.contains("abc")).count(), 3, "{screen:#?}");
}

#[test]
fn a_private_message_is_shown_only_if_it_was_accepted() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &[]);
    let [mut alice, mut carol] = server.join_all(["Alice", "Carol"]);
    carol.send("/ignore Bob\n");
    carol.expect("* Ignoring Bob.");
    bob.type_in("one\r/msg Nobody hi\r/msg Carol hi\r/msg Alice hi\r");
    alice.expect("Bob: one");
    alice.expect("Bob (privately): hi");
    let screen = bob.sees("Bob (to Alice): hi");
    let said = screen.iter().filter(|row| row.starts_with("Bob") || row.starts_with("! "));
    let said = Vec::from_iter(said);
    assert_all_like(&said, &["Bob: one", "! no-such-user: …Nobody…", "! ignored: Carol …", "Bob (to Alice): hi"]);
    bob.type_in(&format!("/msg Alice bye\r{CTRL_D}"));
    bob.sees("Bob (to Alice): bye");
    bob.sees("* Bye, Bob: 3 lines accepted, 2 refused.");
    assert_eq!(bob.program.finish().code, Some(0));
}

#[test]
fn ctrl_d_leaves_and_restores_the_terminal() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &[]);
    bob.type_in("hi\r");
    bob.sees("Bob: hi");
    // While there is text, it deletes the character under the cursor and does not leave.
    bob.type_in("x");
    bob.has_typed("x");
    bob.type_in(&format!("{CTRL_D}y\r"));
    bob.sees("Bob: xy");
    bob.type_in(CTRL_D);
    bob.sees("* Bye, Bob: 2 lines accepted, 0 refused.");
    let done = bob.leaves_it_sane();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_signal_restores_the_terminal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let server = Server::start();
        let mut bob = Person::start(server.address, &[]);
        bob.type_in("half a line");
        bob.has_typed("half a line");
        bob.program.signal(signal);
        assert_eq!(bob.leaves_it_sane().code, Some(code));
    }
}

#[test]
fn the_death_of_the_server_restores_the_terminal() {
    let server = ServerProgram::start(&[]);
    let mut bob = Person::start(server.address, &["--no-reconnect"]);
    bob.type_in("half a line");
    bob.has_typed("half a line");
    server.program.signal(Signal::KILL);
    let done = bob.leaves_it_sane();
    assert_eq!(done.code, Some(3));
    assert!(done.stderr.starts_with("client: the connection was lost"), "{done:?}");
}

/// The address of the server, for the process that panics.
const PANIC_AT: &str = "LINECHAT_TEST_PANIC_AT";

/// The test runs itself again at a terminal, starts a client there, and makes that process panic.
#[test]
fn a_panic_restores_the_terminal() {
    if let Some(address) = std::env::var_os(PANIC_AT) {
        let address = address.into_string().unwrap().parse().unwrap();
        return panic_beside_a_client(address);
    }
    let server = Server::start();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "client::editor::a_panic_restores_the_terminal"]);
    command.env(PANIC_AT, server.address.to_string());
    let mut bob = Person::at(command);
    bob.type_in("half a line");
    bob.has_typed("half a line");
    bob.program.signal(Signal::USR1);
    let done = bob.leaves_it_sane();
    assert_eq!(done.code, Some(101));
    assert!(done.stderr.contains("a defect of the client"), "{done:?}");
}

/// Starts a client, and panics at SIGUSR1.
fn panic_beside_a_client(address: SocketAddr) {
    panic_beside(terminal::run, address)
}

/// Runs this client, and panics at SIGUSR1.
pub fn panic_beside(run: fn(&Config, &terminal::Options) -> Result<Outcome, ClientError>, address: SocketAddr) {
    let asked = Signals::new([Awaited::Usr1]).unwrap();
    let name = Name::parse("Bob").unwrap();
    let endpoint = Endpoint::Tcp { host: address.ip().to_string(), port: address.port(), trust: None };
    let config = Config {
        name,
        endpoint,
        password: None,
        allow_plain_password: false,
        if_taken: None,
        room: None,
        hear: Vec::new(),
        wanted: Wanted::default(),
    };
    let options = terminal::Options { history: None, color: true, bell: true, reconnect: true, greeting: true };
    thread::spawn(move || run(&config, &options));
    block_on(asked.into_future());
    panic!("a defect of the client");
}

#[test]
fn each_kind_of_line_has_its_style() {
    let server = Server::start();
    // The option overrides the variable.
    let mut command = client(server.address, &["--color", "always"]);
    let mut bob = Person::at({
        command.env("NO_COLOR", "1");
        command
    });
    let mut alice = server.join("Alice");
    alice.send("hi all\nhi bob\n/msg Bob psst\n");
    bob.sees("Alice (privately): psst");
    bob.type_in("/nonsense\r");
    bob.sees("! unknown-command");
    bob.type_in("hi Alice\r");
    bob.sees("Bob: hi Alice");
    bob.has_typed("");
    assert_eq!(bob.look_of("* Alice has joined"), (Color::Default, Weight::Dim));
    assert!(matches!(bob.look_of("Alice: hi all"), (Color::Idx(16..=255), Weight::Normal)));
    assert_eq!(bob.look_of("hi all"), (Color::Default, Weight::Normal));
    assert_eq!(bob.look_of("hi bob"), (Color::Default, Weight::Bold));
    assert_eq!(bob.look_of("psst"), (Color::Default, Weight::Bold));
    assert_eq!(bob.look_of("! unknown"), (Color::Idx(1), Weight::Bold));
    assert_eq!(bob.look_of("Bob: hi Alice"), (Color::Default, Weight::Bold));
    assert_eq!(bob.look_of("hi Alice"), (Color::Default, Weight::Normal));
    assert_eq!(bob.look_of("> "), (Color::Idx(2), Weight::Normal));
}

#[test]
fn no_color_turns_colours_off() {
    for (is_set, is_coloured) in [("", true), ("1", false)] {
        let server = Server::start();
        let mut command = client(server.address, &[]);
        command.env("NO_COLOR", is_set);
        let mut bob = Person::at(command);
        let mut alice = server.join("Alice");
        alice.send("hi bob\n");
        bob.sees("Alice: hi bob");
        bob.has_typed("");
        let is_plain = |text| bob.look_of(text) == (Color::Default, Weight::Normal);
        let plain = ["Alice: hi", "hi bob", "* Alice has joined", "> "].map(is_plain);
        assert_eq!(plain, [!is_coloured; 4], "NO_COLOR={is_set}");
        bob.type_in(CTRL_D);
        bob.leaves_it_sane();
    }
}

#[test]
fn the_bell_rings_for_ones_own_name_and_private_messages() {
    let server = Server::start();
    for (options, bells) in [(&[][..], 2), (&["--no-bell"], 0)] {
        let mut bob = Person::start(server.address, options);
        let mut alice = server.join("Alice");
        alice.send("hi all\nhi bob!\nbobsleigh\n/msg Bob psst\nthat is all\n");
        bob.sees("Alice: that is all");
        assert_eq!(bob.bells(), bells, "{options:?}");
        bob.type_in(CTRL_D);
        bob.leaves_it_sane();
    }
}

#[test]
fn ones_own_action_looks_like_an_action_of_another() {
    let fake = FakeServer::start();
    let mut bob = Person::start_without_waiting(client(fake.address, &[]));
    let mut server = fake.welcome("Bob");
    bob.sees("* Welcome, Bob.");
    bob.has_typed("");
    bob.type_in("/me waves\r");
    server.expect("/me waves");
    server.send("Alice: /me waves back at ｂｏｂ\n");
    bob.sees("~ Alice waves back at");
    let screen = bob.has_typed("");
    assert_eq!(screen[screen.len() - 3..], ["~ Bob waves", "~ Alice waves back at ｂｏｂ", ">"]);
    assert_eq!(bob.bells(), 1);
}

/// The test sets a time zone in which midnight comes soon.
#[test]
fn a_line_with_the_date_separates_two_days() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    for seconds in [2, 8, 20] {
        let now = jiff::Timestamp::now().as_second();
        let midnight = now + seconds;
        let offset = 86400 - midnight.rem_euclid(86400);
        let mut command = client(server.address, &[]);
        command.env("TZ", format!("XXX-{:02}:{:02}:{:02}", offset / 3600, offset / 60 % 60, offset % 60));
        let mut bob = Person::at(command);
        let mut number = 0;
        let rows = loop {
            number += 1;
            alice.send(&format!("line {number} of {seconds}\n"));
            let rows = bob.sees(&format!("Alice: line {number} of {seconds}"));
            if jiff::Timestamp::now().as_second() > midnight {
                break rows;
            }
            thread::sleep(std::time::Duration::from_millis(300));
        };
        bob.type_in(CTRL_D);
        bob.leaves_it_sane();
        if number == 1 {
            continue; // Starting took too long.
        }
        let day = jiff::Timestamp::from_second(midnight + offset).unwrap().strftime("-- %A, %-d %B %Y").to_string();
        let at = rows.iter().position(|row| *row == day).unwrap_or_else(|| panic!("no {day:?}: {rows:#?}"));
        assert!(rows[at - 1].starts_with("Alice: line ") && rows[at + 1].starts_with("Alice: line "), "{rows:#?}");
        assert_eq!(rows.iter().filter(|row| **row == day).count(), 1);
        return;
    }
    panic!("no client has come to its prompt within 20 s");
}

#[test]
fn lines_are_wrapped_between_words() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &["--color", "always"]);
    let mut alice = server.join("Alice");
    alice.send("the quick brown fox jumps over the lazy dog and so does bob again\n");
    let rows = bob.sees("      so does bob");
    let start = rows.iter().position(|row| row.starts_with("Alice: the")).unwrap();
    assert_eq!(
        rows[start..start + 2],
        ["Alice: the quick brown fox jumps over the lazy dog and", "      so does bob again"]
    );
    assert_eq!(bob.look_of("so does bob"), (Color::Default, Weight::Bold));
    bob.has_typed("");
}

#[test]
fn the_greeting_fits_into_80_columns() {
    let server = Server::start();
    let _alice = server.join("Alice");
    let mut command = Command::new("sh");
    let client = client(server.address, &["--color", "never"]);
    let words = std::iter::once(client.get_program()).chain(client.get_args());
    command.args(["-c", "stty columns 80 && exec \"$@\"", "sh"]).args(words);
    let mut bob = Person::start_without_waiting(command);
    bob.sees("* Welcome, Bob. 1 other here: Alice. /help");
    let written = String::from_utf8_lossy(&bob.bytes).into_owned();
    for line in [
        "-- Connected. Enter sends, Tab completes, /help lists commands, Ctrl-D leaves.\r\n",
        " * Welcome, Bob. 1 other here: Alice. /help lists the commands. The",
    ] {
        assert!(written.contains(line), "{line:?} is wrapped: {written:?}");
    }
}

#[test]
fn the_time_is_local() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &[]);
    let mut alice = server.join("Alice");
    let now = || jiff::ZonedDateTime::now().strftime("%H:%M").to_string();
    let before = now();
    alice.send("what time is it?\n");
    bob.sees("Alice: what time is it?");
    bob.type_in("late\r");
    bob.sees("Bob: late");
    let times = [before, now()];
    for said in ["Alice: what time is it?", "Bob: late"] {
        let row = bob.screen.screen().rows(0, COLUMNS).find(|row| row.contains(said)).unwrap();
        assert!(times.iter().any(|time| row.trim_end() == format!("{time} {said}")), "{row:?} at {times:?}");
    }
}

#[test]
fn a_hostile_server_cannot_act_on_the_screen() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut bob, mut server) = start_before(&listener, ATTACK);
    server.send("* end\n");
    let screen = bob.sees("* end");
    // The emulated screen drops U+FFFD.
    let defused = DEFUSED.map(|line| line.replace('\u{fffd}', ""));
    assert!(screen.windows(defused.len()).any(|rows| rows == defused), "{screen:#?}");
    assert_eq!(bob.bells(), 0);
}

#[test]
fn without_a_history_messages_sent_just_before_a_loss_are_reported() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut bob, mut server) = start_before(&listener, b"* Welcome, Bob.\n");
    for line in ["one", "two"] {
        bob.type_in(&format!("{line}\r"));
        server.expect(line);
    }
    bob.sees("Bob: two");
    drop(server);
    bob.sees("-- The connection was lost");
    let _server = welcome(listener, b"* Welcome, Bob.\n! no-history: this server does not record messages\n");
    bob.sees("-- Up to 2 of the lines you sent may not have arrived,");
}

/// The server has the messages, but the client may not know yet which of them it accepted.
#[test]
fn messages_sent_just_before_a_loss_arrive_once() {
    let fake = FakeServer::start();
    let mut bob = Person::start_without_waiting(client(fake.address, &[]));
    let mut server = fake.welcome("Bob");
    bob.sees("* Welcome, Bob.");
    bob.has_typed("");
    for loss in 0..20 {
        let [one, two] = [format!("one {loss}"), format!("two {loss}")];
        bob.type_in(&format!("{one}\r{two}\r"));
        server.expect_said(&one);
        server.expect_said(&two);
        let [first, second] = [&one, &two].map(|text| format!("[{} 2026-11-26T12:03:11Z] Bob: {text}\n", loss + 1));
        server.send(&first);
        drop(server);
        server = fake.accept("Bob");
        server.send("* Welcome, Bob.\n");
        if loss % 2 == 0 {
            // It was accepted after all.
            server.send(&format!("{second}* That was 1 to 2, 1 line.\n"));
        } else {
            server.send("* Nothing was said after 1.\n");
            server.expect_said(&two);
        }
        bob.type_in(&format!("back {loss}\r"));
        server.expect_said(&format!("back {loss}"));
    }
}

#[test]
fn a_line_sent_just_before_leaving_is_not_reported_as_unsent() {
    for _ in 0..20 {
        let fake = FakeServer::start();
        let mut bob = Person::start_without_waiting(client(fake.address, &[]));
        let mut server = fake.welcome("Bob");
        bob.sees("* Welcome, Bob.");
        bob.has_typed("");
        bob.type_in(&format!("last words\r{CTRL_D}{CTRL_D}"));
        let rows = bob.sees("-- A line that you sent may not have arrived: last words");
        assert!(!rows.iter().any(|row| row.starts_with("-- Not sent")), "{rows:#?}");
        assert_eq!(bob.program.finish().code, Some(3));
        // The client may have left before the line was written.
        let sent = server.rest();
        assert!(sent.is_empty() || sent == ["last words"], "{sent:?}");
    }
}

#[test]
fn the_client_reconnects_with_the_current_name() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut bob, mut server) = start_before(&listener, b"* Welcome, Bob.\n");
    server.send("* Bob is now Rob\n");
    bob.sees("* Bob is now Rob");
    bob.type_in("half a li");
    bob.has_typed("half a li");
    drop(server);
    bob.sees("-- The connection was lost");
    bob.has_typed("half a li");
    assert_eq!(bob.look_of("> half").0, Color::Idx(1));
    let mut server = within(move || {
        // The first connections fail.
        let mut servers = (0..3).map(|_| Peer::new(listener.accept().unwrap().0));
        servers.by_ref().take(2).for_each(|mut server| server.expect("Rob ids=on since=…"));
        servers.next().unwrap()
    });
    server.expect("Rob ids=on since=…");
    server.send("* Welcome, Rob.\n* Nothing was said after 0.\n");
    let screen = bob.sees("-- Reconnected. You were away since ");
    assert_eq!(screen.iter().filter(|row| row.starts_with("-- The connection was lost")).count(), 1, "{screen:#?}");
    bob.sees("* Welcome, Rob.");
    bob.has_typed("half a li");
    assert_eq!(bob.look_of("> half").0, Color::Idx(2));
    bob.type_in("ne\r");
    server.expect("half a line");
}

#[test]
fn typed_and_pasted_control_sequences_cannot_act_on_the_screen() {
    let server = Server::start();
    let mut bob = Person::start(server.address, &[]);
    bob.type_in("one \x16\x1b[2J\x16\x07 two");
    bob.has_typed("one  two");
    bob.type_in("\r");
    bob.sees("Bob: one ^[[2J^G two");
    bob.type_in("\x1b[200~three \u{9b}2J\x07 four\x1b[201~");
    bob.has_typed("three <U+009B>2J^G four");
    bob.type_in("\r");
    let screen = bob.sees("Bob: three <U+009B>2J^G four");
    // A search also shows it.
    bob.type_in("\x12three");
    bob.shows("what was found", |rows| rows.last().is_some_and(|row| row.ends_with("three <U+009B>2J^G four")));
    assert_eq!(bob.bells(), 0);
    assert!(screen.iter().any(|row| row.starts_with("* Welcome, Bob.")), "{screen:#?}");
    // The search term is drawn as well. This character would reverse the rest of the row.
    bob.type_in("\u{7}\x12\u{202e}ee");
    bob.shows("what is searched", |rows| rows.last().is_some_and(|row| row.contains("ee':")));
    assert!(!String::from_utf8_lossy(&bob.bytes).contains('\u{202e}'));
}

#[test]
fn the_last_lines_are_on_the_screen_before_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (mut bob, mut server) = start_before(&listener, b"* Welcome, Bob.\n");
    bob.type_in(CTRL_D);
    server.expect_end();
    let words: String = (0..500).map(|number| format!("Alice: {number}\n")).collect();
    server.send(&(words + "* Bye, Bob: 0 lines accepted, 0 refused.\n"));
    drop(server);
    let screen = bob.sees("* Bye, Bob: 0 lines accepted, 0 refused.");
    let before: Vec<_> = screen.iter().filter_map(|row| row.strip_prefix("Alice: ")).collect();
    assert!(before.len() > 10 && before.last() == Some(&"499"), "{screen:#?}");
    assert_eq!(bob.leaves_it_sane().code, Some(0));
}
