use super::*;

fn name(name: &str) -> Name {
    Name::parse(name).unwrap()
}

fn room(text: &str) -> RoomName {
    RoomName::parse(text).unwrap()
}

fn safe(text: &str) -> SafeText {
    SafeText::new(text.to_owned())
}

#[test]
fn every_notice_has_its_wording() {
    let bob = name("Bob");
    let (dev, lobby) = (room("dev"), RoomName::lobby());
    for (notice, line) in [
        (Notice::SendPassword, "* Send the password for your name as the next line."),
        (Notice::SendNewPassword, "* Send the new password as the next line."),
        (Notice::SendItAgain, "* Send the new password again."),
        (Notice::Registered(bob.clone()), "* Registered: Bob is yours and now requires its password."),
        (Notice::PasswordChanged(bob.clone()), "* Password changed: Bob now requires the new one."),
        (Notice::Unregistered(bob.clone()), "* Unregistered: Bob no longer requires a password."),
        (Notice::NotSearched(12), "* 12 lines cannot be read, and so cannot be searched."),
        (Notice::Text(safe("Kicked: Bob.")), "* Kicked: Bob."),
    ] {
        assert_eq!(Reply::Noticed(&notice).to_string(), line);
    }
    for (reply, line) in [
        (Reply::Said { from: &bob, text: &safe("hi") }, "Bob: hi"),
        (Reply::Told { from: &bob, text: &safe("hi") }, "Bob (privately): hi"),
        (Reply::Prompt, "* Send your name as the first line."),
        (Reply::PromptAgain, "* Send another name."),
        (Reply::PromptSame, "* Send your name again."),
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
        (Reply::Earlier, "* Earlier messages:"),
        (
            Reply::ThatWas { first: 88_121, last: 88_390, lines: 270, room: None },
            "* That was 88121 to 88390, 270 lines.",
        ),
        (Reply::NothingAfter { number: 88_390, room: None }, "* Nothing was said after 88390."),
        (Reply::NothingStored { room: None }, "* Nothing is recorded yet."),
        (Reply::ThatWas { first: 7, last: 7, lines: 1, room: Some(&dev) }, "* That was 7 to 7 in dev, 1 line."),
        (Reply::NothingAfter { number: 7, room: Some(&dev) }, "* Nothing was said after 7 in dev."),
        (Reply::NothingStored { room: Some(&dev) }, "* Nothing is recorded yet in dev."),
        (Reply::AlreadyIn(&dev), "* You are already in dev."),
        (Reply::TopicIs(&safe("hi")), "* The topic is: hi"),
        (Reply::NoTopic, "* There is no topic."),
        (Reply::TopicSet { name: &bob, text: &safe("hi") }, "* Bob has set the topic: hi"),
        (Reply::TopicRemoved(&bob), "* Bob has removed the topic"),
        (Reply::Hearing(&dev), "* You also hear dev now."),
        (Reply::HearingList(&[]), "* You hear no other room."),
        (Reply::HearingList(std::slice::from_ref(&dev)), "* You also hear: dev."),
        (Reply::HearingList(&[dev.clone(), room("ops")]), "* You also hear: dev, ops."),
        (Reply::NoLongerHearing(&dev), "* You no longer hear dev."),
        (Reply::RoomClosed { room: &dev, by: None, reason: None }, "* dev was closed"),
        (Reply::RoomClosed { room: &dev, by: None, reason: Some(&safe("done")) }, "* dev was closed: done"),
        (Reply::RoomClosed { room: &dev, by: Some(&safe("Olga")), reason: None }, "* dev was closed by Olga"),
        (
            Reply::RoomClosed { room: &dev, by: Some(&safe("Olga")), reason: Some(&safe("done")) },
            "* dev was closed by Olga: done",
        ),
        (Reply::Left { name: &bob, reason: Some(&LeaveReason::Gone(dev.clone())) }, "* Bob has gone to dev"),
        (Reply::Left { name: &bob, reason: Some(&LeaveReason::Gone(lobby)) }, "* Bob has gone to lobby"),
        (Reply::Found { count: 0, has_more: false }, "* Found nothing."),
        (Reply::Found { count: 1, has_more: false }, "* Found 1 line."),
        (Reply::Found { count: 20, has_more: true }, "* Found 20 lines; there may be older ones."),
        (Reply::Ids(true), "* Messages now have numbers, and you get your own."),
        (Reply::Ids(false), "* Messages no longer have numbers."),
    ] {
        assert_eq!(reply.to_string(), line);
    }
}

#[test]
fn the_welcome_counts_and_names_the_others() {
    let names: Vec<_> = (0..14).map(|at| name(&format!("p{at}"))).collect();
    let all: Vec<_> = names.iter().collect();
    let welcome = |others, named| {
        let room = &RoomName::lobby();
        Reply::Welcome { room, name: &all[0].clone(), others, named, recorded: None }.to_string()
    };
    assert_eq!(welcome(0, &[]), "* Welcome, p0. You are the first here. /help lists the commands.");
    assert_eq!(welcome(1, &all[1..2]), "* Welcome, p0. 1 other here: p1. /help lists the commands.");
    assert_eq!(welcome(2, &all[1..3]), "* Welcome, p0. 2 others here: p1, p2. /help lists the commands.");
    assert_eq!(
        welcome(13, &all[1..11]),
        "* Welcome, p0. 13 others here: p1, p2, p3, p4, p5, p6, p7, p8, p9, p10 and 3 more. /help lists the commands."
    );
}

#[test]
fn the_welcome_to_another_room_names_it() {
    let (bob, alice, dev) = (name("Bob"), name("Alice"), room("dev"));
    let recorded = Some("Messages are recorded for 30 days.");
    let welcome = |others, named| Reply::Welcome { room: &dev, name: &bob, others, named, recorded }.to_string();
    assert_eq!(
        welcome(0, &[]),
        "* Welcome to dev, Bob. You are the first here. /help lists the commands. Messages are recorded for 30 days."
    );
    assert_eq!(
        welcome(1, &[&alice]),
        "* Welcome to dev, Bob. 1 other here: Alice. /help lists the commands. Messages are recorded for 30 days."
    );
}

#[test]
fn who_enters_a_room_learns_who_is_there() {
    let names: Vec<_> = (0..10).map(|at| name(&format!("p{at}"))).collect();
    let all: Vec<_> = names.iter().collect();
    let entered = |room: &RoomName, others, named| Reply::Entered { room, others, named }.to_string();
    assert_eq!(entered(&RoomName::lobby(), 0, &[]), "* You are now in lobby. Nobody else is here.");
    assert_eq!(entered(&room("dev"), 1, &all[..1]), "* You are now in dev. 1 other here: p0.");
    assert_eq!(entered(&room("dev"), 2, &all[..2]), "* You are now in dev. 2 others here: p0, p1.");
    assert_eq!(
        entered(&room("dev"), 13, &all),
        "* You are now in dev. 13 others here: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9 and 3 more."
    );
}

#[test]
fn a_list_of_rooms_says_how_many_are_in_each() {
    let rooms: Vec<_> = (0..100).map(|at| (room(&format!("room{at:03}")), at)).collect();
    let list = |rooms: &[_], more| Reply::Rooms { rooms, more }.to_string();
    assert_eq!(list(&[(RoomName::lobby(), 12)], 0), "* 1 room: lobby (12).");
    assert_eq!(list(&rooms[3..5], 0), "* 2 rooms: room003 (3), room004 (4).");
    assert_eq!(list(&rooms[3..5], 7), "* 9 rooms: room003 (3), room004 (4) and 7 more.");
    let shown = list(&rooms, 0);
    let lines: Vec<_> = shown.lines().collect();
    assert!(lines.len() > 1 && lines.iter().all(|line| line.len() < WHO_LINE_BYTES + 40));
    assert!(lines[0].starts_with("* 100 rooms: room000 (0), room001 (1),"));
    assert!(lines[1..].iter().all(|line| line.starts_with("* and: room")));
    assert!(shown.ends_with("room099 (99)."));
}

#[test]
fn people_in_another_room_and_those_who_only_hear_it_are_listed() {
    let names: Vec<_> = (0..100).map(|at| name(&format!("person{at:03}"))).collect();
    let (all, dev): (Vec<_>, _) = (names.iter().collect(), room("dev"));
    let people = |count, names| Reply::InRoom { room: &dev, count, names }.to_string();
    assert_eq!(people(0, &[]), "* Nobody is in dev.");
    assert_eq!(people(2, &all[..2]), "* 2 in dev: person000, person001");
    assert!(people(100, &all).lines().skip(1).all(|line| line.starts_with("* and: person")));
    assert!(people(107, &all).ends_with("person099 and 7 more"));
    let hearing = |count, names| Reply::AlsoHearing { count, names }.to_string();
    assert_eq!(hearing(1, &all[..1]), "* Also hearing: person000.");
    assert_eq!(hearing(9, &all[..2]), "* Also hearing: person000, person001 and 7 more.");
    let shown = hearing(100, &all);
    let lists = shown.lines().map(|line| line.strip_prefix("* Also hearing: ").unwrap().strip_suffix('.').unwrap());
    assert!(lists.clone().count() > 1 && lists.clone().all(|list| list.len() < WHO_LINE_BYTES + 40));
    assert_eq!(lists.flat_map(|list| list.split(", ")).count(), 100);
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
    let (lobby, dev) = (RoomName::lobby(), room("dev"));
    let missed = |count, since| Reply::Missed { count, since, room: None }.to_string();
    assert_eq!(missed(1, None), "* You missed 1 line.");
    assert_eq!(missed(2, None), "* You missed 2 lines.");
    assert_eq!(missed(1, Some(7)), "* You missed 1 line; /since 7 shows it.");
    assert_eq!(missed(120, Some(88_270)), "* You missed 120 lines; /since 88270 shows them.");
    let missed_in_dev = |count, since| Reply::Missed { count, since, room: Some(&dev) }.to_string();
    assert_eq!(missed_in_dev(120, Some(7)), "* You missed 120 lines in dev.");
    assert_eq!(missed_in_dev(1, None), "* You missed 1 line in dev.");
    let bye = |room, since| Reply::Bye { name: &name("Al"), accepted: 1, refused: 0, since, room }.to_string();
    assert_eq!(bye(&lobby, None), "* Bye, Al: 1 line accepted, 0 refused.");
    assert_eq!(bye(&lobby, Some(7)), "* Bye, Al: 1 line accepted, 0 refused. since=7 brings you back here.");
    assert_eq!(bye(&dev, Some(7)), "* Bye, Al: 1 line accepted, 0 refused. #dev since=7 brings you back here.");
    assert_eq!(bye(&dev, None), "* Bye, Al: 1 line accepted, 0 refused. #dev brings you back here.");
    let no_longer_kept = |count, room| Reply::NoLongerKept { count, room }.to_string();
    assert_eq!(no_longer_kept(1, None), "* 1 of these lines is no longer kept.");
    assert_eq!(
        Reply::Skipped { count: 340, room: None }.to_string(),
        "* 340 numbers are missing here: the server crashed, or could not store their messages."
    );
    assert_eq!(
        Reply::Skipped { count: 340, room: Some(&dev) }.to_string(),
        "* 340 numbers are missing in dev: the server crashed, or could not store their messages."
    );
    assert_eq!(no_longer_kept(340, None), "* 340 of these lines are no longer kept.");
    assert_eq!(no_longer_kept(340, Some(&dev)), "* 340 of these lines are no longer kept in dev.");
    let unreadable = |count, room| Reply::Unreadable { count, room }.to_string();
    assert_eq!(unreadable(12, None), "* 12 of these lines cannot be read.");
    assert_eq!(unreadable(1, Some(&dev)), "* 1 of these lines cannot be read in dev.");
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
    let gone = LeaveReason::Gone(room("dev"));
    assert_eq!(gone.without_words_of_a_user(), Some(gone.clone()));
    let quit = LeaveReason::Quit(safe("bye\"): kicked by Olga"));
    assert_eq!(left(&quit), "* Mallory has left (\"bye\"): kicked by Olga\")");
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
    assert_eq!(lines.next(), Some("* For operators: /kick, /ban, /unban, /mute, /unmute, /close"));
    assert_eq!(lines.next(), Some("* Any other line is a message to everyone else; to begin it with /, type //"));
    assert_eq!(lines.next(), None);
}

#[test]
fn a_message_shows_its_number_and_time() {
    const NOON: u64 = 1_795_694_591_000;
    let message =
        Message { number: 88_120, at: Timestamp::from_millis(NOON), from: name("Alice"), text: safe("hello") };
    let (lobby, dev) = (RoomName::lobby(), room("dev"));
    assert_eq!(Dialect::Plain.said(&lobby, &message).to_string(), "Alice: hello");
    assert_eq!(Dialect::Plain.said(&dev, &message).to_string(), "Alice: hello");
    assert_eq!(Dialect::Heard.said(&dev, &message).to_string(), "#dev Alice: hello");
    assert_eq!(Dialect::Heard.said(&lobby, &message).to_string(), "#lobby Alice: hello");
    let numbered = "[88120 2026-11-26T12:03:11Z] Alice: hello";
    assert_eq!(Dialect::Ids.said(&lobby, &message).to_string(), numbered);
    assert_eq!(Dialect::Ids.replayed(&lobby, &message, message.at).to_string(), numbered);
    let numbered = "[dev 88120 2026-11-26T12:03:11Z] Alice: hello";
    assert_eq!(Dialect::Ids.said(&dev, &message).to_string(), numbered);
    assert_eq!(Dialect::Ids.replayed(&dev, &message, message.at).to_string(), numbered);
    let replayed = |now| Dialect::Plain.replayed(&dev, &message, Timestamp::from_millis(now)).to_string();
    assert_eq!(replayed(NOON + 11 * 60 * 60 * 1000), "* 12:03 Alice: hello");
    assert_eq!(replayed(NOON + 13 * 60 * 60 * 1000), "* 2026-11-26 12:03 Alice: hello");
    let heard = Dialect::Heard.replayed(&dev, &message, message.at).to_string();
    assert_eq!(heard, "* 12:03 #dev Alice: hello");
}
