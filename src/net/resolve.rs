//! Resolves hosts as people write them, and makes the names that certificates use for them.

use std::borrow::Cow;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

use futures_rustls::pki_types::{InvalidDnsNameError, ServerName};
use url::Host;

/// The addresses of `host`, at least one. Blocks during a lookup.
///
/// An IPv6 address may be in brackets, as before a port. A name may be internationalised (UTS 46).
///
/// # Errors
/// The error of the resolver.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = (&*canonical(bare(host)), port).to_socket_addrs()?.collect();
    if addresses.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(addresses) }
}

/// The name that a certificate for `host` must have: an address without its zone, or a DNS name.
///
/// # Errors
/// If `host` is neither an address nor a valid DNS name.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    let host = bare(host);
    match host.split_once('%').map(|(address, _zone)| address.parse::<Ipv6Addr>()) {
        Some(Ok(address)) => Ok(address.into()),
        _ => ServerName::try_from(canonical(host).into_owned()),
    }
}

/// Whether this is a link-local address without a zone. Several networks may have one, so the address alone is
/// ambiguous.
pub(crate) fn lacks_zone(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() == 0)
}

/// A host without the brackets around an IPv6 address.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A name in the ASCII form of IDNA, or an IPv4 address with four numbers: resolvers accept `127.1` and `0x7f000001`
/// (inet_aton(3)), but certificates do not. Anything else stays as it is.
fn canonical(host: &str) -> Cow<'_, str> {
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.to_string().into(),
        Ok(Host::Domain(name)) if !host.is_ascii() => name.into(),
        _ => host.into(),
    }
}

#[cfg(test)]
mod tests;
