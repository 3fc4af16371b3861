use proptest::prelude::*;

use super::*;

fn name(name: &str) -> Name {
    Name::parse(name).unwrap()
}

fn safe(text: &str) -> SafeText {
    SafeText::new(text.to_owned())
}

/// The wording is tested here only. Other tests compare codes and fields.
#[test]
fn every_refusal_has_its_code_and_wording() {
    let (bob, copy) = (|| safe("Bob"), || safe("copy"));
    let table = [
        (Refusal::BadName(BadName::Blank), "bad-name: names cannot contain spaces"),
        (
            Refusal::UnknownOption(safe("x")),
            "bad-name: names cannot contain spaces, and \"x\" is not an option; the only option is auth",
        ),
        (Refusal::NameTaken(bob()), "name-taken: Bob is taken"),
        (
            Refusal::NameLooksTaken { name: safe("c0py"), holder: copy() },
            "name-taken: c0py looks like copy, which is taken",
        ),
        (Refusal::TooManyTries, "too-many-tries: 3 names were refused; reconnect to try another"),
        (Refusal::Nameless, "too-many-tries: received 65536 bytes without a name; reconnect and send your name first"),
        (Refusal::LineTooLong, "line-too-long: lines are limited to 4096 bytes; this line was not sent"),
        (Refusal::Endless, "line-too-long: no line ending within 65536 bytes; closing the connection"),
        (Refusal::LongLines, "line-too-long: 3 lines within 60 s were too long; closing the connection"),
        (
            Refusal::WrongProtocol(OtherProtocol::Http),
            "wrong-protocol: this is a plain-text chat server that does not speak HTTP; try nc",
        ),
        (Refusal::PasswordRequired, "password-required: send the password as the next line"),
        (
            Refusal::OwnersPasswordRequired { name: safe("c0py"), owner: copy() },
            "password-required: c0py looks like copy, which is registered; if it is yours, send its password as the next line",
        ),
        (Refusal::WrongPassword, "wrong-password: incorrect password"),
        (
            Refusal::TooManyPasswords,
            "too-many-tries: 3 passwords were incorrect; wait a minute, then reconnect to try again",
        ),
        (Refusal::PasswordTimeout, "login-timeout: no password received within 30 s; reconnect to try again"),
        (
            Refusal::Unprotected,
            "unprotected: a password is required, but others could read it on this connection; use client --tls or \
             openssl s_client with the TLS port",
        ),
        (
            Refusal::Penalized(7),
            "penalized: too many wrong passwords or registrations from your address; try again in 7 s",
        ),
        (Refusal::ThrownAway(1), "thrown-away: discarded 1 line sent after it, because it could contain passwords"),
        (
            Refusal::UnfinishedPassword,
            "thrown-away: passwords must end with a line ending; discarded the unfinished line",
        ),
        (Refusal::Busy, "busy: too many passwords are being checked; try again in a moment"),
        (
            Refusal::BadPassword(BadSecret::TooShort),
            "bad-password: passwords need at least 8 characters; nothing was changed",
        ),
        (Refusal::PasswordsDiffer, "passwords-differ: the two passwords do not match; nothing was changed"),
        (
            Refusal::NameRegistered(bob()),
            "name-registered: Bob is registered; if it is yours, reconnect with that name and its password",
        ),
        (
            Refusal::NameLooksRegistered { name: safe("c0py"), owner: copy() },
            "name-registered: c0py looks like copy, which is registered",
        ),
        (Refusal::RegisteredOnly, "registered-only: in this room you can only use your registered name"),
        (
            Refusal::AlreadyRegistered(name("Bob")),
            "already-registered: you have already registered Bob; use /password to change its password",
        ),
        (Refusal::NotRegistered, "not-registered: you have no registered name; use /register to register yours"),
        (Refusal::NoSuchAccount(bob()), "not-registered: Bob is not registered"),
        (Refusal::NoRegistry, "no-registry: this server does not support registered names"),
        (Refusal::NotKept, "not-kept: the server could not save it; nothing was changed"),
        (Refusal::RegistryFull, "not-kept: there are too many already; nothing was changed"),
        (Refusal::NotOperator, "not-operator: only operators can do that"),
        (Refusal::Suspended(safe("you are muted")), "not-operator: you are muted"),
        (
            Refusal::BadTime,
            "bad-arguments: invalid duration: write 30m, 2 hours or 7 days (at most 10 years); a reason must start with \
             a word",
        ),
        (Refusal::IsSelf, "bad-arguments: you cannot do that to yourself"),
        (Refusal::NotSanctioned(safe("Bob is not muted")), "not-sanctioned: Bob is not muted"),
        (Refusal::Kicked(safe("you were kicked")), "kicked: you were kicked"),
        (Refusal::Banned(safe("you are banned")), "banned: you are banned"),
        (Refusal::Muted(safe("you are muted")), "muted: you are muted"),
        (Refusal::Replaced, "replaced: you logged in from another connection"),
        (Refusal::NotTls, "wrong-protocol: this port requires TLS; try client --tls, openssl s_client or ncat --ssl"),
        (Refusal::NotUtf8, "not-utf8: lines must be valid UTF-8; this line was not sent"),
        (
            Refusal::UnknownCommand(safe("/mgs")),
            "unknown-command: unknown command /mgs; see /help, or type // to start a message with /",
        ),
        (Refusal::NoSuchUser(bob()), "no-such-user: nobody here is called Bob; /who lists everyone"),
        (Refusal::Ignored(bob()), "ignored: Bob ignores you"),
        (Refusal::IgnoresSelf, "bad-arguments: you cannot ignore yourself"),
        (Refusal::TooManyIgnored, "too-many-ignored: you already ignore 100 names; /unignore one of them first"),
        (Refusal::NotIgnored(bob()), "not-ignored: you are not ignoring Bob; /ignore lists the names you ignore"),
        (Refusal::ServerFull, "server-full: the server is full; try again later"),
        (Refusal::SourceFull, "server-full: too many connections from your address"),
        (
            Refusal::Evicted,
            "server-full: too many connections are waiting to give a name; reconnect and send yours at once",
        ),
        (Refusal::LoginTimeout, "login-timeout: no name received within 30 s; reconnect to try again"),
        (Refusal::ShuttingDown, "shutting-down: the server is shutting down"),
    ];
    for (refusal, line) in &table {
        assert_eq!(Reply::Refused(refusal).to_string(), format!("! {line}"));
    }
    assert_eq!(
        Refusal::ThrownAway(2).to_string(),
        "discarded 2 lines sent after it, because it could contain passwords"
    );
    let usage = Reply::Refused(&Refusal::BadArguments("/nick NEWNAME")).to_string();
    assert!(usage.starts_with("! bad-arguments: ") && usage.ends_with(" /nick NEWNAME"), "{usage}");
    let variants = include_str!("../reply.rs").matches("    #[error(").count();
    assert_eq!(table.len() + 1, variants, "a refusal is missing in the table");
}

#[test]
fn every_notice_has_its_wording() {
    let bob = name("Bob");
    for (notice, line) in [
        (Notice::SendPassword, "* Send the password for your name as the next line."),
        (Notice::SendNewPassword, "* Send the new password as the next line."),
        (Notice::SendItAgain, "* Send the new password again."),
        (Notice::Registered(bob.clone()), "* Registered: Bob is yours and now requires its password."),
        (Notice::PasswordChanged(bob.clone()), "* Password changed: Bob now requires the new one."),
        (Notice::Unregistered(bob.clone()), "* Unregistered: Bob no longer requires a password."),
        (Notice::Done(safe("Kicked: Bob.")), "* Kicked: Bob."),
    ] {
        assert_eq!(Reply::Noticed(&notice).to_string(), line);
    }
    for (reply, line) in [
        (Reply::Said { from: &bob, text: &safe("hi") }, "Bob: hi"),
        (Reply::Told { from: &bob, text: &safe("hi") }, "Bob (privately): hi"),
        (Reply::Prompt, "* Send your name as the first line."),
        (Reply::PromptAgain, "* Send another name."),
        (Reply::Joined(&bob), "* Bob has joined"),
        (Reply::Left { name: &bob, reason: None }, "* Bob has left"),
        (Reply::ManyJoined { count: 2, names: std::slice::from_ref(&bob) }, "* 2 have joined: Bob and 1 more"),
        (Reply::ManyLeft { count: 1, names: std::slice::from_ref(&bob) }, "* 1 have left: Bob"),
        (Reply::Renamed { old: &bob, new: &name("Rob") }, "* Bob is now Rob"),
        (Reply::SameName(&bob), "* You are already Bob."),
        (Reply::Ignoring(&bob), "* Ignoring Bob."),
        (Reply::NoLongerIgnoring(&bob), "* No longer ignoring Bob."),
        (Reply::Pong(None), "* Pong"),
        (Reply::Pong(Some(&safe("7"))), "* Pong 7"),
        (Reply::Slowed, "* You are sending too fast: your lines will be delayed, but none will be lost."),
        (Reply::ShuttingDown, "* The server is shutting down"),
        (Reply::Announced(&safe("hi")), "* The operator says: hi"),
    ] {
        assert_eq!(reply.to_string(), line);
    }
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
fn a_long_who_list_is_split_into_readable_lines() {
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
fn a_long_ignore_list_is_split_into_readable_lines() {
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
fn only_reasons_of_users_are_in_quotes() {
    let mallory = name("Mallory");
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
    fn text_of_a_user_never_looks_like_another_line(
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
