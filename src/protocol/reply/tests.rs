use proptest::prelude::*;

use super::*;

fn name(name: &str) -> Name {
    Name::parse(name).unwrap()
}

#[test]
fn the_welcome_counts_and_names_the_others() {
    let names: Vec<_> = (0..14).map(|at| name(&format!("p{at}"))).collect();
    let all: Vec<_> = names.iter().collect();
    let welcome = |others, named| Reply::Welcome { name: &all[0].clone(), others, named }.to_string();
    assert_eq!(welcome(0, &[]), "* Welcome, p0. You are the first here. /help lists the commands.");
    assert_eq!(welcome(1, &all[1..2]), "* Welcome, p0. 1 other here: p1. /help lists the commands.");
    assert_eq!(welcome(2, &all[1..3]), "* Welcome, p0. 2 others here: p1, p2. /help lists the commands.");
    assert_eq!(
        welcome(13, &all[1..11]),
        "* Welcome, p0. 13 others here: p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 and 3 more. /help lists the commands."
    );
}

#[test]
fn who_names_all_on_lines_that_can_be_read() {
    let names: Vec<_> = (0..100).map(|at| name(&format!("person{at:03}"))).collect();
    let shown = Reply::Here { count: 100, names: &names.iter().collect::<Vec<_>>() }.to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines[0].starts_with("* 100 here: person000, person001,"));
    assert!(lines[1..].iter().all(|line| line.starts_with("* and: person")));
    assert!(lines.iter().all(|line| line.len() < WHO_LINE_BYTES + 40));
    assert!(names.iter().all(|name| shown.contains(name.as_str())));
    assert!(shown.ends_with("person099"));
    let some = Reply::Here { count: 1000, names: &names.iter().collect::<Vec<_>>() }.to_string();
    assert!(some.starts_with("* 1000 here: ") && some.ends_with("person099 and 900 more"));
}

#[test]
fn those_who_are_ignored_are_named_on_lines_that_can_be_read() {
    let names: Vec<_> = (0..100).map(|at| SafeText::new(format!("person{at:03}"))).collect();
    assert_eq!(Reply::Ignored(&[]).to_string(), "* Ignoring nobody.");
    assert_eq!(Reply::Ignored(&names[..1]).to_string(), "* Ignoring: person000.");
    assert_eq!(Reply::Ignored(&names[..2]).to_string(), "* Ignoring: person000, person001.");
    let shown = Reply::Ignored(&names).to_string();
    let lists = shown.lines().map(|line| line.strip_prefix("* Ignoring: ").unwrap().strip_suffix('.').unwrap());
    assert!(lists.clone().count() > 1 && lists.clone().all(|list| list.len() < WHO_LINE_BYTES + 40));
    assert_eq!(
        lists.flat_map(|list| list.split(", ")).collect::<Vec<_>>(),
        names.iter().map(SafeText::as_str).collect::<Vec<_>>()
    );
}

#[test]
fn counts_agree_with_their_nouns() {
    assert_eq!(Reply::Missed(1).to_string(), "* You missed 1 line.");
    assert_eq!(Reply::Missed(2).to_string(), "* You missed 2 lines.");
    let bye = Reply::Bye { name: &name("Al"), accepted: 1, refused: 0 };
    assert_eq!(bye.to_string(), "* Bye, Al: 1 line accepted, 0 refused.");
}

#[test]
fn the_reason_of_a_user_is_in_quotes_and_that_of_the_server_is_not() {
    let (mallory, safe) = (name("Mallory"), |text: &str| SafeText::new(text.to_owned()));
    let left = |reason: &LeaveReason| Reply::Left { name: &mallory, reason: Some(reason) }.to_string();
    let kicked = LeaveReason::Server { what: safe("kicked by Olga"), why: Some(safe("spam")) };
    assert_eq!(left(&kicked), "* Mallory has left: kicked by Olga: spam");
    assert_eq!(left(&kicked.without_words_of_a_user().unwrap()), "* Mallory has left: kicked by Olga");
    let quit = LeaveReason::Quit(safe("kicked by Olga: spam"));
    assert_eq!(left(&quit), "* Mallory has left (\"kicked by Olga: spam\")");
    assert_eq!(quit.without_words_of_a_user(), None);
    let quit = LeaveReason::Quit(safe("bye\"): kicked by Olga"));
    assert_eq!(left(&quit), "* Mallory has left (\"bye\"): kicked by Olga\")");
}

/// What a line says, as a program reads it that knows the protocol. Whose words are in it is part of that.
#[derive(Debug, Clone, PartialEq)]
enum Read {
    Said(String, String),
    Told(String, String),
    Joined(String),
    Renamed(String, String),
    Left(String),
    LeftSaying(String, String),
    /// Who, what the server says, and the operator's words.
    LeftBecause(String, String, Option<String>),
    Announced(String),
    Pong(String),
    Refused(String, String),
}

/// All that a line can be taken for.
fn readings(line: &str) -> Vec<Read> {
    let name = |text: &str| Name::parse(text).ok().filter(|name| name.as_str() == text).map(|name| name.to_string());
    let message = || {
        let (from, text) = line.split_once(": ")?;
        let (from, told) = from.strip_suffix(" (privately)").map_or((from, false), |from| (from, true));
        let (from, text) = (name(from)?, text.to_owned());
        Some(if told { Read::Told(from, text) } else { Read::Said(from, text) })
    };
    let notice = || line.strip_prefix("* ");
    let about = || notice().and_then(|notice| notice.split_once(' ')).and_then(|(who, rest)| Some((name(who)?, rest)));
    let joined = || about().filter(|(_, rest)| *rest == "has joined").map(|(who, _)| Read::Joined(who));
    let renamed = || about().and_then(|(old, rest)| Some(Read::Renamed(old, name(rest.strip_prefix("is now ")?)?)));
    let left = || about().filter(|(_, rest)| *rest == "has left").map(|(who, _)| Read::Left(who));
    let left_saying = || {
        let (who, rest) = about()?;
        let words = rest.strip_prefix("has left (\"")?.strip_suffix("\")")?;
        Some(Read::LeftSaying(who, words.to_owned()))
    };
    let left_because = || {
        let (who, rest) = about()?;
        let what = rest.strip_prefix("has left: ")?;
        let (what, why) = what.split_once(": ").map_or((what, None), |(what, why)| (what, Some(why.to_owned())));
        Some(Read::LeftBecause(who, what.to_owned(), why))
    };
    let announced = || notice()?.strip_prefix("The operator says: ").map(|text| Read::Announced(text.to_owned()));
    let pong = || notice()?.strip_prefix("Pong ").map(|token| Read::Pong(token.to_owned()));
    let refused = || {
        let (code, text) = line.strip_prefix("! ")?.split_once(": ")?;
        Some(Read::Refused(code.to_owned(), text.to_owned()))
    };
    let all = [message(), joined(), renamed(), left(), left_saying(), left_because(), announced(), pong(), refused()];
    all.into_iter().flatten().collect()
}

/// Words that try to be another line, or to end their own.
fn hostile_text() -> impl Strategy<Value = SafeText> {
    let piece = prop_oneof![
        4 => prop::sample::select(vec![
            "\")", "(\"", "\"", ": ", " ", "* ", "! ", "\n", "\r\n", "\u{2028}", "Olga", "Pong", "The", "kicked: ",
            "has left", "has joined", " is now ", "is now Olga", "kicked by Olga", "connection lost", "(privately)",
            " (account Olga)", "The operator says: ", "has left: kicked by Olga: spam", "has left (\"bye\")",
            "* Olga has left: connection lost", "Olga: hi", "/me ",
        ]).prop_map(str::to_owned),
        1 => "\\PC{1,5}",
        1 => any::<String>(),
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| SafeText::new(pieces.concat()))
}

fn any_name() -> impl Strategy<Value = Name> {
    let chosen = prop::sample::select(vec!["Olga", "has", "now", "The", "left", "3", "Pong", "kicked", "x\""]);
    prop_oneof![chosen.prop_map(str::to_owned), "\\PC{1,6}"].prop_filter_map("no name", |text| Name::parse(&text).ok())
}

proptest! {
    /// Nothing that a user writes makes a line that can be taken for another one.
    #[test]
    fn no_words_of_a_user_pass_for_anything_else(
        (who, other, account) in (any_name(), any_name(), any_name()),
        text in hostile_text(),
    ) {
        let [name, new, words] = [who.to_string(), other.to_string(), text.to_string()];
        let check = |reply: Reply<'_>, read: Read| {
            let line = reply.to_string();
            prop_assert_eq!(line.lines().count(), 1, "{:?}", line);
            prop_assert_eq!(readings(&line), vec![read], "{:?}", line);
            Ok(())
        };
        check(Reply::Said { from: &who, text: &text }, Read::Said(name.clone(), words.clone()))?;
        check(Reply::Told { from: &who, text: &text }, Read::Told(name.clone(), words.clone()))?;
        check(Reply::Joined(&who), Read::Joined(name.clone()))?;
        check(Reply::Renamed { old: &who, new: &other }, Read::Renamed(name.clone(), new.clone()))?;
        check(Reply::Left { name: &who, reason: None }, Read::Left(name.clone()))?;
        let reason = LeaveReason::Quit(text.clone());
        check(Reply::Left { name: &who, reason: Some(&reason) }, Read::LeftSaying(name.clone(), words.clone()))?;
        for by in [new.clone(), format!("{new} (account {account})"), "server admin (user 0)".to_owned()] {
            let what = format!("kicked by {by}");
            let reason = LeaveReason::Server { what: SafeText::new(what.clone()), why: Some(text.clone()) };
            let read = Read::LeftBecause(name.clone(), what.clone(), Some(words.clone()));
            check(Reply::Left { name: &who, reason: Some(&reason) }, read)?;
            let reason = reason.without_words_of_a_user().expect("the server's words stay");
            check(Reply::Left { name: &who, reason: Some(&reason) }, Read::LeftBecause(name.clone(), what, None))?;
        }
        check(Reply::Announced(&text), Read::Announced(words.clone()))?;
        check(Reply::Pong(Some(&text)), Read::Pong(words.clone()))?;
        for (refusal, code) in [
            (Refusal::Kicked as fn(SafeText) -> Refusal, "kicked"),
            (Refusal::Banned, "banned"),
            (Refusal::Muted, "muted"),
            (Refusal::NoSuchUser, "no-such-user"),
            (Refusal::UnknownCommand, "unknown-command"),
            (Refusal::NotIgnored, "not-ignored"),
        ] {
            let refusal = refusal(text.clone());
            check(Reply::Refused(&refusal), Read::Refused(code.to_owned(), refusal.to_string()))?;
        }
    }
}

#[test]
fn every_line_of_the_help_is_a_notice() {
    assert!(Reply::Help.to_string().lines().all(|line| line.starts_with("* ")));
}

#[test]
fn the_help_has_a_line_for_each_command_of_everyone_and_one_for_those_of_operators() {
    let help = Reply::Help.to_string();
    let mut lines = help.lines();
    for command in COMMANDS.iter().filter(|command| matches!(command.access, Access::Everyone(_))) {
        let line = lines.next().unwrap();
        assert!(line.starts_with(&format!("* {}: {}", command.usage, command.help)), "{line}");
        assert!(command.aliases.iter().all(|alias| line.contains(&format!("/{alias}"))), "{line}");
    }
    assert_eq!(lines.next(), Some("* For operators: /kick, /ban, /unban, /mute, /unmute"));
    assert_eq!(lines.next(), Some("* Any other line is a message to everyone else; to begin it with /, type //"));
    assert_eq!(lines.next(), None);
}
