//! Input that tends to break things: text of unusual characters, and bytes with runs as long as the limits.

use arbitrary::{Arbitrary, Result, Unstructured};
use linechat::limits::{LINE_BYTES, SUBNEGOTIATION_BYTES, UNTERMINATED_BYTES};

/// Characters that the rules for names or text mention, or that change when normalized or compared.
const ODD_CHARACTERS: &[char] = &[
    ' ',
    '\t',
    '\r',
    '\n',
    '\0',
    '\x1b',
    '\x7f',
    ':',
    '*',
    '!',
    '<',
    '>',
    '(',
    ')',
    '/',
    ',',
    '_',
    '\'',
    'I',
    'l',
    '1',
    '\u{80}',
    '\u{85}',
    '\u{9b}',
    '\u{a0}',
    '\u{ad}',
    '\u{b7}',
    'ß',
    'İ',
    'ı',
    'ſ',
    '\u{212a}', // Kelvin
    '\u{301}',
    '\u{308}',
    '\u{345}',
    '\u{34f}',
    '\u{3099}',
    '\u{fe0f}',
    '\u{1d165}', // marks
    'Γ',
    'Ο',
    'Υ',
    'ς',
    'а',
    'е',
    'о',
    'Н',
    'ا',
    '٣',
    'א',
    '\u{fb2c}',
    'क',
    '\u{93c}',
    '\u{94d}',
    '\u{958}',
    'ア',
    'ｱ',
    '\u{ff9e}',
    '・',
    '山',
    '가',
    '\u{1100}',
    '\u{1161}',
    '\u{11a8}',
    'Ａ',
    '：',
    '！',
    '／',
    '\u{200b}',
    '\u{200c}',
    '\u{200d}',
    '\u{202e}',
    '\u{2028}',
    '\u{2060}',
    '\u{feff}',
    '\u{fffd}',
    '\u{ffff}',
    '\u{e0041}',
    '\u{e0101}',
    '\u{10ffff}',
    '☃',
    '🦀',
];

/// Words of the protocol.
const WORDS: &[&str] = &[
    "/msg ",
    "/nick ",
    "/ignore ",
    "/unignore ",
    "/quit ",
    "/ping ",
    "/ban ",
    "/mute ",
    "/register",
    " 30m ",
    "192.0.2.1 ",
    "/me ",
    "/w ",
    "/who",
    "/help",
    "//",
    "Bob",
    "everyone",
    "server",
    "* ",
    "! ",
    ": ",
    " (privately): ",
    "GET ",
    "SSH-",
];

/// Text with frequent unusual characters, words of the protocol and repetitions.
#[derive(Debug)]
pub struct Text(pub String);

impl<'a> Arbitrary<'a> for Text {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let mut text = String::new();
        while !u.is_empty() {
            match u.arbitrary::<u8>()? % 16 {
                0..=5 => text.push(char::from(u.arbitrary::<u8>()? % 128)),
                6 | 7 => text.extend(char::from_u32(u.arbitrary::<u16>()?.into())),
                8 => text.push(u.arbitrary()?),
                9..=11 => text.push(*u.choose(ODD_CHARACTERS)?),
                12 => text.push_str(u.choose(WORDS)?),
                13 | 14 => {
                    let times = u.arbitrary::<u8>()? % 40;
                    text.extend(
                        text.chars()
                            .next_back()
                            .into_iter()
                            .flat_map(|last| (0..times).map(move |_| last))
                            .collect::<Vec<_>>(),
                    );
                }
                _ => break, // What follows is for the next part of the input.
            }
        }
        Ok(Self(text))
    }
}

/// Bytes, and where to split them.
#[derive(Debug, Arbitrary)]
pub struct Bytes<'a> {
    cuts: [u16; 4],
    runs: [Run; 2],
    bytes: &'a [u8],
}

/// A byte that is repeated about as often as a limit allows. Fuzzers do not find that by themselves.
#[derive(Debug, Arbitrary)]
struct Run {
    position: u16,
    byte: u8,
    limit: u8,
    length: u8,
}

impl Bytes<'_> {
    /// The bytes with their runs.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.bytes.to_vec();
        for run in &self.runs {
            let Some(limit) = [LINE_BYTES, SUBNEGOTIATION_BYTES, UNTERMINATED_BYTES].get(usize::from(run.limit % 8))
            else {
                continue;
            };
            let position = usize::from(run.position) % (bytes.len() + 1);
            let length = limit - 8 + usize::from(run.length % 16);
            bytes.splice(position..position, std::iter::repeat_n(run.byte, length));
        }
        bytes
    }

    /// Where to split them: the position of each cut, modulo the length.
    pub fn cuts(&self) -> [usize; 4] {
        // Spread, so that a cut can be anywhere even if runs have made the bytes long.
        self.cuts.map(|cut| usize::from(cut) * 3)
    }
}
