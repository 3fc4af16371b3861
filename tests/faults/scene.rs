//! The scene of every fault: the real server, witnesses in its room, and a check of its health.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use linechat::limits::GATHER;
use rustix::process::Signal;

use super::witnesses::{COUNT, Witnesses};
use crate::support::harness::{DEADLINE, Peer};
use crate::support::process_stats::ProcessStats;
use crate::support::program::ServerProgram;

pub struct Scene {
    pub server: ServerProgram,
    pub witnesses: Witnesses,
    /// The number of descriptors when nobody is connected.
    descriptors: usize,
}

impl Scene {
    /// A server with these arguments, and witnesses.
    pub fn start(arguments: &[&str]) -> Self {
        Self::with(ServerProgram::start(arguments))
    }

    /// This server, which must be empty, and witnesses.
    pub fn with(server: ServerProgram) -> Self {
        let witnesses = Witnesses::join(server.address);
        let descriptors = ProcessStats(server.program.pid()).descriptors() - COUNT;
        Self { server, witnesses, descriptors }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    pub fn join(&self, name: &str) -> Peer {
        self.server.join(name)
    }

    pub fn process_stats(&self) -> ProcessStats {
        ProcessStats(self.server.program.pid())
    }

    /// Checks that the server is as it was before: the witnesses have missed nothing, it has closed every descriptor,
    /// uses no CPU time and ends gracefully, and none of its threads has panicked.
    #[track_caller]
    pub fn finish(mut self) -> Heard {
        let process_stats = self.process_stats();
        eventually("the descriptors are given back", || process_stats.descriptors() <= self.descriptors + COUNT);
        // All causes of notices are handled when the witnesses are heard, but joins and leaves are collected for a
        // while.
        self.witnesses.talk(10);
        thread::sleep(GATHER);
        self.witnesses.talk(1);
        let heard = self.witnesses.finish();
        eventually("every descriptor is given back", || process_stats.descriptors() <= self.descriptors);
        eventually("it is idle", || {
            let (before, span) = (process_stats.cpu(), Duration::from_millis(300));
            thread::sleep(span);
            process_stats.cpu() - before < span / 20
        });
        self.server.program.signal(Signal::TERM);
        let finished = self.server.program.finish();
        assert_eq!((finished.code, finished.stderr.as_str()), (Some(0), ""));
        Heard { lines: heard, log: finished.stdout }
    }
}

/// Calls `maker` this many times, from eight threads, each time with the next number.
pub fn trouble(count: usize, maker: impl Fn(usize) + Sync) {
    const THREADS: usize = 8;
    thread::scope(|scope| {
        for first in 0..THREADS {
            let maker = &maker;
            scope.spawn(move || (first..count).step_by(THREADS).for_each(maker));
        }
    });
}

/// Asks for a name until it gets it.
#[track_caller]
pub fn first_to_get(address: SocketAddr, name: &str) -> Peer {
    let mut holder = None;
    eventually("the name is free", || {
        let mut peer = Peer::connect(address);
        peer.send(&format!("{name} replay=0\n"));
        holder = peer.line().starts_with("* Welcome, ").then_some(peer);
        holder.is_some()
    });
    holder.unwrap()
}

/// While this is held, no other test runs that needs most of the machine.
pub fn heavy() -> MutexGuard<'static, ()> {
    static HEAVY: Mutex<()> = Mutex::new(());
    HEAVY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until something holds.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < DEADLINE, "not within {DEADLINE:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// What a witness received from others than witnesses.
pub struct Heard {
    lines: Vec<String>,
    /// What the server wrote to its standard output, apart from what was read of it before.
    pub log: String,
}

impl Heard {
    /// The numbers of joins and leaves according to the notices, combined or not. Only peers that stayed for half a
    /// second count.
    pub fn traffic(&self) -> (usize, usize) {
        (self.count("joined"), self.count("left"))
    }

    fn count(&self, what: &str) -> usize {
        let (one, many) = (format!(" has {what}"), format!(" have {what}: "));
        self.notices()
            .map(|notice| match notice.split_once(&many) {
                Some((count, _)) => count.parse().unwrap(),
                None => usize::from(notice.contains(&one)),
            })
            .sum()
    }

    /// All messages, by sender. Panics at a line that is neither a message nor a notice.
    pub fn said(&self) -> HashMap<&str, Vec<&str>> {
        let mut said: HashMap<_, Vec<_>> = HashMap::new();
        for line in self.lines.iter().filter(|line| !line.starts_with("* ")) {
            let (name, text) = line.split_once(": ").unwrap_or_else(|| panic!("what is {line:?}?"));
            said.entry(name).or_default().push(text);
        }
        said
    }

    pub fn notices(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().filter_map(|line| line.strip_prefix("* "))
    }
}

/// Whether long tests are enabled: see docs/testing.md.
pub fn is_long() -> bool {
    std::env::var_os("LINECHAT_LONG_TESTS").is_some_and(|value| value == "1")
}
