//! Decides which server may get a password, as far as the system can identify the server.
//!
//! The client reconnects without asking, and another program may listen there by then. So a password is sent again only
//! to the server that got it first.

use std::fmt;
use std::net::SocketAddr;

use crate::net::tcp_info::owner_of_peer;
use crate::os::system::user;

/// The remote end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RemoteEnd {
    /// A server that has proved its identity (TLS).
    Verified,
    /// A Unix socket, and the user who listens on it.
    Unix(Option<u32>),
    /// Plain TCP.
    Tcp { local: SocketAddr, peer: SocketAddr },
}

/// The identity of a server at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recipient {
    /// It has proved its identity.
    Verified,
    /// On another machine, at this address.
    Remote(SocketAddr),
    /// On this machine.
    Local {
        /// `None` for a Unix socket. A client uses only one of these.
        address: Option<SocketAddr>,
        /// The user who owns the server's end of the connection. `None` if unknown.
        owner: Option<u32>,
    },
}

impl RemoteEnd {
    /// Whether nobody else can read what is sent: it is encrypted, or does not leave this machine.
    pub(crate) fn is_private(self) -> bool {
        match self {
            Self::Verified | Self::Unix(_) => true,
            Self::Tcp { peer, .. } => peer.ip().to_canonical().is_loopback(),
        }
    }

    /// Identifies the server. Call this after its first line: before that, its end may have no owner yet.
    pub(crate) fn recipient(self) -> Recipient {
        match self {
            Self::Verified => Recipient::Verified,
            Self::Unix(owner) => Recipient::Local { address: None, owner },
            Self::Tcp { local, peer } if self.is_private() || local.ip() == peer.ip() => {
                Recipient::Local { address: Some(peer), owner: owner_of_peer(local, peer) }
            }
            Self::Tcp { peer, .. } => Recipient::Remote(peer),
        }
    }
}

impl Recipient {
    /// Whether it may get a password that was given to `first`. It must have the same address. On this machine it must
    /// also belong to root, to us, or to the user who already has the password.
    pub(crate) fn may_have(self, first: Self) -> bool {
        match (self, first) {
            (Self::Verified, _) => true,
            (Self::Remote(address), Self::Remote(first)) => address == first,
            (Self::Local { address, owner }, Self::Local { address: first, owner: first_owner }) => {
                address == first && (owner == first_owner || owner.is_some_and(is_trusted))
            }
            _ => false,
        }
    }
}

fn is_trusted(user: u32) -> bool {
    user == 0 || Some(user) == user::id()
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("a verified server"),
            Self::Remote(address) => address.fmt(f),
            Self::Local { address, owner } => {
                match address {
                    Some(address) => address.fmt(f)?,
                    None => f.write_str("the same socket")?,
                }
                match owner {
                    Some(user) => write!(f, ", user {user}"),
                    None => f.write_str(", unknown user"),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(address: &str, owner: Option<u32>) -> Recipient {
        Recipient::Local { address: Some(address.parse().unwrap()), owner }
    }

    #[test]
    fn a_password_is_sent_again_only_to_the_same_address() {
        let own = user::id();
        let remote = |address: &str| Recipient::Remote(address.parse().unwrap());
        let socket = Recipient::Local { address: None, owner: own };
        let all = [
            local("127.0.0.1:5000", own),
            local("127.0.0.1:5001", own),
            local("[::1]:5000", own),
            remote("192.0.2.1:5000"),
            remote("192.0.2.2:5000"),
            socket,
        ];
        for first in all {
            for now in all {
                assert_eq!(now.may_have(first), now == first, "{first}, then {now}");
            }
            assert!(Recipient::Verified.may_have(first));
            assert!(!first.may_have(Recipient::Verified), "a password for TLS, then {first}");
        }
    }

    #[cfg_attr(windows, ignore = "Windows does not tell the user of a connection")]
    #[test]
    fn a_local_server_must_belong_to_root_to_us_or_to_the_same_user() {
        let (own, stranger, other) = (user::id().unwrap(), user::id().unwrap() + 1, user::id().unwrap() + 2);
        for address in [Some("127.0.0.1:5000".parse().unwrap()), None] {
            let owned = |owner| Recipient::Local { address, owner };
            for (first, now, may_have) in [
                (Some(own), Some(own), true),
                (Some(own), Some(0), true),
                (Some(own), Some(stranger), false),
                (Some(own), None, false),
                (Some(stranger), Some(stranger), true),
                (Some(stranger), Some(own), true),
                (Some(stranger), Some(other), false),
                (None, None, true),
                (None, Some(stranger), false),
            ] {
                assert_eq!(owned(now).may_have(owned(first)), may_have, "{first:?}, then {now:?}");
            }
        }
    }

    #[test]
    fn a_remote_server_is_identified_by_its_address() {
        let endpoint = |local: &str, peer: &str| {
            let (local, peer) = (local.parse().unwrap(), peer.parse().unwrap());
            RemoteEnd::Tcp { local, peer }
        };
        let there = endpoint("192.0.2.9:7", "192.0.2.1:5000");
        assert_eq!(there.recipient(), Recipient::Remote("192.0.2.1:5000".parse().unwrap()));
        assert!(!there.is_private());
        let here = endpoint("192.0.2.1:7", "192.0.2.1:5000");
        assert_eq!(here.recipient(), local("192.0.2.1:5000", None));
        assert!(endpoint("127.0.0.1:7", "127.0.0.1:5000").is_private());
    }
}
