//! SIGHUP reloads the settings and files. It stops the server gracefully if there is nothing to reload or the terminal was closed.

use std::fs;
use std::fs::File;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::password::{REQUIRED, password_file};
use crate::client::plain::terminal;
use crate::support::harness::Peer;
use crate::support::lines::bye;
use crate::support::program::{Program, SERVER, ServerProgram, listening_on};

/// The server stops: Alice is told, and the exit code is 0.
#[track_caller]
fn expect_a_gentle_stop(mut server: ServerProgram, mut alice: Peer) {
    alice.expect_rest(&["* The server is shutting down", &bye("Alice", 0, 0)]);
    drop(alice);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

/// A server that is the session leader of a controlling terminal, and that terminal.
fn server_at_a_terminal(arguments: &[&str]) -> (ServerProgram, File) {
    let (screen, side) = terminal();
    let mut command = Command::new("setsid");
    command.args(["--ctty", SERVER, "--host", "127.0.0.1", "--port", "0"]).args(arguments);
    command.stdin(side).stdout(Stdio::piped());
    let mut program = Program::spawn(command);
    let address = listening_on(&program.stdout.line());
    (ServerProgram { program, address }, screen)
}

/// A server that was started with SIGHUP ignored.
fn server_that_ignores_hangups(arguments: &[&str]) -> ServerProgram {
    let script = "trap '' HUP; exec \"$0\" --host 127.0.0.1 --port 0 \"$@\"";
    let mut program = Program::start("sh", ["-c", script, SERVER].iter().chain(arguments));
    let address = listening_on(&program.stdout.line());
    ServerProgram { program, address }
}

fn join_with_password(address: SocketAddr) -> Peer {
    let mut alice = Peer::connect(address);
    alice.send("Alice\nopen sesame\n");
    alice.expect(REQUIRED);
    alice.expect("* Welcome, Alice. …");
    alice
}

#[test]
fn a_hangup_stops_a_server_that_has_nothing_to_reload() {
    let server = ServerProgram::start(&[]);
    let alice = server.join("Alice");
    server.program.signal(Signal::HUP);
    expect_a_gentle_stop(server, alice);
}

#[test]
fn a_second_hangup_does_not_shorten_the_shutdown() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join("Alice");
    server.program.signal(Signal::HUP);
    alice.expect("* The server is shutting down");
    server.program.signal(Signal::HUP);
    alice.expect_rest(&[&bye("Alice", 0, 0)]);
    drop(alice);
    assert_eq!({ server }.program.finish().code, Some(0));
}

#[test]
fn a_closed_terminal_stops_a_server_that_could_reload() {
    let file = password_file("closed-terminal", "open sesame\n");
    let (server, screen) = server_at_a_terminal(&["--password-file", file.to_str().unwrap()]);
    let alice = join_with_password(server.address);
    // The kernel sends SIGHUP.
    drop(screen);
    expect_a_gentle_stop(server, alice);
}

#[test]
fn a_hangup_reloads_while_the_terminal_is_open() {
    let file = password_file("open-terminal", "open sesame\n");
    let (mut server, _screen) = server_at_a_terminal(&["--password-file", file.to_str().unwrap()]);
    server.program.signal(Signal::HUP);
    server.wait_for_record("reloaded");
    join_with_password(server.address);
}

/// As with `nohup server &`.
#[test]
fn a_server_started_with_hangups_ignored_keeps_running() {
    let server = server_that_ignores_hangups(&[]);
    let mut alice = server.join("Alice");
    server.program.signal(Signal::HUP);
    alice.expect_nothing_new();
    server.program.signal(Signal::TERM);
    alice.expect("* The server is shutting down");

    let file = password_file("ignored", "open sesame\n");
    let mut server = server_that_ignores_hangups(&["--password-file", file.to_str().unwrap()]);
    server.program.signal(Signal::HUP);
    server.wait_for_record("reloaded");
    join_with_password(server.address);
}

/// Reads the log until a record with this event is about this setting.
#[track_caller]
fn wait_for_setting(server: &mut ServerProgram, event: &str, setting: &str) {
    loop {
        server.wait_for_record(event);
        // The fields follow, each on a line of its own.
        if server.program.stdout.line().ends_with(&format!(" {setting}")) {
            return;
        }
    }
}

#[test]
fn a_hangup_rereads_the_settings_and_says_which_need_a_restart() {
    let [old, new] = [("old", "open sesame\n"), ("new", "close sesame\n")]
        .map(|(name, password)| password_file(&format!("settings-{name}"), password));
    let file = std::env::temp_dir().join(format!("linechat-signals-settings-{}", std::process::id()));
    let set = |text: &str| fs::write(&file, text).unwrap();
    set(&format!("log-level = \"warn\"\npassword-file = {old:?}\n"));
    let mut server = ServerProgram::start(&["--config", file.to_str().unwrap()]);
    let address = server.address;
    let tries = |password: &str, reply: &str| {
        let mut alice = Peer::connect(address);
        alice.send(&format!("Alice\n{password}\n"));
        alice.expect(REQUIRED);
        alice.expect(reply);
    };
    tries("open sesame", "* Welcome, Alice. …");

    set(&format!("log-level = \"info\"\npassword-file = {new:?}\nreplay = 3\n"));
    server.program.signal(Signal::HUP);
    wait_for_setting(&mut server, "setting changed", "log-level");
    wait_for_setting(&mut server, "setting changed", "password-file");
    wait_for_setting(&mut server, "setting changed, restart needed", "replay");
    tries("open sesame", "! wrong-password: …");
    tries("close sesame", "* Welcome, Alice. …");

    // What cannot be used changes nothing.
    set("replai = 3");
    server.program.signal(Signal::HUP);
    server.wait_for_record("not reloaded");
    set("log-level = \"error\"\npassword-file = \"/no/such\"\n");
    server.program.signal(Signal::HUP);
    server.wait_for_record("not reloaded");
    tries("close sesame", "* Welcome, Alice. …");

    set(&format!("log-level = \"error\"\npassword-file = {old:?}\ndata = \"/no/such/folder\"\n"));
    server.program.signal(Signal::HUP);
    server.wait_for_record("not reloaded");
    tries("close sesame", "* Welcome, Alice. …");

    // A level at which less is logged counts after what is logged about it.
    set(&format!("log-level = \"error\"\npassword-file = {old:?}\n"));
    server.program.signal(Signal::HUP);
    wait_for_setting(&mut server, "setting changed", "log-level");
    wait_for_setting(&mut server, "setting changed", "password-file");
    tries("open sesame", "* Welcome, Alice. …");
    set(&format!("log-level = \"info\"\npassword-file = {old:?}\n"));
    server.program.signal(Signal::HUP);
    wait_for_setting(&mut server, "setting changed", "log-level");
}
