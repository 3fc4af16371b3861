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

proptest! {
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
