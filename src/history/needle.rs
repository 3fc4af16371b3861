//! What is searched for, without regard to case and normal form.
//!
//! Text is compared in its folded form: every character in the full case folding of Unicode, then in form NFC. So
//! `STRASSE` finds `Straße`, and a decomposed é finds a composed one, but `e` does not find `é`.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

use crate::model::SafeText;

/// A text to search for, folded once.
#[derive(Debug)]
pub(super) struct Needle {
    finder: Finder<'static>,
    /// The folded text of one message. It is reused, because a search folds millions of them.
    folded: Vec<u8>,
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        // Messages are stored as they are shown.
        let shown = SafeText::new(text.to_owned());
        Self { finder: Finder::new(fold(shown.as_str()).as_bytes()).into_owned(), folded: Vec::new() }
    }

    /// Whether it is in one of these lines.
    pub(super) fn is_in_any(&mut self, lines: &str) -> bool {
        if lines.is_ascii() { self.is_in(lines) } else { lines.split('\n').any(|line| self.is_in(line)) }
    }

    pub(super) fn is_in(&mut self, text: &str) -> bool {
        self.folded.clear();
        if text.is_ascii() {
            self.folded.extend_from_slice(text.as_bytes());
            self.folded.make_ascii_lowercase();
        } else if !fold_by_character(text, &mut self.folded) {
            self.folded.clear();
            self.folded.extend_from_slice(fold(text).as_bytes());
        }
        self.finder.find(&self.folded).is_some()
    }
}

/// The folded form of a text.
fn fold(text: &str) -> String {
    text.nfd().flat_map(fold_case).nfc().collect()
}

/// The full case folding of a character. It is that of Unicode, except that a dotless ı becomes an i.
fn fold_case(char: char) -> impl Iterator<Item = char> {
    // The capital ẞ has no upper case, but its lower case ß does: SS.
    char.to_lowercase().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// The characters below this have their folded form in a table. Beyond it are the Chinese characters and Hangul.
const TABLE_END: u32 = 0x3100;

/// The folded form of each of these characters, if it is a single one.
static TABLE: LazyLock<Vec<Option<char>>> = LazyLock::new(|| {
    let single = |code| {
        let folded = fold(char::from_u32(code)?.encode_utf8(&mut [0; 4]));
        let mut chars = folded.chars();
        chars.next().filter(|_| chars.next().is_none())
    };
    (0..TABLE_END).map(single).collect()
});

/// Appends the folded form of a text, character by character. Returns false if that is not possible, because characters
/// of it may have to be composed or reordered.
fn fold_by_character(text: &str, folded: &mut Vec<u8>) -> bool {
    if is_nfc_quick(text.chars()) != IsNormalized::Yes {
        return false;
    }
    let mut utf8 = [0; 4];
    for char in text.chars() {
        match u32::from(char) {
            code @ ..TABLE_END => match TABLE[code as usize] {
                Some(single) => folded.extend_from_slice(single.encode_utf8(&mut utf8).as_bytes()),
                None => folded.extend_from_slice(fold(char.encode_utf8(&mut utf8)).as_bytes()),
            },
            // CJK and Hangul have no case, and are composed already.
            0x3100..0xa000 | 0xac00..0xd7a4 => folded.extend_from_slice(char.encode_utf8(&mut utf8).as_bytes()),
            _ => folded.extend_from_slice(fold(char.encode_utf8(&mut utf8)).as_bytes()),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn finds(needle: &str, text: &str) -> bool {
        Needle::new(needle).is_in(text)
    }

    #[test]
    fn case_is_ignored_in_every_script() {
        for (needle, text) in [
            ("STRASSE", "Die Straße"),
            ("straße", "DIE STRASSE"),
            ("straẞe", "strasse"),
            ("ПРИВЕТ", "привет, мир"),
            ("ὈΔΥΣΣΕΎΣ", "ὀδυσσεύς"),
            ("ᾳ", "ΑΙ"),
            ("ﬁn", "FINAL"),
            ("\u{212a}elvin", "KELVIN"),
            ("dive", "DİVE".replace('İ', "I").as_str()),
        ] {
            assert!(finds(needle, text), "{needle} in {text}");
            assert!(finds(text, text), "{text} in itself");
        }
    }

    #[test]
    fn normal_form_is_ignored_but_accents_count() {
        assert!(finds("cafe\u{301}", "Café"));
        assert!(finds("CAFÉ", "cafe\u{301}!"));
        assert!(finds("각", "\u{1100}\u{1161}\u{11a8}"));
        assert!(finds("a\u{323}\u{307}", "a\u{307}\u{323}"), "the order of marks does not count");
        assert!(finds("が", "か\u{3099}"));
        assert!(!finds("e", "é"));
        assert!(!finds("é", "e"));
    }

    #[test]
    fn lines_are_searched_together() {
        for (lines, is_there) in [("abc\nSTRAsse", true), ("é\nStraße\n", true), ("stra\nsse", false), ("é\n", false)]
        {
            assert_eq!(Needle::new("straße").is_in_any(lines), is_there, "{lines:?}");
        }
    }

    #[test]
    fn a_control_character_is_found_as_it_is_shown() {
        assert!(finds("\x1b[2J", "boo ^[[2J"));
    }

    #[test]
    fn every_character_is_folded_the_same_in_a_text_as_alone() {
        // No plane beyond has letters.
        for char in '\0'..='\u{3ffff}' {
            let text = format!("é{char}x");
            let mut folded = Vec::new();
            if fold_by_character(&text, &mut folded) {
                assert_eq!(String::from_utf8(folded).unwrap(), fold(&text), "{char:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn a_part_of_a_text_is_found_in_it_whatever_its_case_and_form(
            before in "[a-zäÄßẞσςΣжЖ가 ]{0,8}", part in "[a-zäÄßẞσςΣжЖ가]{1,8}", after in "[a-zäÄßẞσςΣжЖ가 ]{0,8}",
        ) {
            let text = format!("{before}{part}{after}");
            for part in [part.to_uppercase(), part.to_lowercase(), part.nfd().collect(), part] {
                for text in [text.to_uppercase(), text.nfd().collect(), text.clone()] {
                    prop_assert!(finds(&part, &text), "{part} in {text}");
                }
            }
        }
    }
}
