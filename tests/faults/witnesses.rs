//! Peers that detect lost, duplicate and reordered lines.

use std::hash::{DefaultHasher, Hasher};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::support::harness::{DEADLINE, Peer};
use crate::support::lines::is_like;

/// The number of witnesses in a room.
pub const COUNT: usize = 4;

/// The pause between two rounds. It keeps them below the default rate of 100 lines per second.
const PAUSE: Duration = Duration::from_millis(15);

/// Four peers that send numbered lines, round after round. Each waits for the others' lines of a round before its next
/// one.
///
/// A line that is lost, duplicated, changed or out of order fails the test. So does a notice that a witness has missed
/// lines. Messages of other peers and notices are kept.
pub struct Witnesses {
    rounds: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Witness>>,
}

struct Witness {
    at: usize,
    peer: Peer,
    /// The next round expected from each of the others.
    next: [usize; COUNT],
    /// What others than witnesses said, and the notices. The second witness keeps all of it, because the first one does
    /// not receive its own end marker. Each keeps a digest.
    heard: Vec<String>,
    digest: DefaultHasher,
    /// The first witness has sent the end marker.
    is_over: bool,
}

impl Witnesses {
    /// Makes them join an empty room.
    pub fn join(address: SocketAddr) -> Self {
        let mut threads: Vec<_> = (0..COUNT).map(|at| Witness::join(address, at)).collect();
        for (at, witness) in threads.iter_mut().enumerate() {
            (at + 1..COUNT).for_each(|later| witness.peer.expect(&format!("* {} has joined", name(later))));
        }
        let (rounds, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let talk = |witness: Witness| {
            let (rounds, stop) = (rounds.clone(), stop.clone());
            thread::spawn(move || witness.talk(&rounds, &stop))
        };
        let threads = threads.into_iter().map(talk).collect();
        let witnesses = Self { rounds, stop, threads };
        witnesses.talk(3);
        witnesses
    }

    /// Waits until they have finished this many more rounds.
    #[track_caller]
    pub fn talk(&self, rounds: usize) {
        let (goal, since) = (self.rounds.load(Ordering::Relaxed) + rounds + 1, Instant::now());
        while self.rounds.load(Ordering::Relaxed) < goal {
            assert!(since.elapsed() < DEADLINE, "the witnesses are silent");
            assert!(!self.threads.iter().any(JoinHandle::is_finished), "a witness has failed");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets them finish their round and leave. Returns what others said and the notices, in order.
    #[track_caller]
    pub fn finish(mut self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        let witnesses: Vec<_> =
            self.threads.drain(..).map(|witness| witness.join().expect("a witness failed")).collect();
        // The others stopped reading at the end marker, so all have received the same.
        let digests: Vec<_> = witnesses[1..].iter().map(|witness| witness.digest.finish()).collect();
        assert!(digests.iter().all(|digest| *digest == digests[0]), "there were two orders");
        let heard = witnesses.into_iter().nth(1).unwrap().heard;
        let is_unsafe = |line: &&String| line.chars().any(|char| char.is_control() && char != '\t');
        assert_eq!(heard.iter().find(is_unsafe), None);
        heard
    }
}

/// A failed test stops its witnesses as well.
impl Drop for Witnesses {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// Others at this address may be so fast that a witness is slowed down as well. It gets this notice.
const TOO_FAST: &str = "* You are sending too fast: …";

impl Witness {
    fn join(address: SocketAddr, at: usize) -> Self {
        let peer = Peer::connect(address).join(&name(at));
        Self { at, peer, next: [0; COUNT], heard: Vec::new(), digest: DefaultHasher::new(), is_over: false }
    }

    /// Talks until `stop` is set, and leaves.
    fn talk(mut self, rounds: &AtomicUsize, stop: &AtomicBool) -> Self {
        let mut said = 0;
        while !self.is_over {
            if self.at == 0 {
                rounds.store(said, Ordering::Relaxed);
                self.is_over = stop.load(Ordering::Relaxed);
            }
            self.peer.send(&if self.is_over { "the end\n".to_owned() } else { format!("round {said}\n") });
            self.listen(said);
            said += 1;
            thread::sleep(PAUSE);
        }
        self.peer.send("/quit\n");
        let farewell = format!("* Bye, {}: {said} lines accepted, 0 refused.", name(self.at));
        while !is_like(&self.peer.line(), &farewell) {}
        self.peer.expect_end();
        self
    }

    /// Reads until all the others were heard in this round, or the end marker arrives.
    fn listen(&mut self, round: usize) {
        while !self.is_over && self.next.iter().enumerate().any(|(at, &next)| at != self.at && next <= round) {
            let line = self.peer.line();
            let message = line.strip_prefix("witness").and_then(|line| line.split_once(": "));
            if let Some((at, text)) = message {
                let at: usize = at.parse().expect("a witness's number");
                self.is_over = (at, text) == (0, "the end");
                if !self.is_over {
                    assert_eq!(text, format!("round {}", self.next[at]), "{} heard witness{at}", name(self.at));
                    self.next[at] += 1;
                }
            } else if !is_like(&line, TOO_FAST) {
                assert!(!line.starts_with("* You missed"), "{}: {line}", name(self.at));
                assert!(!line.starts_with('!'), "{}: {line}", name(self.at));
                self.digest.write(line.as_bytes());
                self.digest.write_u8(b'\n');
                if self.at == 1 {
                    self.heard.push(line);
                }
            }
        }
    }
}

fn name(at: usize) -> String {
    format!("witness{at}")
}
