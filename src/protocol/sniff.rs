//! Detects other protocols, such as HTTP and TLS, by their first bytes.
//!
//! The headers that a browser sends are not valid names, but a line of a posted body could be one, and the lines after
//! it would become messages. So such a client is told about it in one line and disconnected.

use std::fmt;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherProtocol {
    /// A browser or a scanner (RFC 9110).
    Http,
    /// A ClientHello (RFC 8446, section 5.1).
    Tls,
    /// An SSH client (RFC 4253, section 4.2).
    Ssh,
}

/// How other protocols start. No name starts like this, because names contain neither spaces nor control characters and
/// do not start with `SSH-`.
const GREETINGS: &[(&[u8], OtherProtocol)] = &[
    (b"GET ", OtherProtocol::Http),
    (b"HEAD ", OtherProtocol::Http),
    (b"POST ", OtherProtocol::Http),
    (b"PUT ", OtherProtocol::Http),
    (b"DELETE ", OtherProtocol::Http),
    (b"CONNECT ", OtherProtocol::Http),
    (b"OPTIONS ", OtherProtocol::Http),
    (b"TRACE ", OtherProtocol::Http),
    (b"PATCH ", OtherProtocol::Http),
    (b"PRI ", OtherProtocol::Http),
    (b"\x16\x03", OtherProtocol::Tls),
    (b"SSH-", OtherProtocol::Ssh),
];

const GREETING_BYTES: usize = 8;

/// The first bytes of a connection, however they are split into reads.
#[derive(Debug, Default)]
pub struct Sniffer {
    /// The bytes so far, without leading line endings: HTTP servers ignore those (RFC 9112, section 2.2).
    bytes: [u8; GREETING_BYTES],
    count: usize,
}

impl Sniffer {
    /// Adds bytes from a read.
    pub fn read(&mut self, bytes: &[u8]) {
        if self.count == GREETING_BYTES {
            return;
        }
        let begun = self.count > 0;
        for &byte in bytes.iter().skip_while(|byte| !begun && matches!(byte, b'\r' | b'\n')) {
            let Some(free) = self.bytes.get_mut(self.count) else { return };
            *free = byte;
            self.count += 1;
        }
    }

    /// The protocol, if it is known.
    pub fn stranger(&self) -> Option<OtherProtocol> {
        let bytes = &self.bytes[..self.count];
        GREETINGS.iter().find(|(greeting, _)| bytes.starts_with(greeting)).map(|&(_, stranger)| stranger)
    }
}

impl OtherProtocol {
    /// Checks a whole line that should be a name: `BREW /pot HTTP/1.1` is a request, whatever its method.
    pub fn of_line(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let is_request = words.next().is_some_and(|method| !method.is_empty())
            && words.next().is_some_and(|target| !target.is_empty())
            && words.next().is_some_and(|version| version.starts_with("HTTP/1."))
            && words.next().is_none();
        is_request.then_some(Self::Http)
    }
}

impl fmt::Display for OtherProtocol {
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

    /// The result after each read.
    fn recognise<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Option<OtherProtocol> {
        let mut opening = Sniffer::default();
        reads.into_iter().for_each(|read| opening.read(read));
        opening.stranger()
    }

    #[test]
    fn a_stranger_is_known_wherever_its_greeting_is_split() {
        for (greeting, stranger) in [
            (&b"GET / HTTP/1.1\r\n"[..], OtherProtocol::Http),
            (b"\r\n\nCONNECT example.org:443 HTTP/1.1\r\n", OtherProtocol::Http),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", OtherProtocol::Http),
            (b"\x16\x03\x01\x02\x00\x01", OtherProtocol::Tls),
            (b"SSH-2.0-OpenSSH_9.2\r\n", OtherProtocol::Ssh),
            (b"\r\nSSH-1.99-x\n", OtherProtocol::Ssh),
        ] {
            for cut in 0..=greeting.len() {
                let (first, second) = greeting.split_at(cut);
                assert_eq!(recognise([first, second]), Some(stranger), "{greeting:?} split at {cut}");
            }
            assert_eq!(recognise(greeting.chunks(1)), Some(stranger), "{greeting:?} byte by byte");
        }
    }

    #[test]
    fn every_greeting_is_known_with_its_last_byte_and_not_before() {
        for &(greeting, stranger) in GREETINGS {
            assert!(greeting.len() <= GREETING_BYTES);
            assert_eq!(recognise([greeting]), Some(stranger));
            assert_eq!(recognise([&greeting[..greeting.len() - 1]]), None);
        }
    }

    #[test]
    fn valid_names_are_not_mistaken_for_other_protocols() {
        for name in
            ["Getty\n", "GETTY\n", "SSHeila\n", "ssh-susi\n", "Post\n", "G\nET /\n", "Al\nGET /\n", "", "\u{16}"]
        {
            assert_eq!(recognise([name.as_bytes()]), None, "{name:?}");
            assert_eq!(recognise(name.as_bytes().chunks(1)), None, "{name:?} byte by byte");
            assert_eq!(OtherProtocol::of_line(name), None, "{name:?}");
        }
    }

    #[test]
    fn a_request_is_known_by_its_line_whatever_its_method() {
        for line in ["PROPFIND /dav HTTP/1.1", "BREW coffee://pot HTTP/1.0", "get / HTTP/1.1"] {
            assert_eq!(OtherProtocol::of_line(line), Some(OtherProtocol::Http), "{line:?}");
        }
        for line in
            ["HTTP/1.1", "I speak HTTP", "we all like HTTP/1.1", " / HTTP/1.1", "x  HTTP/1.1", "EHLO example.org"]
        {
            assert_eq!(OtherProtocol::of_line(line), None, "{line:?}");
        }
    }
}
