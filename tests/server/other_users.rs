//! What other users of this machine can do with the files and folders of a server.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::{Signal, geteuid};

use super::resources::has;
use crate::support::harness::{Peer, skipped};
use crate::support::program::{CLIENT, Finished, NOBODY, Program, SERVER, ServerProgram, install, listening_on};

const OTHER: u32 = 64_998;
const UNSAFE: &str = "others can write to it; choose another folder or run chmod go-w";

/// A folder for this test, removed on drop.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static FOLDERS: AtomicU32 = AtomicU32::new(0);
        let id = format!("linechat-others-{}-{}", std::process::id(), FOLDERS.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(id);
        fs::create_dir(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().unwrap().to_owned()
    }

    fn subfolder(&self, name: &str, mode: u32) -> String {
        let path = self.path(name);
        fs::create_dir(&path).unwrap();
        set_mode(&path, mode);
        path
    }

    fn private_file(&self, name: &str, content: &str) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        set_mode(&path, 0o600);
        path
    }

    fn fifo(&self) -> String {
        let path = self.path("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
        path
    }

    /// The path of a server that every user can run, in this folder.
    fn server_for_all(&self) -> String {
        set_mode(self.0.to_str().unwrap(), 0o755);
        let program = self.path("server");
        install(SERVER, Path::new(&program));
        program
    }

    /// A certificate for `localhost` and its key.
    fn certificate(&self) -> [String; 2] {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = self.private_file("key.pem", &made.signing_key.serialize_pem());
        [self.private_file("cert.pem", &made.cert.pem()), key]
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn set_mode(path: &str, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Whether files can be given to another user. If not, this prints a message.
fn is_root() -> bool {
    let is_root = geteuid().is_root();
    if !is_root {
        skipped("files of another user: only root can make them");
    }
    is_root
}

fn give_to_other(path: &str) {
    chown(path, Some(OTHER), None).unwrap();
}

fn server(arguments: &[&str]) -> Finished {
    Program::start(SERVER, [&["--host", "127.0.0.1", "--port", "0"], arguments].concat()).finish()
}

/// The server exits with code 1 and this line.
#[track_caller]
fn assert_refused(arguments: &[&str], why: &str) {
    let finished = server(arguments);
    assert_eq!((finished.code, finished.stderr), (Some(1), format!("server: {why}\n")), "{arguments:?}");
}

#[track_caller]
fn assert_starts(arguments: &[&str]) {
    let mut server = ServerProgram::start(arguments);
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""), "{arguments:?}");
}

#[test]
fn a_fifo_in_place_of_a_file_is_refused_without_waiting() {
    let folder = Folder::new();
    let (fifo, [cert, key]) = (folder.fifo(), folder.certificate());
    let why = "it is not a regular file";
    assert_refused(&["--password-file", &fifo], &format!("cannot read the password in {fifo}: {why}"));
    let tls = |cert: &str, key: &str, what: &str| {
        let why = format!("cannot read {what} in {fifo}: {why}");
        assert_refused(&["--tls-port", "0", "--tls-cert", cert, "--tls-key", key], &why);
    };
    tls(&fifo, &key, "a certificate");
    tls(&cert, &fifo, "a private key");
    let data = folder.subfolder("data", 0o700);
    fs::rename(&fifo, format!("{data}/linechat.db")).unwrap();
    assert_refused(&["--data", &data], &format!("cannot use {data}/linechat.db: {why}"));
}

#[test]
fn the_client_does_not_wait_for_a_fifo_either() {
    let folder = Folder::new();
    let fifo = folder.fifo();
    for option in ["--password-file", "--tls-ca"] {
        let finished = Program::start(CLIENT, ["--name", "Bob", "tls://127.0.0.1:1", option, &fifo]).finish();
        assert!(finished.stderr.contains(&format!("in {fifo}: it is not a regular file")), "{}", finished.stderr);
    }
}

#[test]
fn files_and_folders_of_another_user_are_refused() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let whose = format!("it belongs to user {OTHER}, and must belong to root; or run this as that user");

    let password = folder.private_file("password", "open sesame\n");
    assert_starts(&["--password-file", &password]);
    give_to_other(&password);
    assert_refused(&["--password-file", &password], &format!("cannot read the password in {password}: {whose}"));

    let [cert, key] = folder.certificate();
    let tls = ["--tls-port", "0", "--tls-cert", &cert, "--tls-key", &key];
    assert_starts(&tls);
    give_to_other(&key);
    assert_refused(&tls, &format!("cannot read a private key in {key}: {whose}"));

    let data = folder.subfolder("data", 0o700);
    assert_starts(&["--data", &data]);
    for file in ["linechat.db", "lock"] {
        let path = format!("{data}/{file}");
        give_to_other(&path);
        let which = if file == "lock" { &data } else { &path };
        assert_refused(&["--data", &data], &format!("cannot use {which}: {whose}"));
        chown(&path, Some(0), None).unwrap();
    }
    give_to_other(&data);
    let why = format!("the folder {data} is not safe: {whose}");
    assert_refused(&["--data", &data], &format!("cannot use {data}: {why}"));

    let sticky = folder.subfolder("sticky", 0o1777);
    let path = format!("{sticky}/socket");
    assert_starts(&["--unix", &path]);
    give_to_other(&sticky);
    let why = format!("the folder {sticky} is not safe: {whose}");
    assert_refused(&["--unix", &path], &format!("cannot listen at {path}: {why}"));
}

/// As when root checks the settings of a service.
#[test]
fn root_is_told_how_to_use_a_folder_as_its_owner() {
    if !is_root() || !has("runuser") {
        return;
    }
    let folder = Folder::new();
    let program = folder.server_for_all();
    let data = folder.subfolder("data", 0o700);
    chown(&data, Some(NOBODY), None).unwrap();
    let arguments = ["--check", "--data", &data];
    let refused = Program::start(&program, arguments).finish();
    assert_eq!(refused.code, Some(1));
    let (_, advice) = refused.stderr.trim_end().split_once("; or run this as that user: ").expect(&refused.stderr);
    let words: Vec<_> = advice.split(' ').collect();
    let ["runuser", "-u", user, "--", "COMMAND"] = words[..] else { panic!("{advice}") };
    let checked = Program::start("runuser", ["-u", user, "--", &program].into_iter().chain(arguments)).finish();
    assert_eq!((checked.code, checked.stderr.as_str()), (Some(0), ""));
}

/// What `--check` says, a server says too.
#[test]
fn a_folder_in_which_the_server_cannot_write_is_refused() {
    if !is_root() || !has("setpriv") {
        return;
    }
    let folder = Folder::new();
    let program = folder.server_for_all();
    let (own, closed) = (folder.subfolder("own", 0o700), folder.subfolder("closed", 0o500));
    let of_root = folder.subfolder("of-root", 0o755);
    [&own, &closed].into_iter().for_each(|folder| give_to_other(folder));
    let missing = [&own, &closed, &of_root].map(|folder| format!("{folder}/missing"));
    for (data, is_usable) in [(&own, true), (&missing[0], true)]
        .into_iter()
        .chain([&closed, &of_root, &missing[1], &missing[2]].map(|data| (data, false)))
    {
        let arguments = ["--host", "127.0.0.1", "--port", "0", "--data", data];
        let why = format!("server: cannot use {data}: Permission denied\n");
        let refused = (Some(1), why);
        let existed = Path::new(data).exists();
        let checked = start_as(OTHER, &program, &[&["--check"], &arguments[..]].concat()).finish();
        let expected = if is_usable { (Some(0), String::new()) } else { refused.clone() };
        assert_eq!((checked.code, checked.stderr), expected, "{data}");
        assert_eq!(Path::new(data).exists(), existed);
        if !is_usable {
            let started = start_as(OTHER, &program, &arguments).finish();
            assert_eq!((started.code, started.stderr), refused, "{data}");
        }
    }
    assert_eq!(fs::read_dir(&own).unwrap().count(), 0);
}

#[test]
fn folders_that_others_can_write_to_are_refused() {
    let folder = Folder::new();
    for mode in [0o770, 0o707, 0o777] {
        let open = folder.subfolder(&format!("{mode:o}"), mode);
        for path in
            [format!("{open}/socket"), format!("{}/socket", folder.subfolder(&format!("{mode:o}/below"), 0o700))]
        {
            let why = format!("the folder {open} is not safe: {UNSAFE}");
            assert_refused(&["--unix", &path], &format!("cannot listen at {path}: {why}"));
            assert!(!Path::new(&path).exists());
        }
        for data in [open.clone(), format!("{open}/below"), format!("{open}/missing")] {
            let why = format!("the folder {open} is not safe: {UNSAFE}");
            assert_refused(&["--data", &data], &format!("cannot use {data}: {why}"));
        }
        assert!(!Path::new(&format!("{open}/missing")).exists());
    }
}

#[test]
fn a_sticky_folder_is_allowed_for_a_socket_but_not_for_accounts() {
    let folder = Folder::new();
    let sticky = folder.subfolder("sticky", 0o1777);
    assert_starts(&["--unix", &format!("{sticky}/socket"), "--unix-mode", "0666"]);
    assert_eq!(fs::read_dir(&sticky).unwrap().count(), 0);
    assert_starts(&["--data", &format!("{sticky}/data")]);
    let why = format!("the folder {sticky} is not safe: {UNSAFE}");
    assert_refused(&["--data", &sticky], &format!("cannot use {sticky}: {why}"));
}

#[test]
fn a_lock_on_a_folder_by_another_user_does_not_stop_a_server() {
    let folder = Folder::new();
    let data = folder.subfolder("data", 0o755);
    let locked = File::open(&data).unwrap();
    locked.lock_shared().unwrap();
    assert_starts(&["--data", &data, "--unix", &format!("{data}/socket")]);
}

#[test]
fn a_server_that_starts_does_not_wait_for_its_own_lock() {
    if !has("strace") {
        return;
    }
    let folder = Folder::new();
    let (data, socket, trace) = (folder.path("data"), folder.path("socket"), folder.path("trace"));
    // With -D, the server is our child, not a child of strace(1).
    let arguments = ["-D", "-f", "-e", "trace=flock", "-o", &trace, SERVER, "--host", "127.0.0.1", "--port", "0"];
    let more = ["--data", &data, "--unix", &socket];
    let mut server = Program::start("strace", arguments.into_iter().chain(more));
    server.stdout.line();
    let traced = fs::read_to_string(&trace).unwrap();
    let locks: Vec<_> = traced.lines().filter(|line| line.contains("flock(")).collect();
    assert!(locks.len() >= 3, "for the accounts, the control socket and the other one: {traced}");
    assert!(locks.iter().all(|line| line.ends_with("= 0")), "{traced}");
    server.signal(Signal::TERM);
    assert_eq!(server.finish().code, Some(0));
}

/// Starts a program as another user. The folder of the program must be open to that user.
fn start_as(user: u32, program: &str, arguments: &[&str]) -> Program {
    let user = format!("--reuid={user}");
    Program::start("setpriv", [&[&user, "--clear-groups", program], arguments].concat())
}

#[test]
fn admin_sends_no_request_to_a_server_of_another_user() {
    if !is_root() || !has("setpriv") {
        return;
    }
    let folder = Folder::new();
    let program = folder.server_for_all();
    let data = folder.subfolder("data", 0o755);
    give_to_other(&data);
    let start = |user: u32, arguments: &[&str]| start_as(user, &program, arguments);
    let mut server = start(OTHER, &["--host", "127.0.0.1", "--port", "0", "--data", &data]);
    server.stdout.line();
    let kept_out = start(OTHER + 1, &["admin", "--data", &data, "list"]).finish();
    let why = "Permission denied; only root and the server's user can";
    assert_eq!(
        (kept_out.code, kept_out.stderr),
        (Some(1), format!("server: cannot connect to a server at {data}/control: {why}\n"))
    );
    set_mode(&format!("{data}/control"), 0o666);
    let admin = |user| start(user, &["admin", "--data", &data, "register", "Bob"]).finish_with("open sesame\n");
    let refused = admin(OTHER + 1);
    let why = format!("it belongs to user {OTHER}; only that user and root can administer it");
    assert_eq!(
        (refused.code, refused.stderr),
        (Some(1), format!("server: cannot connect to a server at {data}/control: {why}\n"))
    );
    for user in [OTHER, 0] {
        assert_eq!(admin(user).code, Some(0));
    }
}

/// Runs `server admin` as root.
fn admin(data: &str, request: &[&str]) -> Finished {
    Program::start(SERVER, [&["admin", "--data", data], request].concat()).finish()
}

#[track_caller]
fn assert_all_belong_to_other(folder: &str) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().uid(), OTHER, "{:?}", entry.path());
    }
}

#[test]
fn root_saves_and_reads_the_messages_of_another_user_whose_server_goes_on() {
    if !is_root() || !has("setpriv") {
        return;
    }
    let folder = Folder::new();
    let program = folder.server_for_all();
    let (data, private) = (folder.subfolder("data", 0o700), folder.subfolder("private", 0o700));
    give_to_other(&data);
    for round in 1..=2 {
        let mut server = start_as(OTHER, &program, &["--host", "127.0.0.1", "--port", "0", "--data", &data]);
        let mut bob = Peer::connect(listening_on(&server.stdout.line())).join("Bob");
        bob.send("hello\n/ping\n");
        bob.expect("* Pong");
        for state in ["runs", "stopped"] {
            if state == "stopped" {
                server.signal(Signal::TERM);
                assert_eq!(server.finish().code, Some(0));
            }
            let messages = admin(&data, &["export"]);
            assert_eq!((messages.code, messages.stderr.as_str()), (Some(0), ""), "{state}");
            assert_eq!(messages.stdout.matches("Bob: hello\n").count(), round, "{state}: {}", messages.stdout);
            assert!(
                admin(&data, &["history"]).stdout.starts_with(&format!("room\tlobby\nmessages\t{round}\n")),
                "{state}"
            );
            for request in ["export", "backup"] {
                let file = format!("{private}/{request}-{round}-{state}");
                let saved = admin(&data, &[request, &file]);
                assert_eq!((saved.code, saved.stderr.as_str()), (Some(0), ""), "{state}");
                let metadata = fs::metadata(&file).unwrap();
                assert_eq!((metadata.uid(), metadata.mode() & 0o777), (0, 0o600), "{file}");
            }
            assert_all_belong_to_other(&data);
            assert!(!Path::new(&data).join("linechat.copy").exists());
        }
        let copy = rusqlite::Connection::open(format!("{private}/backup-{round}-stopped")).unwrap();
        let count = copy.query_row("SELECT count(*) FROM messages", [], |row| row.get::<_, u32>(0)).unwrap();
        assert_eq!(count as usize, round);
    }
}

/// As in a container that was started without these capabilities.
#[test]
fn root_that_may_not_act_as_the_owner_is_told_who_may() {
    if !is_root() || !has("setpriv") {
        return;
    }
    let folder = Folder::new();
    let data = folder.subfolder("data", 0o700);
    assert_starts(&["--data", &data]);
    give_to_other(&data);
    let copy = folder.path("copy");
    for request in [&["history"][..], &["export"], &["backup", &copy]] {
        let arguments = ["--bounding-set=-setuid,-setgid", SERVER, "admin", "--data", &data];
        let refused = Program::start("setpriv", [&arguments, request].concat()).finish();
        let why = format!("{data}: cannot act as its owner: Operation not permitted; run this as user {OTHER}");
        assert_eq!((refused.code, refused.stderr), (Some(1), format!("server: cannot use {why}\n")));
    }
}

/// The owner of a folder replaces the database with a hard link to one of root.
#[test]
fn root_follows_no_link_of_another_user_to_a_database_that_this_user_cannot_read() {
    if !is_root() {
        return;
    }
    let folder = Folder::new();
    let (own, data) = (folder.subfolder("own", 0o700), folder.subfolder("data", 0o700));
    set_mode(folder.0.to_str().unwrap(), 0o755);
    assert_starts(&["--data", &own]);
    fs::hard_link(format!("{own}/linechat.db"), format!("{data}/linechat.db")).unwrap();
    let copy = folder.path("copy");
    assert_eq!(admin(&data, &["backup", &copy]).code, Some(0));
    fs::remove_file(&copy).unwrap();
    give_to_other(&data);
    for request in [&["export"][..], &["history"], &["backup", &copy], &["export", &copy]] {
        let refused = admin(&data, request);
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(1), ""));
        assert!(refused.stderr.contains("Permission denied"), "{}", refused.stderr);
        assert!(!Path::new(&copy).exists(), "{request:?}");
    }
}
