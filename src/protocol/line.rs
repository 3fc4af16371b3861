//! Decodes bytes into lines: where a line ends, how long it may be, and whether it is text.
//!
//! The input comes from [`Telnet`](crate::protocol::Telnet), and the lines go to [`Command`](crate::protocol::Command).
//! The decoder holds at most one unfinished line of at most [`LINE_BYTES`]. LF, CR LF, CR NUL and a lone CR end a line.
//! How the bytes are split into reads never changes the lines.

use std::collections::VecDeque;

use crate::limits::{LINE_BYTES, UNTERMINATED_BYTES};

/// What a peer sent between two line endings. Empty lines are skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// A line of valid UTF-8 without its ending. It may contain control characters.
    Text(String),
    /// A line that is not UTF-8 (RFC 3629).
    NotUtf8,
    /// A line of more than [`LINE_BYTES`]. It is reported as soon as it is too long, and the rest is discarded.
    TooLong,
    /// More than [`UNTERMINATED_BYTES`] without a line ending, which no chat client sends. Comes once, after
    /// [`TooLong`](Line::TooLong).
    Endless,
}

impl Line {
    /// Size in bytes including the ending, as far as the line was kept.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.len() + 1,
            Self::NotUtf8 | Self::TooLong | Self::Endless => 0,
        }
    }
}

/// Decodes bytes that arrive in pieces.
#[derive(Debug, Default)]
pub struct LineDecoder {
    /// The line that has not ended yet.
    unfinished: Vec<u8>,
    /// How many bytes of the unfinished line were discarded. If this is not 0, the line was too long and has been
    /// reported.
    discarded: usize,
    /// The unfinished line was discarded by [`discard`](Self::discard). Only a line ending ends it.
    is_discarded: bool,
    /// The last byte was a CR, so an LF or NUL that follows belongs to it.
    after_cr: bool,
    first_end: FirstEnd,
}

/// How the first line ended. The peer gets its own lines with the same ending.
#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum FirstEnd {
    #[default]
    Unseen,
    /// A CR came; the next byte decides.
    Cr,
    Lf,
    CrLf,
}

impl LineDecoder {
    /// Whether the first line ended with CR LF or CR NUL, so that this peer expects CR LF.
    pub fn wants_crlf(&self) -> bool {
        self.first_end == FirstEnd::CrLf
    }

    /// Whether a line has started but not ended.
    pub fn is_inside_line(&self) -> bool {
        self.discarded > 0 || !self.unfinished.is_empty()
    }

    /// Appends the lines that `bytes` complete to `lines`, and keeps the unfinished rest.
    pub fn decode(&mut self, mut bytes: &[u8], lines: &mut VecDeque<Line>) {
        while !bytes.is_empty() {
            if std::mem::take(&mut self.after_cr) {
                let paired = matches!(bytes[0], b'\n' | 0);
                self.note_end(if paired { FirstEnd::CrLf } else { FirstEnd::Lf });
                bytes = &bytes[usize::from(paired)..];
                continue;
            }
            let Some(end) = memchr::memchr2(b'\n', b'\r', bytes) else {
                return self.append(bytes, lines);
            };
            self.append(&bytes[..end], lines);
            self.finish(lines);
            self.after_cr = bytes[end] == b'\r';
            self.note_end(if self.after_cr { FirstEnd::Cr } else { FirstEnd::Lf });
            bytes = &bytes[end + 1..];
        }
    }

    /// Discards the unfinished line, including what has yet to arrive of it. Returns false if no line has started.
    pub fn discard(&mut self) -> bool {
        if !self.is_inside_line() {
            return false;
        }
        self.discarded += std::mem::take(&mut self.unfinished).len();
        self.is_discarded = true;
        true
    }

    /// Whether the unfinished line was discarded, so that its rest will be, too.
    pub fn is_discarding(&self) -> bool {
        self.is_discarded
    }

    /// Treats the unfinished line as complete: at end of input, or after a long silence.
    pub fn finish(&mut self, lines: &mut VecDeque<Line>) {
        self.is_discarded = false;
        let bytes = std::mem::take(&mut self.unfinished);
        if std::mem::take(&mut self.discarded) == 0 && !bytes.is_empty() {
            lines.push_back(String::from_utf8(bytes).map_or(Line::NotUtf8, Line::Text));
        }
    }

    /// Removes the last character of the unfinished line.
    pub fn erase_character(&mut self) {
        // In UTF-8, all bytes of a character except the first are 10xxxxxx.
        while let Some(byte) = self.unfinished.pop()
            && byte & 0xc0 == 0x80
        {}
    }

    /// Removes the unfinished line. A discarded line stays discarded: what is typed next could still be a password.
    pub fn erase_line(&mut self) {
        if !self.is_discarded {
            self.unfinished.clear();
            self.discarded = 0;
        }
    }

    fn append(&mut self, bytes: &[u8], lines: &mut VecDeque<Line>) {
        let length = self.unfinished.len() + self.discarded + bytes.len();
        if length <= LINE_BYTES && !self.is_discarded {
            return self.unfinished.extend_from_slice(bytes);
        }
        if self.discarded == 0 {
            self.unfinished = Vec::new();
            lines.push_back(Line::TooLong);
        }
        if self.discarded <= UNTERMINATED_BYTES && length > UNTERMINATED_BYTES {
            lines.push_back(Line::Endless);
        }
        self.discarded = length;
    }

    /// The first ending decides; a CR leaves it open for one more byte.
    fn note_end(&mut self, end: FirstEnd) {
        if matches!(self.first_end, FirstEnd::Unseen | FirstEnd::Cr) {
            self.first_end = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &str) -> Line {
        Line::Text(line.to_owned())
    }

    /// All lines of `input`, split into pieces that end at `cuts`.
    fn decode(input: &[u8], cuts: &[usize]) -> (Vec<Line>, bool) {
        let (mut decoder, mut lines, mut start) = (LineDecoder::default(), VecDeque::new(), 0);
        for &cut in cuts.iter().chain([&input.len()]) {
            decoder.decode(&input[start..cut], &mut lines);
            start = cut;
        }
        decoder.finish(&mut lines);
        (lines.into(), decoder.wants_crlf())
    }

    #[test]
    fn every_kind_of_line_ending_ends_a_line() {
        let (lines, _) = decode(b"a\nb\r\nc\r\0d\re\n\n\r\nf", &[]);
        assert_eq!(lines, ["a", "b", "c", "d", "e", "f"].map(text));
    }

    #[test]
    fn the_first_line_decides_what_the_peer_wants() {
        for (input, crlf) in
            [(&b"a\nb\r\n"[..], false), (b"a\r\nb\n", true), (b"a\r\0b\n", true), (b"a\rb\r\n", false), (b"a\r", false)]
        {
            assert_eq!(decode(input, &[]).1, crlf, "{input:?}");
        }
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_byte_more_is_refused_whole() {
        let fits = "x".repeat(LINE_BYTES - 4) + "🦀";
        let over = "x".repeat(LINE_BYTES - 3) + "🦀";
        let (lines, _) = decode(format!("{fits}\n{over}\nnext\n").as_bytes(), &[]);
        assert_eq!(lines, [text(&fits), Line::TooLong, text("next")]);
    }

    #[test]
    fn a_line_without_end_is_reported_at_once_and_costs_no_memory() {
        let (mut decoder, mut lines) = (LineDecoder::default(), VecDeque::new());
        for _ in 0..1000 {
            decoder.decode(&[b'x'; 1000], &mut lines);
            assert!(decoder.unfinished.capacity() <= 2 * LINE_BYTES);
        }
        assert_eq!(lines, [Line::TooLong, Line::Endless]);
        decoder.decode(b"\nnext\n", &mut lines);
        assert_eq!(lines, [Line::TooLong, Line::Endless, text("next")]);
    }

    #[test]
    fn what_is_erased_was_never_typed() {
        let (mut decoder, mut lines) = (LineDecoder::default(), VecDeque::new());
        decoder.erase_character();
        decoder.decode("aé🦀".as_bytes(), &mut lines);
        decoder.erase_character();
        decoder.erase_character();
        decoder.decode(b"b\nsecret", &mut lines);
        decoder.erase_line();
        decoder.decode(b"c\n", &mut lines);
        assert_eq!(lines, [text("ab"), text("c")]);
    }

    #[test]
    fn an_overlong_line_that_is_erased_is_over() {
        let (mut decoder, mut lines) = (LineDecoder::default(), VecDeque::new());
        decoder.decode(&[b'x'; LINE_BYTES + 1], &mut lines);
        decoder.erase_line();
        decoder.decode(b"next\n", &mut lines);
        assert_eq!(lines, [Line::TooLong, text("next")]);
    }

    #[test]
    fn a_discarded_line_ends_with_its_line_end_only() {
        let (mut decoder, mut lines) = (LineDecoder::default(), VecDeque::new());
        assert!(!decoder.discard(), "no line has begun");
        decoder.decode(b"hunter2", &mut lines);
        assert!(decoder.discard());
        decoder.erase_line();
        decoder.decode(b"-is-my", &mut lines);
        decoder.erase_character();
        assert!(decoder.is_discarding());
        decoder.decode(b"-pass\r\nnext\nlast", &mut lines);
        assert!(!decoder.is_discarding());
        decoder.finish(&mut lines);
        assert_eq!(lines, [text("next"), text("last")]);
    }

    #[test]
    fn a_discarded_line_has_limits_too() {
        let (mut decoder, mut lines) = (LineDecoder::default(), VecDeque::new());
        decoder.decode(b"x", &mut lines);
        assert!(decoder.discard());
        decoder.decode(&[b'x'; UNTERMINATED_BYTES], &mut lines);
        assert_eq!(lines, [Line::Endless]);
    }

    #[test]
    fn invalid_utf8_affects_only_its_own_line() {
        let (lines, _) = decode(b"a\n\xc3\x28\nb\n\xe2\x82", &[]);
        assert_eq!(lines, [text("a"), Line::NotUtf8, text("b"), Line::NotUtf8]);
    }
}
