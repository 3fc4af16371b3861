//! Every Unicode scalar value, as a message and as a name, sent through a live server.
//!
//! The rules for the output are written here a second time, independently of the server.

use std::ops::RangeInclusive;
use std::thread;

use crate::support::harness::{Peer, Server};

/// All Unicode scalar values except the two that end a line.
fn scalars() -> impl Iterator<Item = char> {
    ('\0'..=char::MAX).filter(|char| !matches!(char, '\n' | '\r'))
}

/// Default_Ignorable_Code_Point, from DerivedCoreProperties.txt of Unicode 16.
const DEFAULT_IGNORABLE: &[RangeInclusive<u32>] = &[
    0x00ad..=0x00ad,
    0x034f..=0x034f,
    0x061c..=0x061c,
    0x115f..=0x1160,
    0x17b4..=0x17b5,
    0x180b..=0x180f,
    0x200b..=0x200f,
    0x202a..=0x202e,
    0x2060..=0x206f,
    0x3164..=0x3164,
    0xfe00..=0xfe0f,
    0xfeff..=0xfeff,
    0xffa0..=0xffa0,
    0xfff0..=0xfff8,
    0x1bca0..=0x1bca3,
    0x1d173..=0x1d17a,
    0xe0000..=0xe0fff,
];

/// The general category Cf, from UnicodeData.txt of Unicode 16.
const FORMAT: &[RangeInclusive<u32>] = &[
    0x00ad..=0x00ad,
    0x0600..=0x0605,
    0x061c..=0x061c,
    0x06dd..=0x06dd,
    0x070f..=0x070f,
    0x0890..=0x0891,
    0x08e2..=0x08e2,
    0x180e..=0x180e,
    0x200b..=0x200f,
    0x202a..=0x202e,
    0x2060..=0x2064,
    0x2066..=0x206f,
    0xfeff..=0xfeff,
    0xfff9..=0xfffb,
    0x110bd..=0x110bd,
    0x110cd..=0x110cd,
    0x13430..=0x1343f,
    0x1bca0..=0x1bca3,
    0x1d173..=0x1d17a,
    0xe0001..=0xe0001,
    0xe0020..=0xe007f,
];

/// Those of them that are kept: the joiners, the variation selectors of Mongolian and of all scripts, and the visible
/// format characters, which enclose or precede numbers and abbreviations (Prepended_Concatenation_Mark in PropList.txt,
/// and U+070F).
const HARMLESS: &[RangeInclusive<u32>] = &[
    0x200c..=0x200d,
    0x180b..=0x180d,
    0x180f..=0x180f,
    0xfe00..=0xfe0f,
    0xe0100..=0xe01ef,
    0x0600..=0x0605,
    0x06dd..=0x06dd,
    0x070f..=0x070f,
    0x0890..=0x0891,
    0x08e2..=0x08e2,
    0x110bd..=0x110bd,
    0x110cd..=0x110cd,
];

/// C0 except TAB, DEL and C1; the separators of lines and paragraphs; the noncharacters of the basic plane that are not
/// at its end.
const OTHERS: &[RangeInclusive<u32>] = &[0x00..=0x08, 0x0a..=0x1f, 0x7f..=0x9f, 0x2028..=0x2029, 0xfdd0..=0xfdef];

/// Characters that must never reach a terminal unchanged.
fn is_dangerous(char: char) -> bool {
    let code = u32::from(char);
    let is_in = |ranges: &[RangeInclusive<u32>]| ranges.iter().any(|range| range.contains(&code));
    (is_in(DEFAULT_IGNORABLE) || is_in(FORMAT)) && !is_in(HARMLESS)
        || is_in(OTHERS)
        || matches!(code & 0xffff, 0xfffe | 0xffff)
}

/// Sends a line for each character from a thread, so that reading the results cannot block it. `read` reads each
/// result. Lines are sent in portions, because a reader on a busy machine could miss some.
fn send_all(peer: &Peer, line: impl Fn(char) -> String, mut read: impl FnMut(char)) {
    let chars: Vec<_> = scalars().collect();
    for portion in chars.chunks(20_000) {
        let (mut sender, lines) = (peer.try_clone(), portion.iter().map(|&char| line(char)).collect::<String>());
        let sending = thread::spawn(move || sender.send(&lines));
        portion.iter().for_each(|&char| read(char));
        sending.join().unwrap();
    }
}

#[test]
fn every_character_in_a_message_arrives_unchanged_or_escaped() {
    let server = Server::start();
    let [alice, mut bob] = server.join_all(["Alice", "Bob"]);
    send_all(
        &alice,
        |char| format!("x{char}x\n"),
        |char| {
            let line = bob.line();
            let text = line.strip_prefix("Alice: x").and_then(|line| line.strip_suffix('x'));
            let text = text.unwrap_or_else(|| panic!("{char:?} came as {line:?}"));
            let shown = match u32::from(char) {
                _ if !is_dangerous(char) => char.to_string(),
                code @ (0x00..=0x1f | 0x7f) => format!("^{}", char::from((code ^ 0x40) as u8)),
                code => format!("<U+{code:04X}>"),
            };
            assert_eq!(text, shown, "for {char:?}");
        },
    );
}

#[test]
fn every_character_in_a_name_is_refused_or_harmless() {
    let server = Server::start();
    let mut alice = server.join("Alice");
    let talking = alice.try_clone();
    let (mut accepted, mut refused) = (0, 0);
    send_all(
        &talking,
        |char| format!("/nick x{char}y\n"),
        |char| {
            let line = alice.line();
            assert!(!line.contains(is_dangerous), "{char:?} was answered with {line:?}");
            if line.starts_with("! bad-name: ") {
                refused += 1;
                return;
            }
            accepted += 1;
            // The name can precede a colon or a blank, and is one word.
            let name =
                line.rsplit_once(" is now ").or(line.rsplit_once("You are already ")).expect("it is a new name").1;
            let name = name.strip_suffix('.').unwrap_or(name);
            assert!(!name.contains([' ', ':', '*', '!', '<', '>', '(', ')', '/', ',']), "{char:?} gave {name:?}");
        },
    );
    assert_eq!(accepted + refused, 1_112_064 - 2);
    assert!(accepted > 30_000, "only {accepted} were accepted");
}
