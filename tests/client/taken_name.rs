//! The client in a pipe, or as a bot, when its name is taken.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::server::password::REQUIRED;
use crate::support::harness::{FakeServer, Peer};
use crate::support::program::{CLIENT, Finished, Program, ServerProgram};

const TAKEN: &str = "! name-taken: cron is taken\n";
const BYE: &str = "* Bye, cron: 1 line accepted, 0 refused.\n";

fn client(address: SocketAddr, more: &[&str]) -> Program {
    let arguments = Program::client_arguments(address, "cron");
    Program::start(CLIENT, arguments.iter().map(String::as_str).chain(more.iter().copied()))
}

fn finished(code: i32, stdout: &str, stderr: &str) -> Finished {
    Finished { code: Some(code), stdout: stdout.to_owned(), stderr: stderr.to_owned() }
}

/// Accepts the next connection and its name, and refuses it as the server does.
fn refuse(fake: &FakeServer, name: &str) {
    let mut server = fake.accept(name);
    server.send(&format!("{TAKEN}* Send another name.\n"));
    server.expect_end();
}

/// Accepts the next connection, its name, and one line.
fn welcome(fake: &FakeServer, name: &str) {
    let mut server = fake.welcome(name);
    server.expect_rest(&["done"]);
    server.send(&BYE.replace("cron", name));
}

fn said(name: &str) -> String {
    format!("* Welcome, {name}. You are the first here.\n{}", BYE.replace("cron", name))
}

#[test]
fn ten_clients_with_one_name_all_send_their_line() {
    let server = ServerProgram::start(&[]);
    let mut alice = server.join("Alice");
    let jobs: Vec<_> = (0..10)
        .map(|number| {
            let mut job = client(server.address, &[]);
            job.write(&format!("job {number} done\n"));
            job.end_input();
            job
        })
        .collect();
    for mut job in jobs {
        let done = job.finish();
        let said = format!("* Welcome, cron. 1 other here: Alice. /help lists the commands.\n{BYE}");
        assert_eq!(done, finished(0, &said, ""));
    }
    let mut lines = BTreeSet::new();
    while lines.len() < 10 {
        let line = alice.line();
        if let Some(line) = line.strip_prefix("cron: ") {
            lines.insert(line.to_owned());
        }
    }
    assert!(lines.into_iter().eq((0..10).map(|number| format!("job {number} done"))));
}

#[test]
fn the_client_tries_again_until_the_name_is_free() {
    for more in [&[][..], &["--if-taken", "wait"]] {
        let fake = FakeServer::start();
        let mut client = client(fake.address, more);
        client.write("done\n");
        client.end_input();
        (0..3).for_each(|_| refuse(&fake, "cron"));
        welcome(&fake, "cron");
        assert_eq!(client.finish(), finished(0, &said("cron"), ""));
    }
}

#[cfg_attr(windows, ignore = "it names a program that only Unix has")]
#[test]
fn a_bot_tries_again_too() {
    let fake = FakeServer::start();
    let mut bot = client(fake.address, &["--reply", "--exec", "echo", "yes"]);
    refuse(&fake, "cron");
    let mut server = fake.welcome("cron");
    server.send("Alice: there?\n");
    server.expect("yes");
    drop(server);
    assert_eq!(bot.finish().stdout, "* Welcome, cron. You are the first here.\nAlice: there?\n");
}

#[test]
fn a_number_is_added_to_a_taken_name() {
    let fake = FakeServer::start();
    let mut client = client(fake.address, &["--if-taken", "number"]);
    client.write("done\n");
    client.end_input();
    refuse(&fake, "cron");
    refuse(&fake, "cron-2");
    welcome(&fake, "cron-3");
    assert_eq!(client.finish(), finished(0, &said("cron-3"), ""));
}

#[test]
fn fail_does_not_try_again() {
    let fake = FakeServer::start();
    let mut client = client(fake.address, &["--if-taken", "fail"]);
    refuse(&fake, "cron");
    let why = "client: the server refused cron: name-taken: cron is taken\n";
    assert_eq!(client.finish(), finished(1, TAKEN, why));
}

/// Waiting would not help.
#[test]
fn any_other_refusal_of_the_name_ends_the_client() {
    for refusal in ["name-registered: cron is registered", "bad-name: no", "banned: no", "server-full: no"] {
        let fake = FakeServer::start();
        let mut client = client(fake.address, &[]);
        let mut server = fake.accept("cron");
        server.send(&format!("! {refusal}\n"));
        let why = format!("client: the server refused cron: {refusal}\n");
        assert_eq!(client.finish(), finished(1, &format!("! {refusal}\n"), &why));
    }
}

/// The server asks for it on each connection.
#[test]
fn the_password_is_sent_again_at_each_attempt() {
    let fake = FakeServer::start();
    let mut command = Command::new(CLIENT);
    command.args(Program::client_arguments(fake.address, "cron")).env("LINECHAT_PASSWORD", "open sesame");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = Program::spawn(command);
    client.write("done\n");
    client.end_input();
    let ask = || -> Peer {
        let mut server = fake.accept("cron auth");
        server.send(&format!("{REQUIRED}\n"));
        server.expect("open sesame");
        server
    };
    let mut server = ask();
    server.send(TAKEN);
    server.expect_end();
    let mut server = ask();
    server.send("* Welcome, cron.\n");
    server.expect_rest(&["done"]);
    server.send(BYE);
    drop(server);
    let said = format!("{REQUIRED}\n* Welcome, cron.\n{BYE}");
    assert_eq!(client.finish(), finished(0, &said, ""));
}
