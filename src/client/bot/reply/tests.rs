use super::*;
use crate::model::{Name, SafeText};
use crate::protocol::{Command, Line};

fn message(private: bool) -> Message {
    let (from, room) = (Name::parse("Alice").unwrap(), RoomName::lobby());
    Message { from, text: String::new(), private, room, at: None }
}

/// The lines of a bot that is in the lobby.
fn in_lobby(message: &Message, output: &[u8]) -> Vec<String> {
    lines(message, output, &RoomName::lobby())
}

#[test]
fn each_line_is_sent_to_the_room() {
    assert_eq!(in_lobby(&message(false), b"one\r\n\n two \nthree"), ["one\n", " two \n", "three\n"]);
    assert_eq!(in_lobby(&message(false), b""), [""; 0]);
    assert_eq!(in_lobby(&message(false), b"\xff\n"), ["\u{fffd}\n"]);
}

#[test]
fn a_private_message_is_answered_privately() {
    assert_eq!(in_lobby(&message(true), b"one\n  \n/two\n"), ["/msg Alice one\n", "/msg Alice /two\n"]);
}

#[test]
fn a_message_is_answered_in_the_room_where_it_was_said() {
    let dev = RoomName::parse("dev").unwrap();
    let in_dev = Message { room: dev.clone(), ..message(false) };
    assert_eq!(lines(&in_dev, b"one\n", &dev), ["one\n"]);
    assert_eq!(in_lobby(&in_dev, b"one\n \n/quit\n"), ["/say dev one\n", "/say dev /quit\n"]);
    assert_eq!(lines(&message(false), b"one", &dev), ["/say lobby one\n"]);
    assert_eq!(in_lobby(&Message { private: true, ..in_dev }, b"one"), ["/msg Alice one\n"]);
}

#[test]
fn no_output_becomes_a_command() {
    for output in ["/quit", "x\r/quit", "//quit", "\r\r/nick Bob\n/msg Bob hi", "/"] {
        for line in in_lobby(&message(false), output.as_bytes()) {
            let parsed = Command::parse(Line::Text(line.trim_end().to_owned()));
            assert!(matches!(parsed, Ok(Command::Say(_))), "{line:?} is {parsed:?}");
        }
    }
    for output in [" /quit", "\u{feff}/quit", "\t \u{200b}//quit", "/me waves"] {
        let [line] = &in_lobby(&message(false), output.as_bytes())[..] else { panic!("{output:?} is one line") };
        let parsed = Command::parse(Line::Text(line.strip_suffix('\n').unwrap().to_owned()));
        assert_eq!(parsed, Ok(Command::Say(SafeText::new(output.to_owned()))));
    }
    assert_eq!(in_lobby(&message(false), b"/quit"), ["//quit\n"]);
}

#[test]
fn long_lines_are_split() {
    let dev = RoomName::parse("dev").unwrap();
    let is_said = Message { room: dev, ..message(false) };
    for (message, prefix) in [(message(false), ""), (message(true), "/msg Alice "), (is_said, "/say dev ")] {
        let output = "é/".repeat(4000);
        let lines = in_lobby(&message, output.as_bytes());
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES + 1));
        let said = lines.iter().map(|line| {
            let said = line.trim_end().strip_prefix(prefix).unwrap();
            let is_escaped = prefix.is_empty() && said.starts_with("//");
            if is_escaped { &said[1..] } else { said }
        });
        assert_eq!(said.collect::<String>(), output);
    }
}
