//! A client in tmux.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::pty::OpenptFlags;
use rustix::termios::{LocalModes, tcgetattr, tcgetwinsize};

use crate::support::harness::{DEADLINE, FakeServer, Peer, skipped};
use crate::support::program::{CLIENT, Program, without_time};

pub const COLUMNS: usize = 60;

/// A terminal of 60 columns and 20 rows with a client named Bob. Dropping it ends both.
pub struct TmuxClient {
    socket: String,
    /// The home directory of the person.
    home: PathBuf,
}

impl TmuxClient {
    /// Starts a client, and waits for the welcome and the prompt. `None` if tmux is not installed, which is reported.
    pub fn start(address: SocketAddr, options: &[&str]) -> Option<Self> {
        let client = Self::start_without_waiting(address, options)?;
        client.sees("* Welcome, Bob.");
        // The welcome can arrive before the editor has started.
        client.has_typed("");
        Some(client)
    }

    /// Starts a client that asks for a new password, at a server that the test controls.
    pub fn asked_for_a_password(server: &FakeServer, options: &[&str]) -> Option<(Self, Peer)> {
        let client = Self::start_without_waiting(server.address, options)?;
        let peer = server.welcome("Bob");
        client.sees("* Welcome, Bob.");
        client.keys("/register\n");
        client.sees("-- New password?");
        Some((client, peer))
    }

    /// Starts a client and does not wait.
    pub fn start_without_waiting(address: SocketAddr, options: &[&str]) -> Option<Self> {
        Self::in_environment("", address, options)
    }

    /// Starts a client with variable assignments as in a shell command, and does not wait.
    pub fn in_environment(variables: &str, address: SocketAddr, options: &[&str]) -> Option<Self> {
        static NEXT_ID: AtomicU32 = AtomicU32::new(0);
        if Command::new("tmux").arg("-V").output().is_err() {
            assert!(std::env::var_os("COMPAT_REQUIRE").is_none(), "tmux is not installed, and COMPAT_REQUIRE is set");
            skipped("the client at a terminal; tmux is not installed");
            return None;
        }
        let id = format!("linechat-{}-{}", std::process::id(), NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let client = Self { home: std::env::temp_dir().join(&id), socket: id };
        fs::create_dir_all(&client.home).unwrap();
        let size = [COLUMNS.to_string(), "20".to_owned()];
        // The shell is interactive, so that it has job control and shows its prompt after the client's end.
        let shell = ["new-session", "-d", "-s", "client", "-x", &size[0], "-y", &size[1], "bash --norc -i"];
        client.tmux(&[&["-f", "/dev/null", "set-option", "-g", "history-limit", "20000", ";"], &shell[..]].concat());
        let arguments = Program::client_arguments(address, "Bob");
        let words: Vec<_> = arguments.iter().map(String::as_str).chain(options.iter().copied()).collect();
        let home = client.home.display();
        client.keys(&format!(
            "PS1='$ '; clear; HOME={home} XDG_STATE_HOME={home} {variables} {CLIENT} {}; echo ended with $?\n",
            words.join(" ")
        ));
        Some(client)
    }

    fn tmux(&self, arguments: &[&str]) -> Output {
        let output = Command::new("tmux").args(["-u", "-L", &self.socket]).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        output
    }

    /// Types text; LF is Enter.
    pub fn keys(&self, text: &str) {
        self.tmux(&["send-keys", "-t", "client", "-l", "--", &text.replace('\n', "\r")]);
    }

    /// Presses a key, by tmux's name for it.
    pub fn press(&self, key: &str) {
        self.tmux(&["send-keys", "-t", "client", key]);
    }

    /// Presses a key that moves the cursor, and waits until it has.
    #[track_caller]
    pub fn moves(&self, key: &str) {
        let cursor = || self.tmux(&["display-message", "-p", "-t", "client", "#{cursor_x} #{cursor_y}"]).stdout;
        let (before, since) = (cursor(), Instant::now());
        self.press(key);
        while cursor() == before {
            assert!(since.elapsed() < DEADLINE, "{key} has not moved the cursor");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Pastes text, in brackets if the client has asked for them.
    pub fn paste(&self, text: &str, bracketed: bool) {
        let path = self.home.join("paste");
        fs::write(&path, text).unwrap();
        self.tmux(&["load-buffer", path.to_str().unwrap()]);
        self.tmux(if bracketed { &["paste-buffer", "-p", "-t", "client"] } else { &["paste-buffer", "-t", "client"] });
    }

    /// Sets the width of the terminal, and waits until the client can read it.
    #[track_caller]
    pub fn resize(&self, columns: u16) {
        self.tmux(&["resize-window", "-t", "client", "-x", &columns.to_string()]);
        let tty = self.open();
        let since = Instant::now();
        // tmux delays a resize by a quarter of a second if there was another one just before.
        while tcgetwinsize(&tty).unwrap().ws_col != columns {
            assert!(since.elapsed() < DEADLINE, "it is not resized");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops the client, continues it, and waits until the terminal's echo is off.
    #[track_caller]
    pub fn stops_and_goes_on(&self, stop: impl FnOnce()) {
        // The shell shows the command after it has set its own modes, and before the client continues.
        let shown = |screen: &[String]| screen.iter().filter(|line| line.starts_with("HOME=")).count();
        let before = shown(&self.screen());
        stop();
        self.shows("the shell's prompt", |screen| screen.last().is_some_and(|line| line == "$"));
        self.keys("fg\n");
        self.shows("the command", |screen| shown(screen) > before);
        let (tty, since) = (self.open(), Instant::now());
        while tcgetattr(&tty).unwrap().local_modes.contains(LocalModes::ECHO) {
            assert!(since.elapsed() < DEADLINE, "the terminal echoes:\n{}", self.screen().join("\n"));
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn open(&self) -> File {
        let flags = OpenptFlags::NOCTTY.bits().cast_signed();
        File::options().read(true).custom_flags(flags).open(self.tty()).unwrap()
    }

    fn tty(&self) -> String {
        let output = self.tmux(&["display-message", "-p", "-t", "client", "#{pane_tty}"]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The screen and the scrollback, without the times. Lines that the terminal or the client has wrapped are joined.
    pub fn screen(&self) -> Vec<String> {
        self.capture(&["-J"])
    }

    /// The same, with colours.
    pub fn colours(&self) -> Vec<String> {
        self.capture(&["-J", "-e"])
    }

    /// The rows of the screen that are not empty, unchanged.
    pub fn visible(&self) -> Vec<String> {
        let text = String::from_utf8(self.tmux(&["capture-pane", "-p", "-t", "client"]).stdout).unwrap();
        text.lines().map(|row| row.trim_end().to_owned()).filter(|row| !row.is_empty()).collect()
    }

    fn capture(&self, options: &[&str]) -> Vec<String> {
        let capture = [&["capture-pane", "-p", "-t", "client", "-S", "-"], options].concat();
        let text = String::from_utf8(self.tmux(&capture).stdout).unwrap();
        let lines = text.lines().map(|line| without_time(line.trim_end()).to_owned());
        let mut lines = lines.fold(Vec::new(), join_rows);
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    /// Waits until the screen is as expected.
    #[track_caller]
    pub fn shows(&self, what: &str, is_so: impl Fn(&[String]) -> bool) -> Vec<String> {
        let since = Instant::now();
        loop {
            let screen = self.screen();
            if is_so(&screen) {
                return screen;
            }
            assert!(since.elapsed() < DEADLINE, "not seen: {what}, but\n{}", screen.join("\n"));
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a line with this prefix.
    #[track_caller]
    pub fn sees(&self, line: &str) -> Vec<String> {
        self.shows(line, |screen| screen.iter().any(|shown| shown.starts_with(line)))
    }

    /// Waits until the typed line, on the last line, is this.
    #[track_caller]
    pub fn has_typed(&self, line: &str) -> Vec<String> {
        let line = format!("> {line}");
        self.shows(&line, |screen| screen.last().is_some_and(|last| *last == line.trim_end()))
    }

    /// Records what programs write to the terminal from now on.
    pub fn record(&self) {
        self.tmux(&["pipe-pane", "-t", "client", &format!("cat > {}", self.home.join("written").display())]);
    }

    /// Waits until the recording contains this, and returns all of it.
    #[track_caller]
    pub fn recorded(&self, text: &str) -> String {
        let since = Instant::now();
        loop {
            let written = fs::read(self.home.join("written")).unwrap_or_default();
            let written = String::from_utf8_lossy(&written).into_owned();
            if written.contains(text) {
                return written;
            }
            assert!(since.elapsed() < DEADLINE, "not written: {text:?}, but {written:?}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The title of the terminal, which the client must not change.
    pub fn title(&self) -> String {
        let output = self.tmux(&["display-message", "-p", "-t", "client", "#{pane_title}"]);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    pub fn history(&self) -> Option<String> {
        fs::read_to_string(self.home.join("linechat/history")).ok()
    }

    /// Sends a signal to the client, which is in the foreground.
    pub fn signal(&self, signal: &str) {
        let tty = self.tty();
        let terminal = tty.trim_start_matches("/dev/");
        let output =
            Command::new("pkill").args([&format!("-{signal}"), "-x", "client", "-t", terminal]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// Asserts that the modes are the shell's: the terminal echoes, and buffers a line until Enter.
    #[track_caller]
    pub fn is_sane(&self) {
        self.keys("echo on: $(stty -a | tr ' ;' '\\n\\n' | grep -xE 'icanon|echo|isig|opost' | sort)\n");
        let screen = self.shows("the modes", |screen| screen.iter().any(|line| line.starts_with("on:")));
        assert!(screen.iter().any(|line| line == "on: echo icanon isig opost"), "{screen:#?}");
    }
}

/// Appends a row to the lines. The client indents all rows of a line but the first.
fn join_rows(mut lines: Vec<String>, row: String) -> Vec<String> {
    match lines.last_mut().filter(|_| row.starts_with("   ")) {
        Some(line) => line.extend([" ", row.trim_start()]),
        None => lines.push(row),
    }
    lines
}

impl Drop for TmuxClient {
    fn drop(&mut self) {
        let _ = Command::new("tmux").args(["-L", &self.socket, "kill-server"]).output();
        let _ = fs::remove_dir_all(&self.home);
    }
}
