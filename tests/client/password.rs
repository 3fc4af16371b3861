//! The client in a pipe, or as a bot, at a server that asks for a password.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use crate::server::password::{REQUIRED, WRONG, config, outer_address, password_file};
use crate::support::folder::Folder;
use crate::support::harness::{FakeServer, Peer, Server, skipped, within};
use crate::support::program::{CLIENT, Finished, NOBODY, Program, server_of_another_user};

const VARIABLE: &str = "LINECHAT_PASSWORD";
const WELCOME: &str = "* Welcome, Bob. You are the first here.\n";

fn finished(code: i32, stdout: &str, stderr: &str) -> Finished {
    Finished { code: Some(code), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

/// A file for one test that only this user can read.
fn file(test: &str, content: &str) -> String {
    password_file(test, content).to_str().unwrap().to_owned()
}

/// A client with the name Bob, and its environment.
fn client(server: std::net::SocketAddr, options: &[&str], variable: Option<&str>) -> Program {
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(server, "Bob")).args(options);
    match variable {
        Some(value) => command.env(VARIABLE, value),
        None => command.env_remove(VARIABLE),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Program::spawn(command)
}

/// Accepts Bob, who sends this first line, and asks for his password.
fn asked(fake: &FakeServer, first_line: &str) -> Peer {
    let mut server = fake.accept(first_line);
    server.send(&format!("{REQUIRED}\n"));
    server
}

#[test]
fn a_password_is_sent_when_the_server_asks_for_it() {
    let server = Server::start_with(config("client-comes-in"));
    let said = "* Welcome, Bob. You are the first here. /help lists the commands.\n\
                * Bye, Bob: 1 line accepted, 0 refused.\n";
    let file = file("client-file", "open sesame\r\nand nothing of this\n");
    for (options, variable) in [
        (&["--password-file", &file][..], None),
        (&[], Some("open sesame")),
        // The option overrides the variable.
        (&["--password-file", &file], Some("not this one")),
    ] {
        let done = client(server.address, options, variable).finish_with("hi\n");
        assert_eq!(done, finished(0, &format!("{REQUIRED}\n{said}"), ""));
    }
    // Nothing failed, so standard error is empty.
    let done = client(server.address, &["--lines-only"], Some("open sesame")).finish_with("hi\n");
    assert_eq!(done, finished(0, "", ""));
}

#[test]
fn a_password_that_the_name_does_not_need_is_not_shown() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let done = client(server.address, &[], Some("open sesame")).finish_with("hi\n");
    let said = "* Welcome, Bob. 1 other here: Alice. /help lists the commands.\n\
                * Bye, Bob: 1 line accepted, 0 refused.\n";
    assert_eq!(done, finished(0, &format!("{REQUIRED}\n{said}"), ""));
    for line in ["* Bob has joined", "Bob: hi", "* Bob has left"] {
        alice.expect(line);
    }
}

#[test]
fn a_password_is_not_sent_to_a_server_that_does_not_ask() {
    let fake = FakeServer::start();
    let mut client = client(fake.address, &[], Some("open sesame"));
    client.write("hi\n");
    client.end_input();
    let mut server = fake.accept("Bob auth");
    server.send(WELCOME);
    server.expect_rest(&["hi"]);
    server.send("! password-required: now I do\n* Bye, Bob: 1 line accepted, 1 refused.\n");
    drop(server);
    let said = format!("{WELCOME}! password-required: now I do\n* Bye, Bob: 1 line accepted, 1 refused.\n");
    let why = "client: 1 refused, the last: password-required: now I do\n";
    assert_eq!(client.finish(), finished(1, &said, why));
}

#[test]
fn without_a_password_the_error_says_how_to_give_one() {
    for variable in [None, Some("")] {
        let fake = FakeServer::start();
        let mut client = client(fake.address, &[], variable);
        client.write("hi\n");
        let mut server = asked(&fake, "Bob");
        server.expect_end();
        let why =
            "password-required: send the password as the next line; give it with --password-file or LINECHAT_PASSWORD";
        let stderr = format!("client: the server refused Bob: {why}\n");
        assert_eq!(client.finish(), finished(1, &format!("{REQUIRED}\n"), &stderr));
    }
}

/// It would be wrong the next time too, and the server blocks an address that guesses.
#[test]
fn a_wrong_password_is_sent_once() {
    let fake = FakeServer::start();
    let mut client = client(fake.address, &[], Some("close sesame"));
    let mut server = asked(&fake, "Bob auth");
    server.expect("close sesame");
    server.send(&format!("{WRONG}\n{REQUIRED}\n"));
    server.expect_end();
    let why = "client: the server refused Bob: wrong-password: incorrect password\n";
    assert_eq!(client.finish(), finished(1, &format!("{REQUIRED}\n{WRONG}\n"), why));
}

/// The name is taken. At the next attempt, a server of another user listens at the same path.
#[test]
fn a_password_is_not_sent_again_to_a_server_of_another_user() {
    let folder = Folder::empty("another-user");
    chown(&*folder, Some(NOBODY), None).ok();
    let (path, other) = (folder.join("socket"), folder.join("other"));
    let password = password_file("another-user-socket", "open sesame\n");
    let arguments = ["--unix", other.to_str().unwrap()];
    let Some(mut second) = server_of_another_user(([127, 0, 0, 1], 0).into(), &password, &arguments) else { return };
    while second.stdout.line() != format!("Server listening on {}", other.display()) {}
    let listener = UnixListener::bind(&path).unwrap();
    let mut command = Command::new(CLIENT);
    command.args(["--name", "Bob", "--unix"]).arg(&path).env(VARIABLE, "open sesame").env_remove("LINECHAT_HOST");
    let mut client = Program::spawn({
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command
    });
    let (first, rest) = within(move || {
        let mut socket = BufReader::new(listener.accept().unwrap().0);
        let (mut name, mut password) = (String::new(), String::new());
        socket.read_line(&mut name).unwrap();
        socket.get_ref().write_all(format!("{REQUIRED}\n").as_bytes()).unwrap();
        socket.read_line(&mut password).unwrap();
        (name + &password, socket)
    });
    assert_eq!(first, "Bob replay=0 auth\nopen sesame\n");
    std::fs::rename(&other, &path).unwrap();
    rest.get_ref().write_all(b"! name-taken: Bob is taken\n").unwrap();
    let why = "password-required: send the password as the next line; it was not sent, because this may be a different \
               server (the same socket, user 65534)";
    let stderr = format!("client: the server refused Bob: {why}\n");
    let done = client.finish();
    assert_eq!((done.code, done.stderr), (Some(1), stderr));
}

#[test]
fn a_password_that_others_could_read_is_sent_only_if_allowed() {
    let Some(ip) = outer_address() else { return skipped("this machine has no address but the loopback") };
    let fake = FakeServer::start_at(ip);
    let mut kept = client(fake.address, &[], Some("open sesame"));
    asked(&fake, "Bob").expect_end();
    let why = "others could read it on its way, so it was not sent; use --tls, or --allow-plain-password in a network that you trust";
    let stderr = format!("client: Bob needs a password, and {why}\n");
    assert_eq!(kept.finish(), finished(1, &format!("{REQUIRED}\n"), &stderr));
    let mut given = client(fake.address, &["--allow-plain-password"], Some("open sesame"));
    let mut server = asked(&fake, "Bob auth");
    server.expect("open sesame");
    server.send(WELCOME);
    given.end_input();
    server.send("* Bye, Bob: 0 lines accepted, 0 refused.\n");
    drop(server);
    assert_eq!(given.finish().code, Some(0));
}

#[test]
fn an_invalid_or_readable_password_file_is_a_usage_error() {
    let open = file("client-open", "open sesame\n");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o644)).unwrap();
    let empty = file("client-empty", "\nopen sesame\n");
    for (options, variable, words) in [
        (&["--password-file", &open][..], None, format!("others can read the password in {open}; run chmod g")),
        (&["--password-file", &empty], None, format!("the first line of {empty} is not a valid password")),
        (&["--password-file", "/no/such/file"], None, "cannot read the password in /no/such/file".to_owned()),
        (
            &[],
            Some("a\tb"),
            "LINECHAT_PASSWORD: passwords can only contain letters, digits, punctuation and spaces".to_owned(),
        ),
    ] {
        let done = client(FakeServer::start().address, options, variable).finish_with("");
        assert_eq!((done.code, done.stdout.as_str()), (Some(2), ""));
        assert!(done.stderr.contains(&words), "{}", done.stderr);
    }
}

#[test]
fn the_program_of_a_bot_does_not_get_the_password() {
    let fake = FakeServer::start();
    let script = "echo \"<$LINECHAT_PASSWORD> <$LINECHAT_TEXT>\"";
    let _bot = client(fake.address, &["--reply", "--exec", "sh", "--", "-c", script], Some("open sesame"));
    let mut server = asked(&fake, "Bob auth");
    server.expect("open sesame");
    server.send(&format!("{WELCOME}Alice: hi\n"));
    server.expect("<> <hi>");
}
