//! The peers of a load, all in one thread with one epoll.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::Timespec;
use socket2::{Domain, Socket, Type};

use crate::dialect::{Dialect, Heard, Words};
use crate::ledger::Ledger;

/// How many peers connect before existing connections are read again.
const AT_ONCE: usize = 64;

/// How many peers may be joining a server with a listen backlog of ten. A SYN that finds it full is retried only after
/// a second.
const FEW_AT_ONCE: usize = 5;

/// How many peers share a source address, so that no address runs out of ports.
const PER_ADDRESS: usize = 5000;

/// How long there may be no events.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// The peers, connected to one server.
pub struct Clients {
    dialect: Dialect,
    /// The length of the messages.
    size: usize,
    rooms: usize,
    peers: Vec<Peer>,
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    input: Box<[u8]>,
    start: Instant,
    /// The number of peers in the room.
    ready: usize,
}

struct Peer {
    stream: TcpStream,
    /// An unfinished line.
    tail: Vec<u8>,
    /// Data that is still to be sent.
    out: String,
    is_ready: bool,
    /// The number of others that it knows of.
    knows: usize,
}

/// How long it took until all were in the room, and until all knew about each other.
#[derive(Debug, Clone, Copy)]
pub struct Joining {
    pub ready: Duration,
    /// `None` if the protocol does not announce joins.
    pub informed: Option<Duration>,
}

/// How senders are paced.
#[derive(Debug, Clone, Copy)]
pub enum Drive {
    /// Keeps as many lines in flight as the ledger has room for.
    Window,
    /// Sends this many lines per second, while there is room.
    Rate(f64),
}

impl Clients {
    pub fn new(dialect: Dialect, size: usize, rooms: usize) -> Result<Self> {
        Ok(Self {
            dialect,
            size,
            rooms,
            peers: Vec::new(),
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(1024),
            input: vec![0; 256 * 1024].into(),
            start: Instant::now(),
            ready: 0,
        })
    }

    /// Connects all peers, and waits until all are in the room and know of each other.
    pub fn join(&mut self, server: SocketAddr, count: usize, has_short_backlog: bool) -> Result<Joining> {
        let start = Instant::now();
        let mut ledger = Ledger::new(count, 0, 1, self.rooms);
        let others = count / self.rooms - 1;
        while self.peers.len() < count {
            let on_their_way = self.peers.len() - self.ready;
            let may_come = if has_short_backlog { FEW_AT_ONCE - on_their_way } else { AT_ONCE };
            for _ in 0..may_come.min(count - self.peers.len()) {
                self.connect(server)?;
            }
            self.listen(&mut ledger, Some(Duration::from_millis(u64::from(may_come == 0))))?;
        }
        while self.ready < count {
            self.listen(&mut ledger, None)?;
        }
        let ready = start.elapsed();
        while self.dialect == Dialect::Linechat && self.peers.iter().any(|peer| peer.knows < others) {
            self.listen(&mut ledger, None)?;
        }
        let informed = (self.dialect == Dialect::Linechat).then(|| start.elapsed());
        // Notices of joins that are still to come are not part of the load.
        while self.listen(&mut ledger, Some(Duration::from_millis(300)))? > 0 {}
        Ok(Joining { ready, informed })
    }

    /// Lets the senders of the ledger send, and everyone receive, until `watch` has seen enough. Then waits until
    /// everyone has received everything.
    pub fn talk(
        &mut self,
        ledger: &mut Ledger,
        drive: Drive,
        mut watch: impl FnMut(&mut Ledger) -> Result<ControlFlow<()>>,
    ) -> Result<()> {
        let (start, mut sent) = (Instant::now(), 0);
        let mut senders = (0..ledger.senders()).cycle();
        while watch(ledger)?.is_continue() {
            let due = match drive {
                Drive::Window => ledger.room(),
                Drive::Rate(rate) => ((start.elapsed().as_secs_f64() * rate) as usize - sent).min(ledger.room()),
            };
            sent += due;
            let now = self.now();
            for sender in senders.by_ref().take(due) {
                let words = ledger.send(sender, now);
                self.dialect.say(&words, self.size, &mut self.peers[sender].out);
            }
            let mut is_held_up = false;
            for sender in &mut self.peers[..ledger.senders()] {
                is_held_up |= !sender.flush()?;
            }
            let is_timed = is_held_up || matches!(drive, Drive::Rate(_));
            self.listen(ledger, is_timed.then_some(Duration::from_millis(1)))?;
        }
        while !ledger.is_quiet() {
            self.peers.iter_mut().try_for_each(|peer| peer.flush().map(drop))?;
            self.listen(ledger, Some(Duration::from_millis(1)))?;
        }
        ensure!(ledger.is_settled(), "not all have heard all");
        Ok(())
    }

    fn connect(&mut self, server: SocketAddr) -> Result<()> {
        let number = self.peers.len();
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        let source = [127, 0, 0, 2 + (number / PER_ADDRESS) as u8];
        socket.bind(&SocketAddr::from((source, 0)).into())?;
        socket.connect(&server.into()).with_context(|| format!("cannot connect peer {number}"))?;
        socket.set_tcp_nodelay(true)?;
        // Reset the connections at the end. Otherwise the next load would search for ports among thousands in
        // TIME-WAIT.
        socket.set_linger(Some(Duration::ZERO))?;
        socket.set_nonblocking(true)?;
        epoll::add(&self.epoll, &socket, EventData::new_u64(number as u64), EventFlags::IN)?;
        let out = self.dialect.hello(number, (self.rooms > 1).then(|| number % self.rooms));
        let mut peer = Peer { stream: socket.into(), tail: Vec::new(), out, is_ready: false, knows: 0 };
        peer.flush()?;
        self.peers.push(peer);
        Ok(())
    }

    /// Receives what has arrived, or waits for it. Returns how many peers received something.
    fn listen(&mut self, ledger: &mut Ledger, wait: Option<Duration>) -> Result<usize> {
        self.events.clear();
        let timeout = Timespec::try_from(wait.unwrap_or(SILENCE_LIMIT))?;
        epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut self.events), Some(&timeout))?;
        ensure!(wait.is_some() || !self.events.is_empty(), "nothing was heard for {SILENCE_LIMIT:?}");
        let events = std::mem::take(&mut self.events);
        let now = self.now();
        for event in &events {
            self.hear(event.data.u64() as usize, ledger, now)?;
        }
        self.events = events;
        Ok(self.events.len())
    }

    /// Receives what has arrived for one peer.
    fn hear(&mut self, number: usize, ledger: &mut Ledger, now: u64) -> Result<()> {
        let peer = &mut self.peers[number];
        let count = match peer.stream.read(&mut self.input) {
            Ok(0) => bail!("the server closed the connection of peer {number}"),
            Ok(count) => count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("peer {number}")),
        };
        let mut rest = &self.input[..count];
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, later) = (&rest[..end], &rest[end + 1..]);
            rest = later;
            let mut whole = std::mem::take(&mut peer.tail);
            let line = if whole.is_empty() {
                line
            } else {
                whole.extend_from_slice(line);
                &whole
            };
            match self.dialect.hear(line) {
                Heard::Said(text) => {
                    let words = Words::read(text, self.size)
                        .with_context(|| format!("peer {number} heard {:?}", String::from_utf8_lossy(line)))?;
                    ledger.hear(number, &words, now)?;
                }
                Heard::Ready(others) => {
                    self.ready += usize::from(!std::mem::replace(&mut peer.is_ready, true));
                    peer.knows += others;
                }
                Heard::Joined(others) => peer.knows += others,
                Heard::Answer(answer) => {
                    peer.out.push_str(&String::from_utf8(answer)?);
                    peer.flush()?;
                }
                Heard::Refused => bail!("peer {number} was refused: {}", String::from_utf8_lossy(line)),
                Heard::Other => {}
            }
        }
        peer.tail.extend_from_slice(rest);
        Ok(())
    }

    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

impl Peer {
    /// Sends pending data. Returns false if the kernel does not accept all of it now.
    fn flush(&mut self) -> Result<bool> {
        if self.out.is_empty() {
            return Ok(true);
        }
        match self.stream.write(self.out.as_bytes()) {
            Ok(count) => drop(self.out.drain(..count)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        Ok(self.out.is_empty())
    }
}
