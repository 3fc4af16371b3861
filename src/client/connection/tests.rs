use std::io::Write;
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};
use std::{iter, thread};

use async_std::task::block_on;
use socket2::{Domain, Socket, Type};

use super::*;

fn connected(port: u16) -> (Incoming, Outgoing) {
    block_on(connect(&Endpoint::Tcp { host: "127.0.0.1".to_owned(), port, trust: None })).unwrap()
}

#[test]
fn lines_are_complete_however_the_input_is_split() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let (mut incoming, _outgoing) = connected(port);
    let mut peer = server.accept().unwrap().0;
    peer.write_all(b"one\ntwo\nth").unwrap();
    assert_eq!(block_on(incoming.next()).unwrap().unwrap(), b"one\ntwo\n");
    peer.write_all(b"ree\nfo").unwrap();
    assert_eq!(block_on(incoming.next()).unwrap().unwrap(), b"three\n");
    drop(peer);
    assert_eq!(block_on(incoming.next()).unwrap().unwrap(), b"fo");
    assert_eq!(block_on(incoming.next()).unwrap(), None);
}

#[test]
fn every_iac_is_doubled() {
    for (bytes, escaped) in [
        (&b""[..], &b""[..]),
        (b"plain", b"plain"),
        (b"\xff", b"\xff\xff"),
        (b"\xff\xffa\xff", b"\xff\xff\xff\xffa\xff\xff"),
        (b"one\n\xff\xec\ntwo", b"one\n\xff\xff\xec\ntwo"),
    ] {
        assert_eq!(*escape_iac(bytes), *escaped);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_socket_options_of_a_connection_are_set() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let (incoming, _outgoing) = connected(server.local_addr().unwrap().port());
    let socket = SockRef::from(&incoming.transport);
    assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
    let (time, interval, retries) = crate::limits::KEEPALIVE;
    assert_eq!(socket.tcp_keepalive_time().unwrap(), time);
    assert_eq!(socket.tcp_keepalive_interval().unwrap(), interval);
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), retries);
    assert_eq!(socket.tcp_user_timeout().unwrap(), None);
}

/// Connects to the first of these addresses that answers.
#[track_caller]
fn win(addresses: &[SocketAddr]) -> SocketAddr {
    let socket = block_on(timeout(CONNECT_LIMIT, race(addresses)));
    socket.expect("one of them answers").unwrap().peer_addr().unwrap()
}

fn listen() -> (std::net::TcpListener, SocketAddr) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

/// An address that drops each attempt to connect, because its accept queue is full.
struct BlackHole {
    address: SocketAddr,
    listener: Socket,
    _queue: Vec<std::net::TcpStream>,
}

impl BlackHole {
    fn new() -> Self {
        let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let connect = || std::net::TcpStream::connect_timeout(&address, NEXT_ADDRESS_AFTER).ok();
        let queue = iter::from_fn(connect).collect();
        Self { address, listener, _queue: queue }
    }

    /// Whether the kernel is still trying to connect to it: a socket in the state SYN_SENT (proc_pid_net(5)).
    fn is_tried(&self) -> bool {
        let remote = format!("{:08X}:{:04X}", u32::from_ne_bytes([127, 0, 0, 2]), self.address.port());
        let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
        sockets.lines().any(|socket| socket.split_whitespace().skip(2).take(2).eq([remote.as_str(), "02"]))
    }
}

#[test]
fn an_address_that_drops_packets_does_not_block_the_next_one() {
    let (hole, other_hole, (_server, address)) = (BlackHole::new(), BlackHole::new(), listen());
    assert_eq!(win(&[hole.address, other_hole.address, address]), address);
    assert!(!hole.is_tried() && !other_hole.is_tried(), "the other attempts have ended");
}

#[test]
fn one_address_family_is_enough() {
    let (_server, address) = listen();
    let other_family = SocketAddr::from((Ipv6Addr::LOCALHOST, address.port()));
    assert_eq!(win(&[other_family, address]), address);
    assert_eq!(win(&[address, other_family]), address);
}

#[test]
fn an_attempt_continues_while_the_next_addresses_are_tried() {
    let (late, hole, refusing) = (BlackHole::new(), BlackHole::new(), listen().1);
    let racing = thread::spawn({
        let addresses = [late.address, hole.address, refusing];
        move || win(&addresses)
    });
    let deadline = Instant::now() + CONNECT_LIMIT;
    while !hole.is_tried() {
        assert!(Instant::now() < deadline, "the second address is never tried");
        thread::sleep(Duration::from_millis(5));
    }
    // The kernel retries after a second, and finds room. A connection that waited in the queue may be accepted first.
    late.listener.set_nonblocking(true).unwrap();
    while !racing.is_finished() {
        let _ = late.listener.accept();
        thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(racing.join().unwrap(), late.address);
}

#[test]
fn when_all_addresses_fail_the_error_is_that_of_the_first_one() {
    let refusing = listen().1;
    // The system refuses to connect to a broadcast address.
    let broadcast = SocketAddr::from(([255, 255, 255, 255], 7));
    let other = std::net::TcpStream::connect(broadcast).unwrap_err().kind();
    assert_ne!(other, io::ErrorKind::ConnectionRefused);
    for (addresses, expected) in [
        (vec![refusing, refusing], io::ErrorKind::ConnectionRefused),
        (vec![refusing, broadcast], io::ErrorKind::ConnectionRefused),
        (vec![broadcast, refusing], other),
    ] {
        let error = block_on(timeout(CONNECT_LIMIT, race(&addresses))).expect("both fail at once").unwrap_err();
        assert_eq!(error.kind(), expected, "{addresses:?}");
    }
}

#[test]
fn address_families_alternate_and_the_first_address_stays_first() {
    let addresses = |list: &[&str]| list.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
    let [six, seven, eight] = ["[2001:db8::6]:7", "[2001:db8::7]:7", "[2001:db8::8]:7"];
    let [one, two] = ["192.0.2.1:7", "192.0.2.2:7"];
    for (given, tried) in [
        (vec![six, seven, eight, one, two], vec![six, one, seven, two, eight]),
        (vec![one, two, six], vec![one, six, two]),
        (vec![one, six, seven, eight], vec![one, six, seven, eight]),
        (vec![six, seven], vec![six, seven]),
        (vec![], vec![]),
    ] {
        assert_eq!(interleave(&addresses(&given)), addresses(&tried));
    }
}

#[test]
fn a_line_without_end_uses_bounded_memory() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let (mut incoming, _outgoing) = connected(port);
    let mut peer = server.accept().unwrap().0;
    let sender = std::thread::spawn(move || peer.write_all(&vec![b'x'; 1 << 20]).unwrap());
    let mut got = 0;
    while let Some(bytes) = block_on(incoming.next()).unwrap() {
        assert!(bytes.len() <= CLIENT_LINE_BYTES + READ_BYTES);
        got += bytes.len();
    }
    sender.join().unwrap();
    assert_eq!(got, 1 << 20);
}
