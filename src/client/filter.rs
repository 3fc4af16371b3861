//! `--lines-only`: what people said goes to standard output, and what must not be lost without a word to standard error.

use crate::protocol::ServerLine;

/// What a line of the server is. Its first characters tell, and no user can forge them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Somebody said something, to everyone or to us alone.
    Message,
    /// A notice, or the question for a password, which the client answers or ends with.
    Notice,
    /// A refusal, or the notice that lines for us were lost.
    Warning,
}

impl Kind {
    fn of(line: &[u8]) -> Self {
        match ServerLine::parse(&String::from_utf8_lossy(line)) {
            ServerLine::Said { .. } | ServerLine::Told { .. } | ServerLine::Other(_) => Self::Message,
            ServerLine::Refused { code: "password-required", .. } => Self::Notice,
            ServerLine::Refused { .. } | ServerLine::Missed(_) => Self::Warning,
            _ => Self::Notice,
        }
    }
}

/// Tells messages from notices.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// The kind of the line whose end has not come. (No line of our server is that long.)
    unfinished: Option<Kind>,
}

impl Filter {
    /// The messages among these lines, and the warnings, both byte for byte.
    pub(crate) fn filter(&mut self, lines: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut messages, mut warnings) = (Vec::new(), Vec::new());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let kind = self.unfinished.take().unwrap_or_else(|| Kind::of(line));
            match kind {
                Kind::Message => messages.extend_from_slice(line),
                Kind::Warning => warnings.extend_from_slice(line),
                Kind::Notice => {}
            }
            self.unfinished = (!line.ends_with(b"\n")).then_some(kind);
        }
        (messages, warnings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_warnings_pass_and_notices_do_not() {
        let lines =
            b"! password-required: x\n* Welcome, Bob.\nAlice: * not a notice\nAlice (privately): \xff\r\n! code: no\n* You missed 2 lines.\n";
        let (messages, warnings) = Filter::default().filter(lines);
        assert_eq!(messages, b"Alice: * not a notice\nAlice (privately): \xff\r\n");
        assert_eq!(warnings, b"! code: no\n* You missed 2 lines.\n");
    }

    #[test]
    fn a_line_in_pieces_is_one_line() {
        let mut filter = Filter::default();
        assert_eq!(filter.filter(b"* long"), (vec![], vec![]));
        assert_eq!(filter.filter(b"er\nAlice: "), (b"Alice: ".to_vec(), vec![]));
        assert_eq!(filter.filter(b"* hi\n* no\n"), (b"* hi\n".to_vec(), vec![]));
    }
}
