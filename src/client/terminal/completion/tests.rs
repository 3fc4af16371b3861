use super::*;

fn hear(completion: &Completion, line: &str) {
    completion.hear(ServerLine::parse(line));
}

#[test]
fn names_are_learnt_from_the_server() {
    let completion = Completion::default();
    for line in [
        "* Welcome, Bob. 12 others here: Zoë, anne-marie and 10 more. /help lists the commands.",
        "* Carol has joined",
        "* 30 have joined: a1, a2, a3 and 27 more",
        "* 2 here: x1, x2",
        "* and: x3, x4",
        "* Carol is now Carola",
        "* Zoë has left (\"bye, a9 has joined\")",
        "* 2 have left: a1, a2",
        "! bad-name: * Mallory has joined",
    ] {
        hear(&completion, line);
    }
    for line in ["Dora: hello", "Emil (privately): psst"] {
        hear(&completion, line);
    }
    assert_eq!(completion.that_begin_with(""), ["Carola", "Dora", "Emil", "a3", "anne-marie", "x1", "x2", "x3", "x4"]);
    assert_eq!(completion.that_begin_with("A"), ["a3", "anne-marie"]);
    completion.clear();
    assert!(completion.that_begin_with("").is_empty());
}

#[test]
fn no_names_are_learnt_from_the_reason_for_leaving() {
    for reason in ["bye", "x\") has joined", " is now Mallory", ": Mallory has joined", "have joined: Mallory"] {
        let completion = Completion::default();
        hear(&completion, "* Carol has joined");
        hear(&completion, "* Dora has joined");
        hear(&completion, &format!("* Carol has left (\"{reason}\")"));
        hear(&completion, &format!("* Dora has left: kicked by Olga: {reason}"));
        assert!(completion.that_begin_with("").is_empty(), "{reason:?}");
    }
}

#[test]
fn speakers_who_were_not_announced_are_remembered_up_to_a_limit() {
    let completion = Completion::default();
    let say = |name: &str| hear(&completion, &format!("{name}: hi"));
    say("Alice");
    say("cron");
    hear(&completion, "* Alice has joined");
    for number in 0..CLIENT_SPEAKERS {
        say(&format!("job{number}"));
        say("job0");
    }
    assert_eq!(completion.that_begin_with("a"), ["Alice"]);
    assert_eq!(completion.that_begin_with("c"), [""; 0]);
    assert_eq!(completion.that_begin_with("job").len(), CLIENT_SPEAKERS);
    hear(&completion, "* Alice has left");
    hear(&completion, "* job0 has left");
    assert_eq!(completion.that_begin_with("a"), [""; 0]);
    assert_eq!(completion.that_begin_with("job").len(), CLIENT_SPEAKERS - 1);
}

#[test]
fn endless_names_use_bounded_memory() {
    let completion = Completion::default();
    let count = || completion.that_begin_with("").len();
    for number in 0..CLIENT_NAMES + 100 {
        hear(&completion, &format!("* user{number} has joined"));
    }
    assert_eq!(count(), CLIENT_NAMES);
    hear(&completion, "* 3 here: x1, x2, x3");
    hear(&completion, "* 2 have joined: x4, x5");
    hear(&completion, "* Welcome, Bob. 2 others here: x6, x7. /help lists the commands.");
    hear(&completion, "* user1000000 is now x8");
    assert_eq!((count(), completion.that_begin_with("x").len()), (CLIENT_NAMES, 0));
    hear(&completion, "* user0 is now x9");
    hear(&completion, "* user1 has left");
    hear(&completion, "* Alice has joined");
    assert_eq!((count(), completion.that_begin_with("x"), completion.that_begin_with("a")), {
        (CLIENT_NAMES, vec!["x9".to_owned()], vec!["Alice".to_owned()])
    });
}

#[test]
fn a_name_is_completed_in_any_case_width_and_normal_form() {
    let completion = Completion::default();
    hear(&completion, "* Zoë has joined");
    for start in ["zo", "ZOË", "Zoe\u{308}", "ｚｏ"] {
        assert_eq!(completion.that_begin_with(start), ["Zoë"], "{start:?}");
    }
    assert!(completion.that_begin_with("zoe").is_empty());
}

#[test]
fn a_renaming_has_two_names() {
    let name = |name| Name::parse(name).unwrap();
    assert_eq!(renaming(ServerLine::parse("* Bob is now Bobby")), Some((name("Bob"), name("Bobby"))));
    for line in ["* Bob is now \x1b[2J", "* Bob is now x\x1b[2J", "* Bob is now a b", "Bob is now Bobby"] {
        assert_eq!(renaming(ServerLine::parse(line)), None, "{line:?}");
    }
    assert_eq!(renaming(ServerLine::parse("* Alice has left: Bob is now Bobby")), None);
}

#[test]
fn invalid_names_are_not_learnt() {
    let completion = Completion::default();
    for line in [
        "* \x1b[2J has joined",
        "* Alice has joined",
        "* Alice is now \x1b[2J",
        "* Alice is now a b",
        "* Welcome, Bob. 2 others here: a:b, \x1b]0;owned\x07.",
        "* 1 here: \u{202e}x",
    ] {
        hear(&completion, line);
    }
    assert_eq!(completion.that_begin_with(""), ["Alice"]);
}

#[test]
fn rooms_are_learnt_from_the_server_up_to_a_limit() {
    let completion = Completion::default();
    assert_eq!(completion.rooms_that_begin_with(""), ["lobby"]);
    for line in [
        "* Welcome to a1, Bob. You are the first here. /help lists the commands.",
        "* 9 rooms: a2 (3),",
        "* and: a3 (1).",
        "* Al has gone to a4",
        "* You are now in a5. Nobody else is here.",
        "* 2 in a6: Al, Zoe",
        "* You also hear a7 now.",
        "#a8 Al: hi",
        "[a9 7 2026-11-26T12:03:11Z] Al: hi",
        "* You are now in \x1b[2J. Nobody else is here.",
        "Al: #b1 Al: hi",
    ] {
        hear(&completion, line);
    }
    completion.clear();
    assert_eq!(completion.rooms_that_begin_with("a"), ["a1", "a2", "a3", "a4", "a5", "a6", "a7", "a8", "a9"]);
    hear(&completion, "* a5 was closed by Olga");
    assert_eq!(completion.rooms_that_begin_with("#a5"), [""; 0]);
    assert_eq!(completion.rooms_that_begin_with(""), ["a1", "a2", "a3", "a4", "a6", "a7", "a8", "a9", "lobby"]);
    (0..2 * CLIENT_ROOMS).for_each(|number| hear(&completion, &format!("#room{number} Al: hi")));
    assert_eq!(completion.rooms_that_begin_with("").len(), CLIENT_ROOMS + 1);
}

#[test]
fn people_in_another_room_are_not_here() {
    let completion = Completion::default();
    for line in
        ["* 2 in dev: x1,", "* and: x2", "* 2 here: x3,", "* and: x4", "* x3 has gone to dev", "* Also hearing: x5."]
    {
        hear(&completion, line);
    }
    assert_eq!(completion.that_begin_with("x"), ["x4"]);
}

#[test]
fn commands_and_aliases_are_sorted_and_operator_commands_are_left_out() {
    assert_eq!(commands_that_begin_with("/u"), ["/unignore ", "/unregister"]);
    assert_eq!(commands_that_begin_with("/w"), ["/whisper ", "/who "]);
    assert_eq!(commands_that_begin_with("/k"), [""; 0]);
    let all = commands_that_begin_with("/");
    assert!(all.is_sorted() && all.len() >= 16, "{all:?}");
    assert!(["/bye ", "/exit ", "/help", "/names "].iter().all(|name| all.iter().any(|command| command == name)));
}
