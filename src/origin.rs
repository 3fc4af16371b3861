//! Where a connection comes from, and what counts as one place.
//!
//! Limits, penalties and bans are all for a [`Source`]. Nothing here knows a socket.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use thiserror::Error;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// An address and port of a network.
    Net(SocketAddr),
    /// A socket of this machine's file system, and the user at its other end.
    Unix {
        /// The user's number (SO_PEERCRED, unix(7)).
        user: u32,
    },
}

/// One place: an IPv4 address, the /64 network of an IPv6 one, since a single customer has 2^64 addresses of that kind, or
/// a user of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// An IPv4 address.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
    /// A user of this machine, at a socket of its file system.
    User(u32),
}

/// What was given is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("it goes 192.0.2.1, 2001:db8::/64 or user:1000")]
pub struct NoSource;

impl Origin {
    /// The place that it counts as.
    pub fn source(self) -> Source {
        match self {
            Self::Net(address) => Source::of(address.ip()),
            Self::Unix { user } => Source::User(user),
        }
    }

    /// Whether it is this machine itself.
    pub fn is_this_machine(self) -> bool {
        match self {
            Self::Net(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix { .. } => true,
        }
    }
}

impl From<SocketAddr> for Origin {
    fn from(address: SocketAddr) -> Self {
        Self::Net(address)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(address) => address.fmt(f),
            Self::Unix { user } => write!(f, "user:{user}"),
        }
    }
}

impl Source {
    /// The place of an address.
    pub fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Self::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::V4(octets) => IpAddr::from(octets).fmt(f),
            Self::V6(octets) => {
                write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(u64::from_be_bytes(octets)) << 64))
            }
            Self::User(user) => write!(f, "user:{user}"),
        }
    }
}

/// An address, with or without `/32` or `/64` behind it; no other network counts as one place. Or `user:` and the number of a
/// user, which is no name in the room, since none holds a colon.
impl FromStr for Source {
    type Err = NoSource;

    fn from_str(text: &str) -> Result<Self, NoSource> {
        if let Some(user) = text.strip_prefix("user:") {
            return user.parse().map(Self::User).map_err(|_| NoSource);
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let source = Self::of(address.parse().map_err(|_| NoSource)?);
        match (source, bits) {
            (_, None) | (Self::V4(_), Some("32")) | (Self::V6(_), Some("64")) => Ok(source),
            _ => Err(NoSource),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_of_ipv6_is_one_place_and_an_ipv4_address_is_one_however_it_is_written() {
        assert_eq!(source("2001:db8::1"), source("2001:db8::ffff:1"));
        assert_ne!(source("2001:db8::1"), source("2001:db8:0:1::1"));
        assert_eq!(source("::ffff:192.0.2.1"), source("192.0.2.1"));
        assert_ne!(source("192.0.2.1"), source("192.0.2.2"));
    }

    #[test]
    fn it_is_read_as_it_is_shown() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("2001:db8::9", "2001:db8::/64"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("user:1000", "user:1000"),
        ] {
            assert_eq!(source(text).to_string(), shown);
            assert_eq!(source(shown), source(text));
        }
        for text in
            ["192.0.2.0/24", "2001:db8::/48", "Bob", "", "192.0.2.1:7", "/64", "user:", "user:-1", "user:4294967296"]
        {
            assert_eq!(text.parse::<Source>(), Err(NoSource), "{text}");
        }
    }

    #[test]
    fn a_user_of_this_machine_is_shown_as_the_place_to_ban() {
        let origin = Origin::Unix { user: 1000 };
        assert_eq!(origin.to_string(), "user:1000");
        assert_eq!(source("user:1000"), origin.source());
        assert!(crate::protocol::Name::parse("user:1000").is_err());
    }

    #[test]
    fn this_machine_is_known_by_its_addresses_and_its_sockets() {
        let from = |address: &str| Origin::from(address.parse::<SocketAddr>().unwrap());
        for address in ["127.0.0.1:7", "127.9.9.9:7", "[::1]:7", "[::ffff:127.0.0.1]:7"] {
            assert!(from(address).is_this_machine(), "{address}");
        }
        assert!(Origin::Unix { user: 0 }.is_this_machine());
        assert!(!from("192.0.2.1:7").is_this_machine());
    }
}
