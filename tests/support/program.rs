//! The real programs as child processes. Every wait has a deadline, and no child outlives its test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::SocketAddr;
#[cfg(unix)]
use std::os::unix::fs::chown;
#[cfg(unix)]
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

#[cfg(unix)]
use rustix::process::{Pid, Signal, geteuid, kill_process};

#[cfg(unix)]
use crate::support::harness::skipped;
use crate::support::harness::{DEADLINE, Peer};
use crate::support::lines::{assert_like, without_history};

pub const CLIENT: &str = env!("CARGO_BIN_EXE_client");
pub const SERVER: &str = env!("CARGO_BIN_EXE_server");

/// Copies a program to a place where other users can run it. A separate process makes the copy. If this process opened
/// the copy for writing, a child forked by another test could have it open too, and running it would fail with "Text
/// file busy".
#[cfg(unix)]
pub fn install(program: &str, to: &Path) {
    let status = Command::new("install").args(["-m", "755", program]).arg(to).status().expect("install can be started");
    assert!(status.success(), "{program} is not copied to {}", to.display());
}

/// A running program. It is killed when the test ends.
pub struct Program {
    child: Option<Child>,
    stdin: Option<ChildStdin>,
    pub stdout: Output,
    pub stderr: Output,
}

/// The result of a program.
#[derive(Debug, PartialEq, Eq)]
pub struct Finished {
    /// `None` if a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Program {
    /// Starts a program with a pipe on each side.
    pub fn start<A: AsRef<OsStr>>(path: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        Self::spawn(command)
    }

    /// Starts a program whose standard output is left to the test.
    pub fn start_unread<A: AsRef<OsStr>>(path: &str, arguments: impl IntoIterator<Item = A>) -> (Self, ChildStdout) {
        let mut command = Command::new(path);
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        (Self::adopt(child), stdout)
    }

    /// Starts a program with the given standard input and output.
    pub fn spawn(mut command: Command) -> Self {
        Self::adopt(command.stderr(Stdio::piped()).spawn().unwrap())
    }

    /// Takes over a program. What is not a pipe has no output.
    pub fn adopt(mut child: Child) -> Self {
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().map_or_else(Output::none, Output::of);
        let stderr = child.stderr.take().map_or_else(Output::none, Output::of);
        Self { child: Some(child), stdin, stdout, stderr }
    }

    /// The arguments of a client for this address and name.
    pub fn client_arguments(address: SocketAddr, name: &str) -> [String; 6] {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        ["--name", name, "--host", &host, "--port", &port].map(str::to_owned)
    }

    /// A client in a pipe, for this address and name.
    pub fn client(address: SocketAddr, name: &str) -> Self {
        Self::start(CLIENT, Self::client_arguments(address, name))
    }

    /// Writes to its standard input. Errors are ignored: if it has ended, its exit code tells why.
    pub fn write(&mut self, text: &str) {
        match self.stdin.as_ref().expect("its input is a pipe and open").write_all(text.as_bytes()) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written.unwrap(),
        }
    }

    /// Closes its standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    #[cfg(unix)]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        self.child.as_mut().expect("it has not been waited for").kill().unwrap();
    }

    /// Waits until it exits by itself.
    #[track_caller]
    pub fn finish(&mut self) -> Finished {
        self.finish_within(DEADLINE)
    }

    /// Waits until it exits by itself, for this long at most.
    #[track_caller]
    pub fn finish_within(&mut self, limit: Duration) -> Finished {
        let id = self.child.as_ref().expect("it is waited for once").id();
        let mut child = self.child.take().expect("it is waited for once");
        let (done, ended) = channel();
        thread::spawn(move || done.send(child.wait().unwrap()));
        let Ok(status) = ended.recv_timeout(limit) else {
            end_at_once(id);
            panic!("it has not ended within {limit:?}");
        };
        let text = |bytes| String::from_utf8(bytes).expect("it writes UTF-8");
        Finished {
            code: status.code(),
            stdout: without_history(&text(self.stdout.rest())),
            stderr: text(self.stderr.rest()),
        }
    }

    /// Sends its whole input, closes it, and waits until the program exits.
    #[track_caller]
    pub fn finish_with(mut self, input: &str) -> Finished {
        self.write(input);
        self.end_input();
        self.finish()
    }

    #[cfg(windows)]
    pub fn child(&self) -> &Child {
        self.child.as_ref().expect("it has not been waited for")
    }

    #[cfg(unix)]
    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().expect("it has not been waited for"))
    }
}

/// A process that another thread waits for.
fn end_at_once(id: u32) {
    #[cfg(unix)]
    let _ = kill_process(Pid::from_raw(id.cast_signed()).expect("no process is 0"), Signal::KILL);
    #[cfg(windows)]
    let _ = Command::new("taskkill").args(["/f", "/pid", &id.to_string()]).status();
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The output of a program, as it arrives.
pub struct Output {
    incoming: Option<Receiver<Vec<u8>>>,
    waiting: Vec<u8>,
}

impl Output {
    /// Reads `source` to its end on a thread, so that the writer never has to wait.
    pub fn of(source: impl Read + Send + 'static) -> Self {
        let (sender, incoming) = channel();
        thread::spawn(move || {
            let mut source = BufReader::new(source);
            // A terminal returns an error after the last program has closed it.
            while let Ok(bytes @ [_, ..]) = source.fill_buf() {
                let count = bytes.len();
                if sender.send(bytes.to_vec()).is_err() {
                    return;
                }
                source.consume(count);
            }
        });
        Self { incoming: Some(incoming), waiting: Vec::new() }
    }

    fn none() -> Self {
        Self { incoming: None, waiting: Vec::new() }
    }

    /// The next line without its LF.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let line = self.next_line();
        line.unwrap_or_else(|| panic!("the output ended after {:?}", String::from_utf8_lossy(&self.waiting)))
    }

    /// The next line without its LF; `None` at the end of the output.
    #[track_caller]
    pub fn next_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.waiting.iter().position(|&byte| byte == b'\n') {
                let rest = self.waiting.split_off(end + 1);
                self.waiting.truncate(end);
                return Some(String::from_utf8(std::mem::replace(&mut self.waiting, rest)).expect("it writes UTF-8"));
            }
            if !self.more() {
                return None;
            }
        }
    }

    #[track_caller]
    pub fn expect(&mut self, line: &str) {
        assert_like(&self.line(), line);
    }

    /// Everything up to the end of the output.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        while self.more() {}
        std::mem::take(&mut self.waiting)
    }

    /// The next piece of output. `None` at the end, or after the deadline.
    pub fn next_within_deadline(&mut self) -> Option<Vec<u8>> {
        if !self.waiting.is_empty() {
            return Some(std::mem::take(&mut self.waiting));
        }
        self.incoming.as_ref()?.recv_timeout(DEADLINE).ok()
    }

    /// Waits for more output. Returns false at the end.
    #[track_caller]
    fn more(&mut self) -> bool {
        use std::sync::mpsc::RecvTimeoutError::{Disconnected, Timeout};
        let Some(incoming) = &self.incoming else { return false };
        match incoming.recv_timeout(DEADLINE) {
            Ok(bytes) => self.waiting.extend(bytes),
            Err(Disconnected) => self.incoming = None,
            Err(Timeout) => panic!("no more output came after {:?}", String::from_utf8_lossy(&self.waiting)),
        }
        self.incoming.is_some()
    }
}

/// The server program on a free local port.
pub struct ServerProgram {
    pub program: Program,
    pub address: SocketAddr,
}

impl ServerProgram {
    pub fn start(arguments: &[&str]) -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)), arguments)
    }

    pub fn start_at(address: SocketAddr, arguments: &[&str]) -> Self {
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut program = Program::start(SERVER, ["--host", &host, "--port", &port].iter().chain(arguments));
        let address = listening_on(&program.stdout.line());
        Self { program, address }
    }

    pub fn join(&self, name: &str) -> Peer {
        Peer::connect(self.address).join(name)
    }

    /// Reads the log until there is a record with this event.
    #[track_caller]
    pub fn wait_for_record(&mut self, event: &str) {
        // It comes after the module path and the end of a style.
        while !self.program.stdout.line().ends_with(&format!("\x1b[0m {event}")) {}
    }
}

/// A user of this machine that is not the one who runs the tests.
#[cfg(unix)]
pub const NOBODY: u32 = 65534;

/// The server program, run by another user, with a password file of that user. `None` if that is impossible; this
/// prints a message then.
#[cfg(unix)]
pub fn server_of_another_user(address: SocketAddr, password: &Path, arguments: &[&str]) -> Option<Program> {
    if !geteuid().is_root() {
        skipped("a server of another user: only root can start it");
        return None;
    }
    chown(password, Some(NOBODY), None).unwrap();
    let (host, port) = (address.ip().to_string(), address.port().to_string());
    let mut command = Command::new(SERVER);
    command.args(["--host", &host, "--port", &port, "--password-file"]).arg(password).args(arguments);
    command.uid(NOBODY).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    match command.spawn() {
        Ok(child) => Some(Program::adopt(child)),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            skipped("a server of another user: the program is in a folder that is closed to others");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// The text without the leading `HH:MM `, if there is one.
pub fn without_time(line: &str) -> &str {
    match line.as_bytes() {
        [a, b, b':', c, d, b' ', ..] if [a, b, c, d].into_iter().all(u8::is_ascii_digit) => &line[6..],
        _ => line,
    }
}

/// The address in the first line of the server.
#[track_caller]
pub fn listening_on(line: &str) -> SocketAddr {
    let address = line.strip_prefix("Server listening on ").and_then(|address| address.parse().ok());
    address.unwrap_or_else(|| panic!("the first line is {line:?}"))
}
