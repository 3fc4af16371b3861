//! The command lines of the programs: where to connect, and the errors for mistakes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use linechat::server::listen::{Listener, Tls};

#[cfg(unix)]
use crate::client::plain::terminal;
use crate::support::harness::{Peer, Server, has_ipv6, unpaced};
use crate::support::program::{CLIENT, Finished, Program, SERVER, listening_on};

/// The environment variables that the client reads.
const VARIABLES: [&str; 4] = ["LINECHAT_NAME", "LINECHAT_HOST", "LINECHAT_PORT", "USER"];

/// A client with these arguments, and with only these of the variables above.
fn command(variables: &[(&str, &str)], arguments: &[&str]) -> Command {
    let mut command = Command::new(CLIENT);
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.envs(variables.iter().copied()).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

/// Runs it with empty input.
fn run(variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    Program::spawn(command(variables, arguments)).finish_with("")
}

/// Runs it at a terminal, and ignores what that shows.
#[cfg(unix)]
fn run_at_a_terminal(variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let (_screen, side) = terminal();
    let mut command = command(variables, arguments);
    command.stdin(side.try_clone().unwrap()).stdout(side);
    Program::spawn(command).finish()
}

fn client(arguments: &[&str]) -> Finished {
    run(&[], arguments)
}

/// Asserts that the client joins the room and leaves again.
#[track_caller]
fn assert_joins(arguments: &[&str]) {
    let done = client(arguments);
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
}

/// Asserts that this is a usage error with this message.
#[track_caller]
fn assert_wrong_usage(arguments: &[&str], why: &str) {
    let done = client(arguments);
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{arguments:?}");
    assert_eq!(
        done.stderr.split_once("\n\n").map(|(error, _)| error),
        Some(&*format!("error: {why}")),
        "{arguments:?}"
    );
}

#[track_caller]
fn assert_is_wrong_usage(done: &Finished, why: &str) {
    assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""), "{}", done.stderr);
    assert_eq!(done.stderr.split_once("\n\n").map(|(error, _)| error), Some(&*format!("error: {why}")));
}

#[test]
fn a_host_is_an_argument_and_may_have_a_port() {
    let server = Server::start();
    let port = server.address.port().to_string();
    for host in ["localhost", "127.0.0.1"] {
        let with_port = format!("{host}:{port}");
        assert_joins(&["--name", "Bob", &with_port]);
        assert_joins(&[&with_port, "-n", "Bob"]);
        assert_joins(&["-n", "Bob", "--host", &with_port]);
        assert_joins(&["-n", "Bob", host, "-p", &port]);
        assert_joins(&["-n", "Bob", "--port", &port, "--", host]);
    }
    if has_ipv6() {
        let server = Server::start_at("::1", unpaced());
        let port = server.address.port().to_string();
        assert_joins(&["-n", "Bob", &format!("[::1]:{port}")]);
        assert_joins(&["-n", "Bob", "--host", &format!("[::1]:{port}")]);
        assert_joins(&["-n", "Bob", "::1", "-p", &port]);
    }
}

#[cfg(unix)]
#[test]
fn tls_can_be_requested_as_a_scheme() {
    let tls = Arc::new(Tls::self_signed(vec!["localhost".to_owned()]).unwrap());
    let listener = Listener::bind("127.0.0.1", 0).unwrap().with_tls(tls.clone());
    let port = listener.address().unwrap().port();
    let _server = Server::start_beside(listener);
    let fingerprint = tls.fingerprint().to_string();
    assert_joins(&["-n", "Bob", &format!("tls://localhost:{port}"), "--tls-fingerprint", &fingerprint]);
    assert_joins(&["-n", "Bob", "tls://localhost", "-p", &port.to_string(), "--tls-fingerprint", &fingerprint]);
    // Without the fingerprint, no certificate authority that this system trusts has signed the certificate.
    let mut program =
        Program::start("env", ["SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=", CLIENT, "-n", "Bob", "tls://localhost"]);
    let done = program.finish();
    assert_eq!(done.code, Some(3));
    assert!(done.stderr.starts_with("client: this system has no trusted certificates"), "{}", done.stderr);
}

#[cfg(unix)]
#[test]
fn a_unix_socket_can_be_requested_as_a_scheme() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scheme-{}", std::process::id()));
    let _server = Server::start_beside(Listener::bind_path(&path, 0o600).unwrap());
    assert_joins(&["-n", "Bob", &format!("unix:{}", path.display())]);
    assert_joins(&["-n", "Bob", "--host", &format!("unix:{}", path.display())]);
}

#[cfg(unix)]
#[test]
fn the_host_comes_before_exec_and_arguments_of_the_program_after_it() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let host = server.address.to_string();
    for arguments in [
        &["-n", "bot", &host, "--reply", "--exec", "echo", "one", "two"][..],
        &["-n", "bot", &host, "--exec", "echo", "--reply", "one", "two"],
        &["-n", "bot", "--host", &host, "--exec", "echo", "one", "--reply", "two"],
        &[&host, "--exec=echo", "one", "-n", "bot", "--reply", "--", "two"],
    ] {
        assert_answers(&mut alice, arguments, "bot: one two");
    }
    // As documented.
    let echo = "echo \"$LINECHAT_TEXT\"";
    let documented = ["--name", "bot", "--reply", &host, "--exec", "timeout", "10", "sh", "--", "-c", echo];
    assert_answers(&mut alice, &documented, "bot: hi");
    let documented = ["--name", "bot", "--reply", &host, "--exec", "date", "--", "-u", "+%Z"];
    assert_answers(&mut alice, &documented, "bot: UTC");
}

/// Asserts that a bot with these arguments replies to `hi` with this.
#[cfg(unix)]
#[track_caller]
fn assert_answers(alice: &mut Peer, arguments: &[&str], answer: &str) {
    let bot = Program::start(CLIENT, arguments);
    alice.expect("* bot has joined");
    alice.send("hi\n");
    alice.expect(answer);
    drop(bot);
    let left = alice.line();
    assert!(left.starts_with("* bot has left"), "{left:?}");
}

#[cfg_attr(windows, ignore = "it names a program that only Unix has")]
#[test]
fn conflicting_options_are_a_usage_error() {
    for (arguments, why) in [
        (&["a", "b"][..], "\"a\" and \"b\" each name a server; use only one"),
        (&["a", "b", "--exec", "true"], "\"a\" and \"b\" each name a server; use only one"),
        (&["a", "--host", "b"], "\"a\" and --host each name a server; use only one"),
        (&["tls://a", "--unix", "/b"], "\"tls://a\" and --unix each name a server; use only one"),
        (&["--host", "a", "--unix", "/b"], "--host and --unix each name a server; use only one"),
        (&["a:1", "--port", "2"], "\"a:1\" and --port each give a port; use only one"),
        (&["--host", "a:1", "--port", "1"], "--host and --port each give a port; use only one"),
        (&["unix:/a", "-p", "1"], "--port cannot be used with \"unix:/a\": a socket file has no port and no TLS"),
        (&["--unix", "/a", "--tls"], "--tls cannot be used with --unix: a socket file has no port and no TLS"),
        (&["localhost", "5000"], "5000 is not a host; for a port, write HOST:5000"),
        (&["localhost:irc"], "\"irc\" is not a port; a port is a number from 1 to 65535"),
        (&["/run/socket"], "\"/run/socket\" is not a host; for a path, write unix:PATH"),
        (
            &["--host", "http://a"],
            "invalid value 'http://a' for '--host <HOST[:PORT]>': \"http://\" is not a known scheme; write HOST, \
             HOST:PORT, tls://HOST or unix:PATH",
        ),
    ] {
        assert_wrong_usage(&[&["--name", "Bob"], arguments].concat(), why);
    }
}

#[test]
fn a_name_in_place_of_the_host_gets_a_hint() {
    let done = client(&["--name", "Alice", "Bob"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(3), ""));
    assert!(done.stderr.starts_with("client: cannot find the host \"Bob\": "), "{}", done.stderr);
    assert!(done.stderr.ends_with("; if \"Bob\" is your name, write client --name Bob\n"), "{}", done.stderr);
    let done = client(&["--name", "Alice", "no.such.host.invalid"]);
    assert_eq!(done.code, Some(3));
    assert!(!done.stderr.contains("your name"), "{}", done.stderr);
}

#[test]
fn the_port_option_has_a_short_form() {
    let mut server = Program::start(SERVER, ["--host", "127.0.0.1", "-p", "0"]);
    let address = listening_on(&server.stdout.line());
    let _alice = Peer::connect(address).join("Alice");
}

#[cfg(unix)]
#[test]
fn the_environment_gives_the_name_and_the_server() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("variable-{}", std::process::id()));
    let server = Server::start_beside(Listener::bind_path(&path, 0o600).unwrap());
    let mut alice = server.join("Alice");
    let (host, port) = (server.address.to_string(), server.address.port().to_string());
    let socket = format!("unix:{}", path.display());
    for (variables, arguments) in [
        (&[("LINECHAT_NAME", "Bob"), ("LINECHAT_HOST", &*host)][..], &[][..]),
        (&[("LINECHAT_NAME", "Bob"), ("LINECHAT_HOST", "localhost"), ("LINECHAT_PORT", &port)], &[]),
        (&[("LINECHAT_NAME", "Bob"), ("LINECHAT_PORT", &port)], &[]),
        (&[("LINECHAT_NAME", "Bob"), ("LINECHAT_PORT", &port)], &["localhost"]),
        (&[("LINECHAT_NAME", "Bob"), ("LINECHAT_HOST", &socket)], &[]),
        // The more specific setting wins: the server's own port, an option, an argument.
        (&[("LINECHAT_NAME", "Bob"), ("LINECHAT_HOST", &host), ("LINECHAT_PORT", "1")], &[]),
        (&[("LINECHAT_NAME", "Bob"), ("LINECHAT_HOST", &socket), ("LINECHAT_PORT", "1")], &[]),
        (&[("LINECHAT_NAME", "Bob"), ("LINECHAT_HOST", "127.0.0.1:1"), ("LINECHAT_PORT", "1")], &["-p", &port]),
        (&[("LINECHAT_NAME", "Alice"), ("LINECHAT_HOST", "a:1"), ("LINECHAT_PORT", "1")], &["-n", "Bob", &host]),
        (&[("LINECHAT_NAME", "Alice"), ("LINECHAT_HOST", "a:b:c")], &["-n", "Bob", "--host", &host]),
        // An empty variable counts as unset.
        (&[("LINECHAT_NAME", ""), ("LINECHAT_HOST", ""), ("LINECHAT_PORT", "")], &["-n", "Bob", "-p", &port]),
    ] {
        let done = run(variables, arguments);
        assert_eq!(done.code, Some(0), "{variables:?} {arguments:?}: {}", done.stderr);
        ["* Bob has joined", "* Bob has left"].iter().for_each(|line| alice.expect(line));
    }
}

#[test]
fn a_bad_variable_is_reported_by_its_name() {
    for (variable, value, arguments, why) in [
        ("LINECHAT_NAME", "two words", &[][..], "names cannot contain spaces"),
        (
            "LINECHAT_HOST",
            "a:b:c",
            &["-n", "Bob"],
            "\"a:b:c\" is not an IPv6 address; write HOST:PORT, or [ADDRESS]:PORT for IPv6",
        ),
        ("LINECHAT_PORT", "irc", &["-n", "Bob"], "\"irc\" is not a port; a port is a number from 1 to 65535"),
    ] {
        assert_is_wrong_usage(&run(&[(variable, value)], arguments), &format!("{variable}: {why}"));
    }
    let variables = [("LINECHAT_NAME", "Bob"), ("LINECHAT_HOST", "unix:/a")];
    let why = "--tls cannot be used with LINECHAT_HOST: a socket file has no port and no TLS";
    assert_is_wrong_usage(&run(&variables, &["--tls"]), why);
}

#[cfg(unix)]
#[test]
fn at_a_terminal_the_default_name_is_the_user_name() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let host = server.address.to_string();
    for (variables, name) in [
        (&[("USER", "Zoe"), ("LINECHAT_HOST", &*host)][..], "Zoe"),
        (&[("USER", "Zoe"), ("LINECHAT_HOST", &host), ("LINECHAT_NAME", "Bob")], "Bob"),
    ] {
        let (screen, side) = terminal();
        let mut command = command(variables, &["--plain"]);
        command.stdin(side.try_clone().unwrap()).stdout(side);
        let _client = Program::spawn(command);
        alice.expect(&format!("* {name} has joined"));
        drop(screen);
        let left = alice.line();
        assert!(left.starts_with(&format!("* {name} has left")), "{left:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_user_name_that_cannot_be_a_name_is_an_error_that_says_why() {
    let advice = "choose one with --name NAME";
    for (user, why) in [("root", "that name is reserved"), ("Zoe Smith", "names cannot contain spaces")] {
        let done = run_at_a_terminal(&[("USER", user)], &[]);
        let why = format!("your user name {user:?} cannot be your name in the room: {why}; {advice}");
        assert_is_wrong_usage(&done, &why);
    }
    let required = "a name is required: give --name NAME, or set LINECHAT_NAME";
    assert_is_wrong_usage(&run_at_a_terminal(&[], &[]), required);
}

#[cfg(unix)]
#[test]
fn without_a_terminal_there_is_no_default_name() {
    let required = "a name is required: give --name NAME, or set LINECHAT_NAME";
    let user = [("USER", "Zoe")];
    assert_is_wrong_usage(&run(&user, &[]), required);
    assert_is_wrong_usage(&run(&user, &["localhost:5000"]), required);
    assert_is_wrong_usage(
        &run(&user, &["Bob"]),
        &format!("{required}; if \"Bob\" is your name, write client --name Bob"),
    );
    for arguments in [&["--exec", "true"][..], &["--lines-only"], &["--wait", "1"]] {
        assert_is_wrong_usage(&run_at_a_terminal(&user, arguments), required);
    }
}
