//! Rooms, over real connections and with the real program.

use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::folder::Folder;
use crate::support::harness::{DEADLINE, Peer, Server, unpaced};
use crate::support::program::{Finished, Program, SERVER, ServerProgram};

/// A peer that has sent this first line and has read its welcome.
fn enter(server: &Server, first_line: &str) -> Peer {
    enter_at(server.connect(), first_line)
}

fn enter_at(mut peer: Peer, first_line: &str) -> Peer {
    peer.send(&format!("{first_line}\n/ping ready\n"));
    let welcome = peer.line();
    assert!(welcome.starts_with("* Welcome"), "{welcome}");
    while peer.line() != "* Pong ready" {}
    peer
}

/// The lines up to the farewell, which is included.
fn rest(peer: &mut Peer) -> Vec<String> {
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line: &String| !line.starts_with("* Bye, ")) {
        lines.push(peer.line());
    }
    lines
}

/// The messages with numbers among these lines, without their times.
fn numbered(lines: &[String]) -> Vec<String> {
    let messages = lines.iter().filter(|line| line.starts_with('['));
    let without_time = |line: &String| {
        let (stamp, message) = line.split_once("] ").unwrap();
        format!("{}] {message}", stamp.rsplit_once(' ').unwrap().0)
    };
    messages.map(without_time).collect()
}

#[test]
fn people_in_two_rooms_and_a_bot_that_hears_both() {
    let server = Server::start();
    let mut alice = enter(&server, "Alice");
    let mut bob = enter(&server, "Bob #dev");
    let mut bot = enter(&server, "Bot #dev");
    bob.expect("* Bot has joined");
    bot.send("/hear lobby\n");
    bot.expect("* You also hear lobby now.");
    alice.send("hi\n");
    bot.expect("#lobby Alice: hi");
    bob.send("compiles\n");
    bot.expect("Bob: compiles");
    bot.send("/say lobby seen\n/msg Alice psst\n");
    alice.expect("Bot: seen");
    alice.expect("Bot (privately): psst");
    alice.send("/who\n/who dev\n/join #dev\n");
    alice.expect("* 1 here: Alice");
    alice.expect("* Also hearing: Bot.");
    alice.expect("* 2 in dev: Bob, Bot");
    alice.expect("* You are now in dev. 2 others here: Bob, Bot.");
    alice.expect("* Earlier messages:");
    alice.line();
    alice.expect("* That was 1 to 1, 1 line.");
    bob.expect("* Alice has joined");
    alice.send("/quit\n");
    alice.expect("* Bye, Alice: 1 line accepted, 0 refused. #dev since=1 brings you back here.");
    bob.expect("* Alice has left");
}

#[test]
fn many_moves_in_one_packet_happen_in_their_order() {
    let server = Server::start();
    let mut watcher = enter(&server, "Watcher #r1 replay=0");
    let mut alice = enter(&server, "Alice replay=0");
    let mut lines = String::new();
    for number in 0..60 {
        let room = ["lobby", "r1", "r2"][number % 3];
        lines += &format!("/join {room}\n{number} in {room}\n/hear r1\n/hear r2\n/deaf r2\n");
    }
    alice.send(&format!("{lines}/ping done\n"));
    let mut entered = Vec::new();
    loop {
        let line = alice.line();
        entered.extend(line.strip_prefix("* You are now in ").map(|line| line.split('.').next().unwrap().to_owned()));
        if line == "* Pong done" {
            break;
        }
    }
    let expected: Vec<_> = (1..60).map(|number| ["lobby", "r1", "r2"][number % 3].to_owned()).collect();
    assert_eq!(entered, expected);
    for number in (1..60).step_by(3) {
        watcher.expect_message(&format!("Alice: {number} in r1"));
    }
}

#[test]
fn the_lines_of_a_peer_that_moves_faster_than_it_reads_stay_in_their_rooms() {
    let server = Server::start_with(unpaced());
    let mut watchers = ["a", "b"].map(|room| (room, enter(&server, &format!("Watcher-{room} #{room}"))));
    // Many more moves than may wait, and more replies than the buffers take.
    let mut mover = enter_at(Peer::connect_with_a_small_buffer(server.address), "Mover replay=0");
    let count = 20_000;
    let moves: String = (0..count).map(|at| format!("/join a\nfor a {at}\n/join b\nfor b {at}\n")).collect();
    let mut sender = mover.try_clone();
    let sending = thread::spawn(move || sender.send(&(moves + "/quit\n")));
    for (room, watcher) in &mut watchers {
        // Until the mover has to wait for itself to read.
        for at in 0..100 {
            watcher.expect_message(&format!("Mover: for {room} {at}"));
        }
    }
    mover.begin_to_read();
    let reading = thread::spawn(move || rest(&mut mover));
    for (room, watcher) in &mut watchers {
        for at in 100..count {
            watcher.expect_message(&format!("Mover: for {room} {at}"));
        }
    }
    sending.join().unwrap();
    let bye = format!("* Bye, Mover: {} lines accepted, 0 refused.", 2 * count);
    assert!(reading.join().unwrap().last().unwrap().starts_with(&bye));
}

#[test]
fn everything_that_a_peer_reads_comes_before_its_farewell() {
    let server = Server::start();
    let mut bob = enter(&server, "Bob #dev");
    for round in 0..20 {
        let mut alice = enter(&server, "Alice replay=0");
        alice.send("/hear dev\n");
        alice.expect("* You also hear dev now.");
        bob.send(&format!("{round}\n"));
        bob.send("/ping said\n");
        bob.expect("* Pong said");
        alice.send("/quit\n");
        let heard = rest(&mut alice);
        assert_eq!(heard.len(), 2, "{heard:?}");
        assert_eq!(heard[0], format!("#dev Bob: {round}"));
        assert!(heard[1].starts_with("* Bye, Alice"), "{heard:?}");
    }
}

#[test]
fn rooms_have_their_own_numbers_search_and_history() {
    let server = Server::start();
    let mut alice = enter(&server, "Alice ids=on");
    alice.send("apple\n/join dev\npear\napple pie\n/grep APPLE\n/last 9\n/since 1\n/leave\n/grep APPLE\n/quit\n");
    assert_eq!(
        numbered(&rest(&mut alice)),
        [
            "[1] Alice: apple",
            "[dev 1] Alice: pear",
            "[dev 2] Alice: apple pie",
            "[dev 2] Alice: apple pie",
            "[dev 1] Alice: pear",
            "[dev 2] Alice: apple pie",
            "[dev 2] Alice: apple pie",
            "[1] Alice: apple",
            "[1] Alice: apple",
        ]
    );
}

#[test]
fn names_of_rooms_are_checked() {
    let server = Server::start();
    let mut alice = server.connect();
    alice.send("Alice #Dev\n");
    alice.expect("! bad-room");
    alice.expect("* Send your name again.");
    alice.send("Alice\n");
    assert!(alice.line().starts_with("* Welcome, Alice."));
    for line in ["/join Dev", "/join a b", "/join -x", "/join [dev", "/hear *", "/say #ö x"] {
        alice.send(&format!("{line}\n"));
        let refusal = alice.line();
        assert!(refusal.starts_with("! bad-room: ") || refusal.starts_with("! bad-arguments: "), "{line}: {refusal}");
    }
    alice.send("/who nowhere\n/deaf nowhere\n");
    alice.expect("! no-such-room");
    alice.expect("! not-hearing");
}

/// A server with a data folder, which is removed at the end.
struct Setup {
    options: Vec<&'static str>,
    server: ServerProgram,
    folder: Folder,
}

impl Setup {
    fn open(test: &str) -> Self {
        Self::open_with(test, &[])
    }

    fn open_with(test: &str, options: &[&'static str]) -> Self {
        let folder = Folder::absent(&format!("rooms-{test}"));
        let (server, options) = (start(&folder, options), options.to_vec());
        Self { options, server, folder }
    }

    #[track_caller]
    fn admin(&self, request: &[&str]) -> String {
        admin(&self.folder, request)
    }

    fn connect(&self) -> Peer {
        Peer::connect(self.server.address)
    }

    #[track_caller]
    fn refused(&self, request: &[&str]) -> String {
        let Finished { code, stdout, stderr } = run_admin(&self.folder, request);
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{request:?}");
        stderr
    }

    fn enter(&self, first_line: &str) -> Peer {
        enter_at(self.connect(), first_line)
    }

    fn kill_and_restart(&mut self) {
        self.server.program.kill();
        self.server.program.finish();
        self.server = start(&self.folder, &self.options);
    }
}

fn run_admin(folder: &Path, request: &[&str]) -> Finished {
    let program = Program::start(SERVER, ["admin", "--data", folder.to_str().unwrap()].iter().chain(request));
    program.finish_with("")
}

#[track_caller]
fn admin(folder: &Path, request: &[&str]) -> String {
    let Finished { code, stdout, stderr } = run_admin(folder, request);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{request:?}");
    stdout
}

fn start(folder: &Path, options: &[&str]) -> ServerProgram {
    ServerProgram::start(&[&["--data", folder.to_str().unwrap()], options].concat())
}

#[test]
fn rooms_their_messages_topics_and_numbers_survive_a_kill() {
    let mut setup = Setup::open("kill");
    let mut alice = setup.enter("Alice #dev ids=on");
    alice.send("/topic Rust\none\n/join ops\nalpha\n/join empty\n/join dev\ntwo\n/ping said\n");
    while alice.line() != "* Pong said" {}
    setup.kill_and_restart();
    let mut alice = setup.enter("Alice #dev ids=on");
    alice.send("/rooms\n/topic\n/last 9\nthree\n/join ops\n/last\nbeta\n/quit\n");
    let lines = rest(&mut alice);
    assert_eq!(lines[..2], ["* 3 rooms: dev (1), lobby (0), ops (0).", "* The topic is: Rust"]);
    let messages = numbered(&lines);
    assert_eq!(messages[..2], ["[dev 1] Alice: one", "[dev 2] Alice: two"]);
    let number = |message: &str| message[..message.find(']').unwrap()].rsplit(' ').next().unwrap().parse::<u64>();
    assert!(number(&messages[2]).unwrap() > 2 && messages[2].ends_with("Alice: three"), "{messages:?}");
    assert_eq!(messages[3..5], ["[ops 1] Alice: alpha", "[ops 1] Alice: alpha"], "on entering, and by /last");
    assert!(number(&messages[5]).unwrap() > 1 && messages[5].ends_with("Alice: beta"), "{messages:?}");
    let exported = setup.admin(&["export", "--room", "ops"]);
    assert_eq!(exported.lines().count(), 2, "{exported}");
    assert!(exported.lines().all(|line| line.starts_with("[ops ")), "{exported}");
    let json = setup.admin(&["export", "--room", "ops", "--format", "jsonl"]);
    assert!(json.lines().all(|line| line.starts_with("{\"room\":\"ops\",\"number\":")), "{json}");
    assert!(setup.admin(&["history", "--room", "dev"]).starts_with("room\tdev\nmessages\t3\n"));
    assert!(setup.admin(&["history"]).starts_with("room\tlobby\nmessages\t0\n"), "the lobby");
}

#[test]
fn a_closed_room_is_forgotten_also_after_a_restart() {
    let mut setup = Setup::open("close");
    let mut alice = setup.enter("Alice #dev");
    alice.send("secret\n/topic secrets\n/ping said\n");
    while alice.line() != "* Pong said" {}
    assert_eq!(setup.admin(&["rooms"]), "dev\t1\tsecrets\nlobby\t0\n");
    assert_eq!(setup.admin(&["close", "dev", "all", "done"]), "Closed: dev.\n");
    alice.expect("* dev was closed: all done");
    alice.expect("* You are now in lobby. Nobody else is here.");
    assert_eq!(setup.admin(&["rooms"]), "lobby\t1\n");
    setup.kill_and_restart();
    assert_eq!(setup.admin(&["rooms"]), "lobby\t0\n");
    let mut alice = setup.enter("Alice #dev");
    alice.send("/topic\n/last\n/quit\n");
    assert_eq!(rest(&mut alice)[..2], ["* There is no topic.", "* Nothing is recorded yet."]);
}

#[test]
fn the_numbers_of_a_room_that_is_gone_are_not_given_again() {
    let mut setup = Setup::open("floor");
    let mut alice = setup.enter("Alice #dev");
    alice.send("1\n2\n3\n4\n5\n/quit\n");
    assert!(rest(&mut alice).last().unwrap().ends_with("#dev since=5 brings you back here."));
    let mut bob = setup.enter("Bob #dev replay=0");
    bob.send("6\n7\n8\n/ping said\n");
    while bob.line() != "* Pong said" {}
    assert_eq!(setup.admin(&["close", "dev"]), "Closed: dev.\n");
    bob.expect("* dev was closed");
    bob.expect("* You are now in lobby. Nobody else is here.");
    // It has never had any other messages.
    bob.send("/join dev\n/last\n/since 0\n/since 1m\n/ping asked\n");
    let mut lines = Vec::new();
    while lines.last().is_none_or(|line| line != "* Pong asked") {
        lines.push(bob.line());
    }
    bob.send("/ids on\n9\n10\n/since 0\n/last\n/join ops\nin ops\n/quit\n");
    lines.extend(rest(&mut bob));
    let nothing = ["* Nothing is recorded yet.", "* Nothing was said after 0.", "* Nothing was said after 8."];
    assert_eq!(lines[1..4], nothing, "{lines:?}");
    let in_dev = ["[dev 9] Bob: 9", "[dev 10] Bob: 10"];
    let expected = [in_dev, in_dev, in_dev].concat();
    assert_eq!(numbered(&lines), [&expected[..], &["[ops 9] Bob: in ops"]].concat());
    let end = "* That was 9 to 10, 2 lines.";
    assert_eq!(lines.iter().filter(|line| *line == end).count(), 2);
    assert!(!lines.iter().any(|line| line.contains("no longer kept") || line.contains("missing")), "{lines:?}");
    for is_restarted in [false, true] {
        if is_restarted {
            setup.kill_and_restart();
        }
        let mut alice = setup.enter("Alice #dev");
        alice.send("/quit\n");
        let newcomer = rest(&mut alice);
        assert!(newcomer.iter().all(|line| !line.contains("no longer kept")), "{newcomer:?}");
        // Who was away when the room was closed learns what is gone, and misses nothing of the new one.
        let mut alice = setup.connect();
        alice.send("Alice #dev since=5\n/quit\n");
        let lines = rest(&mut alice);
        assert!(lines.contains(&"* 3 of these lines are no longer kept.".to_owned()), "{lines:?}");
        assert_eq!(lines.iter().filter(|line| line.contains(" Bob: ")).count(), 2, "{lines:?}");
        let mut alice = setup.connect();
        alice.send("Alice #dev since=8 ids=on\n/quit\n");
        let lines = rest(&mut alice);
        assert_eq!(numbered(&lines), in_dev);
        assert!(!lines.iter().any(|line| line.contains("no longer kept")), "{lines:?}");
    }
    let exported = setup.admin(&["export", "--room", "dev", "--since", "5"]);
    assert_eq!(numbered(&exported.lines().map(str::to_owned).collect::<Vec<_>>()), in_dev);
    assert!(setup.admin(&["history", "--room", "dev"]).starts_with("room\tdev\nmessages\t2\n"));
    assert_eq!(setup.admin(&["close", "dev"]), "Closed: dev.\n");
    setup.kill_and_restart();
    let mut bob = setup.enter("Bob #dev ids=on");
    bob.send("more\n/quit\n");
    let number = numbered(&rest(&mut bob))[0].trim_end_matches("] Bob: more")[5..].parse::<u64>().unwrap();
    assert!(number > 10, "{number}");
}

/// Keeps the server from writing to its database, until it is dropped.
fn block_writes(setup: &Setup) -> rusqlite::Connection {
    let database = rusqlite::Connection::open(setup.folder.join("linechat.db")).unwrap();
    database.busy_timeout(DEADLINE).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    database
}

#[test]
fn a_room_is_reported_as_closed_when_that_is_on_the_disk_and_nobody_else_waits_for_it() {
    let mut setup = Setup::open("close-waits");
    let (mut alice, mut bob) = (setup.enter("Alice #dev"), setup.enter("Bob #ops"));
    alice.send("secret\n/topic secrets\n/ping said\n");
    while alice.line() != "* Pong said" {}
    let blocked = block_writes(&setup);
    thread::scope(|scope| {
        let folder = &setup.folder;
        let closing = scope.spawn(|| admin(folder, &["close", "dev"]));
        alice.expect("* dev was closed");
        alice.expect("* You are now in lobby. Nobody else is here.");
        bob.send("/ping goes-on\n");
        bob.expect("* Pong goes-on");
        // Whoever opens it finds nothing.
        alice.send("/join dev\n/topic\n/last\n");
        alice.expect("* You are now in dev. Nobody else is here.");
        alice.expect("* There is no topic.");
        alice.expect("* Nothing is recorded yet.");
        thread::sleep(Duration::from_millis(500));
        assert!(!closing.is_finished(), "a crash could bring the room back");
        drop(blocked);
        assert_eq!(closing.join().unwrap(), "Closed: dev.\n");
    });
    setup.kill_and_restart();
    assert_eq!(setup.admin(&["rooms"]), "lobby\t0\n");
}

#[test]
fn whoever_closes_a_room_is_told_if_the_disk_fails_and_a_new_room_with_its_name_is_stored() {
    let mut setup = Setup::open("close-fails");
    let mut alice = setup.enter("Alice #dev");
    alice.send("secret\n/topic secrets\n/ping said\n");
    while alice.line() != "* Pong said" {}
    let blocked = block_writes(&setup);
    let folder = setup.folder.to_str().unwrap();
    let closed = Program::start(SERVER, ["admin", "--data", folder, "close", "dev"]).finish_with("");
    let why =
        "refused: not-kept: dev is closed, but the server could not save that; after a restart the room may be back";
    assert!(closed.code == Some(1) && closed.stderr.trim_end().ends_with(why), "{closed:?}");
    drop(blocked);
    alice.expect("* dev was closed");
    alice.send("/join dev\nnew\n/ping said\n");
    while alice.line() != "* Pong said" {}
    setup.kill_and_restart();
    let mut alice = setup.enter("Alice #dev replay=0");
    alice.send("/topic\n/last\n/quit\n");
    let lines = rest(&mut alice);
    assert!(lines[0] == "* There is no topic." && lines[1].ends_with(" Alice: new"), "{lines:?}");
}

#[test]
fn how_long_a_room_keeps_messages_is_set_by_room_and_survives_a_restart() {
    let mut setup = Setup::open("keep");
    let mut alice = setup.enter("Alice #dev");
    alice.send("hi\n/ping said\n");
    while alice.line() != "* Pong said" {}
    assert_eq!(setup.admin(&["keep", "dev", "forever"]), "Messages in dev are kept forever.\n");
    assert_eq!(setup.admin(&["keep", "dev", "7days"]), "Messages in dev are kept for 7days.\n");
    setup.kill_and_restart();
    let database = rusqlite::Connection::open(setup.folder.join("linechat.db")).unwrap();
    let keep: i64 = database.query_row("SELECT keep FROM rooms WHERE name = 'dev'", [], |row| row.get(0)).unwrap();
    assert_eq!(keep, 7 * 24 * 60 * 60);
    let default = "Messages in dev are kept as long as those of other rooms.\n";
    assert_eq!(setup.admin(&["keep", "dev", "default"]), default);
    // The message is older than a second by the time at which the server looks.
    assert_eq!(setup.admin(&["keep", "dev", "1s"]), "Messages in dev are kept for 1s.\n");
    let is_gone = || setup.admin(&["history", "--room", "dev"]).starts_with("room\tdev\nmessages\t0\n");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !is_gone() {
        assert!(std::time::Instant::now() < deadline, "its messages are not removed");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
}

#[test]
fn how_long_a_fixed_room_keeps_messages_can_be_set_before_anybody_enters_it() {
    let mut setup = Setup::open_with("keep-fixed", &["--rooms", "fixed:dev"]);
    let refusal = "server: refused: no-such-room: there is no room called ops\n";
    assert_eq!(setup.refused(&["keep", "ops", "1day"]), refusal);
    assert_eq!(setup.admin(&["keep", "dev", "1day"]), "Messages in dev are kept for 1day.\n");
    assert_eq!(setup.admin(&["rooms"]), "dev\t0\nlobby\t0\n");
    setup.kill_and_restart();
    let mut alice = Peer::connect(setup.server.address);
    alice.send("Alice #dev\n");
    alice.expect("* Welcome to dev, Alice. … Messages are recorded for 1 day.");
}

#[test]
fn who_is_refused_only_a_room_is_asked_for_the_same_name_and_can_join_without_the_room() {
    let setup = Setup::open_with("refused", &["--room-limit", "2"]);
    let _bob = setup.enter("Bob #dev");
    setup.admin(&["mute", "Mallory"]);
    for (first_line, code) in [("Alice #ops", "! too-many-rooms"), ("Mallory #ops", "! muted")] {
        let mut peer = Peer::connect(setup.server.address);
        peer.send(&format!("{first_line}\n"));
        peer.expect(code);
        peer.expect("* Send your name again.");
        let name = first_line.split(' ').next().unwrap();
        peer.send(&format!("{name}\n"));
        peer.expect(&format!("* Welcome, {name}. …"));
    }
}

#[test]
fn a_room_of_which_nothing_is_stored_is_neither_counted_nor_exported() {
    let mut setup = Setup::open("no-such-room");
    let mut alice = setup.enter("Alice #quiet");
    // The topic is stored before the message, and that before the reply.
    alice.send("/topic nothing yet\n/join loud\nhi\n/ping said\n");
    while alice.line() != "* Pong said" {}
    let check = |setup: &Setup| {
        for request in [&["export", "--room", "nope"][..], &["history", "--room", "nope"]] {
            let refusal = "server: no-such-room: nothing is stored of a room called nope\n";
            assert_eq!(setup.refused(request), refusal, "{request:?}");
        }
        assert_eq!(setup.admin(&["export"]), "", "the lobby always exists");
        assert!(setup.admin(&["history"]).starts_with("room\tlobby\nmessages\t0\n"));
        assert_eq!(setup.admin(&["export", "--room", "quiet"]), "");
        assert!(setup.admin(&["history", "--room", "quiet"]).starts_with("room\tquiet\nmessages\t0\n"));
    };
    check(&setup);
    setup.server.program.kill();
    setup.server.program.finish();
    check(&setup);
    setup.server = start(&setup.folder, &setup.options);
}

#[test]
fn after_a_crash_the_last_number_that_newcomers_read_is_that_of_the_last_message() {
    let mut setup = Setup::open("newcomer");
    let mut alice = setup.enter("Alice #dev");
    alice.send("one\ntwo\n/ping said\n");
    while alice.line() != "* Pong said" {}
    setup.kill_and_restart();
    let mut bob = Peer::connect(setup.server.address);
    bob.send("Bob #dev\n");
    bob.expect("* Welcome to dev, Bob. …");
    bob.expect("* Earlier messages:");
    bob.expect("* … Alice: one");
    bob.expect("* … Alice: two");
    bob.expect("* That was 1 to 2, 2 lines.");
}
