//! Text that is safe for a terminal, a socket and the log.
//!
//! Peers read at bare terminals (`nc`, `telnet`), so a control character from one peer must never act on the screen of
//! another. Nothing is dropped: dangerous characters are shown in a readable form.

use std::fmt;

use unicode_normalization::char::is_combining_mark;

use crate::limits::MARKS_IN_A_ROW;

/// Text that neither acts on a terminal nor hides from its reader.
///
/// C0 controls (except TAB) and DEL are shown in caret notation (`^[`). C1 controls, line separators, bidirectional
/// controls, other invisible characters and noncharacters are shown as `<U+202E>`. So are combining marks beyond
/// [`MARKS_IN_A_ROW`], which cover other lines and have crashed terminals. Joiners (ZWJ, ZWNJ) and variation selectors
/// stay, because emoji and several scripts need them, but they do not end a row of marks. Text grows at most fourfold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SafeText(String);

impl SafeText {
    /// Makes `text` safe. Does not copy it if it is already safe.
    pub fn new(text: String) -> Self {
        if text.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')) {
            return Self(text);
        }
        let mut marks = 0;
        let first_unsafe = text.char_indices().find(|&(_, char)| !passes(char, &mut marks));
        let Some((start, _)) = first_unsafe else { return Self(text) };
        let mut safe = String::with_capacity(text.len() + 16);
        safe.push_str(&text[..start]);
        marks = marks.min(MARKS_IN_A_ROW);
        for char in text[start..].chars() {
            match char {
                _ if passes(char, &mut marks) => safe.push(char),
                // Caret notation flips bit 6: ESC (0x1B) is ^[ and DEL (0x7F) is ^?.
                '\0'..='\x1f' | '\x7f' => safe.extend(['^', char::from(char as u8 ^ 0x40)]),
                _ => safe.push_str(&format!("<U+{:04X}>", u32::from(char))),
            }
        }
        // The history keeps it for long.
        safe.shrink_to_fit();
        Self(safe)
    }

    /// The first `limit` characters of `text`, made safe. An ellipsis marks what is left out.
    pub fn excerpt(text: &str, limit: usize) -> Self {
        match text.char_indices().nth(limit) {
            None => Self::new(text.to_owned()),
            Some((end, _)) => Self::new(format!("{}…", &text[..end])),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character may be shown as it is after this many marks in a row. Updates the count.
fn passes(char: char, marks: &mut usize) -> bool {
    *marks = match char {
        // Marks that follow are placed on the escape.
        _ if is_unsafe(char) => 0,
        // These are invisible, so the marks around them form one row. Selectors are marks.
        '\u{200c}' | '\u{200d}' => return true,
        _ if is_combining_mark(char) => *marks + 1,
        _ => 0,
    };
    !is_unsafe(char) && *marks <= MARKS_IN_A_ROW
}

/// Whether a character could act on a terminal, end a line for some readers, or hide (RFC 9839; and
/// Default_Ignorable_Code_Point and the category Cf of Unicode 16).
///
/// Of those, these stay: the joiners, the variation selectors (180B..180D, 180F, FE00..FE0F, E0100..E01EF), and the
/// visible format characters of Arabic, Syriac and Kaithi.
pub fn is_unsafe(char: char) -> bool {
    match char {
        '\t' => false,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' => true,
        ' '..='\u{ac}' => false,
        '\u{ad}' // soft hyphen
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' // bidi controls
        | '\u{2028}' | '\u{2029}' // line and paragraph separator
        | '\u{34f}' // combining grapheme joiner, which joins nothing
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
        | '\u{17b4}' | '\u{17b5}' // inherent vowels of Khmer
        | '\u{180e}' | '\u{200b}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{feff}' // invisible
        | '\u{fdd0}'..='\u{fdef}' // noncharacters
        | '\u{fff0}'..='\u{fff8}' // unassigned, to be invisible
        | '\u{fff9}'..='\u{fffb}' // interlinear annotation
        | '\u{13430}'..='\u{1343f}' // Egyptian format controls
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' // shorthand and musical format controls
        | '\u{e0000}'..='\u{e00ff}' | '\u{e01f0}'..='\u{e0fff}' // tags, and unassigned, to be invisible
        => true,
        _ => u32::from(char) & 0xfffe == 0xfffe, // the last two of each plane are noncharacters
    }
}

/// Whether a reader cannot see this character: white space, everything in [`is_unsafe`], joiners, variation selectors,
/// and the Braille blank.
pub fn is_invisible(char: char) -> bool {
    char.is_whitespace()
        || is_unsafe(char)
        || matches!(char, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{200c}' | '\u{200d}' | '\u{2800}')
        || matches!(char, '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn safe(text: &str) -> String {
        SafeText::new(text.to_owned()).0
    }

    #[test]
    fn honest_text_is_not_touched() {
        for text in ["hello\tworld ~", "Zoë, Дмитрий, 山田, مريم, राम", "👩\u{200d}💻 ☕\u{fe0f} می\u{200c}خواهم", ""]
        {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn a_screen_clear_is_shown_instead_of_done() {
        assert_eq!(safe("\x1b[2Jboo\x07\0\x7f"), "^[[2Jboo^G^@^?");
    }

    #[test]
    fn an_eight_bit_escape_is_shown() {
        assert_eq!(safe("\u{9b}2J\u{85}"), "<U+009B>2J<U+0085>");
    }

    #[test]
    fn a_carriage_return_cannot_overwrite_the_name() {
        assert_eq!(safe("x\rAlice: hi\nBob: hi"), "x^MAlice: hi^JBob: hi");
    }

    #[test]
    fn a_right_to_left_override_is_shown() {
        assert_eq!(safe("gpj\u{202e}exe"), "gpj<U+202E>exe");
        assert_eq!(safe("\u{2028}\u{feff}\u{e0041}\u{10ffff}"), "<U+2028><U+FEFF><U+E0041><U+10FFFF>");
    }

    #[test]
    fn a_pile_of_combining_marks_is_cut_down_and_shown() {
        let (eight, nine) = ("\u{301}".repeat(8), "\u{301}".repeat(9));
        assert_eq!(safe(&format!("e{eight}, e{eight}")), format!("e{eight}, e{eight}"));
        assert_eq!(safe(&format!("e{nine}\u{302}, e{nine}")), format!("e{eight}<U+0301><U+0302>, e{eight}<U+0301>"));
    }

    #[test]
    fn joiners_and_selectors_do_not_reset_the_count_of_marks() {
        let eight = "\u{301}".repeat(8);
        for joiner in ["\u{200c}", "\u{200d}", "\u{200d}\u{200c}"] {
            assert_eq!(
                safe(&format!("e{eight}{joiner}\u{301}{joiner}\u{302}a{eight}")),
                format!("e{eight}{joiner}<U+0301>{joiner}<U+0302>a{eight}")
            );
        }
        // Selectors are marks themselves.
        for selector in ['\u{180b}', '\u{180f}', '\u{fe00}', '\u{fe0f}', '\u{e0100}', '\u{e01ef}'] {
            let code = u32::from(selector);
            assert_eq!(safe(&format!("e{eight}{selector}\u{301}")), format!("e{eight}<U+{code:04X}><U+0301>"));
        }
        // Marks can be placed on an escape.
        assert_eq!(safe(&format!("e{eight}\u{34f}{eight}")), format!("e{eight}<U+034F>{eight}"));
    }

    #[test]
    fn joiners_and_selectors_stay_where_scripts_and_emoji_need_them() {
        let long =
            "क्\u{200d}षि".repeat(20) + &"می\u{200c}خواهم".repeat(20) + &"👩🏽\u{200d}❤\u{fe0f}\u{200d}👩".repeat(20);
        for text in ["🏳\u{fe0f}\u{200d}🌈", "1\u{fe0f}\u{20e3}", "ᠠ\u{180b}", "葛\u{e0100}", "\u{2800}", &long]
        {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn invisible_characters_are_escaped_and_visible_ones_are_kept() {
        for char in ["\u{34f}", "\u{115f}", "\u{1160}", "\u{3164}", "\u{ffa0}", "\u{17b4}", "\u{17b5}", "\u{13430}"] {
            let code = u32::from(char.chars().next().unwrap());
            assert_eq!(safe(&format!("a{char}b")), format!("a<U+{code:04X}>b"));
        }
        for text in
            ["\u{600}١", "\u{605}", "\u{6dd}", "\u{70f}ܐ", "\u{890}", "\u{891}", "\u{8e2}", "\u{110bd}\u{110cd}"]
        {
            assert_eq!(safe(text), text);
        }
    }

    #[test]
    fn every_scalar_value_is_shown_as_it_is_or_as_its_escape() {
        for char in '\0'..=char::MAX {
            let shown = safe(&char.to_string());
            assert!(!shown.contains(is_unsafe), "{char:?}");
            assert!(shown.len() <= 4 * char.len_utf8(), "{char:?} grows to {shown}");
            assert_eq!(shown == char.to_string(), !is_unsafe(char), "{char:?}");
        }
    }

    #[test]
    fn an_excerpt_is_cut_between_characters() {
        assert_eq!(SafeText::excerpt("äöü", 3).as_str(), "äöü");
        assert_eq!(SafeText::excerpt("äöüx", 3).as_str(), "äöü…");
    }
}
