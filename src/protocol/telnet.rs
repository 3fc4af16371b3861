//! Telnet commands (RFC 854), taken out of a peer's bytes before they become lines.
//!
//! Stands between the socket and [`LineDecoder`](super::LineDecoder), and knows neither. A byte 0xFF never occurs in
//! UTF-8, so a peer that sends plain text is never touched. What only looks like telnet is not dropped: it is
//! passed on with its 0xFF, so that the line it stands in is refused as not UTF-8.

use std::borrow::Cow;

use crate::limits::SUBNEGOTIATION_BYTES;

const IAC: u8 = 255;
const DONT: u8 = 254;
const WILL: u8 = 251;
const SB: u8 = 250;
const SE: u8 = 240;

/// Takes telnet commands out of a stream of bytes, across any split of it.
#[derive(Debug, Default)]
pub struct Telnet {
    state: State,
    spoken: bool,
}

/// What the bytes so far make of the next one.
#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Text,
    /// After IAC.
    Command,
    /// After IAC and WILL, WONT, DO or DONT: the option follows.
    Option,
    /// Inside IAC SB ... IAC SE, so many bytes long.
    Subnegotiation(usize),
    /// After an IAC inside a subnegotiation.
    SubnegotiationCommand(usize),
}

impl Telnet {
    /// Whether the peer has shown that it speaks telnet. Such a peer expects CR LF.
    pub fn is_spoken(&self) -> bool {
        self.spoken
    }

    /// The text in `bytes`, without the telnet commands.
    pub fn strip<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if matches!(self.state, State::Text) && memchr::memchr(IAC, bytes).is_none() {
            return Cow::Borrowed(bytes);
        }
        let mut text = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            self.take(byte, &mut text);
        }
        Cow::Owned(text)
    }

    fn take(&mut self, byte: u8, text: &mut Vec<u8>) {
        self.state = match (self.state, byte) {
            (State::Text, IAC) => State::Command,
            (State::Text, _) => {
                text.push(byte);
                State::Text
            }
            (State::Command, WILL..=DONT) => State::Option,
            (State::Command, SB) => State::Subnegotiation(0),
            (State::Command, SE..SB) => self.understood(),
            // The options 10 and 13 are long obsolete (RFC 652, 654): this is rubbish at the end of a line.
            (State::Option, b'\n' | b'\r') => not_telnet(byte, text),
            (State::Option, _) => self.understood(),
            // IAC IAC is the byte 255 itself, and below SE there is no command.
            (State::Command, IAC) => {
                text.push(IAC);
                State::Text
            }
            (State::Command, _) => not_telnet(byte, text),
            (State::Subnegotiation(length), IAC) => State::SubnegotiationCommand(length),
            (State::SubnegotiationCommand(_), SE) => self.understood(),
            (State::Subnegotiation(length) | State::SubnegotiationCommand(length), _) => {
                if length < SUBNEGOTIATION_BYTES { State::Subnegotiation(length + 1) } else { not_telnet(byte, text) }
            }
        };
    }

    fn understood(&mut self) -> State {
        self.spoken = true;
        State::Text
    }
}

/// Passes on a byte that made no telnet command of what went before, marked so that its line is refused.
fn not_telnet(byte: u8, text: &mut Vec<u8>) -> State {
    text.extend([IAC, byte]);
    State::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strip(bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut telnet = Telnet::default();
        let text = telnet.strip(bytes).into_owned();
        (text, telnet.is_spoken())
    }

    #[test]
    fn plain_text_is_passed_on_without_a_copy() {
        let mut telnet = Telnet::default();
        assert!(matches!(telnet.strip("Zoë\r\n".as_bytes()), Cow::Borrowed(_)));
        assert!(!telnet.is_spoken());
    }

    #[test]
    fn commands_options_and_subnegotiations_are_taken_out() {
        assert_eq!(strip(b"a\xff\xf1b"), (b"ab".to_vec(), true));
        assert_eq!(strip(b"\xff\xfd\x01\xff\xfb\x18Bob\n"), (b"Bob\n".to_vec(), true));
        assert_eq!(strip(b"a\xff\xfa\x18\x00xterm\xff\xff\xff\xf0b"), (b"ab".to_vec(), true));
    }

    #[test]
    fn a_doubled_iac_is_the_byte_itself() {
        assert_eq!(strip(b"a\xff\xffb"), (b"a\xffb".to_vec(), false));
    }

    #[test]
    fn what_only_looks_like_telnet_stays_and_keeps_its_line_end() {
        assert_eq!(strip(b"\xff\xfe\n"), (b"\xff\n".to_vec(), false));
        assert_eq!(strip(b"\xffA\n"), (b"\xffA\n".to_vec(), false));
    }

    #[test]
    fn an_endless_subnegotiation_becomes_text_again() {
        let mut bytes = b"\xff\xfa".to_vec();
        bytes.extend([b'x'; SUBNEGOTIATION_BYTES + 1]);
        bytes.extend(b"y\n");
        assert_eq!(strip(&bytes), (b"\xffxy\n".to_vec(), false));
    }

    #[test]
    fn a_split_anywhere_changes_nothing() {
        let bytes = b"a\xff\xfd\x01b\xff\xfa\x18\x01\xff\xf0c\xff\xffd\xff\n";
        let whole = strip(bytes);
        for at in 0..bytes.len() {
            let mut telnet = Telnet::default();
            let mut text = telnet.strip(&bytes[..at]).into_owned();
            text.extend(telnet.strip(&bytes[at..]).iter());
            assert_eq!((text, telnet.is_spoken()), whole, "split at {at}");
        }
    }
}
