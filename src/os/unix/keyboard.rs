//! The keyboard input, filtered before the editor reads it.
//!
//! rustyline fails at a byte that is not UTF-8, and loses its buffer. After the start of a paste or an escape sequence,
//! it reads until the end without showing messages. So the editor reads a pseudo-terminal, to which the filter writes
//! only valid and complete input.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::stdio::dup2_stdin;
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use zeroize::{Zeroize, Zeroizing};

use crate::limits::{FOREGROUND_LOOK, KEY_SILENCE, PASTE_SILENCE};
use crate::model::SafeText;
use crate::os::unix::terminal::{is_foreground, of_editor};

/// A key that nobody can press. It makes the editor change its prompt.
pub(crate) const PROMPT_KEY: char = '\u{ffff}';

const ESC: char = '\x1b';
const CTRL_C: char = '\x03';
const PASTE_START: &str = "\x1b[200~";
const PASTE_END: &str = "\x1b[201~";

/// Replaces standard input with a pseudo-terminal, and starts a thread that copies the filtered input of `terminal` to it.
/// When `terminal` hangs up, so does the pseudo-terminal. For each byte that is written to the returned pipe, the editor
/// gets [`PROMPT_KEY`].
///
/// # Errors
/// When no pseudo-terminal can be created.
pub(crate) fn start(terminal: OwnedFd) -> io::Result<PipeWriter> {
    let editor = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&editor)?;
    unlockpt(&editor)?;
    let path = ptsname(&editor, Vec::new())?.into_string().map_err(io::Error::other)?;
    let flags = OpenptFlags::NOCTTY.bits().cast_signed();
    let input = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)?;
    // Raw mode, so that no key is echoed or edited before the editor starts. The special keys have their default
    // values.
    tcsetattr(&input, OptionalActions::Now, &of_editor(&tcgetattr(&input)?))?;
    dup2_stdin(&input)?;
    let (prompts, change_prompt) = io::pipe()?;
    thread::Builder::new().spawn(move || copy(&File::from(terminal), &prompts, &File::from(editor)))?;
    Ok(change_prompt)
}

/// Copies input until the terminal hangs up.
fn copy(mut terminal: &File, mut prompts: &PipeReader, mut editor: &File) {
    let mut filter = Filter::default();
    let mut buffer = Zeroizing::new([0; 4096]);
    loop {
        let silence = filter
            .waits()
            .map(|time| Timespec { tv_sec: time.as_secs().cast_signed(), tv_nsec: time.subsec_nanos().into() });
        let mut ready = [PollFd::new(terminal, PollFlags::IN), PollFd::new(prompts, PollFlags::IN)];
        let keys = match poll(&mut ready, silence.as_ref()) {
            Ok(0) => filter.silence(),
            // The input is for the foreground process.
            Ok(_) if !is_foreground() => {
                thread::sleep(FOREGROUND_LOOK);
                continue;
            }
            Ok(_) if ready[1].revents().contains(PollFlags::IN) => match prompts.read(&mut *buffer) {
                // Between two keys: what the filter holds back is no key yet.
                Ok(_) => Zeroizing::new(PROMPT_KEY.into()),
                Err(_) => return,
            },
            Ok(_) => match terminal.read(&mut *buffer) {
                Ok(0) => return,
                Ok(count) => filter.push(&buffer[..count]),
                Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {
                    continue;
                }
                // EIO: it was moved to the background just now.
                Err(_) if !is_foreground() => continue,
                Err(_) => return,
            },
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return,
        };
        if editor.write_all(keys.as_bytes()).is_err() {
            return;
        }
    }
}

/// Turns any bytes into input that the editor can read. It has no clock: the caller measures the silence.
#[derive(Default)]
struct Filter {
    /// An incomplete UTF-8 character.
    bytes: Vec<u8>,
    /// An incomplete escape sequence. In a paste, an incomplete end marker.
    held: String,
    paste: Option<Zeroizing<String>>,
    /// Input that is ready for the editor.
    keys: Zeroizing<String>,
}

/// What the filter does with a sequence that starts with ESC.
#[derive(Debug, PartialEq, Eq)]
enum Sequence {
    Unfinished,
    /// The editor reads exactly this much as one key.
    Key,
    /// The editor would read a part of it as text, so it is dropped.
    Unknown,
    /// The last character does not belong to it. The rest is dropped.
    Broken,
}

impl Filter {
    /// Adds input. Returns what the editor may read now.
    fn push(&mut self, bytes: &[u8]) -> Zeroizing<String> {
        self.bytes.extend_from_slice(bytes);
        let bytes = Zeroizing::new(std::mem::take(&mut self.bytes));
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            chunk.valid().chars().for_each(|char| self.take(char));
            match chunk.invalid() {
                [] => {}
                rest if chunks.peek().is_none() && is_beginning(rest) => self.bytes.extend_from_slice(rest),
                _ => self.take(char::REPLACEMENT_CHARACTER),
            }
        }
        std::mem::take(&mut self.keys)
    }

    /// How long to wait for more input before calling [`Self::silence`]. `None` if nothing is held back.
    fn waits(&self) -> Option<Duration> {
        match (&self.paste, self.bytes.is_empty() && self.held.is_empty()) {
            (Some(_), _) => Some(PASTE_SILENCE),
            (None, false) => Some(KEY_SILENCE),
            (None, true) => None,
        }
    }

    /// No input came for that long. Returns what the editor may read now.
    fn silence(&mut self) -> Zeroizing<String> {
        if !self.bytes.is_empty() {
            self.bytes.zeroize();
            self.take(char::REPLACEMENT_CHARACTER);
        }
        if self.paste.is_some() {
            self.end_paste();
        } else if std::mem::take(&mut self.held).ends_with(ESC) {
            self.keys.push(ESC);
        }
        std::mem::take(&mut self.keys)
    }

    fn take(&mut self, char: char) {
        match &self.paste {
            Some(_) => self.take_pasted(char),
            None => self.take_key(char),
        }
    }

    fn take_key(&mut self, char: char) {
        if self.held.is_empty() && char != ESC {
            return self.keys.push(if char == PROMPT_KEY { char::REPLACEMENT_CHARACTER } else { char });
        }
        self.held.push(char);
        match sequence(&self.held) {
            Sequence::Unfinished => return,
            Sequence::Key => self.keys.push_str(&self.held),
            Sequence::Unknown if self.held.ends_with(PASTE_START) => self.paste = Some(Zeroizing::default()),
            Sequence::Unknown => {}
            Sequence::Broken => {
                self.held.clear();
                return self.take_key(char);
            }
        }
        self.held.clear();
    }

    fn take_pasted(&mut self, char: char) {
        if self.held.is_empty() && char != ESC {
            return self.add_pasted(char);
        }
        self.held.push(char);
        if self.held == PASTE_END {
            self.held.clear();
            self.end_paste();
        } else if !PASTE_END.starts_with(&self.held) {
            // It was not the end marker, but this character may start one.
            self.held.pop();
            self.give_up_end();
            if char == ESC { self.held.push(char) } else { self.add_pasted(char) }
        }
    }

    /// Adds a character to the paste. Ctrl-C ends the paste and then acts as a key.
    fn add_pasted(&mut self, char: char) {
        match &mut self.paste {
            _ if char == CTRL_C => {
                self.end_paste();
                self.keys.push(char);
            }
            // Shown as readers will see it. The editor would act on ESC.
            Some(paste) if char.is_control() && !matches!(char, '\t' | '\n' | '\r') => {
                paste.push_str(SafeText::new(char.into()).as_str());
            }
            Some(paste) => paste.push(char),
            None => {}
        }
    }

    /// Adds a part of an end marker to the paste as text.
    fn give_up_end(&mut self) {
        let held = std::mem::take(&mut self.held);
        held.chars().for_each(|char| self.add_pasted(char));
    }

    /// Gives the editor the whole paste at once.
    fn end_paste(&mut self) {
        self.give_up_end();
        if let Some(paste) = self.paste.take() {
            self.keys.extend([PASTE_START, paste.as_str(), PASTE_END]);
        }
    }
}

/// Whether these bytes are an incomplete UTF-8 character.
fn is_beginning(bytes: &[u8]) -> bool {
    str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

/// Classifies the text of a sequence by ECMA-48 and by what rustyline reads. A second ESC means Alt.
fn sequence(text: &str) -> Sequence {
    let mut rest = text.chars();
    rest.next();
    let mut first = rest.next();
    if first == Some(ESC) {
        first = rest.next();
    }
    match first {
        None => Sequence::Unfinished,
        Some(ESC) => Sequence::Broken,
        Some('[') => control_sequence(rest.as_str()),
        Some('O') => single_shift(rest.as_str()),
        Some(_) => Sequence::Key,
    }
}

/// Classifies what follows `ESC [`.
fn control_sequence(text: &str) -> Sequence {
    let (parameters, last) = match text.char_indices().next_back() {
        None => return Sequence::Unfinished,
        Some((at, last)) => (&text[..at], last),
    };
    let is_short = |number: &str, digits| number.len() == digits && !number.starts_with(['0', '9']);
    match last {
        // F1 to F5 on the Linux console.
        '[' if parameters.is_empty() => Sequence::Unfinished,
        // A key with Shift in rxvt.
        '$' if is_digits(parameters) && is_short(parameters, 1) => Sequence::Key,
        ' '..='?' => Sequence::Unfinished,
        '@'..='~' => {
            let (number, modifier) = parameters.split_once(';').unwrap_or((parameters, "1"));
            let is_known = modifier.len() == 1
                && is_digits(modifier)
                && is_digits(number)
                && (is_short(number, 1) || is_short(number, 2) && last == '~');
            if parameters.is_empty() || parameters == "[" || is_known { Sequence::Key } else { Sequence::Unknown }
        }
        _ => Sequence::Broken,
    }
}

/// Classifies what follows `ESC O`.
fn single_shift(text: &str) -> Sequence {
    match text.chars().next_back() {
        None | Some('0'..='9' | ';') => Sequence::Unfinished,
        Some('@'..='~') if text.len() == 1 => Sequence::Key,
        Some(' '..='~') => Sequence::Unknown,
        Some(_) => Sequence::Broken,
    }
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the editor gets for these bytes, before and after a silence.
    fn filtered(bytes: &[u8]) -> (String, String) {
        let mut filter = Filter::default();
        let keys = filter.push(bytes);
        (keys.to_string(), filter.silence().to_string())
    }

    #[track_caller]
    fn gets(bytes: &[u8], keys: &str) {
        assert_eq!(filtered(bytes), (keys.to_owned(), String::new()), "{:?}", bytes.escape_ascii().to_string());
    }

    #[test]
    fn bytes_that_are_not_utf8_become_replacement_characters() {
        gets("zoë 世界 👩‍👧\0\r".as_bytes(), "zoë 世界 👩‍👧\0\r");
        gets(b"sch\xf6n", "sch\u{fffd}n");
        gets("\u{ffff}".as_bytes(), "\u{fffd}");
        gets(b"\xe4\xe4 \xc3\x1b[A\xff\r", "\u{fffd}\u{fffd} \u{fffd}\x1b[A\u{fffd}\r");
        // It may be the start of a character.
        assert_eq!(filtered(b"x\xe4"), ("x".to_owned(), "\u{fffd}".to_owned()));
    }

    #[test]
    fn unknown_escape_sequences_are_dropped() {
        let known = [
            "\x1b[A",
            "\x1bOA",
            "\x1b[Z",
            "\x1b[3~",
            "\x1b[15~",
            "\x1b[1;5C",
            "\x1b[3;2~",
            "\x1b[15;5~",
            "\x1b[[A",
            "\x1b[5$",
            "\x1b\x1b[A",
            "\x1bb",
            "\x1b<",
            "\x1b\r",
            "\x1bä",
            "\x1b[I",
            "\x1b[M",
        ];
        for key in known {
            gets(format!("a{key}b").as_bytes(), &format!("a{key}b"));
        }
        let others = [
            "\x1b[97;5u",
            "\x1b[<0;10;20M",
            "\x1b[?1;2c",
            "\x1b[12;34R",
            "\x1b[1;10A",
            "\x1b[999~",
            "\x1b[9A",
            "\x1b[0n",
            "\x1b[ q",
            "\x1b[1;5;3A",
            "\x1b[201~",
            "\x1bO5P",
            "\x1b[;A",
            "\x1b[?2026;1$y",
            "\x1b\x1b[97u",
        ];
        for key in others {
            gets(format!("a{key}b").as_bytes(), "ab");
        }
        // A character that does not belong to the sequence is a key of its own.
        gets(b"\x1b[1\r\x1bO\x03\x1b[\x1b[A\x1b[\xff", "\r\x03\x1b[A\u{fffd}");
        gets(b"\x1b\x1b\x1bb", "\x1bb");
    }

    #[test]
    fn an_incomplete_key_is_held_back_until_a_silence() {
        for (half, key) in [("\x1b", "\x1b"), ("\x1b\x1b", "\x1b"), ("\x1b[", ""), ("\x1bO", ""), ("\x1b[1;", "")] {
            let mut filter = Filter::default();
            assert_eq!(filter.push(half.as_bytes()).as_str(), "");
            assert_eq!(filter.waits(), Some(KEY_SILENCE));
            assert_eq!(filter.silence().as_str(), key, "{half:?}");
            assert_eq!((filter.push(b"d").as_str(), filter.waits()), ("d", None));
        }
    }

    #[test]
    fn a_paste_is_passed_on_when_it_ends() {
        gets(b"a\x1b[200~b\r\nc\td\x1b[201~e", "a\x1b[200~b\r\nc\td\x1b[201~e");
        gets(b"\x1b\x1b[200~b\x1b[201~", "\x1b[200~b\x1b[201~");
        gets(b"\x1b[200~sch\xf6n\x1b[201~", "\x1b[200~sch\u{fffd}n\x1b[201~");
        assert_eq!(filtered(b"\x1b[200~x\r"), (String::new(), "\x1b[200~x\r\x1b[201~".to_owned()));
        assert_eq!(filtered(b"\x1b[200~x\x1b[20"), (String::new(), "\x1b[200~x^[[20\x1b[201~".to_owned()));
        assert_eq!(filtered(b"\x1b[200~x\xe4"), (String::new(), "\x1b[200~x\u{fffd}\x1b[201~".to_owned()));
        let mut filter = Filter::default();
        filter.push(b"\x1b[200~x");
        assert_eq!(filter.waits(), Some(PASTE_SILENCE));
        assert_eq!(filter.push(b"y\x03z").as_str(), "\x1b[200~xy\x1b[201~\x03z");
        assert_eq!(filter.waits(), None);
        filter.push(b"\x1b[200~x\x1b[20");
        assert_eq!(filter.push(b"\x03").as_str(), "\x1b[200~x^[[20\x1b[201~\x03");
    }

    #[test]
    fn control_characters_in_a_paste_become_visible_text() {
        let pasted = |text: &str| filtered(format!("\x1b[200~{text}\x1b[201~").as_bytes()).0;
        let shown = |text: &str| format!("\x1b[200~{text}\x1b[201~");
        assert_eq!(pasted("a\x1b[31mb\x1b[A\x1bx\x1b"), shown("a^[[31mb^[[A^[x^["));
        assert_eq!(pasted("\x1b\x1b[20\x1b[200~\0\x7f\u{9b}"), shown("^[^[[20^[[200~^@^?<U+009B>"));
    }

    #[test]
    fn input_may_be_split_anywhere() {
        let bytes = "ä\x1b[1;5C\x1b[97;5u\x1b[200~世\x1b[20\x1b[201~\x1bOA".as_bytes();
        for second in 0..=bytes.len() {
            let mut filter = Filter::default();
            let (first, second) = bytes.split_at(second);
            let keys = filter.push(first).to_string() + filter.push(second).as_str();
            assert_eq!(keys, "ä\x1b[1;5C\x1b[200~世^[[20\x1b[201~\x1bOA");
        }
    }
}
