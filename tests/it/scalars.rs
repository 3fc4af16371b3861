//! Every character that there is, as a message and as a name, through the live server.
//!
//! What may come out is written down here once more, in other words than the server's own.

use std::thread;

use crate::harness::{Peer, Server};

/// All Unicode scalar values but the two that end a line.
fn scalars() -> impl Iterator<Item = char> {
    ('\0'..=char::MAX).filter(|char| !matches!(char, '\n' | '\r'))
}

/// What must never reach a terminal, by its bytes: C0 but TAB, DEL, C1, line separators, bidi controls, invisible format
/// characters, tags.
fn is_dangerous(line: &str) -> bool {
    line.chars().any(|char| {
        matches!(u32::from(char),
            0x00..=0x08 | 0x0a..=0x1f | 0x7f..=0x9f | 0xad | 0x61c | 0x180e | 0x200b | 0x200e | 0x200f
            | 0x2028..=0x202e | 0x2060..=0x206f | 0xfdd0..=0xfdef | 0xfeff | 0xfff9..=0xfffb
            | 0xe0000..=0xe007f)
            || u32::from(char) & 0xfffe == 0xfffe
    })
}

/// Sends `lines` from a thread, so that reading the answers cannot block it.
fn send_all(peer: &Peer, lines: String) -> thread::JoinHandle<()> {
    let mut sender = peer.try_clone();
    thread::spawn(move || sender.send(&lines))
}

#[test]
fn every_character_in_a_message_arrives_as_it_is_or_in_a_form_that_does_nothing() {
    let server = Server::start();
    let [alice, mut bob] = server.join_all(["Alice", "Bob"]);
    let sending = send_all(&alice, scalars().map(|char| format!("x{char}x\n")).collect());
    for char in scalars() {
        let line = bob.line();
        let text = line.strip_prefix("Alice: x").and_then(|line| line.strip_suffix('x'));
        let text = text.unwrap_or_else(|| panic!("{char:?} came as {line:?}"));
        assert!(!is_dangerous(text), "{char:?} came as {text:?}");
        let escape = match u32::from(char) {
            code @ (0x00..=0x1f | 0x7f) => format!("^{}", char::from((code ^ 0x40) as u8)),
            code => format!("<U+{code:04X}>"),
        };
        assert!(text == char.to_string() || text == escape, "{char:?} came as {text:?}");
    }
    sending.join().unwrap();
}

#[test]
fn every_character_in_a_name_is_refused_or_harmless() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let sending = send_all(&alice, scalars().map(|char| format!("/nick x{char}y\n")).collect());
    let (mut accepted, mut refused) = (0, 0);
    for char in scalars() {
        let line = alice.line();
        assert!(!is_dangerous(&line), "{char:?} was answered with {line:?}");
        if line.starts_with("! bad-name: ") {
            refused += 1;
            continue;
        }
        accepted += 1;
        // The name can stand before a colon or a blank, and is one word.
        let name = line.rsplit_once(" is now ").or(line.rsplit_once("You are ")).expect("it is a new name").1;
        let name = name.strip_suffix(" already.").unwrap_or(name);
        assert!(!name.contains([' ', ':', '*', '!', '<', '>', '(', ')', '/', ',']), "{char:?} gave {name:?}");
    }
    sending.join().unwrap();
    assert_eq!(accepted + refused, 1_112_064 - 2);
    assert!(accepted > 30_000, "only {accepted} were accepted");
}
