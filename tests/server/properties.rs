//! The properties that the fuzz targets check, for random input in every test run.

use proptest::prelude::*;

use linechat::limits::{LINE_BYTES, UNTERMINATED_BYTES};

use crate::support::properties;

/// Bytes with frequent line endings, telnet commands, multi-byte characters and overlong lines.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let long = prop::sample::select(vec![LINE_BYTES, UNTERMINATED_BYTES]);
    let piece = prop_oneof![
        8 => prop::sample::select(vec![b"\n".to_vec(), b"\r".to_vec(), b"\r\n".to_vec(), b"\0".to_vec()]),
        8 => "[a-zé🦀/ ]{1,5}".prop_map(String::into_bytes),
        8 => prop::collection::vec(prop_oneof![2 => 240..=255u8, 1 => Just(6)], 1..5),
        2 => prop::collection::vec(any::<u8>(), 1..4),
        1 => (long, -2..3_isize).prop_map(|(limit, more)| vec![b'x'; limit.saturating_add_signed(more)]),
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Text with frequent commands, dangerous characters, and characters that change when normalized.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => "[a-zA-Z0-9]{1,6}",
        2 => "\\PC{1,8}",
        1 => any::<String>(),
        1 => prop::sample::select(vec!["/msg ", "/nick ", "/ignore ", "/unignore ", "/quit ", "/ping ", "//", "Bob", ": ", " "]).prop_map(str::to_owned),
        1 => (prop::sample::select(vec!['\u{301}', '\u{345}', '\u{93c}', '\u{958}', 'ß', 'İ', 'ς', 'ﬃ']), 1..40_usize)
            .prop_map(|(char, count)| String::from(char).repeat(count)),
        1 => prop::collection::vec(prop::sample::select(vec!['\u{301}', '\u{200d}', '\u{fe0f}', '\u{34f}']), 1..40)
            .prop_map(String::from_iter),
    ];
    prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
}

/// A name, and words that are options or nearly.
fn first_line() -> impl Strategy<Value = String> {
    let option = prop::sample::select(vec!["ids=", "since=", "last=", "replay=", "auth", "IDS=", "x=", "=", ""]);
    let value = prop_oneof![
        prop::sample::select(vec![
            "on",
            "off",
            "0",
            "7",
            "12:03",
            "2h",
            "1h30m",
            "99:99",
            "2026-11-26T12:03:11Z",
            "-1"
        ])
        .prop_map(str::to_owned),
        any::<u64>().prop_map(|number| number.to_string()),
        text(),
    ];
    let word = (option, value).prop_map(|(option, value)| format!("{option}{value}"));
    let name = prop_oneof![3 => Just("Bob".to_owned()), 1 => text()];
    (name, prop::collection::vec(word, 0..5)).prop_map(|(name, words)| format!("{name} {}", words.join(" ")))
}

proptest! {
    #[test]
    fn a_first_line_is_a_name_with_options_or_is_refused(line in first_line()) {
        properties::first_line(&line);
    }

    #[test]
    fn bytes_become_the_same_lines_and_answers_wherever_they_are_split(
        bytes in bytes(),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
    ) {
        properties::decoder(&bytes, &cuts);
    }

    #[test]
    fn text_is_made_safe_and_loses_nothing(text in text(), limit in 0..80_usize) {
        properties::text(&text, limit);
    }

    #[test]
    fn a_name_is_refused_or_cannot_forge_hide_or_act(name in text(), said in text()) {
        properties::name(&name, &said);
    }

    #[test]
    fn a_line_with_a_slash_is_never_said(text in text()) {
        properties::command(&text);
        properties::command(&format!("/{text}"));
    }
}
