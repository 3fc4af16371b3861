//! Standard streams that another program has left in non-blocking mode.

use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::ioctl_fionread;
use rustix::pipe::{PIPE_BUF, fcntl_setpipe_size};

use crate::support::harness::{DEADLINE, Server, within};
use crate::support::program::{CLIENT, Output, Program};

/// A pipe that is non-blocking at both ends.
fn nonblocking_pipe() -> (PipeReader, PipeWriter) {
    let (reader, writer) = pipe().unwrap();
    for end in [OwnedFd::from(reader.try_clone().unwrap()), OwnedFd::from(writer.try_clone().unwrap())] {
        fcntl_setfl(&end, fcntl_getfl(&end).unwrap() | OFlags::NONBLOCK).unwrap();
    }
    (reader, writer)
}

/// The same pipe, for a test that needs to wait when it reads.
fn blocking(reader: PipeReader) -> PipeReader {
    fcntl_setfl(&reader, fcntl_getfl(&reader).unwrap() - OFlags::NONBLOCK).unwrap();
    reader
}

/// Everyone who shares the pipe shares its mode, so it must not change.
fn is_nonblocking(end: impl AsFd) -> bool {
    fcntl_getfl(end).unwrap().contains(OFlags::NONBLOCK)
}

fn client(server: &Server, name: &str, more: &[&str]) -> Command {
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server.address, name)).args(more);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

#[test]
fn a_nonblocking_standard_input_works() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (reader, mut writer) = nonblocking_pipe();
    let kept = reader.try_clone().unwrap();
    let mut command = client(&server, "Bob", &[]);
    command.stdin(reader);
    let mut client = Program::spawn(command);
    alice.expect("* Bob has joined");
    for line in ["one", "two"] {
        writer.write_all(format!("{line}\n").as_bytes()).unwrap();
        alice.expect(&format!("Bob: {line}"));
    }
    assert!(is_nonblocking(kept));
    drop(writer);
    assert_eq!(client.finish().code, Some(0));
}

/// More than a pipe holds is sent before anyone reads it.
#[test]
fn a_nonblocking_standard_output_works() {
    const LINES: usize = 100;
    for (name, more) in [("Bob", &[][..]), ("bot", &["--exec", "true"])] {
        let server = Server::start();
        let mut alice = server.join("Alice");
        let (reader, writer) = nonblocking_pipe();
        let kept = writer.try_clone().unwrap();
        let mut command = client(&server, name, more);
        command.stdout(writer);
        let client = Program::spawn(command);
        alice.expect(&format!("* {name} has joined"));
        let padding = "x".repeat(4000);
        (0..LINES).for_each(|number| alice.send(&format!("{number} {padding}\n")));
        alice.expect_nothing_new();
        let mut stdout = Output::of(blocking(reader));
        stdout.expect(&format!("* Welcome, {name}. 1 other here: Alice. …"));
        (0..LINES).for_each(|number| stdout.expect(&format!("Alice: {number} {padding}")));
        // The test has changed only the mode of its own end.
        assert!(is_nonblocking(kept));
        drop(client);
        assert!(alice.line().starts_with(&format!("* {name} has left")));
    }
}

/// The client writes more than the pipe holds, and is read only when the pipe is full.
#[test]
fn a_nonblocking_standard_error_works() {
    const LINES: usize = 100;
    let server = Server::start();
    let (reader, writer) = nonblocking_pipe();
    fcntl_setpipe_size(&writer, PIPE_BUF).unwrap();
    let mut child = client(&server, "Bob", &["--lines-only"]).stderr(writer).spawn().unwrap();
    child.stdin.take().unwrap().write_all("/nope\n".repeat(LINES).as_bytes()).unwrap();
    let since = Instant::now();
    while ioctl_fionread(&reader).unwrap() < PIPE_BUF as u64 - 200 {
        assert!(since.elapsed() < DEADLINE, "the pipe is not full");
        thread::sleep(Duration::from_millis(1));
    }
    let mut reader = blocking(reader);
    let said = within(move || {
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        said
    });
    assert_eq!(said.matches("! unknown-command: ").count(), LINES, "{said}");
    assert!(said.contains(&format!("\nclient: {LINES} refused, ")), "{said}");
    assert_eq!(within(move || child.wait().unwrap()).code(), Some(1));
}

/// Sockets, as sshd and inetd give to a program, and one for both directions.
#[test]
fn a_nonblocking_socket_works() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    let mut command = client(&server, "Bob", &["--lines-only"]);
    command.stdin(OwnedFd::from(theirs.try_clone().unwrap())).stdout(OwnedFd::from(theirs));
    let mut client = Program::spawn(command);
    alice.expect("* Bob has joined");
    let padding = "x".repeat(4000);
    (0..200).for_each(|number| alice.send(&format!("{number} {padding}\n")));
    alice.expect_nothing_new();
    let mut socket = ours.try_clone().unwrap();
    socket.write_all(b"last words\n").unwrap();
    alice.expect("Bob: last words");
    let mut said = Output::of(ours);
    (0..200).for_each(|number| said.expect(&format!("Alice: {number} {padding}")));
    socket.shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.finish().code, Some(0));
}
