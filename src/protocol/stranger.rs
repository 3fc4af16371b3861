//! Strangers: programs that came to the wrong port, known by the first bytes that they send.
//!
//! A browser's headers are no names, but a line of what it posts could be one, and what follows it would be chat.
//! So whoever is known for a stranger is told so in one line and sent away.

use std::fmt;

/// A protocol that is not ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stranger {
    /// A browser, or a scanner (RFC 9110).
    Http,
    /// A ClientHello (RFC 8446, section 5.1).
    Tls,
    /// A client of a secure shell (RFC 4253, section 4.2).
    Ssh,
}

const HTTP_METHODS: &[&str] =
    &["GET ", "HEAD ", "POST ", "PUT ", "DELETE ", "CONNECT ", "OPTIONS ", "TRACE ", "PATCH ", "PRI "];

impl Stranger {
    /// Looks at the first bytes of a connection. Nobody who sends a name is taken for a stranger: no name holds a
    /// blank, and `SSH-` is followed by a version.
    pub fn recognise(bytes: &[u8]) -> Option<Self> {
        if HTTP_METHODS.iter().any(|method| bytes.starts_with(method.as_bytes())) {
            return Some(Self::Http);
        }
        match bytes {
            [0x16, 0x03, ..] => Some(Self::Tls),
            [b'S', b'S', b'H', b'-', b'1' | b'2', b'.', ..] => Some(Self::Ssh),
            _ => None,
        }
    }
}

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
            Self::Ssh => "SSH",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_strangers_are_known() {
        assert_eq!(Stranger::recognise(b"GET / HTTP/1.1\r\n"), Some(Stranger::Http));
        assert_eq!(Stranger::recognise(b"\x16\x03\x01\x02\x00\x01"), Some(Stranger::Tls));
        assert_eq!(Stranger::recognise(b"SSH-2.0-OpenSSH_9.2\r\n"), Some(Stranger::Ssh));
    }

    #[test]
    fn people_are_no_strangers() {
        for name in ["Getty\n", "GETTY\n", "SSH-Susi\n", "Post\n", "", "\u{16}"] {
            assert_eq!(Stranger::recognise(name.as_bytes()), None);
        }
    }
}
