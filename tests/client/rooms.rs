//! Rooms in a pipe and for a bot. In most tests a fake server plays the other side.

use crate::support::harness::{FakeServer, Peer, Server};
use crate::support::program::{CLIENT, Program};

fn start(fake: &FakeServer, name: &str, more: &[&str]) -> Program {
    let arguments = Program::client_arguments(fake.address, name);
    Program::start(CLIENT, arguments.iter().map(String::as_str).chain(more.iter().copied()))
}

/// A client that has entered the room `dev` and hears `ops`, and the server's side of its connection.
fn in_dev(fake: &FakeServer, name: &str, more: &[&str]) -> (Program, Peer) {
    let client = start(fake, name, &[&["--room", "dev", "--hear", "#ops"], more].concat());
    let mut server = fake.accept(&format!("{name} #dev"));
    server.send(&format!("* Welcome to dev, {name}. You are the first here. /help lists the commands.\n"));
    server.expect("/hear ops");
    server.send("* You also hear ops now.\n");
    (client, server)
}

#[test]
fn a_pipe_enters_a_room_and_hears_another() {
    let fake = FakeServer::start();
    let (mut pipe, mut server) = in_dev(&fake, "Bob", &["--lines-only"]);
    server
        .send("* Alice has gone to ops\n#ops Carol: disk is full\nAlice: hi\n[ops 7 2026-11-26T12:03:11Z] Carol: x\n");
    pipe.stdout.expect("#ops Carol: disk is full");
    pipe.stdout.expect("Alice: hi");
    pipe.stdout.expect("[ops 7 2026-11-26T12:03:11Z] Carol: x");
    pipe.write("hello\n");
    server.expect("hello");
    pipe.end_input();
    server.expect_end();
    server.send("* Bye, Bob: 1 line accepted, 0 refused. #dev since=7 brings you back here.\n");
    drop(server);
    let done = pipe.finish();
    assert_eq!((done.code, done.stderr.as_str()), (Some(0), ""));
}

#[test]
fn several_rooms_are_heard_before_the_input_is_sent() {
    let fake = FakeServer::start();
    let mut pipe = start(&fake, "Bob", &["--hear", "ops", "--hear", "dev"]);
    pipe.write("hello\n");
    let mut server = fake.accept("Bob");
    server.send("* Welcome, Bob. You are the first here.\n");
    ["/hear ops", "/hear dev", "hello"].iter().for_each(|line| server.expect(line));
    pipe.end_input();
    server.expect_end();
    server.send(
        "! no-such-room: there is no room called ops, and nobody can open rooms here; /rooms lists them\n* Bye, Bob: 1 line accepted, 1 refused.\n",
    );
    drop(server);
    let done = pipe.finish();
    assert_eq!(done.code, Some(1));
    assert_eq!(
        done.stderr,
        "client: 1 refused, the last: no-such-room: there is no room called ops, and nobody can open rooms here; /rooms lists them\n"
    );
}

#[test]
fn a_room_that_is_refused_ends_the_client() {
    let fake = FakeServer::start();
    let mut pipe = start(&fake, "Bob", &["--room", "dev"]);
    let mut server = fake.accept("Bob #dev");
    server.send("! no-such-room: there is no room called dev, and nobody can open rooms here; /rooms lists them\n");
    let done = pipe.finish();
    assert_eq!(done.code, Some(1));
    assert!(done.stderr.starts_with("client: the server refused Bob: no-such-room: "), "{}", done.stderr);
}

#[test]
fn a_bad_room_is_wrong_usage() {
    for option in ["--room", "--hear"] {
        let done = Program::start(CLIENT, ["--name", "Bob", option, "Dev"]).finish();
        assert_eq!(done.code, Some(2));
        assert!(done.stderr.contains("room names have 1 to 32 characters"), "{}", done.stderr);
    }
}

#[test]
#[cfg(unix)]
fn a_bot_answers_in_the_room_where_the_message_was_said() {
    let fake = FakeServer::start();
    let script = "echo \"<$LINECHAT_ROOM> <$LINECHAT_TEXT> <$LINECHAT_PRIVATE>\"";
    let (_bot, mut server) = in_dev(&fake, "bot", &["--reply", "--exec", "sh", "--", "-c", script]);
    for (heard, answer) in [
        ("Alice: hi", "<dev> <hi> <0>"),
        ("#ops Carol: hi", "/say ops <ops> <hi> <0>"),
        ("Alice (privately): hi", "/msg Alice <dev> <hi> <1>"),
        // It is moved to the lobby.
        ("* dev was closed by Olga\nAlice: hi", "<lobby> <hi> <0>"),
        ("* You are now in ops. 1 other here: Carol.\nCarol: hi", "<ops> <hi> <0>"),
    ] {
        server.send(&format!("{heard}\n"));
        server.expect(answer);
    }
}

#[test]
#[cfg(unix)]
fn a_bot_serves_several_rooms_of_a_server() {
    let server = Server::start();
    let [mut alice, mut carol] = [("Alice", "dev"), ("Carol", "ops")].map(|(name, room)| {
        let mut peer = server.connect();
        peer.send(&format!("{name} #{room} replay=0\n"));
        peer.expect(&format!("* Welcome to {room}, {name}. …"));
        peer
    });
    let arguments = Program::client_arguments(server.address, "bot");
    let more = ["--room", "dev", "--hear", "ops", "--reply", "--exec", "sh", "--", "-c", "echo \"$LINECHAT_ROOM\""];
    let mut bot = Program::start(CLIENT, arguments.iter().map(String::as_str).chain(more));
    bot.stdout.expect("* Welcome to dev, bot. 1 other here: Alice. /help lists the commands.");
    bot.stdout.expect("* You also hear ops now.");
    alice.expect("* bot has joined");
    alice.send("hi\n");
    alice.expect("bot: dev");
    carol.send("hi\n");
    carol.expect("bot: ops");
    bot.stdout.expect("Alice: hi");
    bot.stdout.expect("#ops Carol: hi");
    carol.send("/msg bot hi\n");
    carol.expect("bot (privately): dev");
}
