//! What a power cut would leave on the disk, at each sync of a child process.
//!
//! `power_cut.c` wraps the calls that sync files, and keeps a copy of what was synced. It is compiled by the C compiler
//! that builds SQLite too, and loaded into the child with `LD_PRELOAD`. Here is what the child prints, in order with
//! its syncs.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Instant;

use crate::DEADLINE;

/// A line that a child has printed.
#[derive(Debug)]
pub enum Line {
    /// A sync begins. There is one at a time.
    Begins,
    /// A sync has succeeded.
    Synced(Synced),
    /// The child itself has printed this.
    Other(String),
}

/// A sync.
#[derive(Debug)]
pub struct Synced {
    /// What it has synced: a file, or `.` for the folder.
    pub name: String,
    /// A folder with everything that was synced so far. A power cut leaves this, until the next sync has succeeded.
    pub disk: PathBuf,
}

impl Synced {
    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

/// Compiles the library into a folder, and returns its path.
pub fn library(folder: &Path) -> PathBuf {
    let (source, library) =
        (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/power_cut.c"), folder.join("power_cut.so"));
    let mut compiler = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()));
    let compiled = compiler.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-o"]).args([&library, &source]);
    assert!(compiled.args(["-pthread", "-ldl"]).status().expect("a C compiler").success());
    library
}

/// A child that is killed at the end, also if the test fails.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a child until it has printed and synced enough, and kills it. The library keeps what is synced of `folder` in
/// `snapshots`, which must not exist.
pub fn run(
    mut child: Command,
    library: &Path,
    [folder, snapshots]: [&Path; 2],
    mut is_enough: impl FnMut(&Line) -> bool,
) -> Vec<Line> {
    fs::create_dir(snapshots).unwrap();
    child.env("LD_PRELOAD", library).env("POWER_CUT_FOLDER", folder).env("POWER_CUT_SNAPSHOTS", snapshots);
    let mut child = Killed(child.stdout(Stdio::piped()).spawn().unwrap());
    let printed = BufReader::new(child.0.stdout.take().unwrap()).lines();
    let (said, heard) = channel();
    let reader = thread::spawn(move || printed.map_while(Result::ok).try_for_each(|line| said.send(line)));
    let deadline = Instant::now() + DEADLINE;
    let mut lines = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let line = heard.recv_timeout(left).expect("the child lives, and syncs often enough");
        lines.push(parse(line, snapshots));
        if is_enough(&lines[lines.len() - 1]) {
            break;
        }
    }
    drop(child);
    // What it has printed before it was killed.
    lines.extend(heard.iter().map(|line| parse(line, snapshots)));
    reader.join().unwrap().unwrap();
    lines
}

fn parse(line: String, snapshots: &Path) -> Line {
    let words: Vec<_> = line.split(' ').collect();
    match words[..] {
        ["begins", ..] => Line::Begins,
        ["synced", number, name] => Line::Synced(Synced { name: name.to_owned(), disk: snapshots.join(number) }),
        _ => Line::Other(line),
    }
}
