//! Which user of this machine a loopback connection belongs to.
//!
//! The kernel tells anyone who owns a socket of this machine (sock_diag(7), as ss(8) shows it). So a password guesser on
//! this machine is told apart from its other users, although all of them have the same addresses.

use std::net::{IpAddr, SocketAddr};

use rustix::io::{Errno, Result};
use rustix::net::netlink::SOCK_DIAG;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};

use crate::net::transport::Transport;

/// The length of a netlink header (struct nlmsghdr).
const HEADER: usize = 16;
/// Where struct inet_diag_msg has the user and the inode.
const USER: usize = 64;
const INODE: usize = 68;
/// SOCK_DIAG_BY_FAMILY.
const BY_FAMILY: u16 = 20;
/// NLM_F_REQUEST.
const REQUEST: u16 = 1;

/// The user who made the other end of a loopback connection. `None`: the system does not tell, or the other end is closed.
pub(crate) fn local_user(transport: &Transport) -> Option<u32> {
    let socket = transport.tcp()?;
    let (theirs, ours) = (socket.peer_addr().ok()?, socket.local_addr().ok()?);
    ask(&request(canonical(theirs), canonical(ours))).ok().flatten()
}

fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// A struct nlmsghdr, and a struct inet_diag_req_v2 for the socket with these two ends.
fn request(local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let mut body = vec![family.as_raw() as u8, rustix::net::ipproto::TCP.as_raw().get() as u8, 0, 0];
    // Sockets in any state.
    body.extend(u32::MAX.to_ne_bytes());
    body.extend(local.port().to_be_bytes());
    body.extend(remote.port().to_be_bytes());
    body.extend(octets(local.ip()));
    body.extend(octets(remote.ip()));
    // Any interface.
    body.extend(0_u32.to_ne_bytes());
    // No cookie is known.
    body.extend([0xff; 8]);
    let length = (HEADER + body.len()) as u32;
    let mut message = length.to_ne_bytes().to_vec();
    message.extend(BY_FAMILY.to_ne_bytes());
    message.extend(REQUEST.to_ne_bytes());
    // The sequence number, and the sender, which the kernel knows.
    message.extend([0; 8]);
    message.extend(body);
    message
}

fn octets(ip: IpAddr) -> [u8; 16] {
    let mut octets = [0; 16];
    match ip {
        IpAddr::V4(ip) => octets[..4].copy_from_slice(&ip.octets()),
        IpAddr::V6(ip) => octets = ip.octets(),
    }
    octets
}

fn ask(request: &[u8]) -> Result<Option<u32>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let netlink = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(SOCK_DIAG))?;
    send(&netlink, request, SendFlags::empty())?;
    let mut answer = [0; 1024];
    // The kernel has answered when the request is sent.
    let (length, _) = recv(&netlink, &mut answer, RecvFlags::empty())?;
    let answer = answer.get(..length).ok_or(Errno::MSGSIZE)?;
    Ok(read(answer))
}

/// The user in an answer, unless it is an error, or the socket is closed: that belongs to nobody any more.
fn read(answer: &[u8]) -> Option<u32> {
    let kind = u16::from_ne_bytes(answer.get(4..6)?.try_into().ok()?);
    let number = |at: usize| Some(u32::from_ne_bytes(answer.get(HEADER + at..HEADER + at + 4)?.try_into().ok()?));
    (kind == BY_FAMILY && number(INODE)? != 0).then(|| number(USER)).flatten()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use rustix::process::geteuid;

    use super::*;

    #[test]
    fn the_user_of_a_loopback_connection_is_known_until_it_is_closed() {
        for host in ["127.0.0.1", "::1"] {
            let Ok(listener) = TcpListener::bind((host, 0)) else { continue };
            let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            let transport = Transport::Tcp(listener.accept().unwrap().0.into());
            let user = local_user(&transport);
            // Some systems do not tell.
            assert!(user.is_none_or(|user| user == geteuid().as_raw()), "{host}: {user:?}");
            drop(client);
            assert_eq!(local_user(&transport), None, "{host}");
        }
    }

    #[test]
    fn an_answer_that_is_not_understood_names_nobody() {
        let error: Vec<u8> = [36_u32, 2, 0, 0, u32::from_ne_bytes((-2_i32).to_ne_bytes())]
            .into_iter()
            .flat_map(u32::to_ne_bytes)
            .chain([0; 16])
            .collect();
        for answer in [&[][..], &[20; 5], &[20; 40], &error] {
            assert_eq!(read(answer), None);
        }
    }
}
