//! The client in a pipe: standard output contains only the server's lines.

use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use linechat::limits::CONNECT_LIMIT;
use linechat::server::Config;
use socket2::{Domain, Socket, Type};

use crate::support::harness::{DEADLINE, FakeServer, Server, has_ipv6, skipped, within};
use crate::support::lines::assert_like;
use crate::support::program::{CLIENT, Finished, Program};

fn finished(code: i32, stdout: &str, stderr: &str) -> Finished {
    Finished { code: Some(code), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

/// A client that does not wait if the name is taken.
fn failing_client(address: SocketAddr, name: &str) -> Program {
    let arguments = Program::client_arguments(address, name).into_iter();
    Program::start(CLIENT, arguments.chain(["--if-taken", "fail"].map(str::to_owned)))
}

#[test]
fn stdout_has_the_servers_lines_and_stderr_the_status() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let done = Program::client(server.address, "cron").finish_with("hi\n/who\n");
    let said = "* Welcome, cron. 1 other here: Alice. /help lists the commands.\n\
                * 2 here: Alice, cron\n\
                * Bye, cron: 1 line accepted, 0 refused.\n";
    assert_eq!(done, finished(0, said, ""));
    alice.expect("* cron has joined");
    alice.expect("cron: hi");
    alice.expect("* cron has left");
}

#[test]
fn the_last_line_needs_no_line_ending() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let done = Program::client(server.address, "cron").finish_with("one\ntwo");
    assert_eq!(done.code, Some(0));
    alice.expect("* cron has joined");
    alice.expect("cron: one");
    alice.expect("cron: two");
    alice.expect("* cron has left");
}

#[test]
fn an_empty_input_joins_and_leaves() {
    let server = Server::start();
    let done = Program::client(server.address, "cron").finish_with("");
    let said = "* Welcome, cron. You are the first here. /help lists the commands.\n\
                * Bye, cron: 0 lines accepted, 0 refused.\n";
    assert_eq!(done, finished(0, said, ""));
}

#[test]
fn a_long_input_is_sent_completely() {
    const LINES: usize = 20_000;
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut client = Program::client(server.address, "cron");
    alice.expect("* cron has joined");
    let sending = std::thread::spawn(move || {
        client.write(&(0..LINES).map(|line| format!("{line}\n")).collect::<String>());
        client.end_input();
        client.finish()
    });
    (0..LINES).for_each(|line| alice.expect(&format!("cron: {line}")));
    let done = within(move || sending.join().unwrap());
    assert_eq!(done.code, Some(0));
    assert!(done.stdout.ends_with(&format!("* Bye, cron: {LINES} lines accepted, 0 refused.\n")), "{}", done.stdout);
}

#[test]
fn lines_are_shown_while_the_input_is_open() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let mut client = Program::client(server.address, "Bob");
    client.stdout.expect("* Welcome, Bob. 1 other here: Alice. /help lists the commands.");
    alice.expect("* Bob has joined");
    for turn in 0..10 {
        alice.send(&format!("ping {turn}\n"));
        client.stdout.expect(&format!("Alice: ping {turn}"));
        client.write(&format!("pong {turn}\n"));
        alice.expect(&format!("Bob: pong {turn}"));
    }
}

#[test]
fn quit_ends_the_client_although_its_input_continues() {
    let server = Server::start();
    let mut client = Program::client(server.address, "Bob");
    client.write("/quit\nnot this\n");
    let done = client.finish();
    assert_eq!(done.code, Some(0));
    assert!(done.stdout.ends_with("* Bye, Bob: 0 lines accepted, 0 refused.\n"), "{}", done.stdout);
}

#[test]
fn a_taken_name_is_reported_with_code_1() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let done = failing_client(server.address, "alice").finish_with("hello\n");
    let why = "client: the server refused alice: name-taken: alice is taken\n";
    assert_eq!(done, finished(1, "! name-taken: alice is taken\n", why));
    alice.expect_nothing_new();
}

#[test]
fn a_refused_line_is_reported_with_code_1_and_the_rest_is_sent() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let done = Program::client(server.address, "cron").finish_with("/msg Bob one\n/nope\ntwo\n");
    assert_eq!(done.code, Some(1));
    assert_like(&done.stderr, "client: 2 refused, the last: unknown-command: … /nope…\n");
    alice.expect("* cron has joined");
    alice.expect("cron: two");
    alice.expect("* cron has left");
}

#[test]
fn a_server_that_stops_during_the_session_is_code_3() {
    let mut server = Server::start();
    let mut client = Program::client(server.address, "Bob");
    client.stdout.expect("* Welcome, Bob. You are the first here. /help lists the commands.");
    server.begin_stop();
    let said = "* The server is shutting down\n* Bye, Bob: 0 lines accepted, 0 refused.\n";
    let why = "client: the server was shut down\n";
    assert_eq!(client.finish(), finished(3, said, why));
}

#[test]
fn a_server_that_leaves_without_a_goodbye_is_code_3() {
    let fake = FakeServer::start();
    let mut client = Program::client(fake.address, "Bob");
    let server = fake.welcome("Bob");
    client.stdout.line();
    drop(server);
    assert_eq!(client.finish(), finished(3, "", "client: the connection was lost\n"));
}

#[test]
fn a_connection_that_breaks_is_code_3() {
    let fake = FakeServer::start();
    let mut client = Program::client(fake.address, "Bob");
    let server = fake.welcome("Bob");
    client.stdout.line();
    server.reset();
    let why = "client: the connection was lost: Connection reset by peer\n";
    assert_eq!(client.finish(), finished(3, "", why));
}

#[test]
fn a_server_that_ends_before_the_welcome_is_code_3() {
    let fake = FakeServer::start();
    let mut client = Program::client(fake.address, "Bob");
    drop(fake.accept("Bob"));
    assert_eq!(client.finish(), finished(3, "", "client: the connection was lost\n"));
}

#[test]
fn a_server_that_says_nothing_is_code_3() {
    if std::env::var_os("LINECHAT_LONG_TESTS").is_none_or(|value| value != "1") {
        return skipped("a mute server; LINECHAT_LONG_TESTS=1 tests it, in half a minute");
    }
    let fake = FakeServer::start();
    let mut client = Program::client(fake.address, "Bob");
    let mut server = fake.accept("Bob");
    server.send("* Send your name as the first line.\n");
    let why = "client: no welcome from the server within 30 s; is it a linechat server?\n";
    assert_eq!(client.finish_within(2 * DEADLINE), finished(3, "* Send your name as the first line.\n", why));
}

/// The server would take them for further names.
#[test]
fn messages_are_not_sent_before_the_name_is_accepted() {
    let fake = FakeServer::start();
    let mut client = Program::client(fake.address, "Bob");
    client.write("hello\n");
    client.end_input();
    let mut server = fake.accept("Bob");
    server.stream().set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let early = BufReader::new(server.stream()).fill_buf().map(<[u8]>::to_vec);
    assert!(early.is_err(), "{early:?} came before the welcome");
    server.stream().set_read_timeout(Some(crate::support::harness::DEADLINE)).unwrap();
    server.send("* Send your name as the first line.\n* Welcome, Bob. You are the first here.\n");
    server.expect("hello");
    server.expect_end();
    server.send("* Bye, Bob: 1 line accepted, 0 refused.\n");
    drop(server);
    assert_eq!(client.finish().code, Some(0));
}

#[test]
fn nothing_is_sent_after_a_refused_name() {
    let fake = FakeServer::start();
    let mut client = failing_client(fake.address, "Bob");
    client.write("hello\n");
    client.end_input();
    let mut server = fake.accept("Bob");
    server.send("! name-taken: Bob is taken\n* Send another name.\n");
    server.expect_end();
    let why = "client: the server refused Bob: name-taken: Bob is taken\n";
    assert_eq!(client.finish(), finished(1, "! name-taken: Bob is taken\n", why));
}

#[test]
fn the_end_of_input_half_closes_and_the_client_waits_for_replies() {
    let fake = FakeServer::start();
    let mut client = Program::client(fake.address, "Bob");
    client.end_input();
    let mut server = fake.welcome("Bob");
    server.expect_end();
    client.stdout.line();
    // The other direction is still open.
    server.send("Alice: an answer\n* Bye, Bob: 0 lines accepted, 0 refused.\n");
    server.stream().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.finish(), finished(0, "Alice: an answer\n* Bye, Bob: 0 lines accepted, 0 refused.\n", ""));
}

#[test]
fn a_pipe_gets_every_byte_unchanged() {
    let fake = FakeServer::start();
    let mut client = Program::client(fake.address, "Bob");
    let mut server = fake.accept("Bob");
    let said =
        b"* Welcome, Bob.\r\nx\x1b[2J\x00\xff\xfe\rMallory: y\n\n* Bye, Bob: 0 lines accepted, 0 refused.\nno end";
    server.send_bytes(said);
    drop(server);
    assert_eq!(client.stdout.rest(), said);
    assert_eq!(client.finish().code, Some(0));
}

#[test]
fn error_messages_are_safe_for_a_terminal() {
    let fake = FakeServer::start();
    let mut client = failing_client(fake.address, "Bob");
    let mut server = fake.accept("Bob");
    server.send("! name-taken: \x1b[2Jboo\x07\n");
    let done = client.finish();
    let why = "client: the server refused Bob: name-taken: ^[[2Jboo^G\n";
    assert_eq!((done.code, done.stderr), (Some(1), why.to_owned()));
    drop(server);
}

#[test]
fn the_client_waits_for_the_goodbye_although_the_output_is_closed() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (mut client, stdout) = Program::start_unread(CLIENT, Program::client_arguments(server.address, "Bob"));
    within(move || {
        let mut welcome = String::new();
        BufReader::new(stdout).read_line(&mut welcome).unwrap();
    });
    alice.expect("* Bob has joined");
    client.write("backup done\n");
    client.end_input();
    assert_eq!(client.finish(), finished(0, "", ""));
    alice.expect("Bob: backup done");
    alice.expect("* Bob has left");
}

#[test]
fn code_0_means_that_everything_was_sent_although_the_output_is_closed() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let (mut client, stdout) = Program::start_unread(CLIENT, Program::client_arguments(server.address, "cron"));
    drop(stdout);
    client.write("backup done\n");
    client.end_input();
    let code = client.finish().code;
    alice.expect("* cron has joined");
    let is_said = alice.line() == "cron: backup done";
    assert_eq!(code == Some(0), is_said, "the code is {code:?}");
}

#[test]
fn a_host_may_be_a_name_or_an_ipv6_address() {
    let server = Server::start();
    let port = server.address.port().to_string();
    let done = Program::start(CLIENT, ["--name", "Bob", "--host", "localhost", "--port", &port]).finish_with("");
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    if !has_ipv6() {
        return;
    }
    let server = Server::start_at("::1", Config::default());
    let port = server.address.port().to_string();
    for host in ["::1", "[::1]"] {
        let done = Program::start(CLIENT, ["--name", "Bob", "--host", host, "--port", &port]).finish_with("");
        assert_eq!(done.code, Some(0), "{}", done.stderr);
    }
}

/// A listener with a full queue answers no further connection, like a machine that drops packets. Returns its address,
/// and what must stay open.
fn silent_at(address: SocketAddr) -> io::Result<(SocketAddr, Socket, TcpStream)> {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&address.into())?;
    listener.listen(0)?;
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    Ok((address, listener, TcpStream::connect(address).unwrap()))
}

#[test]
fn connecting_to_a_server_that_does_not_answer_times_out() {
    let (address, _listener, _queued) = silent_at("127.0.0.1:0".parse().unwrap()).unwrap();
    let since = Instant::now();
    let done = Program::client(address, "Bob").finish();
    let why = "no answer within 10 s; check the host and the port";
    let said = format!("client: cannot connect to 127.0.0.1, port {}: {why}\n", address.port());
    assert_eq!(done, finished(3, "", &said));
    assert!(since.elapsed() >= CONNECT_LIMIT);
}

/// The server may accept only TLS from other machines.
#[test]
fn tls_is_suggested_if_the_usual_plain_port_does_not_answer() {
    let host = Ipv4Addr::new(127, 77, fastrand::u8(..), fastrand::u8(1..255));
    let Ok((_, _listener, _queued)) = silent_at((host, 5000).into()) else {
        return skipped("a server that does not answer at the usual port: its address cannot be used");
    };
    let mut command = Command::new(CLIENT);
    command.args(["--name", "Bob", &host.to_string()]).env_remove("LINECHAT_PORT");
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let why = format!("no answer within 10 s; check the host and the port, or try tls://{host}");
    assert_eq!(
        Program::spawn(command).finish(),
        finished(3, "", &format!("client: cannot connect to {host}, port 5000: {why}\n"))
    );
}

#[test]
fn two_clients_talk_to_each_other() {
    let server = Server::start();
    let mut alice = Program::client(server.address, "Alice");
    alice.stdout.expect("* Welcome, Alice. You are the first here. /help lists the commands.");
    let mut bob = Program::client(server.address, "Bob");
    bob.stdout.expect("* Welcome, Bob. 1 other here: Alice. /help lists the commands.");
    alice.stdout.expect("* Bob has joined");
    alice.write("hi Bob\n");
    bob.stdout.expect("Alice: hi Bob");
    bob.write("hi Alice\n");
    alice.stdout.expect("Bob: hi Alice");
    bob.end_input();
    assert_eq!(bob.finish().code, Some(0));
    alice.stdout.expect("* Bob has left");
}
