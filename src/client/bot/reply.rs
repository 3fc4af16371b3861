//! Turns the output of a program into lines to send: to the room of the message, or to the sender of a private message.
//!
//! No output can become a command, or be refused because of its form.

use crate::client::message::Message;
use crate::limits::LINE_BYTES;
use crate::model::RoomName;
use crate::protocol::words::find_slash;

/// The lines to send from the room `current`, with their line endings. Lines that are too long are split. Invalid UTF-8
/// becomes U+FFFD.
pub(crate) fn lines(message: &Message, output: &[u8], current: &RoomName) -> Vec<String> {
    let prefix = match message {
        Message { private: true, from, .. } => format!("/msg {from} "),
        Message { room, .. } if room != current => format!("/say {room} "),
        _ => String::new(),
    };
    let has_prefix = !prefix.is_empty();
    // One byte is for the second slash.
    let room = LINE_BYTES - 1 - prefix.len();
    String::from_utf8_lossy(output)
        // A lone CR also ends a line for the server, and a command could follow it.
        .split(['\n', '\r'])
        .flat_map(|line| pieces(line, room))
        // Skip empty lines. The server would refuse a command without text.
        .filter(|piece| if has_prefix { !piece.trim().is_empty() } else { !piece.is_empty() })
        .map(|piece| match find_slash(piece) {
            Some(slash) if !has_prefix => format!("{}/{}\n", &piece[..slash], &piece[slash..]),
            _ => format!("{prefix}{piece}\n"),
        })
        .collect()
}

/// Splits a line into pieces of at most `room` bytes.
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
