//! A server that lacks resources at startup reports it in one line.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use rustix::process::{Signal, geteuid};

use crate::support::harness::{Peer, skipped};
use crate::support::program::{Program, SERVER, install, listening_on};

const ARGUMENTS: [&str; 4] = ["--host", "127.0.0.1", "--port", "0"];

/// Whether this machine has the program. If not, this prints a message.
pub fn has(program: &str) -> bool {
    let found = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !found {
        skipped(&format!("this machine has no {program}"));
    }
    found
}

/// The server exits with code 1 and this one line.
#[track_caller]
fn assert_cannot_start(program: &str, arguments: &[&str], why: &str) {
    let finished = Program::start(program, arguments).finish();
    assert_eq!((finished.code, finished.stdout.as_str()), (Some(1), ""), "{}", finished.stderr);
    assert_eq!(finished.stderr, format!("server: {why}\n"));
}

#[test]
fn too_few_descriptors_are_reported_in_one_line() {
    let why =
        "cannot open 32 files at once: Too many open files; raise the limit (ulimit -n, or LimitNOFILE= in systemd)";
    // With fewer than four, the dynamic loader fails.
    for limit in 4..=34 {
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        let arguments: Vec<_> = ["-c", &script, SERVER].into_iter().chain(ARGUMENTS).collect();
        assert_cannot_start("sh", &arguments, why);
    }
}

#[test]
fn forty_descriptors_are_enough_for_all_features() {
    let folder = std::env::temp_dir().join(format!("linechat-few-{}", std::process::id()));
    let (data, socket) = (folder.join("data"), folder.join("socket"));
    fs::create_dir_all(&folder).unwrap();
    let script = "ulimit -n 40; exec \"$0\" \"$@\"";
    let more =
        ["--tls-self-signed", "--tls-port", "0", "--data", data.to_str().unwrap(), "--unix", socket.to_str().unwrap()];
    let mut program = Program::start("sh", ["-c", script, SERVER].into_iter().chain(ARGUMENTS).chain(more));
    let address = listening_on(&program.stdout.line());
    let peers = ["Alice", "Bob", "Carol"].map(|name| Peer::connect(address).join(name));
    program.signal(Signal::TERM);
    drop(peers);
    let finished = program.finish();
    assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
    fs::remove_dir_all(folder).unwrap();
}

/// The limit does not apply to root, so the server runs as another user. That user may be unable to read the build
/// folder.
#[test]
fn too_few_threads_are_reported_in_one_line() {
    if !has("prlimit") || !has("setpriv") {
        return;
    }
    let folder = std::env::temp_dir().join(format!("linechat-threads-{}", std::process::id()));
    let server = folder.join("server");
    fs::create_dir_all(&folder).unwrap();
    install(SERVER, &server);
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    let why = "cannot start 4 threads: Resource temporarily unavailable; raise the limit (ulimit -u, or TasksMax= in systemd)";
    for limit in 1..=4 {
        let limit = format!("--nproc={limit}");
        // A user ID that nothing else runs as, because the limit counts all threads of a user.
        let other = ["setpriv", "--reuid=64999", "--clear-groups"];
        let as_other = other.into_iter().filter(|_| geteuid().is_root());
        let arguments: Vec<_> = [&limit]
            .map(String::as_str)
            .into_iter()
            .chain(as_other)
            .chain([server.to_str().unwrap()])
            .chain(ARGUMENTS)
            .collect();
        assert_cannot_start("prlimit", &arguments, why);
    }
    fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_clock_before_1970_is_reported_in_one_line() {
    if !has("faketime") {
        return;
    }
    for more in [&[][..], &["--tls-self-signed", "--tls-port", "0"]] {
        let arguments: Vec<_> =
            ["1960-01-01 00:00:00", SERVER].into_iter().chain(ARGUMENTS).chain(more.iter().copied()).collect();
        assert_cannot_start("faketime", &arguments, "the clock of this machine shows a time before 1970; set it first");
    }
}
