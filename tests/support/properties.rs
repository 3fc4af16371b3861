//! The properties of the protocol, each as a function that panics if its input breaks it.
//!
//! The property tests and the fuzz targets call them, so they do not depend on a fuzzer.

use std::collections::{HashSet, VecDeque};
use std::time::{Duration, SystemTime};

use linechat::limits::{LINE_BYTES, MARKS_IN_A_ROW, NAME_CHARS, TELNET_ANSWERS, UNTERMINATED_BYTES};
use linechat::model::text::{is_invisible, is_unsafe};
use linechat::model::{Message, Name, RoomName, SafeText, Timestamp};
use linechat::protocol::{
    Command, Dialect, Line, LineDecoder, LoginLine, ModerationCommand, OtherProtocol, Piece, Refusal, Reply, Sniffer,
    Telnet, TopicChange,
};
use unicode_normalization::char::is_combining_mark;

const IAC: u8 = 255;

/// However bytes are split, they give the same bounded lines and the same few replies.
pub fn decoder(bytes: &[u8], cuts: &[usize]) {
    let whole = Decoded::of([bytes]);
    check_lines(&whole.lines, bytes.len());
    check_answers(&whole.answers);
    assert!(whole.answers.is_empty() || whole.is_spoken, "answered a peer that speaks no telnet");
    if !bytes.contains(&IAC) {
        assert!(!whole.is_spoken, "took plain text for telnet");
        assert_eq!(whole.lines, lines_of_plain(bytes), "plain text made other lines");
        assert_eq!(whole.wants_crlf, plain_wants_crlf(bytes));
    }

    let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    assert_eq!(Decoded::of(cuts.windows(2).map(|ends| &bytes[ends[0]..ends[1]])), whole, "split at {cuts:?}");
    assert_eq!(Decoded::of(bytes.chunks(1)), whole, "byte by byte");
}

/// What a connection makes of its bytes.
#[derive(Debug, PartialEq)]
struct Decoded {
    lines: Vec<Line>,
    answers: Vec<u8>,
    is_inside_line: bool,
    wants_crlf: bool,
    is_spoken: bool,
}

impl Decoded {
    fn of<'a>(reads: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let (mut telnet, mut decoder) = (Telnet::default(), LineDecoder::default());
        let (mut lines, mut answers) = (VecDeque::new(), Vec::new());
        for read in reads {
            telnet.decode(read, |piece| match piece {
                Piece::Text(text) => decoder.decode(text, &mut lines),
                Piece::EraseCharacter => decoder.erase_character(),
                Piece::EraseLine => decoder.erase_line(),
            });
            answers.extend(telnet.take_answers());
        }
        let is_inside_line = decoder.is_inside_line();
        decoder.finish(&mut lines);
        Self {
            lines: lines.into(),
            answers,
            is_inside_line,
            wants_crlf: decoder.wants_crlf(),
            is_spoken: telnet.is_spoken(),
        }
    }
}

fn check_lines(lines: &[Line], input: usize) {
    let mut bytes = 0;
    for (at, line) in lines.iter().enumerate() {
        match line {
            Line::Text(text) => {
                assert!((1..=LINE_BYTES).contains(&text.len()), "a line of {} bytes", text.len());
                assert!(!text.contains(['\n', '\r']), "a line end in {text:?}");
                bytes += text.len();
            }
            Line::NotUtf8 => bytes += 1,
            Line::TooLong => bytes += LINE_BYTES + 1,
            Line::Endless => {
                assert_eq!(at.checked_sub(1).map(|before| &lines[before]), Some(&Line::TooLong));
                bytes += UNTERMINATED_BYTES - LINE_BYTES;
            }
        }
    }
    assert!(bytes <= input, "{input} bytes made lines of {bytes}");
}

/// Every reply is a known one, an option is refused once, and the number of replies is bounded.
fn check_answers(mut answers: &[u8]) {
    let (mut count, mut refused) = (0, HashSet::new());
    while !answers.is_empty() {
        let length = match answers {
            [b'[', b'y', b'e', b's', b']', b'\r', b'\n', ..] => 7,
            [IAC, 251, 6, ..] => 3, // WILL TIMING-MARK
            [IAC, verb @ (252 | 254), option, ..] => {
                assert!(refused.insert((verb, option)), "refused {verb} {option} twice");
                3
            }
            other => panic!("no answer of ours: {other:?}"),
        };
        answers = &answers[length..];
        count += 1;
    }
    assert!(count <= TELNET_ANSWERS, "{count} answers");
}

/// The rule for lines, stated directly, for complete bytes without telnet commands.
fn lines_of_plain(bytes: &[u8]) -> Vec<Line> {
    let (mut plain, mut bytes) = (Vec::new(), bytes.iter().copied().peekable());
    while let Some(byte) = bytes.next() {
        if byte == b'\r' {
            bytes.next_if(|next| matches!(next, b'\n' | 0));
        }
        plain.push(if byte == b'\r' { b'\n' } else { byte });
    }
    let lines = plain.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
    lines
        .flat_map(|line| match line.len() {
            0..=LINE_BYTES => vec![String::from_utf8(line.to_owned()).map_or(Line::NotUtf8, Line::Text)],
            length if length <= UNTERMINATED_BYTES => vec![Line::TooLong],
            _ => vec![Line::TooLong, Line::Endless],
        })
        .collect()
}

fn plain_wants_crlf(bytes: &[u8]) -> bool {
    let first = bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    first.is_some_and(|end| bytes[end] == b'\r' && matches!(bytes.get(end + 1), Some(b'\n' | 0)))
}

/// Safe text does nothing to a terminal, has lost nothing, and stays the same when it is made safe again.
pub fn text(text: &str, limit: usize) {
    let safe = SafeText::new(text.to_owned());
    check_harmless(safe.as_str());
    assert_eq!(safe.as_str(), shown(text));
    assert!(safe.as_str().len() <= 4 * text.len(), "{} bytes grew to {}", text.len(), safe.as_str().len());
    assert_eq!(SafeText::new(safe.as_str().to_owned()), safe, "made safe twice");

    let excerpt = SafeText::excerpt(text, limit);
    check_harmless(excerpt.as_str());
    if text.chars().count() <= limit {
        assert_eq!(excerpt, safe);
    } else {
        let kept = excerpt.as_str().strip_suffix('…').expect("an ellipsis");
        assert!(safe.as_str().starts_with(kept), "{kept:?} is no beginning of {safe}");
        assert!(kept.len() <= 4 * 4 * limit);
    }
}

fn check_harmless(text: &str) {
    assert!(!text.contains(['\n', '\r']), "a line end in {text:?}");
    assert!(!text.contains(is_unsafe), "an unsafe character in {text:?}");
    let mut marks = 0;
    for char in text.chars() {
        marks = pile(char, marks);
        assert!(marks <= MARKS_IN_A_ROW, "a pile of marks in {text:?}");
    }
}

/// The number of marks in a row after this character, if there were this many before it.
fn pile(char: char, marks: usize) -> usize {
    match char {
        '\u{200c}' | '\u{200d}' => marks,
        _ if is_combining_mark(char) && !is_unsafe(char) => marks + 1,
        _ => 0,
    }
}

/// The rule for text, stated directly.
fn shown(text: &str) -> String {
    let mut marks = 0;
    let shown = text.chars().map(|char| {
        marks = pile(char, marks);
        match char {
            '\t' => char.to_string(),
            '\0'..='\x1f' => format!("^{}", char::from(char as u8 + b'@')),
            '\x7f' => "^?".to_owned(),
            '\u{200c}' | '\u{200d}' => char.to_string(),
            _ if is_unsafe(char) || marks > MARKS_IN_A_ROW => format!("<U+{:04X}>", u32::from(char)),
            _ => char.to_string(),
        }
    });
    shown.collect()
}

/// An accepted name is short and harmless, has a key that is a name with the same key, and cannot forge a line.
pub fn name(text: &str, said: &str) {
    let name = match Name::parse(text) {
        Ok(name) => name,
        Err(fault) => return check_refusal(&Refusal::BadName(fault)),
    };
    for form in [name.as_str(), name.folded()] {
        let count = form.chars().count();
        assert!((1..=NAME_CHARS).contains(&count), "a name of {count} characters: {form:?}");
        assert!(form.starts_with(char::is_alphanumeric), "the beginning of {form:?}");
        assert!(!form.contains(char::is_whitespace), "a blank in {form:?}");
        assert!(!form.contains([':', '*', '!', '<', '>', '(', ')', '/', ',']), "a reserved character in {form:?}");
        check_harmless(form);
    }
    assert_eq!(Name::parse(name.as_str()).as_ref(), Ok(&name), "the shown name is another name");
    let folded = Name::parse(name.folded()).expect("a folded name is a name");
    assert_eq!(folded.folded(), name.folded(), "folded again it is another one");
    assert_eq!(folded, name, "folded it is another name");
    let mut opening = Sniffer::default();
    opening.read(format!("{text}\n").as_bytes());
    assert!(opening.stranger().or(OtherProtocol::of_line(text)).is_none(), "sent away {text:?}");

    check_spoken(&name, &SafeText::new(said.to_owned()));
    check_refusal(&Refusal::NameTaken((&name).into()));
    check_refusal(&Refusal::NameLooksTaken { name: (&name).into(), holder: (&name).into() });
}

/// A reader can tell who said what, in public or in private, and cannot take a message for a notice or a refusal.
fn check_spoken(from: &Name, text: &SafeText) {
    let said = Reply::Said { from, text }.to_string();
    let told = Reply::Told { from, text }.to_string();
    assert_eq!(said.split_once(": "), Some((from.as_str(), text.as_str())));
    assert_eq!(told.split_once(" (privately): "), Some((from.as_str(), text.as_str())));
    let (before, _) = told.split_once(": ").expect("a colon");
    assert!(before.contains(' '), "{told:?} could have been said to everyone");
    for line in [&said, &told] {
        assert!(line.starts_with(char::is_alphanumeric), "{line:?} is taken for the server's, or for another room's");
        check_harmless(line);
    }
    // In a room that is heard, and with numbers, the room and the author come before anything that the author writes.
    let dev = RoomName::parse("dev").expect("a room");
    let message = Message { number: 7, at: Timestamp::from_millis(0), from: from.clone(), text: text.clone() };
    assert_eq!(Dialect::Heard.said(&dev, &message).to_string(), format!("#dev {said}"));
    assert_eq!(Dialect::Ids.said(&dev, &message).to_string(), format!("[dev 7 1970-01-01T00:00:00Z] {said}"));
}

/// A line whose first visible character is a single `/` is never said, except `/me TEXT`. Any other line is said
/// unchanged but safe. Every refusal is one line.
pub fn command(text: &str) {
    let parse = |text: &str| Command::parse(Line::Text(text.to_owned()));
    let say = |text: &str| Ok(Command::Say(SafeText::new(text.to_owned())));
    let command = parse(text);
    let slash = text.find(|char| !is_invisible(char)).filter(|&at| text[at..].starts_with('/'));
    let Some(slash) = slash else {
        return assert_eq!(command, say(text));
    };
    let (before, after) = (&text[..slash], &text[slash + 1..]);
    if after.starts_with('/') {
        return assert_eq!(command, say(&format!("{before}{after}")));
    }
    match &command {
        Ok(Command::Say(said)) => assert!(is_action(said.as_str()), "a command was said: {said}"),
        Ok(Command::Tell { to, text }) => {
            assert!(!text.as_str().is_empty(), "nothing was told");
            check_spoken(to, text);
        }
        Ok(
            Command::Quit(Some(words))
            | Command::Ping(Some(words))
            | Command::Topic(Some(TopicChange::Set(words)))
            | Command::SayIn(_, words),
        ) => {
            assert!(!words.as_str().is_empty(), "an empty text");
            check_harmless(words.as_str());
        }
        Ok(Command::Moderation(act)) => match &**act {
            ModerationCommand::Kick { reason, .. }
            | ModerationCommand::Ban { reason, .. }
            | ModerationCommand::Mute { reason, .. }
            | ModerationCommand::Close { reason, .. } => {
                reason.iter().for_each(|reason| check_harmless(reason.as_str()));
            }
            ModerationCommand::Unban { .. } | ModerationCommand::Unmute { .. } => {}
        },
        // These contain no user text that others read.
        Ok(_) => {}
        Err(refusal) => check_refusal(refusal),
    }
    // Commands ignore case.
    let (word, rest) = after.split_at(after.find(char::is_whitespace).unwrap_or(after.len()));
    let upper = parse(&format!("/{}{rest}", word.to_ascii_uppercase()));
    match (&command, &upper) {
        (Err(Refusal::UnknownCommand(_)), Err(Refusal::UnknownCommand(_))) => {}
        _ => assert_eq!(command, upper),
    }
}

/// Whether this is the message that `/me TEXT` sends.
fn is_action(said: &str) -> bool {
    said.strip_prefix("/me ").is_some_and(|text| !text.is_empty())
}

fn check_refusal(refusal: &Refusal) {
    let line = Reply::Refused(refusal).to_string();
    let (code, words) = line.strip_prefix("! ").and_then(|rest| rest.split_once(": ")).expect("a code");
    assert_eq!(code, refusal.code());
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    assert!(code.split('-').all(is_word), "the code {code:?}");
    assert!(!words.is_empty(), "no reason in {line:?}");
    check_harmless(&line);
}

/// A first line is a valid name with valid options, or is refused in one safe line. Options never change the name.
pub fn first_line(text: &str) {
    let line = LoginLine::parse(text);
    match &line.name {
        Err(refusal) => {
            let shown = Reply::Refused(refusal).to_string();
            assert!(!shown.contains(is_unsafe), "{shown:?}");
            assert!(["bad-name", "bad-option", "bad-room", "bad-since"].contains(&refusal.code()), "{shown}");
        }
        Ok(name) => {
            let first = text.trim_start_matches('\u{feff}').split([' ', '\t']).find(|word| !word.is_empty());
            assert_eq!(Name::parse(first.unwrap_or_default()).as_ref(), Ok(name), "{text:?}");
            // What is read from a line can be added to another one.
            let again = LoginLine::parse(&format!("{text} ids=on last=3"));
            assert_eq!((again.options.ids, again.options.last), (Some(true), Some(3)));
            assert_eq!((again.auth, again.options.since), (line.auth, line.options.since));
            assert_eq!(again.options.room, line.options.room);
            let last = line.options.last.or(Some(3));
            assert_eq!(line.options.clone().or(again.options).last, last);
        }
    }
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    if let Some(Err(time)) = line.options.since.map(|since| since.resolve(now)) {
        let _ = time.to_string();
    }
}
