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
mod tests;
