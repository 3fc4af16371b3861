//! From a host as a person writes it to addresses, and to the name that a certificate has for it.

use std::borrow::Cow;
use std::io;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};

use futures_rustls::pki_types::{InvalidDnsNameError, ServerName};
use url::Host;

/// The addresses of `host`, at least one. It blocks while a name is looked up.
///
/// An IPv6 address may stand in brackets, as it does beside a port. A name may be internationalised (UTS 46).
///
/// # Errors
/// What the resolver says.
pub fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let addresses: Vec<_> = (&*canonical(bare(host)), port).to_socket_addrs()?.collect();
    if addresses.is_empty() { Err(io::Error::other("it has no address")) } else { Ok(addresses) }
}

/// What a certificate for `host` has to hold: an address without its zone, or a name as DNS has it.
///
/// # Errors
/// When `host` is neither an address nor a valid DNS name.
pub(crate) fn server_name(host: &str) -> Result<ServerName<'static>, InvalidDnsNameError> {
    let host = bare(host);
    match host.split_once('%').map(|(address, _zone)| address.parse::<Ipv6Addr>()) {
        Some(Ok(address)) => Ok(address.into()),
        _ => ServerName::try_from(canonical(host).into_owned()),
    }
}

/// Whether this is a link-local address, of which each of several networks may have one, and nothing says which network is
/// meant.
pub(crate) fn lacks_zone(address: &SocketAddr) -> bool {
    matches!(address, SocketAddr::V6(address) if address.ip().is_unicast_link_local() && address.scope_id() == 0)
}

/// A host without the brackets in which an IPv6 address may stand.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// A name in the ASCII form of IDNA, and an IPv4 address with its four numbers: `127.1` and `0x7f000001`, which resolvers
/// take (inet_aton(3)), are not in the form that a certificate has. All else stays as it is.
fn canonical(host: &str) -> Cow<'_, str> {
    match Host::parse(host) {
        Ok(Host::Ipv4(address)) => address.to_string().into(),
        Ok(Host::Domain(name)) if !host.is_ascii() => name.into(),
        _ => host.into(),
    }
}

#[cfg(test)]
mod tests;
