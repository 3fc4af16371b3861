use super::*;
use crate::model::{Name, SafeText};
use crate::protocol::{Command, Line};

fn message(private: bool) -> Message {
    Message { from: Name::parse("Alice").unwrap(), text: String::new(), private, at: None }
}

#[test]
fn each_line_is_sent_to_the_room() {
    assert_eq!(lines(&message(false), b"one\r\n\n two \nthree"), ["one\n", " two \n", "three\n"]);
    assert_eq!(lines(&message(false), b""), [""; 0]);
    assert_eq!(lines(&message(false), b"\xff\n"), ["\u{fffd}\n"]);
}

#[test]
fn a_private_message_is_answered_privately() {
    assert_eq!(lines(&message(true), b"one\n  \n/two\n"), ["/msg Alice one\n", "/msg Alice /two\n"]);
}

#[test]
fn no_output_becomes_a_command() {
    for output in ["/quit", "x\r/quit", "//quit", "\r\r/nick Bob\n/msg Bob hi", "/"] {
        for line in lines(&message(false), output.as_bytes()) {
            let parsed = Command::parse(Line::Text(line.trim_end().to_owned()));
            assert!(matches!(parsed, Ok(Command::Say(_))), "{line:?} is {parsed:?}");
        }
    }
    for output in [" /quit", "\u{feff}/quit", "\t \u{200b}//quit", "/me waves"] {
        let [line] = &lines(&message(false), output.as_bytes())[..] else { panic!("{output:?} is one line") };
        let parsed = Command::parse(Line::Text(line.strip_suffix('\n').unwrap().to_owned()));
        assert_eq!(parsed, Ok(Command::Say(SafeText::new(output.to_owned()))));
    }
    assert_eq!(lines(&message(false), b"/quit"), ["//quit\n"]);
}

#[test]
fn long_lines_are_split() {
    for private in [false, true] {
        let output = "é/".repeat(4000);
        let lines = lines(&message(private), output.as_bytes());
        assert!(lines.iter().all(|line| line.len() <= LINE_BYTES + 1));
        let prefix = if private { "/msg Alice " } else { "" };
        let said = lines.iter().map(|line| {
            let said = line.trim_end().strip_prefix(prefix).unwrap();
            if private { said } else { said.strip_prefix('/').filter(|rest| rest.starts_with('/')).unwrap_or(said) }
        });
        assert_eq!(said.collect::<String>(), output);
    }
}
