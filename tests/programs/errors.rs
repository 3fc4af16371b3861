//! Errors that users can act on: messages and exit codes of both programs.

use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::support::harness::Server;
use crate::support::program::{CLIENT, Finished, Program, SERVER};

#[track_caller]
fn run(program: &str, arguments: &[&str]) -> Finished {
    let finished = Program::start(program, arguments).finish();
    for inside in ["os error", "Os {", "panicked", "RUST_BACKTRACE", "Custom {"] {
        assert!(!finished.stderr.contains(inside), "{}", finished.stderr);
    }
    finished
}

/// Asserts that it exits with this code and this line on standard error, and has printed nothing.
#[track_caller]
fn assert_fails(program: &str, arguments: &[&str], code: i32, stderr: &str) {
    let expected = Finished { code: Some(code), stdout: String::new(), stderr: format!("{stderr}\n") };
    assert_eq!(run(program, arguments), expected);
}

/// Asserts that it reports a usage error in clap's words, with these in it, and exits with code 2.
#[track_caller]
fn assert_usage_error(program: &str, arguments: &[&str], words: &[&str]) {
    let finished = run(program, arguments);
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(2), ""), "{}", finished.stderr);
    for word in words {
        assert!(finished.stderr.contains(word), "{word:?} is missing in\n{}", finished.stderr);
    }
}

/// A port that nobody listens on, and the socket that keeps others from using it.
fn unanswered_port() -> (String, Socket) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (address.port().to_string(), socket)
}

#[test]
fn an_address_in_use_is_reported_with_a_solution() {
    let server = Server::start();
    let port = server.address.port().to_string();
    assert_fails(
        SERVER,
        &["--host", "127.0.0.1", "--port", &port],
        1,
        &format!(
            "server: 127.0.0.1:{port} is in use; is another server running? \
             Choose another port with --port (0 takes any free one)"
        ),
    );
    assert_fails(
        SERVER,
        &["--host", "127.0.0.1", "--port", "0", "--tls-self-signed", "--tls-port", &port],
        1,
        &format!(
            "server: for TLS: 127.0.0.1:{port} is in use; is another server running? \
             Choose another port with --tls-port (0 takes any free one)"
        ),
    );
    // The first server is not affected.
    server.join("Alice");
}

#[test]
fn an_address_of_another_machine_is_reported_with_a_solution() {
    assert_fails(
        SERVER,
        &["--host", "192.0.2.1", "--port", "0"],
        1,
        "server: 192.0.2.1:0 is not an address of this machine; use --host 0.0.0.0 for all IPv4 addresses, or --host :: for IPv6 too",
    );
}

#[cfg_attr(windows, ignore = "it is about the folder of a Unix socket")]
#[test]
fn a_missing_folder_is_reported() {
    for (option, error) in [
        ("--data", "cannot use /no/such/folder: the folder /no/such does not exist"),
        ("--unix", "cannot listen at /no/such/folder: the folder /no/such does not exist"),
    ] {
        let arguments = ["--host", "127.0.0.1", "--port", "0", option, "/no/such/folder"];
        assert_fails(SERVER, &arguments, 1, &format!("server: {error}"));
    }
}

#[test]
fn an_unknown_host_is_reported() {
    let finished = run(SERVER, &["--host", "no such host", "--port", "0"]);
    assert_eq!(finished.code, Some(1));
    assert!(finished.stderr.starts_with("server: cannot find the host \"no such host\": "), "{}", finished.stderr);
    assert!(finished.stderr.contains("--host"), "{}", finished.stderr);

    let finished = run(CLIENT, &["--name", "Bob", "--host", "no such host"]);
    assert_eq!(finished.code, Some(3));
    assert!(finished.stderr.starts_with("client: cannot find the host \"no such host\": "), "{}", finished.stderr);
}

#[test]
fn a_tls_host_is_reported_as_given() {
    let finished = run(SERVER, &["--port", "0", "--tls-self-signed", "--tls-host", "xn--a--b.invalid"]);
    assert_eq!(finished.code, Some(1));
    let beginning = "server: for TLS: cannot find the host \"xn--a--b.invalid\": ";
    assert!(finished.stderr.starts_with(beginning), "{}", finished.stderr);
    assert!(finished.stderr.contains("; --tls-host takes"), "{}", finished.stderr);
}

#[test]
fn an_unreachable_server_is_reported_with_host_and_port() {
    let (port, _kept) = unanswered_port();
    for host in ["127.0.0.1", "localhost"] {
        let why = "connection refused; is the server running there?";
        let message = format!("client: cannot connect to {host}, port {port}: {why}");
        assert_fails(CLIENT, &["--name", "Bob", "--host", host, "--port", &port], 3, &message);
    }
}

#[test]
fn a_port_out_of_range_is_a_usage_error() {
    for port in ["70000", "-1", "x", ""] {
        assert_usage_error(SERVER, &[&format!("--port={port}")], &["--port"]);
        assert_usage_error(CLIENT, &["--name=Bob", &format!("--port={port}")], &["--port"]);
    }
    assert_usage_error(SERVER, &["--port", "70000"], &["70000", "0..=65535"]);
    assert_usage_error(CLIENT, &["--name", "Bob", "--port", "0"], &["1..=65535"]);
}

#[test]
fn an_invalid_name_is_a_usage_error_with_the_rule() {
    for (name, rule) in [
        ("two words", "names cannot contain spaces"),
        ("Bob:", "names cannot contain ':'"),
        ("", "names need at least one character"),
        ("_", "names must start with a letter or digit"),
        ("123456789012345678901234567890123", "names are limited to 32 characters"),
    ] {
        assert_usage_error(CLIENT, &["--name", name], &["--name", rule]);
    }
    assert_usage_error(CLIENT, &[], &["--name"]);
}

#[test]
fn a_senseless_option_is_a_usage_error() {
    assert_usage_error(SERVER, &["--idle-line", "0"], &["--idle-line", "1..=60000"]);
    assert_usage_error(SERVER, &["--log-level", "loud"], &["--log-level", "off, error, warn, info, debug"]);
    assert_usage_error(SERVER, &["--nonsense"], &["--nonsense"]);
    assert_usage_error(SERVER, &["--rooms", "fixed:dev,"], &["--rooms", "\"\": room names have"]);
    assert_usage_error(SERVER, &["--rooms", "fixed:Dev"], &["--rooms", "\"Dev\": room names have"]);
    assert_usage_error(SERVER, &["--rooms", "fixed:dev,ops,#dev"], &["--rooms", "dev is named twice"]);
    let crowded = ["--rooms", "fixed:a,b,lobby", "--room-limit", "2"];
    assert_usage_error(SERVER, &crowded, &["the lobby and the rooms of --rooms are 3, but --room-limit is 2"]);
    assert_usage_error(CLIENT, &["--name", "Bob", "--nonsense"], &["--nonsense"]);
}

#[test]
fn the_help_of_the_server_lists_options_defaults_and_exit_codes() {
    let help = run(SERVER, &["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    for words in ["--host", "[default: 0.0.0.0]", "--port", "[default: 5000]", "--idle-line", "--log-level"] {
        assert!(help.stdout.contains(words), "{words:?} is missing in\n{}", help.stdout);
    }
    assert!(help.stdout.contains("The price:"), "the price of --idle-line is missing in\n{}", help.stdout);
    assert!(help.stdout.contains("Exit codes:"), "{}", help.stdout);
}

#[test]
fn the_help_of_the_client_lists_options_defaults_and_exit_codes() {
    let help = run(CLIENT, &["--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""));
    // Its lines are wrapped at the width of the terminal.
    let text = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["--name", "--host", "[default: 127.0.0.1]", "--port", "[default: 5000, or 5001 for TLS]"] {
        assert!(text.contains(words), "{words:?} is missing in\n{}", help.stdout);
    }
    let codes = help.stdout.split_once("Exit codes:").expect("the exit codes are listed").1;
    for (code, word) in [(0, "left"), (1, "refused"), (2, "usage"), (3, "connect")] {
        let line = codes.lines().find(|line| line.trim_start().starts_with(&code.to_string()));
        assert!(line.is_some_and(|line| line.contains(word)), "code {code} in\n{codes}");
    }
}
