//! Text from any system: UTF-8 with or without a byte order mark, or UTF-16 with one, as Windows writes it.

use zeroize::Zeroizing;

/// The byte order mark of UTF-8. Some editors put it at the start of a file.
pub(crate) const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
const MARKS: [(&[u8], Encoding); 3] = [
    (UTF8_MARK, Encoding::Utf8),
    (b"\xff\xfe", Encoding::Utf16(u16::from_le_bytes)),
    (b"\xfe\xff", Encoding::Utf16(u16::from_be_bytes)),
];

/// Turns text that arrives in pieces into UTF-8. A byte order mark at the start tells the encoding, and is removed. Bytes
/// that are not UTF-8 stay as they are. What is not UTF-16 becomes U+FFFD.
#[derive(Debug, Default)]
pub(crate) struct TextDecoder {
    encoding: Encoding,
    /// The start of a mark, or an incomplete character of UTF-16.
    rest: Zeroizing<Vec<u8>>,
}

#[derive(Debug, Clone, Copy, Default)]
enum Encoding {
    /// The start of the text has not arrived.
    #[default]
    Unknown,
    Utf8,
    Utf16(fn([u8; 2]) -> u16),
}

impl TextDecoder {
    /// Decodes the next bytes.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Zeroizing<Vec<u8>> {
        let mut all = Zeroizing::new(Vec::with_capacity(self.rest.len() + bytes.len()));
        all.extend_from_slice(&self.rest);
        all.extend_from_slice(bytes);
        self.rest.clear();
        let mut text = &all[..];
        if let Encoding::Unknown = self.encoding {
            if MARKS.iter().any(|(mark, _)| text.len() < mark.len() && mark.starts_with(text)) {
                self.rest = all;
                return Zeroizing::default();
            }
            let mark = MARKS.iter().find(|(mark, _)| text.starts_with(mark));
            let (mark, encoding) = mark.copied().unwrap_or((b"", Encoding::Utf8));
            (self.encoding, text) = (encoding, &text[mark.len()..]);
        }
        let Encoding::Utf16(unit) = self.encoding else { return Zeroizing::new(text.to_vec()) };
        let is_first_half = |pair: &[u8]| matches!(unit([pair[0], pair[1]]), 0xd800..=0xdbff);
        let mut end = text.len() - text.len() % 2;
        if end >= 2 && is_first_half(&text[end - 2..end]) {
            end -= 2;
        }
        self.rest.extend_from_slice(&text[end..]);
        decode_utf16(&text[..end], unit)
    }

    /// What is left at the end of the text.
    pub(crate) fn finish(&mut self) -> Zeroizing<Vec<u8>> {
        let rest = std::mem::take(&mut self.rest);
        match self.encoding {
            Encoding::Utf16(_) if !rest.is_empty() => Zeroizing::new("\u{fffd}".into()),
            _ => rest,
        }
    }
}

/// The whole text of a file as UTF-8.
pub(crate) fn to_utf8(bytes: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut decoder = TextDecoder::default();
    let mut text = decoder.decode(bytes);
    // Only a part of a mark or of a character, so that a buffer that grows copies nothing of value.
    text.extend_from_slice(&decoder.finish());
    text
}

fn decode_utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Zeroizing<Vec<u8>> {
    let units = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]]));
    // Three bytes for each unit are enough, so the buffer never grows, which would leave copies of a password.
    let mut text = Zeroizing::new(Vec::with_capacity(bytes.len() / 2 * 3));
    for char in char::decode_utf16(units) {
        text.extend_from_slice(char.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]).as_bytes());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "zoë 世界 👩‍👧\r\n";

    fn utf16(bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        format!("\u{feff}{TEXT}").encode_utf16().flat_map(bytes).collect()
    }

    /// The text when it arrives in pieces of this many bytes.
    fn decoded(bytes: &[u8], size: usize) -> Vec<u8> {
        let mut decoder = TextDecoder::default();
        let mut text: Vec<u8> = bytes.chunks(size).flat_map(|piece| decoder.decode(piece).to_vec()).collect();
        text.extend_from_slice(&decoder.finish());
        text
    }

    #[test]
    fn every_encoding_may_be_split_anywhere() {
        let marked = format!("\u{feff}{TEXT}").into_bytes();
        for bytes in [TEXT.as_bytes(), &marked, &utf16(u16::to_le_bytes), &utf16(u16::to_be_bytes)] {
            for size in 1..=bytes.len() {
                assert_eq!(decoded(bytes, size), TEXT.as_bytes(), "{size}");
            }
        }
    }

    #[test]
    fn only_the_first_mark_is_removed() {
        assert_eq!(to_utf8("\u{feff}\u{feff}a".as_bytes()).as_slice(), "\u{feff}a".as_bytes());
        assert_eq!(to_utf8(b"a\xff\xfe").as_slice(), b"a\xff\xfe");
    }

    #[test]
    fn invalid_text_is_kept_or_replaced() {
        assert_eq!(to_utf8(b"a\xe4\xff").as_slice(), b"a\xe4\xff");
        // Half a mark is not a mark.
        assert_eq!(to_utf8(b"\xef\xbb").as_slice(), b"\xef\xbb");
        assert_eq!(to_utf8(b"\xff").as_slice(), b"\xff");
        // Half a character, and a half of a pair.
        assert_eq!(to_utf8(b"\xff\xfea\0b").as_slice(), "a\u{fffd}".as_bytes());
        assert_eq!(to_utf8(b"\xff\xfe\x00\xd8a\0").as_slice(), "\u{fffd}a".as_bytes());
        assert_eq!(to_utf8(b"\xff\xfea\0\x00\xd8").as_slice(), "a\u{fffd}".as_bytes());
    }
}
