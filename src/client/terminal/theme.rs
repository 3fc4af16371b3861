//! The theme: how a line is shown.
//!
//! Input and output are safe text, because the client trusts no server. No information depends on colour alone.

use jiff::ZonedDateTime;
use jiff::tz::TimeZone;

use crate::client::message::Message;
use crate::client::terminal::prompt::Prompt;
use crate::client::terminal::screen::{Painted, Style};
use crate::model::{Name, RoomName, SafeText};
use crate::protocol::{Command, Line, ServerLine};

/// Colours of the 256-colour palette for names. Each has a contrast of at least 3.9 to both black and white.
const NAME_COLORS: [u8; 16] = [130, 64, 28, 29, 30, 31, 27, 62, 99, 98, 97, 129, 133, 163, 162, 132];

const BOLD: Style = Style::Fixed("1");
const DIM: Style = Style::Fixed("2");
const RED: Style = Style::Fixed("1;31");

pub(crate) struct Theme {
    own: Name,
    bell: bool,
    pub(crate) prompt: Prompt,
}

impl Theme {
    pub(crate) fn new(own: Name, color: bool, bell: bool) -> Self {
        Self { own, bell, prompt: Prompt::new(color) }
    }

    /// The current name of this person.
    pub(crate) fn own_name(&self) -> &Name {
        &self.own
    }

    /// Handles a rename of anybody.
    pub(crate) fn rename(&mut self, old: &Name, new: Name) {
        if *old == self.own {
            self.own = new;
        }
    }

    /// Formats a line of the server, given without its end, and what was parsed from it. A message of another room than
    /// `current` is marked.
    pub(crate) fn show(
        &self,
        raw: &str,
        line: ServerLine<'_>,
        message: Option<&Message>,
        current: &RoomName,
    ) -> Painted {
        let text = SafeText::new(raw.to_owned());
        match (message, line) {
            (Some(message), _) => self.message(message, current),
            (None, ServerLine::Refused { .. }) => self.paint(self.timed(&time()), RED, &Painted::default().text(&text)),
            (None, _) => self.paint(Painted::default(), DIM, &Painted::default().text(&time()).own(" ").text(&text)),
        }
    }

    /// Formats a line that this person sent. `None` for a command, because the server's answer says enough.
    pub(crate) fn said(&self, line: &str) -> Option<Painted> {
        let own = self.paint(Painted::default(), BOLD, &Painted::default().text(&(&self.own).into()));
        match Command::parse(Line::Text(line.to_owned())) {
            Ok(Command::Say(text)) => Some(self.spoken(self.timed(&time()), own, None, text.as_str(), Style::Plain)),
            Ok(Command::Tell { to, text }) => {
                let to = Painted::default().own("(to ").text(&(&*to).into()).own(")");
                Some(self.spoken(self.timed(&time()), own, Some(to), text.as_str(), Style::Plain))
            }
            _ => None,
        }
    }

    fn message(&self, message: &Message, current: &RoomName) -> Painted {
        let (from, text) = (&message.from, &message.text);
        let color = Style::Color(color_of(from.as_str()));
        let name = self.paint(Painted::default(), color, &Painted::default().text(&from.into()));
        let is_for_us = message.private || message.mentions(&self.own);
        let mark = message.private.then(|| Painted::default().own("(privately)"));
        let at = message.at.map_or_else(time, |at| time_of(&at.to_zoned_datetime(TimeZone::system())));
        let before = match &message.room {
            room if room == current => self.timed(&at),
            // No name begins with it.
            room => {
                let room = Painted::default().own("#").text(&SafeText::new(room.to_string()));
                self.paint(self.timed(&at), DIM, &room).own(" ")
            }
        };
        let said = self.spoken(before, name, mark, text, if is_for_us { BOLD } else { Style::Plain });
        said.own(if is_for_us && self.bell { "\x07" } else { "" })
    }

    /// Formats a message after the time and the room, with a mark if it is private. An action starts with `~`, which no
    /// name can start with. Its mark comes before the name, because text after the name could imitate it.
    fn spoken(&self, before: Painted, name: Painted, mark: Option<Painted>, text: &str, style: Style) -> Painted {
        let safe = |text: &str| Painted::default().text(&SafeText::new(text.to_owned()));
        let said = match (action(text), mark) {
            (Some(_), None) => before.own("~ ").add(&name).own(" "),
            (Some(_), Some(mark)) => before.own("~ ").add(&mark).own(" ").add(&name).own(" "),
            (None, None) => before.add(&name).own(": "),
            (None, Some(mark)) => before.add(&name).own(" ").add(&mark).own(": "),
        };
        self.paint(said, style, &safe(action(text).unwrap_or(text)))
    }

    /// The time and a space.
    fn timed(&self, at: &SafeText) -> Painted {
        self.paint(Painted::default(), DIM, &Painted::default().text(at)).own(" ")
    }

    fn paint(&self, before: Painted, style: Style, painted: &Painted) -> Painted {
        before.styled(if self.prompt.color { &style } else { &Style::Plain }, painted)
    }
}

fn time() -> SafeText {
    time_of(&ZonedDateTime::now())
}

fn time_of(at: &ZonedDateTime) -> SafeText {
    SafeText::new(at.strftime("%H:%M").to_string())
}

/// The colour of a name, the same on every screen, by FNV-1a (RFC 9923).
fn color_of(name: &str) -> u8 {
    let hash = name.bytes().fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    NAME_COLORS[hash as usize % NAME_COLORS.len()]
}

/// The action in a message such as `/me ACTION`.
fn action(text: &str) -> Option<&str> {
    let (command, rest) = text.split_once([' ', '\t'])?;
    let action = rest.trim_start();
    (command.eq_ignore_ascii_case("/me") && !action.is_empty()).then_some(action)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(color: bool) -> Theme {
        Theme::new(Name::parse("Bob").unwrap(), color, true)
    }

    /// How a line of the server is shown.
    fn shown(look: &Theme, line: &str) -> String {
        let (read, lobby) = (ServerLine::parse(line), RoomName::lobby());
        look.show(line, read, Message::of(read, &lobby).as_ref(), &lobby).as_str().to_owned()
    }

    /// The same without the time.
    fn plain(line: &str) -> String {
        let shown = shown(&look(false), line);
        let (time, rest) = shown.split_once(' ').unwrap();
        assert!(time.len() == 5 && time.as_bytes()[2] == b':', "{time}");
        rest.to_owned()
    }

    #[test]
    fn each_kind_of_line_has_its_format() {
        assert_eq!(plain("Alice: hi: there"), "Alice: hi: there");
        assert_eq!(plain("Alice: hey bob!"), "Alice: hey bob!\x07");
        assert_eq!(plain("Alice (privately): psst"), "Alice (privately): psst\x07");
        assert_eq!(plain("Alice: bobsleigh"), "Alice: bobsleigh");
        assert_eq!(plain("* Bob has joined: x"), "* Bob has joined: x");
        assert_eq!(plain("! bad-name: bob"), "! bad-name: bob");
        assert_eq!(plain("Alice: \x1b]0;owned\x07"), "Alice: ^[]0;owned^G");
    }

    #[test]
    fn a_message_of_another_room_is_marked() {
        assert_eq!(plain("#ops Carol: disk is full"), "#ops Carol: disk is full");
        assert_eq!(plain("#ops Carol: /me waves"), "#ops ~ Carol waves");
        assert_eq!(plain("[ops 7 2026-11-26T12:03:11Z] Carol: hey bob!"), "#ops Carol: hey bob!\x07");
        assert_eq!(plain("[7 2026-11-26T12:03:11Z] Carol: hi"), "Carol: hi");
        assert_eq!(plain("#lobby Carol: hi"), "Carol: hi", "this is the current one");
        assert!(shown(&look(true), "#ops Carol: hi").contains("\x1b[2m#ops\x1b[0m "));
    }

    #[test]
    fn own_lines_look_like_messages_and_commands_are_not_repeated() {
        let said = |line| look(false).said(line).map(|shown| shown.as_str()[6..].to_owned());
        assert_eq!(said("hello").unwrap(), "Bob: hello");
        assert_eq!(said("//etc").unwrap(), "Bob: /etc");
        assert_eq!(said("/msg Alice  psst psst").unwrap(), "Bob (to Alice): psst psst");
        assert_eq!(said(" /msg Alice psst").unwrap(), "Bob (to Alice): psst");
        assert_eq!(said(" //etc").unwrap(), "Bob:  /etc");
        assert_eq!(said("/W Alice psst").unwrap(), "Bob (to Alice): psst");
        assert_eq!(said("/who"), None);
    }

    #[test]
    fn an_action_cannot_be_imitated() {
        assert_eq!(plain("Alice: /me waves"), "~ Alice waves");
        assert_eq!(plain("Alice: /ME  waves at bob"), "~ Alice waves at bob\x07");
        assert_eq!(plain("Alice (privately): /me waves"), "~ (privately) Alice waves\x07");
        // An action cannot look like a notice or a private action.
        assert_eq!(plain("Alice: /me has left"), "~ Alice has left");
        assert_eq!(plain("Alice: /me (privately) waves"), "~ Alice (privately) waves");
        for line in ["Alice: /me", "Alice: /me ", "Alice: /mean it", "Alice:  /me waves", "Alice: ~ Carol waves"] {
            assert_eq!(plain(line), line);
        }
        assert!(Name::parse("~").is_err() && Name::parse("~Alice").is_err() && Name::parse("(privately)").is_err());
        let colored = shown(&look(true), "Alice: /me waves");
        assert!(colored.contains(" ~ \x1b[38;5;") && colored.ends_with("mAlice\x1b[0m waves"), "{colored:?}");
    }

    #[test]
    fn ones_own_action_looks_like_an_action_of_another() {
        let said = |line| look(false).said(line).map(|shown| shown.as_str()[6..].to_owned());
        assert_eq!(said("/me waves").unwrap(), "~ Bob waves");
        assert_eq!(said("//me waves").unwrap(), "~ Bob waves", "the others get the same line");
        assert_eq!(said("/msg Alice /me waves").unwrap(), "~ (to Alice) Bob waves");
        assert_eq!(said("/me"), None);
    }

    #[test]
    fn mentions_of_a_new_name_ring_the_bell() {
        let name = |name| Name::parse(name).unwrap();
        let mut look = look(false);
        look.rename(&name("Alice"), name("Carol"));
        assert_eq!(look.own_name().as_str(), "Bob");
        look.rename(&name("Bob"), name("Bobby"));
        assert!(shown(&look, "Alice: hi bobby").ends_with('\x07'));
    }

    #[test]
    fn every_name_colour_is_readable_on_black_and_white() {
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
        assert!(shown(&look(true), "Alice: hi").contains("\x1b[38;5;"));
        assert_ne!(color_of("Alice"), color_of("Bob"));
    }
}
