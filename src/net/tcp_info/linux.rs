//! Asks the kernel of Linux (sock_diag(7)).

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_sock_diag::SockDiagMessage;
use netlink_packet_sock_diag::constants::{AF_INET, AF_INET6, IPPROTO_TCP};
use netlink_packet_sock_diag::inet::nlas::Nla;
use netlink_packet_sock_diag::inet::{ExtensionFlags, InetRequest, InetResponse, SocketId, StateFlags};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink};

use crate::net::tcp_info::Health;
use crate::net::transport::Transport;

/// Asks the kernel. Never waits.
///
/// # Errors
/// If the kernel does not tell.
pub(crate) fn diagnose(transport: &Transport) -> io::Result<Health> {
    let stream = transport.tcp().ok_or(io::ErrorKind::Unsupported)?;
    let answer = ask(&request(stream.local_addr()?, stream.peer_addr()?))?;
    let info = answer.nlas.iter().find_map(|nla| match nla {
        Nla::TcpInfo(info) => Some(info),
        _ => None,
    });
    let info = info.ok_or(io::ErrorKind::Unsupported)?;
    let is_waited_for = info.unacked > 0;
    Ok(Health {
        unacknowledged: Duration::from_millis(if is_waited_for { info.last_ack_recv.max(1).into() } else { 0 }),
        is_resting: !is_waited_for && info.notsent_bytes > 0,
        acknowledged: info.bytes_acked,
    })
}

/// The user who owns the other end of a local connection. `None` if the kernel does not tell, or the other end is
/// closed. Never waits.
pub(crate) fn owner_of_peer(local: SocketAddr, peer: SocketAddr) -> Option<u32> {
    // An IPv6 socket shows IPv4 addresses as mapped IPv6 addresses, but the other end may be an IPv4 socket.
    let [local, peer] = [local, peer].map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()));
    let answer = ask(&request(peer, local)).ok()?;
    // If there is no such connection, the kernel returns a listener on that port, which has no peer.
    let is_the_connection = answer.header.socket_id.destination_port == local.port();
    // According to the kernel, sockets without a process (not accepted yet, or closed) belong to root.
    (is_the_connection && answer.header.inode != 0).then_some(answer.header.uid)
}

/// Sends a request and reads the reply, which is available at once.
fn ask(request: &[u8]) -> io::Result<Box<InetResponse>> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let kernel = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::SOCK_DIAG))?;
    rustix::net::send(&kernel, request, SendFlags::empty())?;
    let mut answer = [0; 4096];
    let (length, _) = rustix::net::recv(&kernel, &mut answer, RecvFlags::empty())?;
    read(&answer[..length])
}

fn read(answer: &[u8]) -> io::Result<Box<InetResponse>> {
    let answer = NetlinkMessage::<SockDiagMessage>::deserialize(answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::InnerMessage(SockDiagMessage::InetResponse(answer)) => Ok(answer),
        _ => Err(io::ErrorKind::NotFound.into()),
    }
}

/// The request for the connection between these two addresses.
fn request(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
    let socket_id = SocketId {
        source_port: local.port(),
        destination_port: peer.port(),
        source_address: local.ip(),
        destination_address: peer.ip(),
        interface_id: 0,
        cookie: [0xff; 8], // any
    };
    let family = match local.ip() {
        IpAddr::V4(_) => AF_INET,
        IpAddr::V6(_) => AF_INET6,
    };
    let (protocol, extensions, states) = (IPPROTO_TCP, ExtensionFlags::INFO, StateFlags::all());
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let request = SockDiagMessage::InetRequest(InetRequest { family, protocol, extensions, states, socket_id });
    let mut message = NetlinkMessage::new(header, NetlinkPayload::from(request));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::time::Instant;

    use async_std::net::TcpStream;
    use async_std::task::block_on;
    use futures::{AsyncWriteExt, FutureExt};

    use super::*;
    use crate::net::tcp_info::user_of_peer;

    #[test]
    fn the_owner_of_a_connection_is_known_once_it_was_accepted() {
        // The last server listens on IPv6, and is connected to by IPv4.
        for (host, ip) in [("127.0.0.1:0", "127.0.0.1"), ("[::1]:0", "::1"), ("[::]:0", "127.0.0.1")] {
            let Ok(listener) = std::net::TcpListener::bind(host) else { continue };
            let address = SocketAddr::new(ip.parse().unwrap(), listener.local_addr().unwrap().port());
            let client = std::net::TcpStream::connect(address).unwrap();
            let owner = || owner_of_peer(client.local_addr().unwrap(), client.peer_addr().unwrap());
            assert_eq!(owner(), None, "{host}");
            let server = listener.accept().unwrap().0;
            assert_eq!(owner(), Some(rustix::process::geteuid().as_raw()), "{host}");
            drop((server, listener));
            assert_eq!(owner(), None, "{host}");
        }
    }

    #[test]
    fn the_user_of_a_loopback_connection_is_known_until_it_is_closed() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = std::net::TcpListener::bind((host, 0)) else { continue };
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let transport = Transport::Tcp(listener.accept().unwrap().0.into());
            let user = user_of_peer(&transport);
            // Some systems do not tell.
            assert!(user.is_none_or(|user| user == rustix::process::geteuid().as_raw()), "{host}: {user:?}");
            drop(client);
            assert_eq!(user_of_peer(&transport), None, "{host}");
        }
    }

    #[test]
    fn an_unknown_reply_gives_no_owner() {
        let error: Vec<u8> = [36_u32, 2, 0, 0, u32::from_ne_bytes((-2_i32).to_ne_bytes())]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .chain([0; 16])
            .collect();
        for answer in [&[][..], &[20; 5], &[20; 40], &error] {
            assert!(read(answer).is_err(), "{answer:?}");
        }
    }

    /// The kernel looks for a listener when there is no such connection.
    #[test]
    fn the_owner_of_a_listener_is_not_returned() {
        for host in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(host) else { continue };
            let address = SocketAddr::new("127.0.0.1".parse().unwrap(), listener.local_addr().unwrap().port());
            assert_eq!(owner_of_peer("127.0.0.1:1".parse().unwrap(), address), None, "{host}");
        }
    }

    #[test]
    fn a_peer_that_stops_reading_still_acknowledges() {
        for host in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = std::net::TcpListener::bind(host) else { continue };
            let mut peer = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let mut stream = Transport::Tcp(TcpStream::from(listener.accept().unwrap().0));
            while block_on(async { stream.write(&[0; 65536]).now_or_never() }).is_some() {}
            // It may take a moment until the last of it is acknowledged.
            let since = Instant::now();
            let resting = loop {
                let health = diagnose(&stream).unwrap();
                if health.is_resting {
                    break health;
                }
                assert!(since.elapsed() < Duration::from_secs(10), "{host}: {health:?}");
            };
            assert!(resting.unacknowledged.is_zero() && resting.acknowledged > 0, "{host}: {resting:?}");
            peer.read_exact(&mut [0; 65536]).unwrap();
            drop((peer, listener));
            assert!(diagnose(&stream).is_err(), "the connection is gone");
        }
    }
}
