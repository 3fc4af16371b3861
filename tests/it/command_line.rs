//! What a person types to start the programs: where to connect, and what an error says about a mistake.

use std::path::Path;
use std::sync::Arc;

use linechat::server::{Listener, Tls};

use crate::harness::{Peer, Server, has_ipv6, unpaced};
use crate::program::{CLIENT, Finished, Program, SERVER, listening_on};

/// A client with these arguments, whose input is empty.
fn client(arguments: &[&str]) -> Finished {
    Program::start(CLIENT, arguments).finish_with("")
}

/// It joins the room and leaves again.
#[track_caller]
fn assert_joins(arguments: &[&str]) {
    let done = client(arguments);
    assert_eq!(done.code, Some(0), "{arguments:?}: {}", done.stderr);
}

/// It is wrong usage, and this is what is wrong.
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

#[test]
fn tls_may_be_asked_for_as_a_scheme() {
    let tls = Arc::new(Tls::self_signed(vec!["localhost".to_owned()]).unwrap());
    let listener = Listener::bind("127.0.0.1", 0).unwrap().with_tls(tls.clone());
    let port = listener.address().unwrap().port();
    let _server = Server::start_beside(listener);
    let fingerprint = tls.fingerprint().to_string();
    assert_joins(&["-n", "Bob", &format!("tls://localhost:{port}"), "--tls-fingerprint", &fingerprint]);
    assert_joins(&["-n", "Bob", "tls://localhost", "-p", &port.to_string(), "--tls-fingerprint", &fingerprint]);
    // Without the fingerprint, nothing has signed the certificate that this system trusts.
    let mut program =
        Program::start("env", ["SSL_CERT_FILE=/dev/null", "SSL_CERT_DIR=", CLIENT, "-n", "Bob", "tls://localhost"]);
    let done = program.finish();
    assert_eq!(done.code, Some(3));
    assert!(done.stderr.starts_with("client: this system trusts no certificates"), "{}", done.stderr);
}

#[test]
fn a_socket_file_may_be_asked_for_as_a_scheme() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("scheme-{}", std::process::id()));
    let _server = Server::start_beside(Listener::bind_path(&path, 0o600).unwrap());
    assert_joins(&["-n", "Bob", &format!("unix:{}", path.display())]);
    assert_joins(&["-n", "Bob", "--host", &format!("unix:{}", path.display())]);
}

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
    // As it is documented.
    let echo = "echo \"$LINECHAT_TEXT\"";
    let documented = ["--name", "bot", "--reply", &host, "--exec", "timeout", "10", "sh", "--", "-c", echo];
    assert_answers(&mut alice, &documented, "bot: hi");
    let documented = ["--name", "bot", "--reply", &host, "--exec", "date", "--", "-u", "+%Z"];
    assert_answers(&mut alice, &documented, "bot: UTC");
}

/// A bot with these arguments gives this answer to `hi`.
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

#[test]
fn what_does_not_go_together_is_wrong_usage() {
    for (arguments, why) in [
        (&["a", "b"][..], "\"a\" and \"b\" each name a server; give one"),
        (&["a", "b", "--exec", "true"], "\"a\" and \"b\" each name a server; give one"),
        (&["a", "--host", "b"], "\"a\" and --host each name a server; give one"),
        (&["tls://a", "--unix", "/b"], "\"tls://a\" and --unix each name a server; give one"),
        (&["--host", "a", "--unix", "/b"], "--host and --unix each name a server; give one"),
        (&["a:1", "--port", "2"], "\"a:1\" and --port each give a port; give one"),
        (&["--host", "a:1", "--port", "1"], "--host and --port each give a port; give one"),
        (&["unix:/a", "-p", "1"], "--port cannot be used with \"unix:/a\": a socket file has no port and no TLS"),
        (&["--unix", "/a", "--tls"], "--tls cannot be used with --unix: a socket file has no port and no TLS"),
        (&["localhost", "5000"], "5000 is not a host; a port is written HOST:5000"),
        (&["localhost:irc"], "\"irc\" is not a port; a port is a number from 1 to 65535"),
        (&["/run/socket"], "\"/run/socket\" is not a host; a path is written unix:PATH"),
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
fn a_name_in_the_place_of_the_host_is_pointed_out() {
    let done = client(&["--name", "Alice", "Bob"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(3), ""));
    assert!(done.stderr.starts_with("client: cannot find the host \"Bob\": "), "{}", done.stderr);
    assert!(done.stderr.ends_with("; if that is your name, write client --name Bob\n"), "{}", done.stderr);
    let done = client(&["--name", "Alice", "no.such.host.invalid"]);
    assert_eq!(done.code, Some(3));
    assert!(!done.stderr.contains("your name"), "{}", done.stderr);
}

#[test]
fn the_server_takes_its_port_in_short() {
    let mut server = Program::start(SERVER, ["--host", "127.0.0.1", "-p", "0"]);
    let address = listening_on(&server.stdout.line());
    let _alice = Peer::connect(address).join("Alice");
}
