//! From a host as a person writes it to addresses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};

/// The addresses of `host`, at least one. It blocks while a name is looked up.
///
/// An IPv6 address may stand in brackets, as it does beside a port.
///
/// # Errors
/// What the resolver says.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = (bare(host), port).to_socket_addrs()?.collect();
    if addresses.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(addresses) }
}

/// A host without the brackets in which an IPv6 address may stand.
pub(crate) fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_may_stand_in_brackets() {
        for host in ["[::1]", "::1"] {
            assert_eq!(resolve(host, 7).unwrap(), ["[::1]:7".parse().unwrap()]);
        }
    }

    #[test]
    fn a_host_that_does_not_exist_is_an_error() {
        assert!(resolve("no.such.host.invalid", 7).is_err());
    }
}
