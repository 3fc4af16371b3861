//! Addresses of peers, and the networks that they belong to.
//!
//! Limits, penalties and bans all apply to a [`Network`]. Nothing here uses sockets. The system is only asked for the
//! number of a network interface that a person names.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use thiserror::Error;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerAddr {
    /// An IP address and port. An IPv4 address is never written as an IPv6 one.
    Net(SocketAddr),
    /// A Unix socket on this machine.
    Unix {
        /// The number of the user at the other end (SO_PEERCRED, unix(7)).
        user: u32,
    },
}

/// What limits, penalties and bans apply to. For IPv6 it is the /64, because a single customer has all of its
/// addresses. All loopback addresses, 127.0.0.0/8 and ::1, are one network, because every user of this machine can use
/// all of them. A link-local IPv6 address is a network by itself, because all machines on all links share fe80::/64.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Network {
    /// This machine, by its loopback addresses.
    Loopback,
    /// An IPv4 address other than loopback.
    V4([u8; 4]),
    /// The first 64 bits of an IPv6 address.
    V6([u8; 8]),
    /// A link-local IPv6 address and its zone: the number of this machine's interface to that link (RFC 4007), which is
    /// never 0.
    Link([u8; 16], u32),
    /// A user of this machine, at a Unix socket.
    User(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("invalid address: write 192.0.2.1, 2001:db8::/64, fe80::1%2 or user:1000")]
pub struct InvalidNetwork;

impl PeerAddr {
    pub fn network(self) -> Network {
        match self {
            Self::Net(address) => Network::of(address),
            Self::Unix { user } => Network::User(user),
        }
    }

    /// Whether the peer is on this machine.
    pub fn is_this_machine(self) -> bool {
        match self {
            Self::Net(address) => address.ip().is_loopback(),
            Self::Unix { .. } => true,
        }
    }
}

/// A socket that listens on IPv6 and IPv4 shows IPv4 addresses as mapped IPv6 addresses. Here they are IPv4 again.
impl From<SocketAddr> for PeerAddr {
    fn from(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            ip @ IpAddr::V4(_) => Self::Net(SocketAddr::new(ip, address.port())),
            // With its zone.
            IpAddr::V6(_) => Self::Net(address),
        }
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net(address) => address.fmt(f),
            Self::Unix { user } => write!(f, "user:{user}"),
        }
    }
}

impl Network {
    pub fn of(address: SocketAddr) -> Self {
        match address {
            // Connections from such an address always have a zone.
            SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() != 0 => {
                Self::Link(address.ip().octets(), address.scope_id())
            }
            _ => Self::network_of(address.ip()),
        }
    }

    /// Whether this network contains the other one: a /64 contains its link-local addresses.
    pub fn contains(self, other: Self) -> bool {
        self == other || self == other.network()
    }

    /// The /64 of a link-local address, for all zones. Any other network is returned unchanged.
    pub fn network(self) -> Self {
        match self {
            Self::Link(octets, _) => Self::network_of(octets.into()),
            source => source,
        }
    }

    fn network_of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) if ip.is_loopback() => Self::Loopback,
            IpAddr::V4(ip) => Self::V4(ip.octets()),
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                // ::1 belongs to ::/64, which contains no other machine.
                if [a, b, c, d, e, f, g, h] == [0; 8] { Self::Loopback } else { Self::V6([a, b, c, d, e, f, g, h]) }
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Loopback => f.write_str("127.0.0.0/8"),
            Self::V4(octets) => IpAddr::from(octets).fmt(f),
            Self::V6(octets) => {
                write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(u64::from_be_bytes(octets)) << 64))
            }
            Self::Link(octets, zone) => write!(f, "{}%{zone}", Ipv6Addr::from(octets)),
            Self::User(user) => write!(f, "user:{user}"),
        }
    }
}

/// Parses an address, optionally followed by `/32` or `/64`, or `127.0.0.0/8`. Other prefix lengths are not supported.
/// A link-local address needs a zone, by the number or name of the interface. `user:` and a number is a user; no name
/// looks like that, because names contain no colon.
impl FromStr for Network {
    type Err = InvalidNetwork;

    fn from_str(text: &str) -> Result<Self, InvalidNetwork> {
        if let Some(user) = text.strip_prefix("user:") {
            return user.parse().map(Self::User).map_err(|_| InvalidNetwork);
        }
        if let Some((address, zone)) = text.split_once('%') {
            return link(address.parse().map_err(|_| InvalidNetwork)?, zone);
        }
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.parse().map_err(|_| InvalidNetwork)?;
        let needs_zone = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
        match (Self::network_of(address), bits) {
            (_, None) if needs_zone => Err(InvalidNetwork),
            (source, None) | (source @ Self::V4(_), Some("32")) | (source @ Self::V6(_), Some("64")) => Ok(source),
            (source @ Self::Loopback, Some(bits)) if is_loopback_network(address, bits) => Ok(source),
            _ => Err(InvalidNetwork),
        }
    }
}

/// Whether this is one loopback address or all of them.
fn is_loopback_network(address: IpAddr, bits: &str) -> bool {
    matches!((address, bits), (IpAddr::V4(_), "8" | "32") | (IpAddr::V6(_), "64" | "128"))
}

fn link(address: Ipv6Addr, zone: &str) -> Result<Network, InvalidNetwork> {
    if !address.is_unicast_link_local() {
        return Err(InvalidNetwork);
    }
    match zone.parse().ok().or_else(|| interface(address, zone)) {
        Some(number) if number != 0 => Ok(Network::Link(address.octets(), number)),
        _ => Err(InvalidNetwork),
    }
}

/// The number of the interface with this name. The standard library gets it from the system when it resolves an address
/// with a zone, without any network traffic (getaddrinfo(3)).
fn interface(address: Ipv6Addr, name: &str) -> Option<u32> {
    let addresses = (format!("{address}%{name}"), 0).to_socket_addrs().ok()?;
    addresses.into_iter().find_map(|address| match address {
        SocketAddr::V6(address) => Some(address.scope_id()),
        SocketAddr::V4(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Network {
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
    fn all_loopback_addresses_are_one_place() {
        for address in ["127.0.0.1", "127.0.0.2", "127.255.255.255", "::1", "::ffff:127.0.0.9", "::/64", "127.1.2.3/32"]
        {
            assert_eq!(source(address), Network::Loopback, "{address}");
        }
        assert_ne!(source("126.0.0.1"), source("128.0.0.1"));
        assert_ne!(source("user:0"), Network::Loopback);
    }

    #[test]
    fn networks_parse_and_display_the_same() {
        for (text, shown) in [
            ("192.0.2.1", "192.0.2.1"),
            ("192.0.2.1/32", "192.0.2.1"),
            ("2001:db8::9", "2001:db8::/64"),
            ("2001:db8::/64", "2001:db8::/64"),
            ("fe80::1%2", "fe80::1%2"),
            ("FE80:0::1%02", "fe80::1%2"),
            ("fe80::1/64", "fe80::/64"),
            ("user:1000", "user:1000"),
            ("127.0.0.7", "127.0.0.0/8"),
            ("127.0.0.0/8", "127.0.0.0/8"),
            ("::1/128", "127.0.0.0/8"),
        ] {
            assert_eq!(source(text).to_string(), shown);
            assert_eq!(source(shown), source(text));
        }
        for text in [
            "192.0.2.0/24",
            "127.0.0.0/16",
            "::1/96",
            "2001:db8::/48",
            "Bob",
            "",
            "192.0.2.1:7",
            "/64",
            "user:",
            "user:-1",
            "user:4294967296",
        ]
        .into_iter()
        .chain(["fe80::1", "fe80::1%", "fe80::1%0", "fe80::1%no such", "fe80::1%4294967296", "fe80::1%2/64"])
        .chain(["2001:db8::1%2", "::1%lo", "192.0.2.1%2", "%2"])
        {
            assert_eq!(text.parse::<Network>(), Err(InvalidNetwork), "{text}");
        }
    }

    #[test]
    fn a_link_local_address_is_one_place_in_each_zone() {
        let from = |address: &str| PeerAddr::from(address.parse::<SocketAddr>().unwrap()).network();
        let one = from("[fe80::1%2]:7");
        assert_eq!(one, source("fe80::1%2"));
        assert_eq!(one, from("[fe80::1%2]:8"));
        for other in [from("[fe80::1%3]:7"), from("[fe80::2%2]:7"), from("[fe80:0:0:1::1%2]:7")] {
            assert_ne!(one, other);
            assert!(!one.contains(other) && !other.contains(one));
        }
        let network = source("fe80::/64");
        assert!(network.contains(one) && network.contains(from("[fe80::2%3]:7")) && !one.contains(network));
        assert!(!network.contains(from("[fe80:0:0:1::1%2]:7")));
    }

    #[test]
    fn the_zone_of_an_address_may_be_the_name_of_an_interface() {
        // The first interface of Linux is the loopback interface.
        assert_eq!(source("fe80::1%lo"), source("fe80::1%1"));
        assert_eq!("fe80::1%no-such-interface".parse::<Network>(), Err(InvalidNetwork));
    }

    #[test]
    fn a_user_of_this_machine_is_shown_as_the_place_to_ban() {
        let origin = PeerAddr::Unix { user: 1000 };
        assert_eq!(origin.to_string(), "user:1000");
        assert_eq!(source("user:1000"), origin.network());
        assert!(crate::model::Name::parse("user:1000").is_err());
    }

    #[test]
    fn a_peer_is_shown_by_its_ipv4_address_or_its_ipv6_address_with_the_zone() {
        for (address, shown) in [
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
            ("192.0.2.1:7", "192.0.2.1:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("[fe80::1%2]:7", "[fe80::1%2]:7"),
        ] {
            assert_eq!(PeerAddr::from(address.parse::<SocketAddr>().unwrap()).to_string(), shown);
        }
    }

    #[test]
    fn this_machine_is_known_by_its_addresses_and_its_sockets() {
        let from = |address: &str| PeerAddr::from(address.parse::<SocketAddr>().unwrap());
        for address in ["127.0.0.1:7", "127.9.9.9:7", "[::1]:7", "[::ffff:127.0.0.1]:7"] {
            assert!(from(address).is_this_machine(), "{address}");
        }
        assert!(PeerAddr::Unix { user: 0 }.is_this_machine());
        assert!(!from("192.0.2.1:7").is_this_machine());
    }
}
