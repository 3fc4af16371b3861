//! What a program wrote, as lines to say: an answer to the room, or to the one who spoke privately.
//!
//! Nothing that it writes can be a command, or be refused for its form.

use crate::client::message::Message;
use crate::limits::LINE_BYTES;
use crate::protocol::words::find_slash;

/// The lines to send, each with its end. Lines that are too long are said in pieces; bytes that are not UTF-8 become
/// U+FFFD.
pub(crate) fn lines(message: &Message, output: &[u8]) -> Vec<String> {
    let prefix = if message.private { format!("/msg {} ", message.from) } else { String::new() };
    // One byte is for the second slash.
    let room = LINE_BYTES - 1 - prefix.len();
    String::from_utf8_lossy(output)
        // A lone CR ends a line too: what follows it could be a command.
        .split(['\n', '\r'])
        .flat_map(|line| pieces(line, room))
        // There is nothing to say, and a private message of blanks would be refused.
        .filter(|piece| if message.private { !piece.trim().is_empty() } else { !piece.is_empty() })
        .map(|piece| match find_slash(piece) {
            Some(slash) if !message.private => format!("{}/{}\n", &piece[..slash], &piece[slash..]),
            _ => format!("{prefix}{piece}\n"),
        })
        .collect()
}

/// `line` in pieces of at most `room` bytes.
fn pieces(mut line: &str, room: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    while line.len() > room {
        let end = (0..=room).rev().find(|&end| line.is_char_boundary(end)).unwrap_or(0);
        let (piece, rest) = line.split_at(end);
        pieces.push(piece);
        line = rest;
    }
    pieces.push(line);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, SafeText};
    use crate::protocol::{Command, Line};

    fn message(private: bool) -> Message {
        Message { from: Name::parse("Alice").unwrap(), text: Vec::new(), private }
    }

    #[test]
    fn each_line_is_said_to_the_room() {
        assert_eq!(lines(&message(false), b"one\r\n\n two \nthree"), ["one\n", " two \n", "three\n"]);
        assert_eq!(lines(&message(false), b""), [""; 0]);
        assert_eq!(lines(&message(false), b"\xff\n"), ["\u{fffd}\n"]);
    }

    #[test]
    fn a_private_message_is_answered_privately() {
        assert_eq!(lines(&message(true), b"one\n  \n/two\n"), ["/msg Alice one\n", "/msg Alice /two\n"]);
    }

    #[test]
    fn nothing_that_is_written_becomes_a_command() {
        for output in ["/quit", "x\r/quit", "//quit", "\r\r/nick Bob\n/msg Bob hi", "/"] {
            for line in lines(&message(false), output.as_bytes()) {
                let parsed = Command::parse(Line::Text(line.trim_end().to_owned()));
                assert!(matches!(parsed, Ok(Command::Say(_))), "{line:?} is {parsed:?}");
            }
        }
        for output in [" /quit", "\u{feff}/quit", "\t \u{200b}//quit", "/me waves"] {
            let [line] = &lines(&message(false), output.as_bytes())[..] else { panic!("{output:?} is one line") };
            let parsed = Command::parse(Line::Text(line.strip_suffix('\n').unwrap().to_owned()));
            assert_eq!(parsed, Ok(Command::Say(SafeText::new(output.to_owned()))));
        }
        assert_eq!(lines(&message(false), b"/quit"), ["//quit\n"]);
    }

    #[test]
    fn what_is_too_long_for_a_line_is_said_in_pieces() {
        for private in [false, true] {
            let output = "é/".repeat(4000);
            let lines = lines(&message(private), output.as_bytes());
            assert!(lines.iter().all(|line| line.len() <= LINE_BYTES + 1));
            let prefix = if private { "/msg Alice " } else { "" };
            let said = lines.iter().map(|line| {
                let said = line.trim_end().strip_prefix(prefix).unwrap();
                if private { said } else { said.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(said) }
            });
            assert_eq!(said.collect::<String>(), output);
        }
    }
}
