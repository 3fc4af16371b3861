//! The protocols of the servers, as far as the swarm needs them.
//!
//! Messages carry a mark, so that a line of the load is found in any protocol's framing: see [`Words`].

use std::fmt::Write;

/// A line-based protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// linechat: the first line is the name.
    Linechat,
    /// The floor: a line goes to all others unchanged.
    Bare,
    /// `ncat --chat`: the same, but with the sender before it.
    Ncat,
    /// RFC 2812, with one channel.
    Irc,
    /// The client protocol of NATS, with one subject.
    Nats,
}

/// The meaning of a line from a server.
#[derive(Debug, PartialEq, Eq)]
pub enum Heard<'a> {
    /// A message of the load.
    Said(&'a [u8]),
    /// The client is now in the room, with this many others.
    Ready(usize),
    /// This many others have joined.
    Joined(usize),
    /// The server wants this line from the client.
    Answer(Vec<u8>),
    /// The server refuses something.
    Refused,
    /// Irrelevant here.
    Other,
}

/// Starts a message. No protocol here uses it in its framing.
const MARK: u8 = b'|';

/// One line of the load: its sender, its number, and padding.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    pub sender: usize,
    pub number: u32,
}

impl Words {
    /// The minimum length.
    pub const LEAST: usize = 18;

    /// The message, `size` bytes long.
    pub fn write(&self, size: usize, out: &mut String) {
        let start = out.len();
        write!(out, "{}{:06} {:010}", MARK as char, self.sender, self.number).expect("a String takes it");
        out.extend(std::iter::repeat_n('x', size - (out.len() - start)));
    }

    /// The message in `text`, if it is complete.
    pub fn read(text: &[u8], size: usize) -> Option<Self> {
        let (sender, number) = (decimal(text.get(1..7)?)?, decimal(text.get(8..18)?)?);
        let is_whole = text.len() == size && text[18..].iter().all(|&byte| byte == b'x');
        is_whole.then_some(Self { sender: sender as usize, number })
    }
}

fn decimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0u32, |number, digit| {
        digit.is_ascii_digit().then(|| number.wrapping_mul(10).wrapping_add(u32::from(digit - b'0')))
    })
}

impl Dialect {
    /// What a client sends first, to enter this room.
    pub fn hello(self, client: usize, room: Option<usize>) -> String {
        match self {
            Self::Linechat => {
                let room = room.map(|room| format!(" #r{room}")).unwrap_or_default();
                format!("s{client:05}{room}\n")
            }
            Self::Bare | Self::Ncat => String::new(),
            Self::Irc => format!("NICK s{client:05}\r\nUSER s 0 * :s\r\n"),
            Self::Nats => {
                "CONNECT {\"verbose\":false,\"pedantic\":false,\"echo\":false}\r\nSUB room 1\r\nPING\r\n".into()
            }
        }
    }

    /// How a client sends a message.
    pub fn say(self, words: &Words, size: usize, out: &mut String) {
        match self {
            Self::Linechat | Self::Ncat => {}
            // The floor adds no name, so the client does. So all servers deliver the same bytes.
            Self::Bare => write!(out, "s{:05}: ", words.sender).expect("a String takes it"),
            Self::Irc => out.push_str("PRIVMSG #room :"),
            Self::Nats => write!(out, "PUB room {size}\r\n").expect("a String takes it"),
        }
        words.write(size, out);
        out.push_str(if matches!(self, Self::Irc | Self::Nats) { "\r\n" } else { "\n" });
    }

    /// Parses a line without its line ending.
    pub fn hear(self, line: &[u8]) -> Heard<'_> {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if let Some(at) = memchr::memchr(MARK, line) {
            return Heard::Said(&line[at..]);
        }
        let text = String::from_utf8_lossy(line);
        match self {
            Self::Linechat => hear_notice(&text),
            Self::Bare => Heard::Ready(0),
            Self::Ncat if text.starts_with("<announce>") => Heard::Ready(0),
            Self::Irc if text.starts_with("PING ") => Heard::Answer(text.replacen("PING", "PONG", 1).into_bytes()),
            Self::Irc => match text.split(' ').nth(1) {
                Some("001") => Heard::Answer(b"JOIN #room\r\n".to_vec()),
                Some("366") => Heard::Ready(0),
                _ if text.starts_with("ERROR") => Heard::Refused,
                _ => Heard::Other,
            },
            Self::Nats if text == "PONG" => Heard::Ready(0),
            Self::Nats if text == "PING" => Heard::Answer(b"PONG\r\n".to_vec()),
            Self::Nats if text.starts_with("-ERR") => Heard::Refused,
            Self::Ncat | Self::Nats => Heard::Other,
        }
    }
}

fn hear_notice(text: &str) -> Heard<'static> {
    let first_number = |text: &str| text.split(' ').find_map(|word| word.parse().ok());
    match text {
        _ if text.starts_with("! ") || text.starts_with("* You missed") => Heard::Refused,
        _ if text.starts_with("* Welcome") => Heard::Ready(first_number(text).unwrap_or(0)),
        _ if text.ends_with(" has joined") => Heard::Joined(1),
        _ if text.contains(" have joined: ") => Heard::Joined(first_number(text).unwrap_or(0)),
        _ => Heard::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_as_they_were_written() {
        let (words, mut text) = (Words { sender: 17, number: 4_000_000_001 }, String::new());
        words.write(64, &mut text);
        assert_eq!(text.len(), 64);
        assert_eq!(Words::read(text.as_bytes(), 64), Some(words));
        assert_eq!(Words::read(&text.as_bytes()[..63], 64), None);
        assert_eq!(Words::read(text.replacen('x', "y", 1).as_bytes(), 64), None);
    }

    #[test]
    fn every_dialect_finds_the_words() {
        let mut said = String::new();
        Words { sender: 3, number: 9 }.write(20, &mut said);
        for (dialect, before) in [
            (Dialect::Linechat, "s00003: "),
            (Dialect::Bare, "s00003: "),
            (Dialect::Ncat, "<user5> "),
            (Dialect::Irc, ":s00003!~s@127.0.0.1 PRIVMSG #room :"),
            (Dialect::Nats, ""),
        ] {
            let line = format!("{before}{said}");
            assert_eq!(dialect.hear(line.as_bytes()), Heard::Said(said.as_bytes()), "{dialect:?}");
        }
    }

    #[test]
    fn comings_are_counted() {
        let hear = |text: &'static str| Dialect::Linechat.hear(text.as_bytes());
        assert_eq!(hear("* Welcome, s1. You are the first here. /help lists the commands."), Heard::Ready(0));
        assert_eq!(hear("* Welcome, s1. 1 other here: s0. /help lists the commands."), Heard::Ready(1));
        assert_eq!(hear("* Welcome to r7, s1. 2 others here: s0, s2. /help lists the commands."), Heard::Ready(2));
        assert_eq!(hear("* s1 has joined"), Heard::Joined(1));
        assert_eq!(hear("* 17 have joined: s1, s2, s3 and 14 more"), Heard::Joined(17));
        assert_eq!(hear("* You missed 3 lines."), Heard::Refused);
    }
}
