//! The floor: the minimum that a program must do to pass lines on.
//!
//! It has one thread and one epoll. In each round, it reads once from all sockets that have input, and sends once to
//! each peer. It knows no names, checks nothing, and gives up if a peer does not accept its data. So it is not a usable
//! server, but a baseline for others.

use std::io::{ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use rustix::event::epoll::{self, EventData, EventFlags};

struct Peer {
    stream: TcpStream,
    /// An unfinished line.
    tail: Vec<u8>,
    /// What it sent in this round.
    own: Range<usize>,
}

/// The peers, indexed by descriptor.
type Peers = Vec<Option<Peer>>;

/// Serves until it is killed.
pub fn serve(port: u16) -> Result<()> {
    let listener = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None)?;
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], port)).into())?;
    listener.listen(4096)?;
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from(listener);
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, &listener, EventData::new_u64(listener.as_raw_fd() as u64), EventFlags::IN)?;
    let mut peers = Peers::new();
    let (mut events, mut input, mut round) = (Vec::with_capacity(4096), vec![0; 64 * 1024], Vec::new());
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let place = event.data.u64() as usize;
            if place == listener.as_raw_fd() as usize {
                accept_all(&listener, &epoll, &mut peers)?;
            } else if !hear(&mut peers[place], &mut input, &mut round) {
                peers[place] = None;
            }
        }
        if !round.is_empty() {
            for peer in peers.iter_mut().flatten() {
                tell(peer, &round)?;
            }
            round.clear();
        }
    }
}

/// Reads what a peer has sent. Returns false if it is gone.
fn hear(peer: &mut Option<Peer>, input: &mut [u8], round: &mut Vec<u8>) -> bool {
    let Some(peer) = peer else { return false };
    let Ok(count @ 1..) = peer.stream.read(input) else { return false };
    let start = round.len();
    let end = memchr::memrchr(b'\n', &input[..count]).map_or(0, |at| at + 1);
    if end > 0 {
        round.append(&mut peer.tail);
    }
    round.extend_from_slice(&input[..end]);
    peer.tail.extend_from_slice(&input[end..count]);
    peer.own = start..round.len();
    true
}

fn tell(peer: &mut Peer, round: &[u8]) -> Result<()> {
    let own = std::mem::take(&mut peer.own);
    let others = [IoSlice::new(&round[..own.start]), IoSlice::new(&round[own.end..])];
    let sent = peer.stream.write_vectored(&others[usize::from(own.start == 0)..])?;
    ensure!(sent + own.len() == round.len(), "a peer is too slow for the floor");
    Ok(())
}

fn accept_all(listener: &TcpListener, epoll: &OwnedFd, peers: &mut Peers) -> Result<()> {
    loop {
        let mut stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error).context("cannot accept"),
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        stream.write_all(b"here\n")?;
        let place = stream.as_raw_fd() as usize;
        epoll::add(epoll, &stream, EventData::new_u64(place as u64), EventFlags::IN)?;
        peers.resize_with(peers.len().max(place + 1), || None);
        peers[place] = Some(Peer { stream, tail: Vec::new(), own: 0..0 });
    }
}
