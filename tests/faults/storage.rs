//! The disk of the data folder is full, blocks, is read-only, or returns garbage.

use std::collections::HashSet;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, geteuid};

use super::scene::Scene;
use crate::support::harness::{Peer, skipped};
use crate::support::program::{Program, SERVER, ServerProgram};

/// A folder for the data of one test.
struct Folder {
    path: PathBuf,
    is_mounted: bool,
}

impl Folder {
    fn new(test: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("storage-{test}-{}", std::process::id()));
        // A former process with this number may have left it.
        let _ = fs::remove_dir_all(&path);
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
        Self { path, is_mounted: false }
    }

    /// A folder on a disk of its own, of 8 MiB. `None` if that is impossible; this prints a message then.
    fn small_disk(test: &str) -> Option<Self> {
        if !geteuid().is_root() {
            skipped(&format!("a {test} disk: only root can mount one"));
            return None;
        }
        let mut folder = Self::new(test);
        let mount = ["-t", "tmpfs", "-o", "size=8m,mode=700", "linechat-test"];
        folder.is_mounted = has_worked(Command::new("mount").args(mount).arg(&folder.path));
        if !folder.is_mounted {
            skipped(&format!("a {test} disk: it cannot be mounted"));
        }
        folder.is_mounted.then_some(folder)
    }

    fn path(&self) -> &str {
        self.path.to_str().unwrap()
    }

    fn file(&self) -> PathBuf {
        self.path.join("linechat.db")
    }

    /// Writes a file until nothing more fits.
    fn fill(&self) {
        let mut ballast = fs::File::create(self.path.join("ballast")).unwrap();
        while ballast.write_all(&[1; 4096]).is_ok() {}
    }

    fn empty(&self) {
        fs::remove_file(self.path.join("ballast")).unwrap();
    }

    fn start(&self, arguments: &[&str]) -> ServerProgram {
        ServerProgram::start(&[&["--data", self.path()], arguments].concat())
    }

    /// What a server says that does not start.
    fn refusal(&self) -> String {
        let finished = Program::start(SERVER, ["--host", "127.0.0.1", "--port", "0", "--data", self.path()]).finish();
        assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
        finished.stderr.replace(self.path(), "DIR")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_mounted {
            has_worked(Command::new("umount").arg("--lazy").arg(&self.path));
        }
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn has_worked(command: &mut Command) -> bool {
    command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// All lines that a peer is sent which asks for the whole history.
fn whole_history(server: &ServerProgram) -> Vec<String> {
    let mut reader = Peer::connect(server.address);
    reader.send("reader since=0\n/quit\n");
    reader.rest()
}

#[track_caller]
fn stop(mut server: ServerProgram) {
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
}

#[test]
fn a_full_disk_leaves_a_gap_in_the_history_and_the_room_goes_on() {
    let Some(folder) = Folder::small_disk("full") else { return };
    let mut scene = Scene::with(folder.start(&["--log-level", "warn"]));
    let mut alice = scene.join("alice");
    alice.send("before\n");
    scene.witnesses.talk(5);
    folder.fill();
    scene.server.wait_for_record("not stored");
    alice.send("meanwhile\n");
    // The room goes on, also for newcomers.
    drop(scene.join("bob"));
    scene.witnesses.talk(100);
    folder.empty();
    scene.witnesses.talk(5);
    alice.send("afterwards\n");
    scene.witnesses.talk(5);
    drop(alice);
    let heard = scene.finish();
    assert_eq!(heard.said()["alice"], ["before", "meanwhile", "afterwards"]);
    assert!(!heard.log.contains("not stored"), "it is reported once a minute: {}", heard.log);

    // Nothing is in memory any more.
    let server = folder.start(&[]);
    let history = whole_history(&server);
    let has = |text: &str| history.iter().any(|line| line.ends_with(text));
    assert!(has("alice: before") && has("alice: afterwards"), "{history:?}");
    assert!(!has("alice: meanwhile"), "{history:?}");
    let gaps = history.iter().filter(|line| line.contains(" numbers are missing here: ")).count();
    assert_eq!(gaps, 1, "{history:?}");
    stop(server);
}

#[test]
fn a_full_disk_refuses_lines_if_they_must_be_stored() {
    let Some(folder) = Folder::small_disk("full-always") else { return };
    let server = folder.start(&["--sync", "always", "--log-level", "warn"]);
    let (mut alice, mut bob) = (server.join("alice"), server.join("bob"));
    alice.send("before\n");
    bob.expect_message("alice: before");
    folder.fill();
    bob.send("/ping\n");
    bob.expect("* Pong");
    for _ in 0..3 {
        alice.send("meanwhile\n");
        let mut answer = alice.line();
        while answer.starts_with("* ") {
            answer = alice.line();
        }
        assert!(answer.starts_with("! not-kept: "), "{answer}");
    }
    folder.empty();
    alice.send("afterwards\n");
    bob.expect_message("alice: afterwards");
    drop((alice, bob));
    stop(server);
    let server = folder.start(&[]);
    let said: Vec<_> = whole_history(&server).into_iter().filter(|line| line.contains("alice: ")).collect();
    assert_eq!(said.len(), 2, "{said:?}");
    stop(server);
}

/// Makes each write to the disk and each sync of a process take five seconds, by tracing it.
struct Blocked(Child);

impl Blocked {
    /// `None` if this machine cannot do it; this prints a message then.
    fn start(server: &ServerProgram) -> Option<Self> {
        let pid = server.program.pid().as_raw_nonzero().to_string();
        let calls = "fdatasync,fsync,pwrite64";
        let inject = format!("inject={calls}:delay_enter=5000000");
        let mut command = Command::new("strace");
        command.args(["-f", "-p", &pid, "-e", &format!("trace={calls}"), "-e", &inject]);
        let Ok(mut child) = command.stderr(Stdio::piped()).spawn() else {
            skipped("a disk that blocks; strace is not installed");
            return None;
        };
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let first = lines.find(|line| line.contains(" attached") || line.contains("attach:"));
        if first.is_none_or(|line| !line.contains(" attached")) {
            skipped("a disk that blocks; strace cannot trace the server");
            let _ = child.wait();
            return None;
        }
        thread::spawn(move || lines.for_each(drop));
        Some(Self(child))
    }
}

impl Drop for Blocked {
    fn drop(&mut self) {
        let _ = rustix::process::kill_process(rustix::process::Pid::from_child(&self.0), Signal::TERM);
        let _ = self.0.wait();
    }
}

#[test]
fn a_disk_that_blocks_does_not_delay_the_room() {
    let folder = Folder::new("blocked");
    let scene = Scene::with(folder.start(&["--log-level", "warn"]));
    let (mut alice, mut bob) = (scene.join("alice"), scene.join("bob"));
    alice.send("before\n");
    hear(&mut bob, "alice: before");
    let Some(blocked) = Blocked::start(&scene.server) else { return };
    let (since, mut longest) = (Instant::now(), Duration::ZERO);
    for number in 0.. {
        if since.elapsed() > Duration::from_secs(12) {
            break;
        }
        let sent = Instant::now();
        alice.send(&format!("line {number}\n"));
        hear(&mut bob, &format!("alice: line {number}"));
        longest = longest.max(sent.elapsed());
        thread::sleep(Duration::from_millis(50));
    }
    let (joined, newcomer) = (Instant::now(), scene.join("newcomer"));
    let joined = joined.elapsed();
    eprintln!("the disk takes 5 s for each call, a line at most {longest:?}, and a join {joined:?}");
    assert!(longest < Duration::from_secs(2), "a line took {longest:?}");
    assert!(joined < Duration::from_secs(2), "a join took {joined:?}");
    scene.witnesses.talk(20);
    drop((newcomer, blocked));
    alice.send("afterwards\n");
    hear(&mut bob, "alice: afterwards");
    drop((alice, bob));
    let heard = scene.finish();
    assert!(!heard.log.contains("not stored"), "{}", heard.log);
    let server = folder.start(&[]);
    let history = whole_history(&server);
    assert!(history.iter().any(|line| line.ends_with("alice: line 0")), "{history:?}");
    assert!(history.iter().any(|line| line.ends_with("alice: afterwards")), "{history:?}");
    assert!(!history.iter().any(|line| line.contains(" missing ")), "{history:?}");
    stop(server);
}

/// Reads until this line comes.
#[track_caller]
fn hear(peer: &mut Peer, line: &str) {
    while peer.line() != line {}
}

#[test]
fn a_read_only_disk_is_refused_at_the_start() {
    let Some(folder) = Folder::small_disk("read-only-disk") else { return };
    stop(folder.start(&[]));
    let remount = |how: &str| {
        let options = format!("remount,{how}");
        assert!(has_worked(Command::new("mount").args(["-o", &options]).arg(&folder.path)), "{how}");
    };
    remount("ro");
    let refusal = folder.refusal();
    assert!(refusal.contains("cannot use DIR") && refusal.contains("Read-only file system"), "{refusal}");
    remount("rw");
    stop(folder.start(&[]));
}

#[test]
fn a_read_only_file_is_refused_at_the_start() {
    let folder = Folder::new("read-only");
    stop(folder.start(&[]));
    let file = folder.file();
    // Root may write to a file whatever its mode is, but not to one that is mounted read-only.
    let why = if geteuid().is_root() {
        if !has_worked(Command::new("mount").arg("--bind").arg(&file).arg(&file)) {
            return skipped("a read-only file: nothing can be mounted");
        }
        assert!(has_worked(Command::new("mount").args(["-o", "remount,bind,ro"]).arg(&file)));
        "Read-only file system"
    } else {
        fs::set_permissions(&file, fs::Permissions::from_mode(0o400)).unwrap();
        "Permission denied"
    };
    let refusal = folder.refusal();
    if geteuid().is_root() {
        assert!(has_worked(Command::new("umount").arg("--lazy").arg(&file)));
    }
    assert!(refusal.contains("cannot use DIR/linechat.db: ") && refusal.contains(why), "{refusal}");
}

/// Fills three pages of messages in the middle of the file with garbage.
#[test]
fn garbage_in_the_middle_of_the_messages_is_a_counted_gap() {
    const LINES: usize = 3000;
    let folder = Folder::new("garbage");
    let server = folder.start(&["--pace", "off"]);
    let mut alice = server.join("alice");
    for number in 1..=LINES {
        alice.send(&format!("line {number} {}\n", "x".repeat(100)));
    }
    alice.send("/ping\n");
    alice.expect("* Pong");
    drop(alice);
    stop(server);
    let mut bytes = fs::read(folder.file()).unwrap();
    let at = bytes.len() / 2 / 4096 * 4096;
    let pages = &mut bytes[at..at + 3 * 4096];
    let lost: HashSet<usize> = line_numbers(&String::from_utf8_lossy(pages)).into_iter().collect();
    fs::File::open("/dev/urandom").unwrap().read_exact(pages).unwrap();
    fs::write(folder.file(), bytes).unwrap();
    let gap = format!("* {} of these lines cannot be read.", lost.len());
    let first_lost = *lost.iter().min().unwrap();
    assert!((60..120).contains(&lost.len()) && lost.contains(&(first_lost + lost.len() - 1)), "{lost:?}");
    let is_whole = |lines: &[String], first: usize| {
        let expected: Vec<_> = (first..=LINES).filter(|number| !lost.contains(number)).collect();
        assert_eq!(line_numbers(&lines.join("\n")), expected);
        // The gap is where the lines would be.
        let place = lines.iter().position(|line| *line == gap).expect("the gap is told");
        assert!(lines[place - 1].contains(&format!("alice: line {} ", first_lost - 1)), "{}", lines[place - 1]);
        assert_eq!(lines.iter().filter(|line| !line.contains("alice: ")).count(), 2, "the gap and the end");
    };

    let mut server = folder.start(&["--log-level", "warn", "--pace", "off"]);
    let mut bob = server.join("bob");
    bob.send("/since 0\n");
    let lines = until_end(&mut bob);
    is_whole(&lines, 1);
    assert_eq!(lines.last().unwrap(), &format!("* That was 1 to {LINES}, {} lines.", LINES - lost.len()));
    server.wait_for_record("not read");

    // The newest ones do not concern it. Older ones do.
    bob.send("/last 50\n");
    let lines = until_end(&mut bob);
    assert_eq!(line_numbers(&lines.join("\n")), (LINES - 49..=LINES).collect::<Vec<_>>());
    assert_eq!(lines.len(), 51);
    bob.send("/last 2000\n");
    is_whole(&until_end(&mut bob), LINES + 1 - 2000 - lost.len());

    bob.send(&format!("/grep LINE {LINES}\n"));
    let lines = until_end(&mut bob);
    assert_eq!((line_numbers(&lines[..2].join("\n")), lines.len()), (vec![LINES], 3));
    bob.send("/grep line 7 x\n");
    let lines = until_end(&mut bob);
    assert_eq!(lines[0], format!("* {} lines cannot be read, and so cannot be searched.", lost.len()));
    assert_eq!((line_numbers(&lines[1]), lines[2].as_str()), (vec![7], "* Found 1 line."));

    // The room goes on.
    let mut carol = server.join("carol");
    bob.send("still here\n");
    carol.expect_message("bob: still here");
    drop((bob, carol));
    server.program.signal(Signal::TERM);
    let finished = server.program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    assert!(!finished.stdout.contains("not read"), "it is reported once a minute: {}", finished.stdout);

    let export = Program::start(SERVER, ["admin", "--data", folder.path(), "export"]).finish();
    assert_eq!((export.code, line_numbers(&export.stdout).len()), (Some(1), LINES - lost.len()));
    assert!(export.stdout.contains("bob: still here"));
    let why = format!("the database is damaged: {} messages cannot be read; all others were exported", lost.len());
    assert!(export.stderr.contains(&why), "{}", export.stderr);
}

/// The numbers of Alice's lines.
fn line_numbers(text: &str) -> Vec<usize> {
    text.split("line ").filter_map(|rest| rest.split_once(" xxx")?.0.parse().ok()).collect()
}

/// All lines up to the end of what was asked for.
fn until_end(peer: &mut Peer) -> Vec<String> {
    let mut lines = vec![peer.line()];
    let is_end = |line: &str| ["! ", "* That was", "* Found"].iter().any(|start| line.starts_with(start));
    while !lines.last().is_some_and(|line| is_end(line)) {
        // Notices of those who join come at any time.
        lines.extend(Some(peer.line()).filter(|line| !line.contains(" joined")));
    }
    lines
}

#[test]
fn garbage_at_the_beginning_of_the_file_is_refused() {
    let folder = Folder::new("header");
    stop(folder.start(&[]));
    let mut file = OpenOptions::new().write(true).open(folder.file()).unwrap();
    file.seek(SeekFrom::Start(100)).unwrap();
    file.write_all(&[0xa5; 3000]).unwrap();
    drop(file);
    let refusal = folder.refusal();
    assert!(refusal.contains("DIR/linechat.db is corrupt ("), "{refusal}");
}

#[test]
fn a_second_server_on_the_same_folder_is_refused() {
    let folder = Folder::new("shared");
    let server = folder.start(&[]);
    let refusal = folder.refusal();
    assert!(refusal.contains("DIR/linechat.db is in use by another server"), "{refusal}");
    let mut alice = server.join("alice");
    alice.send("/ping\n");
    alice.expect("* Pong");
    drop(alice);
    stop(server);
    stop(folder.start(&[]));
}
