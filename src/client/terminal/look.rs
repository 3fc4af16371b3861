//! The look: how a line of the server, or of one's own, is shown.
//!
//! Everything passes [`SafeText`] again, for the client trusts no server. Colour is never the only sign of anything.

use jiff::ZonedDateTime;

use super::Options;
use super::editor::Prompt;
use crate::protocol::{Name, SafeText};

/// Colours of the 256-colour palette for names. Each has a contrast of 3.9 and more both to black and to white.
const NAME_COLORS: [u8; 16] = [130, 64, 28, 29, 30, 31, 27, 62, 99, 98, 97, 129, 133, 163, 162, 132];

const BOLD: &str = "1";
const DIM: &str = "2";
const RED: &str = "1;31";

/// How this person's lines look.
pub(super) struct Look {
    own: String,
    color: bool,
    bell: bool,
    prompt: Prompt,
}

impl Look {
    pub(super) fn new(own: Name, options: &Options) -> Self {
        let prompt = Prompt::new(options.color);
        Self { own: own.as_str().to_owned(), color: options.color, bell: options.bell, prompt }
    }

    pub(super) fn prompt(&self) -> Prompt {
        self.prompt.clone()
    }

    /// The name that the person has by now.
    pub(super) fn own_name(&self) -> &str {
        &self.own
    }

    /// A line of the server, without its end.
    pub(super) fn heard(&mut self, line: &str) -> String {
        if let Some((old, new)) = line.strip_prefix("* ").and_then(|notice| notice.split_once(" is now "))
            && old == self.own
        {
            self.own = new.to_owned();
        }
        let time = time();
        let safe = SafeText::new(line.to_owned());
        let safe = safe.as_str();
        match sender(safe) {
            Some(name) => {
                let (head, text) = safe.split_once(": ").expect("there is a sender");
                self.message(&time, name, &head[name.len()..], text)
            }
            None if safe.starts_with("! ") => format!("{} {}", self.paint(DIM, &time), self.paint(RED, safe)),
            None => self.paint(DIM, &format!("{time} {}", safe)),
        }
    }

    /// A line of one's own that was sent. What the server answers to a command says enough.
    pub(super) fn said(&self, line: &str) -> Option<String> {
        let time = time();
        let safe = SafeText::new(line.to_owned());
        let safe = safe.as_str();
        let own = self.paint(BOLD, &self.own);
        if let Some(text) = safe.strip_prefix("//") {
            return Some(format!("{} {own}: /{text}", self.paint(DIM, &time)));
        }
        if !safe.starts_with('/') {
            return Some(format!("{} {own}: {}", self.paint(DIM, &time), safe));
        }
        let (command, rest) = safe.split_once([' ', '\t'])?;
        let (to, text) = rest.trim_start().split_once([' ', '\t'])?;
        let is_told = command.eq_ignore_ascii_case("/msg");
        is_told.then(|| format!("{} {own} (to {to}): {}", self.paint(DIM, &time), text.trim_start()))
    }

    fn message(&self, time: &str, name: &str, how: &str, text: &str) -> String {
        let (time, painted) = (self.paint(DIM, time), self.paint(&color_of(name), name));
        if !mentions(text, &self.own) && how.is_empty() {
            return format!("{time} {painted}{how}: {text}");
        }
        let bell = if self.bell { "\x07" } else { "" };
        format!("{time} {painted}{how}: {}{bell}", self.paint(BOLD, text))
    }

    fn paint(&self, style: &str, text: &str) -> String {
        if self.color { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

fn time() -> String {
    ZonedDateTime::now().strftime("%H:%M").to_string()
}

/// Who said a line, if it is a message.
pub(super) fn sender(line: &str) -> Option<&str> {
    let (head, _) = line.split_once(": ")?;
    let name = head.strip_suffix(" (privately)").unwrap_or(head);
    (!name.is_empty() && !name.contains(' ') && !name.starts_with(['*', '!'])).then_some(name)
}

/// The same for a name on every screen, by FNV-1a (RFC 9923).
fn color_of(name: &str) -> String {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    format!("38;5;{}", NAME_COLORS[hash as usize % NAME_COLORS.len()])
}

/// Whether the text holds the name as a word, without regard to case.
fn mentions(text: &str, name: &str) -> bool {
    let (text, name) = (text.to_lowercase(), name.to_lowercase());
    text.match_indices(&name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(color: bool) -> Look {
        let options = Options { history: None, color, bell: true, reconnect: true };
        Look::new(Name::parse("Bob").unwrap(), &options)
    }

    /// Without the time, which is that of the test.
    fn plain(line: &str) -> String {
        let shown = look(false).heard(line);
        let (time, rest) = shown.split_once(' ').unwrap();
        assert!(time.len() == 5 && time.as_bytes()[2] == b':', "{time}");
        rest.to_owned()
    }

    #[test]
    fn each_kind_of_line_has_its_look() {
        assert_eq!(plain("Alice: hi: there"), "Alice: hi: there");
        assert_eq!(plain("Alice: hey bob!"), "Alice: hey bob!\x07");
        assert_eq!(plain("Alice (privately): psst"), "Alice (privately): psst\x07");
        assert_eq!(plain("Alice: bobsleigh"), "Alice: bobsleigh");
        assert_eq!(plain("* Bob has joined: x"), "* Bob has joined: x");
        assert_eq!(plain("! bad-name: bob"), "! bad-name: bob");
        assert_eq!(plain("Alice: \x1b]0;owned\x07"), "Alice: ^[]0;owned^G");
    }

    #[test]
    fn own_lines_look_like_messages_and_commands_are_not_repeated() {
        let said = |line| look(false).said(line).map(|shown| shown[6..].to_owned());
        assert_eq!(said("hello").unwrap(), "Bob: hello");
        assert_eq!(said("//etc").unwrap(), "Bob: /etc");
        assert_eq!(said("/msg Alice  psst psst").unwrap(), "Bob (to Alice): psst psst");
        assert_eq!(said("/who"), None);
    }

    #[test]
    fn a_new_name_of_ones_own_is_learnt() {
        let mut look = look(false);
        look.heard("* Alice is now Carol");
        assert_eq!(look.own_name(), "Bob");
        look.heard("* Bob is now Bobby");
        assert!(look.heard("Alice: hi bobby").ends_with('\x07'));
    }

    #[test]
    fn every_colour_of_a_name_is_readable_on_black_and_on_white() {
        const LEVELS: [f64; 6] = [0.0, 95.0, 135.0, 175.0, 215.0, 255.0];
        for color in NAME_COLORS {
            let at = usize::from(color) - 16;
            let channel = |level: usize| match LEVELS[level] / 255.0 {
                dark if dark <= 0.040_45 => dark / 12.92,
                light => ((light + 0.055) / 1.055_f64).powf(2.4),
            };
            // WCAG 2.2, relative luminance and contrast ratio.
            let luminance = 0.2126 * channel(at / 36) + 0.7152 * channel(at / 6 % 6) + 0.0722 * channel(at % 6);
            let (on_black, on_white) = ((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05));
            assert!(on_black >= 3.9 && on_white >= 3.9, "{color}: {on_black:.1}, {on_white:.1}");
        }
        assert!(look(true).heard("Alice: hi").contains("\x1b[38;5;"));
        assert_ne!(color_of("Alice"), color_of("Bob"));
    }
}
