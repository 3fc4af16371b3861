use std::collections::BTreeSet;

use super::*;

fn parse(line: &str) -> Result<Command, Refusal> {
    Command::parse(Line::Text(line.to_owned()))
}

fn room(text: &str) -> RoomName {
    RoomName::parse(text).unwrap()
}

fn safe(text: &str) -> SafeText {
    SafeText::new(text.to_owned())
}

#[test]
fn a_line_is_a_message_unchanged() {
    for line in [" hi  there ", "a /who", "\u{301}/who", "。/who", "／who", " ", ""] {
        assert_eq!(parse(line), Ok(Command::Say(safe(line))), "{line:?}");
    }
}

#[test]
fn a_command_after_invisible_characters_is_a_command() {
    let bob = Box::new(Name::parse("Bob").unwrap());
    for blanks in [
        " ",
        "\t  ",
        "\u{a0}",
        "\u{3000}",
        "\u{feff}",
        "\u{200b}",
        "\u{200d}",
        "\u{2060} \u{ad}",
        "\u{3164}",
        "\u{fe0f}",
        "\u{2800}",
        "\u{2028}",
        "\u{202e}",
        "\x1b",
        "\0",
        "\u{85}",
    ] {
        let line = format!("{blanks}/msg Bob my secret");
        assert_eq!(parse(&line), Ok(Command::Tell { to: bob.clone(), text: safe("my secret") }), "{blanks:?}");
        assert_eq!(parse(&format!("{blanks}/mgs")), Err(Refusal::UnknownCommand(safe("/mgs"))), "{blanks:?}");
        assert_eq!(parse(&format!("{blanks}//x")), Ok(Command::Say(safe(&format!("{blanks}/x")))), "{blanks:?}");
    }
}

#[test]
fn two_slashes_say_one() {
    assert_eq!(parse("//quit"), Ok(Command::Say(safe("/quit"))));
    assert_eq!(parse("///"), Ok(Command::Say(safe("//"))));
    assert_eq!(parse("/ /x"), Err(Refusal::UnknownCommand(safe("/"))));
}

#[test]
fn commands_are_parsed_with_their_arguments() {
    let bob = Box::new(Name::parse("Bob").unwrap());
    assert_eq!(parse("/quit"), Ok(Command::Quit(None)));
    assert_eq!(parse("/QUIT  gone fishing "), Ok(Command::Quit(Some(safe("gone fishing")))));
    let cut = format!("{}…", "é".repeat(REASON_CHARS));
    assert_eq!(parse(&format!("/quit {}", "é".repeat(REASON_CHARS + 1))), Ok(Command::Quit(Some(safe(&cut)))));
    assert_eq!(parse("/who"), Ok(Command::Who(None)));
    assert_eq!(parse("/help"), Ok(Command::Help));
    assert_eq!(parse("/nick Bob"), Ok(Command::Rename(bob.clone())));
    assert_eq!(parse("/ignore  Bob "), Ok(Command::Ignore(bob.clone())));
    assert_eq!(parse("/unignore Bob"), Ok(Command::Unignore(bob.clone())));
    assert_eq!(parse("/ignore "), Ok(Command::Ignored));
    assert_eq!(parse("/msg Bob  how are  you"), Ok(Command::Tell { to: bob, text: safe("how are  you") }));
}

#[test]
fn a_room_is_written_with_or_without_its_hash() {
    let dev = room("dev");
    for written in ["dev", "#dev"] {
        for (line, command) in [
            ("/join", Command::Join(dev.clone())),
            ("/JOIN", Command::Join(dev.clone())),
            ("/who", Command::Who(Some(dev.clone()))),
            ("/names", Command::Who(Some(dev.clone()))),
            ("/hear", Command::Hear(dev.clone(), None)),
            ("/deaf", Command::Deaf(dev.clone())),
        ] {
            assert_eq!(parse(&format!("{line}  {written} ")), Ok(command), "{line} {written}");
        }
        assert_eq!(parse(&format!("/say {written}  hi  there ")), Ok(Command::SayIn(dev.clone(), safe("hi  there"))));
        assert_eq!(
            AdminCommand::parse(&format!("keep {written} forever")),
            Ok(AdminCommand::Keep(dev.clone(), Some(None)))
        );
    }
    assert_eq!(parse("/leave"), Ok(Command::Join(RoomName::lobby())));
    assert_eq!(parse("/hear"), Ok(Command::Heard));
}

#[test]
fn an_invalid_room_is_refused_and_nothing_is_said() {
    for line in ["/join Dev", "/who Dev", "/hear d_v", "/deaf #", "/say Dev hi", "/say ##dev hi"] {
        assert_eq!(parse(line), Err(Refusal::BadRoom(crate::model::BadRoomName)), "{line}");
    }
    for (line, usage) in [
        ("/join", "/join ROOM"),
        ("/join dev ops", "/join ROOM"),
        ("/who dev ops", "/who [ROOM]"),
        ("/deaf ", "/deaf ROOM"),
        ("/deaf dev ops", "/deaf ROOM"),
        ("/say", "/say ROOM TEXT"),
        ("/say dev ", "/say ROOM TEXT"),
        ("/hear dev 88120", "/hear [ROOM [since=WHEN]]"),
        ("/hear dev last=3", "/hear [ROOM [since=WHEN]]"),
    ] {
        assert_eq!(parse(line), Err(Refusal::BadArguments(usage)), "{line}");
    }
}

#[test]
fn a_room_can_be_heard_from_an_earlier_point_on() {
    let hear = |since| Ok(Command::Hear(room("ops"), Some(since)));
    assert_eq!(parse("/hear ops since=88120"), hear(Since::Number(88_120)));
    assert_eq!(parse("/hear #ops SINCE=2 hours"), hear(Since::Ago(Duration::from_secs(7200))));
    assert_eq!(parse("/hear ops since=x"), Err(Refusal::UnreadableSince));
    assert_eq!(parse("/hear ops since="), Err(Refusal::UnreadableSince));
}

#[test]
fn a_topic_is_shown_set_or_removed() {
    let set = |text: &str| Ok(Command::Topic(Some(TopicChange::Set(safe(text)))));
    assert_eq!(parse("/topic"), Ok(Command::Topic(None)));
    assert_eq!(parse("/topic - "), Ok(Command::Topic(Some(TopicChange::Remove))));
    assert_eq!(parse("/topic  release  on Friday "), set("release  on Friday"));
    assert_eq!(parse("/topic - and so on"), set("- and so on"));
    assert_eq!(parse("/topic \x1b[2J"), set("^[[2J"));
    let longest = "é".repeat(TOPIC_CHARS);
    assert_eq!(parse(&format!("/topic {longest}x")), set(&format!("{longest}…")));
}

#[test]
fn what_is_said_in_a_room_is_never_a_command() {
    for text in ["/me waves", "//x", "/quit", "#ops hi"] {
        assert_eq!(parse(&format!("/say dev {text}")), Ok(Command::SayIn(room("dev"), safe(text))));
    }
}

#[test]
fn messages_of_a_room_are_kept_for_a_duration() {
    let keep = |time| Ok(AdminCommand::Keep(room("dev"), time));
    assert_eq!(AdminCommand::parse("keep dev default"), keep(None));
    assert_eq!(AdminCommand::parse("keep dev Forever"), keep(Some(None)));
    assert_eq!(AdminCommand::parse("keep dev 30 days"), keep(Some(Some(Duration::from_secs(30 * 24 * 60 * 60)))));
    for line in ["keep dev", "keep dev always", "keep dev forever now", "keep dev 30 days now"] {
        assert_eq!(
            AdminCommand::parse(line),
            Err(Refusal::BadArguments("keep ROOM DURATION|forever|default")),
            "{line}"
        );
    }
    for line in ["keep dev 7", "keep dev 0s", "keep dev 30 dyas", "keep dev 1000years"] {
        assert_eq!(AdminCommand::parse(line), Err(Refusal::BadDuration), "{line}");
    }
    assert_eq!(AdminCommand::parse("keep Dev 1h"), Err(Refusal::BadRoom(crate::model::BadRoomName)));
}

#[test]
fn a_ping_is_never_refused_and_its_token_is_safe_and_short() {
    assert_eq!(parse("/ping"), Ok(Command::Ping(None)));
    assert_eq!(parse("/Ping  "), Ok(Command::Ping(None)));
    assert_eq!(parse("/ping  4 2 "), Ok(Command::Ping(Some(safe("4 2")))));
    assert_eq!(parse("/ping \x1b[2J"), Ok(Command::Ping(Some(safe("^[[2J")))));
    let longest = "é".repeat(PING_TOKEN_CHARS);
    assert_eq!(parse(&format!("/ping {longest}")), Ok(Command::Ping(Some(safe(&longest)))));
    assert_eq!(parse(&format!("/ping {longest}x")), Ok(Command::Ping(Some(safe(&format!("{longest}…"))))));
}

#[test]
fn an_alias_means_its_command() {
    for (alias, command) in [
        ("/names", "/who"),
        ("/w Bob hi", "/msg Bob hi"),
        ("/Whisper Bob hi", "/msg Bob hi"),
        ("/exit", "/quit"),
        ("/bye for now", "/quit for now"),
        ("/Q", "/quit"),
        ("/?", "/help"),
        ("/w Bob", "/msg Bob"),
    ] {
        assert_eq!(parse(alias), parse(command), "{alias:?}");
        assert!(!matches!(parse(alias), Err(Refusal::UnknownCommand(_))), "{alias:?}");
    }
}

#[test]
fn an_action_has_one_form_and_needs_text() {
    for line in ["/me waves  twice", "/ME  waves  twice ", " \u{200b}/me\twaves  twice", "//me waves  twice"] {
        assert_eq!(parse(line), Ok(Command::Say(safe("/me waves  twice"))), "{line:?}");
    }
    for line in ["/me", "/me ", " /ME  "] {
        assert_eq!(parse(line), Err(Refusal::BadArguments("/me TEXT")), "{line:?}");
    }
    assert_eq!(parse("/mewaves"), Err(Refusal::UnknownCommand(safe("/mewaves"))));
}

#[test]
fn a_command_that_lacks_an_argument_is_refused_with_its_usage() {
    assert_eq!(parse("/msg Bob "), Err(Refusal::BadArguments("/msg NAME TEXT")));
    assert_eq!(parse("/msg"), Err(Refusal::BadArguments("/msg NAME TEXT")));
    assert_eq!(parse("/nick"), Err(Refusal::BadArguments("/nick NEWNAME")));
    assert_eq!(parse("/nick a b"), Err(Refusal::BadName(crate::model::BadName::Blank)));
    assert_eq!(parse("/ignore a b"), Err(Refusal::BadName(crate::model::BadName::Blank)));
    assert_eq!(parse("/unignore "), Err(Refusal::BadArguments("/unignore NAME")));
}

#[test]
fn an_unknown_command_is_refused_and_never_said() {
    assert_eq!(parse("/mgs Bob secret"), Err(Refusal::UnknownCommand(safe("/mgs"))));
    assert_eq!(parse("/"), Err(Refusal::UnknownCommand(safe("/"))));
    assert_eq!(parse("/ msg Bob x"), Err(Refusal::UnknownCommand(safe("/"))));
    assert_eq!(parse("/\x1b[2J"), Err(Refusal::UnknownCommand(safe("/^[[2J"))));
}

#[test]
fn a_private_message_to_an_invalid_name_is_refused() {
    assert_eq!(parse("/msg *** hi"), Err(Refusal::NoSuchUser(safe("***"))));
}

#[test]
fn an_invalid_name_cannot_be_ignored() {
    assert_eq!(parse("/ignore ***"), Err(Refusal::BadName(crate::model::BadName::Reserved('*'))));
    assert_eq!(parse("/unignore ***"), Err(Refusal::NotIgnored(safe("***"))));
}

#[test]
fn lines_that_are_not_text_are_refused() {
    assert_eq!(Command::parse(Line::NotUtf8), Err(Refusal::NotUtf8));
    assert_eq!(Command::parse(Line::TooLong), Err(Refusal::LineTooLong));
    assert_eq!(Command::parse(Line::Endless), Err(Refusal::Endless));
}

#[test]
fn every_name_in_the_table_is_a_lowercase_word_and_means_one_command() {
    // In the room and at the control socket, a name may mean different things.
    let is_in_room = |command: &CommandSpec| !matches!(command.access, Access::Administrator(_));
    let is_for_admin = |command: &CommandSpec| !matches!(command.access, Access::Everyone(_));
    for place in [&is_in_room as &dyn Fn(&CommandSpec) -> bool, &is_for_admin] {
        let mut seen = BTreeSet::new();
        for command in COMMANDS.iter().filter(|command| place(command)) {
            assert_eq!(command.usage.starts_with('/'), is_in_room(command), "{}", command.usage);
            for name in [command.name()].iter().chain(command.aliases) {
                assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'?'), "{name}");
                assert!(seen.insert(*name), "{name} means two commands");
            }
        }
    }
}

#[test]
fn commands_are_known_only_where_they_may_be_used() {
    for word in ["op", "deop", "keep", "list", "stats"] {
        assert_eq!(parse(&format!("/{word} Bob")), Err(Refusal::UnknownCommand(safe(&format!("/{word}")))));
    }
    for word in ["who", "msg", "quit", "q", "password", "/kick", "join", "topic", ""] {
        assert_eq!(AdminCommand::parse(word), Err(Refusal::UnknownCommand(safe(word))));
    }
    // The same word with different arguments.
    let bob = Name::parse("Bob").unwrap();
    assert_eq!(parse("/register Bob"), Ok(Command::Account(AccountCommand::Register)));
    assert_eq!(AdminCommand::parse("register Bob"), Ok(AdminCommand::Register(bob.clone())));
    assert_eq!(parse("/say dev hi"), Ok(Command::SayIn(room("dev"), safe("hi"))));
    assert_eq!(AdminCommand::parse("say dev hi"), Ok(AdminCommand::Say(safe("dev hi"))));
    assert_eq!(parse("/rooms"), Ok(Command::Rooms));
    assert_eq!(AdminCommand::parse("rooms"), Ok(AdminCommand::Rooms));
    assert_eq!(parse("/unregister Bob"), Ok(Command::Account(AccountCommand::Unregister)));
    assert_eq!(AdminCommand::parse("unregister Bob"), Ok(AdminCommand::Unregister(bob)));
}

#[test]
fn requests_of_server_admin_are_parsed_with_their_arguments() {
    let bob = Name::parse("Bob").unwrap();
    let kick = ModerationCommand::Kick { whom: bob.clone(), reason: Some(safe("too loud")) };
    assert_eq!(AdminCommand::parse("kick Bob too loud"), Ok(AdminCommand::Moderation(kick.clone())));
    assert_eq!(parse("/kick Bob too loud"), Ok(Command::Moderation(Box::new(kick))));
    assert_eq!(AdminCommand::parse("op Bob"), Ok(AdminCommand::Op(bob.clone())));
    assert_eq!(AdminCommand::parse("deop Bob"), Ok(AdminCommand::Deop(bob)));
    assert_eq!(AdminCommand::parse("say back  at noon"), Ok(AdminCommand::Say(safe("back  at noon"))));
    assert_eq!(AdminCommand::parse("stats"), Ok(AdminCommand::Stats));
    assert_eq!(AdminCommand::parse("ping"), Ok(AdminCommand::Ping));
    for (line, listing) in [
        ("list", Listing::People),
        ("list people", Listing::People),
        ("list names", Listing::Names),
        ("list bans", Listing::Bans),
        ("list mutes", Listing::Mutes),
    ] {
        assert_eq!(AdminCommand::parse(line), Ok(AdminCommand::List(listing)), "{line}");
    }
}

#[test]
fn an_invalid_request_of_server_admin_is_refused_with_its_usage() {
    for (line, usage) in [
        ("op", "op NAME"),
        ("deop ", "deop NAME"),
        ("register", "register NAME"),
        ("unregister", "unregister NAME"),
        ("say", "say TEXT"),
        ("list all", "list [people|names|bans|mutes]"),
        ("kick", "kick NAME [REASON]"),
    ] {
        assert_eq!(AdminCommand::parse(line), Err(Refusal::BadArguments(usage)), "{line}");
    }
}
