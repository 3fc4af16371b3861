//! `--lines-only`: messages go to standard output, and warnings to standard error.

use crate::protocol::ServerLine;

/// The kind of a line from the server. The first characters tell, and no user can forge them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// A public or private message.
    Message,
    /// A notice, or the request for a password.
    Notice,
    /// A refusal, or the notice that lines were lost.
    Warning,
}

impl Kind {
    fn of(line: &[u8]) -> Self {
        match ServerLine::parse(&String::from_utf8_lossy(line)) {
            ServerLine::Said { .. }
            | ServerLine::Heard { .. }
            | ServerLine::Numbered { .. }
            | ServerLine::Replayed { .. }
            | ServerLine::Told { .. }
            | ServerLine::Other(_) => Self::Message,
            ServerLine::Refused { code: "password-required", .. } => Self::Notice,
            ServerLine::Refused { .. } | ServerLine::Missed { .. } => Self::Warning,
            _ => Self::Notice,
        }
    }
}

/// Separates messages and warnings from notices.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// The kind of a line that has not ended yet. (Our server sends no line that long.)
    unfinished: Option<Kind>,
}

impl Filter {
    /// Returns the messages and the warnings among these lines, unchanged.
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
    fn messages_and_warnings_are_kept_and_notices_are_dropped() {
        let lines =
            b"! password-required: x\n* Welcome, Bob.\nAlice: * not a notice\n#ops Al: hi\nAlice (privately): \xff\r\n! code: no\n* You missed 2 lines.\n";
        let (messages, warnings) = Filter::default().filter(lines);
        assert_eq!(messages, b"Alice: * not a notice\n#ops Al: hi\nAlice (privately): \xff\r\n");
        assert_eq!(warnings, b"! code: no\n* You missed 2 lines.\n");
    }

    #[test]
    fn all_pieces_of_a_line_have_the_same_kind() {
        let mut filter = Filter::default();
        assert_eq!(filter.filter(b"* long"), (vec![], vec![]));
        assert_eq!(filter.filter(b"er\nAlice: "), (b"Alice: ".to_vec(), vec![]));
        assert_eq!(filter.filter(b"* hi\n* no\n"), (b"* hi\n".to_vec(), vec![]));
    }
}
