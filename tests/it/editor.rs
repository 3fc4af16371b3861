//! The client's editor at a pseudo-terminal, with a model of a screen in place of a real one.

use std::fs::File;
use std::io::Write;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::process::Command;
use std::thread;

use async_signal::{Signal as Awaited, Signals};
use async_std::task::block_on;
use futures::StreamExt;
use linechat::client::{Config, terminal};
use linechat::protocol::Name;
use rustix::process::Signal;
use rustix::termios::{LocalModes, SpecialCodeIndex, Termios, Winsize, tcgetattr, tcsetwinsize};

use crate::harness::Server;
use crate::plain::plain_terminal;
use crate::program::{CLIENT, Finished, Output, Program, ServerProgram, without_time};

const ROWS: u16 = 20;
const COLUMNS: u16 = 60;
const CTRL_D: &str = "\x04";

/// A person at the editor. The screen is what a terminal makes of all that was written to it.
struct Person {
    program: Program,
    keyboard: File,
    written: Output,
    screen: vt100::Parser,
    /// The program's side. It stays open, so that the modes can be read when the program has gone.
    side: OwnedFd,
    before: Modes,
}

/// All that a program can change in the modes of a terminal.
#[derive(Debug, PartialEq, Eq)]
struct Modes {
    flags: String,
    codes: Vec<u8>,
}

impl Modes {
    fn of(side: &OwnedFd) -> Self {
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
    /// Sits down, is welcomed, and is at an editor that has taken the terminal over.
    fn sit_down(address: SocketAddr, options: &[&str]) -> Self {
        let mut command = Command::new(CLIENT);
        command.args(Program::client_arguments(address, "Bob")).args(["--no-history"]).args(options);
        Self::at(command)
    }

    fn at(mut command: Command) -> Self {
        let (screen, side) = plain_terminal();
        tcsetwinsize(&side, Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let before = Modes::of(&side);
        command.env("TERM", "xterm-256color").stdin(side.try_clone().unwrap()).stdout(side.try_clone().unwrap());
        let mut this = Self {
            program: Program::spawn(command),
            keyboard: screen.try_clone().unwrap(),
            written: Output::of(screen),
            screen: vt100::Parser::new(ROWS.try_into().unwrap(), COLUMNS.try_into().unwrap(), 0),
            side,
            before,
        };
        this.sees("* Welcome, Bob.");
        this.has_typed("");
        this.is_taken_over();
        this
    }

    fn type_in(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// What is on the screen, without the times, from the first row to the last that holds something.
    fn rows(&self) -> Vec<String> {
        let rows = self.screen.screen().rows(0, COLUMNS).map(|row| without_time(row.trim_end()).to_owned());
        let mut rows: Vec<_> = rows.collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Waits until the screen is as it should be.
    #[track_caller]
    fn shows(&mut self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        loop {
            let rows = self.rows();
            if is_so(&rows) {
                return rows;
            }
            let Some(bytes) = self.written.next_within_deadline() else {
                panic!("not seen: {what}, but\n{}", rows.join("\n"))
            };
            self.screen.process(&bytes);
        }
    }

    /// Waits for a row that begins so.
    #[track_caller]
    fn sees(&mut self, start: &str) -> Vec<String> {
        self.shows(start, |rows| rows.iter().any(|row| row.starts_with(start)))
    }

    /// Waits until this is what is typed, on the last row.
    #[track_caller]
    fn has_typed(&mut self, line: &str) -> Vec<String> {
        let line = format!("> {line}");
        self.shows(&line, |rows| rows.last().is_some_and(|last| *last == line.trim_end()))
    }

    /// The editor reads each key by itself and is told of a paste.
    #[track_caller]
    fn is_taken_over(&self) {
        let modes = tcgetattr(&self.side).unwrap().local_modes;
        assert!(!modes.intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG), "{modes:?}");
        assert!(self.screen.screen().bracketed_paste());
    }

    /// Waits for the end of the client. The terminal is as it was before, and the line that was typed is not on it.
    #[track_caller]
    fn leaves_it_sane(mut self) -> Finished {
        let done = self.program.finish();
        assert_eq!(Modes::of(&self.side), self.before);
        // It was written before the end, so it comes.
        while self.screen.screen().bracketed_paste() {
            let bytes = self.written.next_within_deadline().expect("the end of bracketed paste");
            self.screen.process(&bytes);
        }
        let rows = self.shows("no typed line", |rows| !rows.iter().any(|row| row.starts_with('>')));
        let (row, column) = self.screen.screen().cursor_position();
        assert_eq!((usize::from(row), column), (rows.len(), 0), "the shell's prompt comes below: {rows:#?}");
        done
    }
}

#[test]
fn a_half_typed_line_survives_what_comes_in_and_is_redrawn_as_a_message() {
    let server = Server::start();
    let mut bob = Person::sit_down(server.address, &[]);
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
fn a_typed_line_of_several_rows_survives_what_comes_in() {
    let server = Server::start();
    let mut bob = Person::sit_down(server.address, &[]);
    let mut alice = server.join("Alice");
    // With the prompt, two rows and a half.
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
fn ctrl_d_leaves_and_restores_the_terminal() {
    let server = Server::start();
    let mut bob = Person::sit_down(server.address, &[]);
    bob.type_in("hi\r");
    bob.sees("Bob: hi");
    // It deletes what is under the cursor while there is a line, and does not leave.
    bob.type_in("x");
    bob.has_typed("x");
    bob.type_in(&format!("{CTRL_D}y"));
    bob.has_typed("xy");
    bob.type_in(&format!("\x7f\x7f{CTRL_D}"));
    bob.sees("* Bye, Bob: 1 line accepted, 0 refused.");
    let done = bob.leaves_it_sane();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_signal_restores_the_terminal() {
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131)] {
        let server = Server::start();
        let mut bob = Person::sit_down(server.address, &[]);
        bob.type_in("half a line");
        bob.has_typed("half a line");
        bob.program.signal(signal);
        assert_eq!(bob.leaves_it_sane().code, Some(code));
    }
}

#[test]
fn the_death_of_the_server_restores_the_terminal() {
    let server = ServerProgram::start(&[]);
    let mut bob = Person::sit_down(server.address, &["--no-reconnect"]);
    bob.type_in("half a line");
    bob.has_typed("half a line");
    server.program.signal(Signal::KILL);
    let done = bob.leaves_it_sane();
    assert_eq!(done.code, Some(3));
    assert!(done.stderr.starts_with("client: the connection was lost"), "{done:?}");
}

/// The address of the server, for a process of this test's own that is to panic.
const PANIC_AT: &str = "LINECHAT_TEST_PANIC_AT";

/// It runs itself again at a terminal, where a client takes the terminal over; then the process panics.
#[test]
fn a_panic_restores_the_terminal() {
    if let Some(address) = std::env::var_os(PANIC_AT) {
        let address = address.into_string().unwrap().parse().unwrap();
        return panic_beside_a_client(address);
    }
    let server = Server::start();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "--nocapture", "editor::a_panic_restores_the_terminal"]);
    command.env(PANIC_AT, server.address.to_string());
    let mut bob = Person::at(command);
    bob.type_in("half a line");
    bob.has_typed("half a line");
    bob.program.signal(Signal::USR1);
    let done = bob.leaves_it_sane();
    assert_eq!(done.code, Some(101));
    assert!(done.stderr.contains("a defect of the client"), "{done:?}");
}

/// Lets a client sit down, and panics at SIGUSR1.
fn panic_beside_a_client(address: SocketAddr) {
    let asked = Signals::new([Awaited::Usr1]).unwrap();
    let name = Name::parse("Bob").unwrap();
    let config = Config { name, host: address.ip().to_string(), port: address.port() };
    let options = terminal::Options { history: None, color: true, bell: true, reconnect: true };
    thread::spawn(move || terminal::run(&config, &options));
    block_on(asked.into_future());
    panic!("a defect of the client");
}
