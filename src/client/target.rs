//! Parses the target: `HOST`, `HOST:PORT`, `tls://HOST[:PORT]` or `unix:PATH`.
//!
//! It neither resolves a host nor knows the default ports.

use std::ffi::{OsStr, OsString};
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

use thiserror::Error;

use crate::os::paths::without_prefix;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// A host, over TCP.
    Tcp {
        /// A name or an IP address. An IPv6 address has no brackets, but may have a zone.
        host: String,
        /// `None` when no port was given.
        port: Option<u16>,
        /// It was written with `tls://`.
        tls: bool,
    },
    /// The path of a Unix socket.
    Unix(PathBuf),
}

/// Why a text is not a target, with a suggestion.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BadTarget {
    #[error("the host is empty")]
    Empty,
    /// A host that is not UTF-8. (A path need not be UTF-8.)
    #[error("{0:?} is not UTF-8")]
    NotText(OsString),
    /// `unix:` without a path.
    #[error("no path after \"unix:\"")]
    NoPath,
    /// It has a slash, but no scheme.
    #[error("{0:?} is not a host; for a path, write unix:PATH")]
    Path(String),
    #[error("{0:?} is not a known scheme; write HOST, HOST:PORT, tls://HOST or unix:PATH")]
    Scheme(String),
    /// `USER@HOST`, as for ssh.
    #[error("{0:?} is not a host; use --name for your name")]
    User(String),
    /// A number that is a port, and cannot be a host's address.
    #[error("{0} is not a host; for a port, write HOST:{0}")]
    OnlyPort(u16),
    /// A colon without a host before it.
    #[error("no host before {0:?}; for this machine, write localhost{0}")]
    NoHost(String),
    /// The text after the colon is not a port.
    #[error("{0:?} is not a port; a port is a number from 1 to 65535")]
    Port(String),
    /// Several colons, which only an IPv6 address may have.
    #[error("{0:?} is not an IPv6 address; write HOST:PORT, or [ADDRESS]:PORT for IPv6")]
    Colons(String),
    /// Brackets without an IPv6 address in them, or with something other than a port after them.
    #[error("{0:?} is not an IPv6 address in brackets; write [ADDRESS] or [ADDRESS]:PORT")]
    Brackets(String),
}

impl Target {
    /// Parses a target. A path need not be UTF-8.
    ///
    /// # Errors
    ///
    /// [`BadTarget`], worded for the user.
    pub fn parse(text: &OsStr) -> Result<Self, BadTarget> {
        if let Some(path) = without_prefix(text, "unix:") {
            return if path.is_empty() { Err(BadTarget::NoPath) } else { Ok(Self::Unix(path.into())) };
        }
        let text = text.to_str().ok_or_else(|| BadTarget::NotText(text.to_owned()))?;
        let (authority, tls) = match text.split_once("://") {
            // A program that treats it as a URL may have added a slash at the end.
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tls") => {
                (rest.strip_suffix('/').unwrap_or(rest), true)
            }
            Some((scheme, _)) => return Err(BadTarget::Scheme(format!("{scheme}://"))),
            None => (text, false),
        };
        let (host, port) = split(authority)?;
        Ok(Self::Tcp { host: host.to_owned(), port, tls })
    }

    /// Removes the port.
    pub fn without_port(self) -> Self {
        match self {
            Self::Tcp { host, tls, .. } => Self::Tcp { host, port: None, tls },
            Self::Unix(_) => self,
        }
    }
}

/// Splits `HOST[:PORT]`. An IPv6 address needs brackets only before a port.
fn split(text: &str) -> Result<(&str, Option<u16>), BadTarget> {
    if text.is_empty() {
        return Err(BadTarget::Empty);
    }
    if text.contains('/') {
        return Err(BadTarget::Path(text.to_owned()));
    }
    if text.contains('@') {
        return Err(BadTarget::User(text.to_owned()));
    }
    if let Some(bracketed) = text.strip_prefix('[') {
        let wrong = || BadTarget::Brackets(text.to_owned());
        let (address, rest) = bracketed.split_once(']').filter(|(address, _)| is_ipv6(address)).ok_or_else(wrong)?;
        return match rest.strip_prefix(':') {
            Some(port) => Ok((address, Some(parse_port(port)?))),
            None if rest.is_empty() => Ok((address, None)),
            None => Err(wrong()),
        };
    }
    match text.split_once(':') {
        None => match parse_port(text) {
            Ok(port) => Err(BadTarget::OnlyPort(port)),
            Err(_) => Ok((text, None)),
        },
        Some((_, rest)) if rest.contains(':') => {
            if is_ipv6(text) {
                Ok((text, None))
            } else {
                Err(BadTarget::Colons(text.to_owned()))
            }
        }
        Some(("", _)) => Err(BadTarget::NoHost(text.to_owned())),
        Some((host, port)) => Ok((host, Some(parse_port(port)?))),
    }
}

/// Parses a port. 0 is not valid.
///
/// # Errors
///
/// [`BadTarget::Port`].
pub fn parse_port(text: &str) -> Result<u16, BadTarget> {
    // `u16::from_str` also accepts a plus sign.
    let port = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let port = port.and_then(|text| text.parse().ok()).filter(|&port| port != 0);
    port.ok_or_else(|| BadTarget::Port(text.to_owned()))
}

/// Whether this is an IPv6 address, possibly with a zone (RFC 4007, section 11). A colon in a zone would be ambiguous.
fn is_ipv6(text: &str) -> bool {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    Ipv6Addr::from_str(address).is_ok() && zone.is_none_or(|zone| !zone.is_empty() && !zone.contains([':', '[', ']']))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, BadTarget> {
        Target::parse(OsStr::new(text))
    }

    fn tcp(host: &str, port: Option<u16>) -> Result<Target, BadTarget> {
        Ok(Target::Tcp { host: host.to_owned(), port, tls: false })
    }

    #[test]
    fn a_host_may_have_a_port() {
        for (text, host, port) in [
            ("localhost", "localhost", None),
            ("localhost:5000", "localhost", Some(5000)),
            ("chat.example.:65535", "chat.example.", Some(65535)),
            ("127.0.0.1:1", "127.0.0.1", Some(1)),
            ("127.1", "127.1", None),
            ("0", "0", None),
            ("4294967295", "4294967295", None),
            ("5000:5000", "5000", Some(5000)),
            ("bücher.example", "bücher.example", None),
            ("Bob", "Bob", None),
        ] {
            assert_eq!(parse(text), tcp(host, port), "{text}");
        }
    }

    #[test]
    fn an_ipv6_address_needs_brackets_before_a_port() {
        for (text, host, port) in [
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:5000", "::1", Some(5000)),
            ("::1:5000", "::1:5000", None),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.1", None),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[fe80::1%eth0]:5000", "fe80::1%eth0", Some(5000)),
            ("[fe80::1%2]", "fe80::1%2", None),
        ] {
            assert_eq!(parse(text), tcp(host, port), "{text}");
        }
    }

    #[test]
    fn any_host_may_have_the_scheme_tls() {
        for (text, host, port) in [
            ("tls://chat.example", "chat.example", None),
            ("TLS://chat.example:443", "chat.example", Some(443)),
            ("tls://[::1]:5001", "::1", Some(5001)),
            ("tls://::1", "::1", None),
            ("tls://chat.example/", "chat.example", None),
        ] {
            assert_eq!(parse(text), Ok(Target::Tcp { host: host.to_owned(), port, tls: true }), "{text}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_path_need_not_be_utf_8() {
        use std::os::unix::ffi::OsStrExt;

        for (text, path) in [
            (&b"unix:/run/linechat/socket"[..], &b"/run/linechat/socket"[..]),
            (b"unix:socket", b"socket"),
            (b"unix:a:b@c", b"a:b@c"),
            (b"unix:/\xff", b"/\xff"),
        ] {
            let target = Target::parse(OsStr::from_bytes(text));
            assert_eq!(target, Ok(Target::Unix(OsStr::from_bytes(path).into())));
        }
        assert_eq!(Target::parse(OsStr::from_bytes(b"a\xff")).unwrap_err().to_string(), "\"a\\xFF\" is not UTF-8");
    }

    #[test]
    fn an_error_says_what_is_wrong_and_what_to_write() {
        for (text, why) in [
            ("", "the host is empty"),
            ("tls://", "the host is empty"),
            ("unix:", "no path after \"unix:\""),
            ("/run/socket", "\"/run/socket\" is not a host; for a path, write unix:PATH"),
            ("tls://chat/x", "\"chat/x\" is not a host; for a path, write unix:PATH"),
            ("http://a:1", "\"http://\" is not a known scheme; write HOST, HOST:PORT, tls://HOST or unix:PATH"),
            ("bob@chat", "\"bob@chat\" is not a host; use --name for your name"),
            ("5000", "5000 is not a host; for a port, write HOST:5000"),
            (":5000", "no host before \":5000\"; for this machine, write localhost:5000"),
            ("localhost:", "\"\" is not a port; a port is a number from 1 to 65535"),
            ("localhost:0", "\"0\" is not a port; a port is a number from 1 to 65535"),
            ("localhost:+1", "\"+1\" is not a port; a port is a number from 1 to 65535"),
            ("localhost:65536", "\"65536\" is not a port; a port is a number from 1 to 65535"),
            ("localhost:irc", "\"irc\" is not a port; a port is a number from 1 to 65535"),
            ("[::1]:", "\"\" is not a port; a port is a number from 1 to 65535"),
            ("a:1:2", "\"a:1:2\" is not an IPv6 address; write HOST:PORT, or [ADDRESS]:PORT for IPv6"),
            (
                "fe80::1%eth0:5000",
                "\"fe80::1%eth0:5000\" is not an IPv6 address; write HOST:PORT, or [ADDRESS]:PORT for IPv6",
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), why, "{text}");
        }
        for text in ["[::1", "[::1]5000", "[127.0.0.1]:1", "[]:1", "[fe80::1%]", "[[::1]]:1"] {
            let why = format!("{text:?} is not an IPv6 address in brackets; write [ADDRESS] or [ADDRESS]:PORT");
            assert_eq!(parse(text).unwrap_err().to_string(), why);
        }
    }
}
