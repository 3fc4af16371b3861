//! `server admin`, and its effects in the room, in the log and on disk.

use std::fs;
use std::io::{Read, Write};
#[cfg(unix)]
use std::os::unix::fs::PermissionsExt;
#[cfg(unix)]
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

#[cfg(unix)]
use linechat::limits::CONTROL_LIMIT;
#[cfg(unix)]
use rustix::process::Signal;
#[cfg(unix)]
use socket2::{Domain, SockAddr, Socket, Type};

use crate::support::folder::Folder;
use crate::support::harness::{DEADLINE, Peer, make_private};
use crate::support::lines::{assert_like, bye};
use crate::support::program::{Finished, Program, SERVER, ServerProgram};

const PASSWORD: &str = "correct horse battery";

/// A server with a data folder, which is removed at the end.
struct Setup {
    server: ServerProgram,
    folder: Folder,
}

impl Setup {
    fn open(test: &str) -> Self {
        let folder = Folder::absent(&format!("admin-{test}"));
        let server = start(&folder);
        Self { server, folder }
    }

    /// Runs `server admin` with this standard input.
    fn admin_with(&self, request: &[&str], input: &str) -> Finished {
        let folder = self.folder.to_str().unwrap();
        Program::start(SERVER, ["admin", "--data", folder].iter().chain(request)).finish_with(input)
    }

    #[track_caller]
    fn admin(&self, request: &[&str]) -> String {
        let Finished { code, stdout, stderr } = self.admin_with(request, "");
        assert_eq!((code, stderr.as_str()), (Some(0), ""), "{request:?}");
        stdout
    }

    #[track_caller]
    fn refused(&self, request: &[&str]) -> String {
        let Finished { code, stdout, stderr } = self.admin_with(request, "");
        assert_eq!((code, stdout.as_str()), (Some(1), ""), "{request:?}");
        stderr
    }

    #[track_caller]
    fn register(&self, name: &str) {
        let done = self.admin_with(&["register", name], &format!("{PASSWORD}\n"));
        assert_eq!((done.code, done.stdout), (Some(0), format!("{name} is registered.\n")));
    }

    fn log_in(&self, name: &str) -> Peer {
        let mut peer = Peer::connect(self.server.address);
        peer.send(&format!("{name}\n{PASSWORD}\n"));
        peer.expect("! password-required");
        assert!(peer.line().starts_with("* Welcome, "));
        peer
    }

    fn kill_and_restart(&mut self) {
        self.server.program.kill();
        self.server.program.finish();
        self.server = start(&self.folder);
    }
}

/// How the server calls the user who runs this test.
fn administrator() -> String {
    #[cfg(windows)]
    return "server admin".to_owned();
    #[cfg(unix)]
    format!("server admin (user {})", rustix::process::getuid().as_raw())
}

fn make_private_folder(folder: &Path) {
    #[cfg(unix)]
    fs::set_permissions(folder, PermissionsExt::from_mode(0o700)).unwrap();
    #[cfg(windows)]
    let _ = folder;
}

fn start(folder: &Path) -> ServerProgram {
    ServerProgram::start(&["--log-level", "debug", "--data", folder.to_str().unwrap()])
}

#[test]
fn admin_can_grant_and_revoke_operator_status() {
    let setup = Setup::open("op");
    assert_eq!(setup.refused(&["op", "Olga"]), "server: refused: not-registered: Olga is not registered\n");
    setup.register("Olga");
    let mut olga = setup.log_in("Olga");
    let mut bob = setup.server.join("Bob");
    olga.expect("* Bob has joined");
    olga.send("/kick Bob\n");
    olga.expect("! not-operator");
    assert_eq!(setup.admin(&["op", "Olga"]), "Olga is an operator.\n");
    olga.send("/kick Bob\n");
    bob.expect_rest(&["! kicked", &bye("Bob", 0, 1)]);
    olga.expect("* Bob has left: kicked by Olga");
    olga.expect("* Kicked: Bob from 127.0.0.0/8.");
    assert_eq!(setup.admin(&["deop", "olga"]), "olga is not an operator.\n");
    olga.send("/kick Olga\n");
    olga.expect("! not-operator");
}

#[test]
fn server_admin_moderates_and_lists_people() {
    let setup = Setup::open("does");
    setup.register("Olga");
    setup.admin(&["op", "Olga"]);
    let mut olga = setup.log_in("Olga");
    let mut bob = setup.server.join("Bob");
    olga.expect("* Bob has joined");
    let [olga_from, bob_from] = [&olga, &bob].map(|peer| peer.stream().local_addr().unwrap());
    assert_like(&setup.admin(&["mute", "Bob"]), "Muted: Bob forever; …Bob from 127.0.0.0/8.\n");
    assert_eq!(
        setup.admin(&["list"]),
        format!("Bob\tfrom {bob_from}\tmuted forever\nOlga\tfrom {olga_from}\toperator\n")
    );
    assert_eq!(setup.admin(&["unmute", "Bob"]), "No longer muted: Bob.\n");
    let muted = setup.admin(&["mute", "Bob", "10", "minutes"]);
    assert_like(&muted, "Muted: Bob until 2…Z; …Bob from 127.0.0.0/8.\n");
    let until = muted.split(' ').nth(3).and_then(|end| end.strip_suffix(';')).expect("an end");
    assert!(setup.admin(&["list"]).contains(&format!("\tmuted until {until}\n")));
    assert!(setup.admin(&["list", "mutes"]).contains(&format!(" until {until} by server admin")));
    setup.admin(&["unmute", "Bob"]);
    setup.admin(&["ban", "Troll9", "2 much"]);
    let bans = setup.admin(&["list", "bans"]);
    assert!(bans.contains("Z forever by server admin") && bans.ends_with(": 2 much\n"), "{bans}");
    setup.admin(&["unban", "Troll9"]);
    assert_eq!(setup.admin(&["say", "back", "at", "noon"]), "Said.\n");
    bob.expect("* The operator says: back at noon");
    olga.expect("* The operator says: back at noon");
    assert_eq!(setup.admin(&["kick", "Bob", "too", "loud"]), "Kicked: Bob from 127.0.0.0/8.\n");
    bob.expect_rest(&["! kicked: …: too loud", &bye("Bob", 0, 1)]);
    olga.expect(&format!("* Bob has left: kicked by {}: too loud", administrator()));
    let stats = setup.admin(&["stats"]);
    for row in ["people\t1\n", "registered names\t1\n", "bans\t0\n", "up\t"] {
        assert!(stats.contains(row), "{row:?} is not in\n{stats}");
    }
    let names = setup.admin(&["list", "names"]);
    assert!(names.starts_with("Olga\tsince 2") && names.ends_with("Z\toperator\n"), "{names}");
    assert_eq!(setup.admin(&["unregister", "Olga"]), "Olga is no longer registered.\n");
    assert_eq!(setup.admin(&["list", "names"]), "");
}

#[test]
fn a_ping_says_whether_the_rooms_work() {
    let mut setup = Setup::open("ping");
    assert_eq!(setup.admin(&["ping"]), "pong\n");
    setup.server.program.kill();
    setup.server.program.finish();
    let why = format!("server: no server is running with --data {}\n", setup.folder.display());
    assert_eq!(setup.refused(&["ping"]), why);
    // After a stop there is no socket.
    let _ = fs::remove_file(setup.folder.join("control"));
    assert_eq!(setup.refused(&["ping"]), why);
}

#[cfg(unix)]
#[test]
fn a_server_that_does_not_answer_in_time_is_reported() {
    let setup = Setup::open("hangs");
    setup.server.program.signal(Signal::STOP);
    let ping = |folder: &Path| Program::start(SERVER, ["admin", "--data", folder.to_str().unwrap(), "ping"]);
    // Its queue is full: one connection may wait. Systems other than Linux refuse the next one.
    let full = Folder::empty("admin-full");
    let address = SockAddr::unix(full.join("control")).unwrap();
    let [listener, waiting] = [(); 2].map(|()| Socket::new(Domain::UNIX, Type::STREAM, None).unwrap());
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    waiting.connect(&address).unwrap();
    let folders = if cfg!(target_os = "linux") { &[&*setup.folder, &*full][..] } else { &[&*setup.folder] };
    let pings: Vec<_> = folders.iter().map(|folder| ping(folder)).collect();
    for mut ping in pings {
        let finished = ping.finish_within(3 * CONTROL_LIMIT);
        let why = "server: the server did not answer within 20 s\n";
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(1), why));
    }
    setup.server.program.signal(Signal::CONT);
    assert_eq!(setup.admin(&["ping"]), "pong\n");
}

/// Something else than a server listens.
#[cfg(unix)]
#[test]
fn a_connection_that_ends_without_an_answer_is_reported() {
    let folder = Folder::empty("admin-no-answer");
    let listener = UnixListener::bind(folder.join("control")).unwrap();
    let mut admin = Program::start(SERVER, ["admin", "--data", folder.to_str().unwrap(), "ping"]);
    let mut request = String::new();
    listener.accept().unwrap().0.read_to_string(&mut request).unwrap();
    assert_eq!(request, "ping\n");
    let finished = admin.finish();
    let why = "server: the server closed the connection without an answer\n";
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(1), why));
}

#[test]
fn the_history_can_be_counted_exported_and_saved_while_the_server_runs() {
    let setup = Setup::open("archive");
    assert_eq!(setup.admin(&["export"]), "");
    assert!(setup.admin(&["history"]).starts_with("room\tlobby\nmessages\t0\nbytes\t"));
    let mut bob = setup.server.join("Bob");
    bob.send("hello\nsay \"\\\"\tand on\n/ping\n");
    bob.expect("* Pong");
    let text = setup.admin(&["export"]);
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("[1 2") && lines[0].ends_with("Z] Bob: hello"), "{text}");
    assert_eq!(lines.len(), 2);
    let json = setup.admin(&["export", "--format", "jsonl", "--since", "1"]);
    assert!(json.starts_with("{\"room\":\"lobby\",\"number\":2,\"time\":\"2"), "{json}");
    assert!(json.ends_with("Z\",\"name\":\"Bob\",\"text\":\"say \\\"\\\\\\\"\\u0009and on\"}\n"), "{json}");
    assert_eq!(setup.admin(&["export", "--since", "0s"]), "");
    let file = setup.folder.join("export");
    assert_eq!(setup.admin(&["export", file.to_str().unwrap()]), "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
    let why = setup.refused(&["export", file.to_str().unwrap()]);
    assert!(why.contains("File exists"), "{why}");
    assert!(setup.admin(&["history"]).contains("messages\t2\n"));

    assert!(setup.refused(&["export", "--room", "none", &format!("{}-2", file.display())]).contains("no-such-room"));
    assert!(!setup.folder.join("export-2").exists());

    let backup = setup.folder.join("it's a backup");
    let lock = fs::File::create(setup.folder.join("backup.lock")).unwrap();
    make_private(&setup.folder.join("backup.lock"));
    lock.lock().unwrap();
    let why = setup.refused(&["backup", backup.to_str().unwrap()]);
    assert!(why.contains("another backup is being made"), "{why}");
    drop(lock);
    fs::write(setup.folder.join("linechat.copy"), "of a backup that was interrupted").unwrap();
    setup.admin(&["backup", backup.to_str().unwrap()]);
    assert!(setup.refused(&["backup", backup.to_str().unwrap()]).contains("File exists"));
    let restored = setup.folder.join("restored");
    std::fs::create_dir(&restored).unwrap();
    make_private_folder(&restored);
    std::fs::rename(&backup, restored.join("linechat.db")).unwrap();
    let server = start(&restored);
    let mut peer = server.join("Alice");
    peer.send("/last 9\n");
    while !peer.line().ends_with("Bob: hello") {}
}

/// An earlier version treated these as two names.
#[cfg(unix)]
#[test]
fn an_account_with_the_name_of_an_older_one_is_set_aside_and_reported() {
    let mut setup = Setup::open("aside");
    setup.register("alice");
    setup.server.program.signal(Signal::TERM);
    setup.server.program.finish();
    let database = rusqlite::Connection::open(setup.folder.join("linechat.db")).unwrap();
    database.execute("INSERT INTO accounts VALUES (7, 'aIice', 'hash', 1, 0, 0)", []).unwrap();
    // Without a checksum, all rows are trusted.
    database.execute("DELETE FROM settings WHERE name = 'checksum'", []).unwrap();
    drop(database);
    setup.server = start(&setup.folder);
    drop(setup.log_in("alice"));
    let names = setup.admin(&["list", "names"]);
    let set_aside = "aIice\tsince 1970-01-01T00:00:00Z\tset aside: the same name as alice\n";
    assert!(names.starts_with("alice\tsince 2") && names.ends_with(set_aside), "{names}");
    assert_eq!(setup.admin(&["unregister", "aIice"]), "aIice is no longer registered.\n");
    assert!(!setup.admin(&["list", "names"]).contains("aIice"));
    setup.log_in("alice");
    setup.server.program.signal(Signal::TERM);
    let log = setup.server.program.finish().stdout;
    assert!(log.contains("account set aside") && log.contains("aIice"), "{log}");
}

#[test]
fn bans_and_operators_survive_kill_9() {
    let mut setup = Setup::open("kill");
    setup.register("Olga");
    setup.admin(&["op", "Olga"]);
    for request in
        [&["ban", "Mallory", "12h", "spam"][..], &["ban", "192.0.2.7"], &["ban", "2001:db8::5"], &["mute", "Bob"]]
    {
        setup.admin(request);
    }
    let (bans, mutes, names) =
        (setup.admin(&["list", "bans"]), setup.admin(&["list", "mutes"]), setup.admin(&["list", "names"]));
    assert_eq!(bans.lines().count(), 3);
    assert!(bans.contains("\n2001:db8::/64\tsince ") || bans.starts_with("2001:db8::/64\tsince "), "{bans}");
    setup.kill_and_restart();
    assert_eq!(setup.admin(&["list", "bans"]), bans);
    assert_eq!(setup.admin(&["list", "mutes"]), mutes);
    assert_eq!(setup.admin(&["list", "names"]), names);
    let mut mallory = Peer::connect(setup.server.address);
    mallory.send("Ma11ory\n");
    mallory.expect("! banned: …until 2…Z…");
    assert!(setup.admin(&["unban", "Mallory"]).starts_with("No longer banned"));
    setup.kill_and_restart();
    assert_eq!(setup.admin(&["list", "bans"]).lines().count(), 2);
}

#[cfg_attr(windows, ignore = "it shows a path of Unix")]
#[test]
fn an_invalid_request_is_refused_with_the_reason() {
    let setup = Setup::open("wrong");
    assert_eq!(setup.refused(&["unban", "Bob"]), "server: refused: not-sanctioned: Bob is not banned\n");
    assert_eq!(setup.refused(&["say", "a\nb"]), "server: a request must be a single line\n");
    assert!(
        setup
            .refused(&["ban", "Bob", "0s"])
            .starts_with("server: refused: bad-arguments: invalid duration: write 30m, 2 hours or 7 days")
    );
    let short = setup.admin_with(&["register", "Bob"], "short\n");
    assert_eq!(
        (short.code, short.stderr.as_str()),
        (Some(1), "server: refused: bad-password: passwords need at least 8 characters; nothing was changed\n")
    );
    let empty = Folder::empty("admin-no-database");
    make_private_folder(&empty);
    for (folder, why) in [
        (Path::new("/no/such/folder"), "/no/such/folder: the folder /no/such does not exist".to_owned()),
        (&empty, format!("{}/linechat.db: there is no such file", empty.display())),
    ] {
        for request in ["history", "export"] {
            let refused = Program::start(SERVER, ["admin", "--data", folder.to_str().unwrap(), request]).finish();
            assert_eq!((refused.code, refused.stderr), (Some(1), format!("server: cannot use {why}\n")));
        }
    }
    let nobody = Program::start(SERVER, ["admin", "--data", "/no/such/folder", "stats"]).finish();
    assert_eq!(
        (nobody.code, nobody.stderr.as_str()),
        (Some(1), "server: no server is running with --data /no/such/folder: there is no such folder\n")
    );
}

#[cfg(unix)]
#[test]
fn the_control_socket_is_private_and_survives_bad_clients() {
    let setup = Setup::open("socket");
    let path = setup.folder.join("control");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let silent = UnixStream::connect(&path).unwrap();
    for rubbish in [&b"\xff\xfe\n"[..], &[b'x'; 100_000], b"", b"\n\n\n", b"register\n", b"op \n"] {
        let mut stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // The server may hang up before it has read everything.
        let _ = stream.write_all(rubbish);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    }
    drop(silent);
    setup.admin(&["stats"]);
}

#[test]
fn a_second_server_with_the_same_folder_is_refused() {
    let setup = Setup::open("second");
    let folder = setup.folder.to_str().unwrap();
    let second = Program::start(SERVER, ["--port", "0", "--data", folder]).finish();
    assert_eq!((second.code, second.stdout.as_str()), (Some(1), ""));
    assert!(second.stderr.contains(folder), "{}", second.stderr);
    setup.admin(&["stats"]);
}

#[cfg(unix)]
#[test]
fn every_moderation_command_is_logged_with_operator_target_and_reason() {
    let mut setup = Setup::open("log");
    setup.register("Olga");
    let renewed = setup.admin_with(&["register", "Olga"], &format!("{PASSWORD}\n"));
    assert_eq!((renewed.code, renewed.stdout.as_str()), (Some(0), "Olga has a new password.\n"));
    setup.admin(&["op", "Olga"]);
    let mut olga = setup.log_in("Olga");
    let _carol = setup.server.join("Carol");
    olga.expect("* Carol has joined");
    olga.send("/kick Carol too loud\n/ban Mallory 1h spam\n/nick Ole\n/mute Bob\n/unmute Bob\n/unban Mallory\n/quit\n");
    olga.rest();
    setup.server.program.signal(Signal::TERM);
    let log = setup.server.program.finish().stdout;
    let (mut rest, administrator) = (log.as_str(), administrator());
    let acts = [
        ("register", administrator.as_str(), "", "Olga", ""),
        ("password", &administrator, "", "Olga", ""),
        ("op", &administrator, "", "Olga", ""),
        ("kick", "Olga", "Olga", "Carol", "too loud"),
        ("ban", "Olga", "Olga", "Mallory", "spam"),
        ("mute", "Ole", "Olga", "Bob", ""),
        ("unmute", "Ole", "Olga", "Bob", ""),
        ("unban", "Ole", "Olga", "Mallory", ""),
    ];
    for (act, by, account, whom, why) in acts {
        // In a debug build, each pair has a line of its own, with colours.
        for word in ["moderation", act, "by", by, "account", account, "whom", whom, why] {
            rest = rest
                .split_once(word)
                .unwrap_or_else(|| panic!("{word:?} of {act} is not where it should be in\n{log}"))
                .1;
        }
    }
}

#[test]
fn server_admin_can_unmute_an_operator() {
    let setup = Setup::open("unmute");
    setup.register("Olga");
    setup.admin(&["op", "Olga"]);
    let mut olga = setup.log_in("Olga");
    setup.admin(&["mute", "Olga"]);
    olga.send("/unmute Olga\n");
    olga.expect("! not-operator: …muted forever…");
    assert_eq!(setup.admin(&["unmute", "Olga"]), "No longer muted: Olga.\n");
    olga.send("/kick Nobody1\n");
    olga.expect("! no-such-user: … Nobody1…");
}

#[cfg(unix)]
#[test]
fn the_log_separates_user_text_from_server_text() {
    let mut setup = Setup::open("reasons");
    let (mut alice, mut bob) = (setup.server.join("Alice"), setup.server.join("Bob"));
    alice.expect("* Bob has joined");
    setup.admin(&["mute", "Bob"]);
    bob.send("/quit not even in the log\n");
    alice.expect("* Bob has left");
    alice.send("/quit kicked by Olga: spam\n");
    alice.rest();
    setup.server.program.signal(Signal::TERM);
    let log = setup.server.program.finish().stdout;
    assert!(!log.contains("not even"), "{log}");
    let left = log.rsplit_once("Alice").unwrap().1;
    let (before, after) = left.split_once("user_reason").expect("it has the reason");
    assert!(before.contains("reason") && !before.contains("kicked"), "{log}");
    assert!(after.contains("kicked by Olga: spam"), "{log}");
}

#[test]
fn a_password_from_a_file_may_begin_with_a_byte_order_mark() {
    let setup = Setup::open("byte-order-mark");
    let done = setup.admin_with(&["register", "Olga"], &format!("\u{feff}{PASSWORD}\r\n"));
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "Olga is registered.\n"));
    setup.log_in("Olga");
}

#[cfg(unix)]
#[test]
fn a_password_appears_in_no_log_process_list_or_file() {
    let mut setup = Setup::open("secret");
    setup.register("Olga");
    let mut olga = setup.log_in("Olga");
    let mut bob = setup.server.join("Bob");
    bob.send(&format!("/register\n{PASSWORD}\n{PASSWORD}\n/password\n{PASSWORD} not\n"));
    for _ in 0..5 {
        bob.line();
    }
    let mut mallory = Peer::connect(setup.server.address);
    mallory.send(&format!("Olga\n{PASSWORD} nearly\n"));
    mallory.expect("! password-required");
    mallory.expect("! wrong-password");
    olga.send("/quit\n");
    let heard = olga.rest().concat();
    let process = format!("/proc/{}", setup.server.program.pid().as_raw_nonzero());
    let seen = ["cmdline", "environ"].map(|file| fs::read(format!("{process}/{file}")).unwrap()).concat();
    setup.server.program.signal(Signal::TERM);
    let log = setup.server.program.finish().stdout;
    assert!(log.contains("Olga") && log.contains("wrong-password"), "{log}");
    // Each guess is logged with its name and address: Mallory's, and Bob's for his own name.
    assert_eq!(log.matches("wrong password").count(), 2, "{log}");
    let mut kept = Vec::new();
    for file in fs::read_dir(&*setup.folder).unwrap() {
        kept.extend(fs::read(file.unwrap().path()).unwrap());
    }
    assert!(String::from_utf8_lossy(&kept).contains("$argon2id$"));
    let places = [&kept[..], &seen, log.as_bytes(), heard.as_bytes()];
    assert!(places.iter().all(|place| !String::from_utf8_lossy(place).contains(PASSWORD)));
}
